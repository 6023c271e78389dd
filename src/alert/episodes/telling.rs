//! One change of an episode with the references that a DetectedIssue gives for it, and what it makes of the version
//! that stands.

use std::sync::Arc;

use serde_json::Value;

use super::{Origin, Outcome};
use crate::alert::amend;
use crate::alert::issue::{self, Change, Episode, Standing};
use crate::alert::lifecycle::{self, Policy, State};
use crate::alert::reading::reading;
use crate::alert::rule::{Cause, Rule};
use crate::alert::scores;
use crate::alert::seed::AUTHOR;
use crate::alert::window::{Kind, Transition};
use crate::error::Error;
use crate::store::{Entry, Store};

pub(super) struct Telling {
    rule: Arc<Rule>,
    /// `Patient/…`
    patient: Arc<str>,
    /// What the rule key is about.
    subject: String,
    transition: Transition,
    /// Known too late to sound.
    late: bool,
    observation: String,
    onset: Option<String>,
    peak: Option<String>,
    device: Option<String>,
    encounter: Option<String>,
    /// The score that the alert is about.
    score: Option<String>,
}

impl Telling {
    pub(super) async fn of(store: &Store, origin: &Origin<'_>, transition: &Transition) -> Result<Self, Error> {
        let (place, rule) = (origin.place, &origin.place.rule);
        let trigger = entry_at(store, transition.sample.seq, origin.entry).await?;
        let reference = |entry: &Arc<Entry>| entry.versioned_reference();
        let onset = entry_at(store, transition.onset.seq, trigger.as_ref()).await?;
        let peak = match transition.peak {
            Some(peak) => entry_at(store, peak.seq, trigger.as_ref()).await?,
            None => None,
        };
        let source = trigger.as_ref().and_then(|entry| reading(entry));
        Ok(Self {
            rule: rule.clone(),
            patient: place.patient.clone(),
            subject: rule.subject(origin.code).to_owned(),
            transition: *transition,
            // What time alone has changed is known in time.
            late: origin.entry.is_some() && origin.now - transition.at > rule.timing.late_after,
            observation: trigger.as_ref().map(reference).unwrap_or_default(),
            onset: onset.as_ref().map(reference),
            peak: peak.as_ref().map(reference),
            device: source.and_then(|reading| reading.device.clone()),
            encounter: source.and_then(|reading| reading.encounter.clone()),
            score: (transition.cause == Cause::Score).then(|| scores::reference(place, transition.at)),
        })
    }

    fn change(&self) -> Change<'_> {
        Change {
            rule: &self.rule,
            transition: &self.transition,
            observation: &self.observation,
            peak: self.peak.as_deref(),
            late: self.late,
        }
    }

    fn raised(&self) -> Value {
        issue::raised(&Episode {
            change: self.change(),
            onset: self.onset.as_deref().unwrap_or(&self.observation),
            subject: &self.subject,
            patient: &self.patient,
            author: AUTHOR,
            implicated: self.score.as_deref().or(self.device.as_deref()),
            encounter: self.encounter.as_deref(),
        })
    }

    /// Does an episode that is over go on with this raise?
    fn rejoins(&self, over: &Value) -> bool {
        let last = issue::steps(over).last().copied().filter(|step| step.kind == Kind::Resolve);
        let resolved = matches!(State::of(over), Some(State::Resolved | State::Latched));
        last.is_some_and(|last| resolved && amend::rejoins(self.transition.at, last.at, self.rule.timing.regroup))
    }

    /// What the change makes of the version that stands, where one does.
    pub(super) fn after(&self, standing: &Value, policy: &Policy, now: i64) -> Outcome {
        let follow = |previous: Option<&Value>, next: Value| {
            lifecycle::after_change(policy, previous, next, &self.rule, &self.transition, now)
        };
        let changed = || issue::changed(standing, &self.change());
        match (issue::held_episode(standing), self.transition.kind) {
            // Closed by somebody: its end is told, what is no worse is not, what is worse is a new episode.
            (Some(held), Kind::Resolve) if held.standing == Standing::Closed => {
                Outcome::Next(lifecycle::released(&changed()))
            }
            (Some(held), _) if held.standing == Standing::Closed && self.transition.to <= held.level => {
                Outcome::Nothing
            }
            (Some(held), _) if held.standing != Standing::Closed => Outcome::Next(follow(Some(standing), changed())),
            (None, Kind::Raise) if self.rejoins(standing) => Outcome::Next(follow(Some(standing), changed())),
            (_, Kind::Raise | Kind::Escalate) => Outcome::New(follow(None, self.raised())),
            (_, Kind::Deescalate | Kind::Resolve) => Outcome::Nothing,
        }
    }
}

/// The episode with its changes from an instant on told anew.
pub(super) fn again(
    standing: &Value,
    rule: &Rule,
    from: i64,
    tellings: &[Telling],
    policy: &Policy,
    now: i64,
) -> Outcome {
    let before = (!standing.is_null()).then(|| issue::as_before(standing, rule, from));
    let mut resource = before.filter(|issue| !issue::steps(issue).is_empty());
    for telling in tellings {
        resource = Some(match resource {
            Some(issue) => issue::changed(&issue, &telling.change()),
            None => telling.raised(),
        });
    }
    let Some(resource) = resource else { return Outcome::Nothing };
    if !standing.is_null() {
        let resource = issue::told_anew(standing, resource);
        return Outcome::Next(lifecycle::retold(policy, standing, resource, rule, now));
    }
    let sounds = issue::open_episode(&resource).is_some_and(|episode| !episode.late);
    Outcome::New(if sounds { lifecycle::sounds_now(policy, resource, now) } else { resource })
}

/// The entry that was committed at a place in the log.
async fn entry_at(store: &Store, seq: i64, likely: Option<&Arc<Entry>>) -> Result<Option<Arc<Entry>>, Error> {
    if let Some(entry) = likely.filter(|entry| entry.seq == seq) {
        return Ok(Some(entry.clone()));
    }
    Ok(store.log_after(seq - 1, 1).await?.into_iter().next().filter(|entry| entry.seq == seq))
}
