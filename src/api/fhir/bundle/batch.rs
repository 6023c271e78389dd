//! A batch: every entry for itself, all of them in one trip to the lane.

use std::collections::HashMap;

use fhir_r4::Issue;
use serde_json::Value;

use super::answer::{self, Done};
use super::entry::{Entry, located, read};
use super::limits;
use super::look::Look;
use crate::api::State;
use crate::api::fhir::write::answer::Asked;
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::bundle::{Request, Writer};
use crate::pipeline::{Intent, Interaction};
use crate::store::{CONDITION_CHANGED, Written};

enum Step {
    Failed(Error),
    Look(Look),
    Write(Box<Planned>),
}

/// An entry that is on its way to the lane.
struct Planned {
    at: usize,
    kind: &'static str,
    deletes: bool,
    content: Option<Value>,
    warnings: Vec<Issue>,
    /// To be asked again, when it depends on what stands and that changed.
    again: Option<Interaction>,
}

pub(super) async fn run(
    state: &State,
    access: &Access,
    entries: Vec<Option<Request>>,
    mut faults: HashMap<usize, Vec<Issue>>,
    asked: Asked,
) -> Result<Vec<u8>, Error> {
    let (base, params, mut counted) = (state.fhir_base(), state.store.params(), limits::Asked::default());
    let (mut steps, mut intents) = (Vec::with_capacity(entries.len()), Vec::with_capacity(entries.len()));
    for (at, request) in entries.into_iter().enumerate() {
        let entry = match faults.remove(&at) {
            Some(issues) => Err(Error::from(issues)),
            None => read(&params, request, at, &base).and_then(|entry| counted.take(&entry, at).map(|()| entry)),
        };
        let step = match entry {
            Err(error) => Step::Failed(error),
            Ok(Entry::Look(look)) => Step::Look(look),
            Ok(Entry::Write(write)) => {
                let planned = match write.interaction(state.pipeline.profiles(), None).await {
                    Ok(interaction) => plan(state, access, interaction, at, asked).await,
                    Err(error) => Err(error),
                };
                match planned {
                    Err(error) => Step::Failed(located(error, at)),
                    Ok((planned, intent)) => {
                        intents.push(intent);
                        Step::Write(Box::new(planned))
                    }
                }
            }
        };
        steps.push(step);
    }
    let written = if intents.is_empty() { vec![] } else { state.pipeline.each(access, intents).await? };
    let mut written = written.into_iter();
    let mut writer = Writer::new("batch-response", None, &[]);
    for step in steps {
        let outcome = match step {
            Step::Failed(error) => Err(error),
            Step::Look(look) => {
                look.answer(state, access, &mut writer).await;
                continue;
            }
            Step::Write(planned) => {
                let answer = written.next().unwrap_or_else(|| Err(Error::internal("an entry without an answer")));
                let at = planned.at;
                finish(state, access, *planned, answer, asked).await.map_err(|error| located(error, at))
            }
        };
        let shown = match outcome {
            Ok(done) => answer::done(state, access, &mut writer, done, asked).await,
            Err(error) => Err(error),
        };
        if let Err(error) = shown {
            answer::failed(&mut writer, &error);
        }
    }
    Ok(writer.finish())
}

/// What an entry comes to as things stand. In a batch a forbidden entry fails by itself, before anything is looked at.
async fn plan(
    state: &State,
    access: &Access,
    interaction: Interaction,
    at: usize,
    asked: Asked,
) -> Result<(Planned, Intent), Error> {
    access.check(interaction.action(), interaction.kind)?;
    let again = interaction.depends().then(|| interaction.clone());
    let guard = match &interaction.criterion {
        Some(query) => Some(state.pipeline.resolve(access, query).await?),
        None => None,
    };
    let intent = state.pipeline.plan(access, interaction, guard).await?;
    let content = if asked == Asked::Representation { intent.content().cloned() } else { None };
    let warnings = if asked == Asked::Outcome { intent.warnings().to_vec() } else { vec![] };
    let planned = Planned { at, kind: intent.kind(), deletes: intent.is_delete(), content, warnings, again };
    Ok((planned, intent))
}

/// An entry whose condition changed on the way, by another entry or by somebody else, is asked once more by itself.
async fn finish(
    state: &State,
    access: &Access,
    planned: Planned,
    answer: Result<Written, Error>,
    asked: Asked,
) -> Result<Done, Error> {
    let Planned { kind, deletes, content, warnings, again, .. } = planned;
    let (written, content, warnings) = match (answer, again) {
        (Ok(written), _) => (written, content, warnings),
        (Err(Error::Conflict(CONDITION_CHANGED)), Some(interaction)) => {
            let done = state.pipeline.carry_out(access, interaction, asked == Asked::Representation).await?;
            (done.written, done.content, done.warnings)
        }
        (Err(error), _) => return Err(error),
    };
    Ok(Done { kind, deleted: deletes, written, content, warnings })
}
