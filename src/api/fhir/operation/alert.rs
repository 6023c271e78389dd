//! `$acknowledge`, `$silence`, `$escalate`, `$resolve` of an alert: a new version of the DetectedIssue, and with it,
//! in the same transaction, who did it. What an act means is `alert::lifecycle`'s business.

use serde_json::Value;

use super::Call;
use super::input::Input;
use crate::alert::lifecycle::{self, Act, Actor};
use crate::auth::access::{Access, Action, Principal};
use crate::clock::new_id;
use crate::error::Error;
use crate::fhir::time;
use crate::pipeline::{Intent, Match};

const KIND: &str = "DetectedIssue";
/// How often an act is done anew on what others, as the rules, have made of the alert meanwhile.
const ATTEMPTS: usize = 16;

pub(super) async fn acknowledge(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    let input = Input::of(call, None)?;
    input.only(&["note"])?;
    let note = input.text("note")?.map(str::to_owned);
    act(call, &Act::Acknowledge { note }).await
}

pub(super) async fn silence(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    let input = Input::of(call, None)?;
    input.only(&["reason", "until", "critical"])?;
    let until = time::range(required(&input, "until")?);
    let until = until.ok_or_else(|| Error::invalid("value", "Parameters.parameter", "until must be an instant"))?;
    let critical = input.flag("critical")?.unwrap_or(false);
    act(call, &Act::Silence { reason: reason(&input)?, until: until.start, critical }).await
}

pub(super) async fn escalate(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    let input = Input::of(call, None)?;
    input.only(&["reason"])?;
    act(call, &Act::Escalate { reason: reason(&input)? }).await
}

pub(super) async fn resolve(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    let input = Input::of(call, None)?;
    input.only(&["reason"])?;
    act(call, &Act::Resolve { reason: reason(&input)? }).await
}

fn reason(input: &Input) -> Result<String, Error> {
    required(input, "reason").map(str::to_owned)
}

fn required<'i>(input: &'i Input, name: &str) -> Result<&'i str, Error> {
    let given = input.text(name)?.filter(|text| !text.trim().is_empty());
    given.ok_or_else(|| {
        Error::invalid("required", "Parameters.parameter", format!("this operation needs the parameter {name}"))
    })
}

async fn act(call: &Call<'_>, act: &Act) -> Result<Vec<u8>, Error> {
    let free = call.if_match.as_ref().is_none_or(|wanted| *wanted == Match::Any);
    for _ in 0..ATTEMPTS {
        match once(call, act).await {
            Err(Error::VersionConflict { .. }) if free => {}
            Err(error) => return Err(error),
            Ok(()) => {
                let id = call.id.clone().unwrap_or_default();
                let made = call.state.store.find(call.access, KIND, &id).await?;
                return made.json();
            }
        }
    }
    Err(Error::Conflict("This alert changes too fast; read it again."))
}

async fn once(call: &Call<'_>, act: &Act) -> Result<(), Error> {
    let permit = call.access.check(Action::Update, KIND)?;
    let id = call.id.clone().unwrap_or_default();
    let standing = call.state.store.find(call.access, KIND, &id).await?;
    let issue = standing.value()?;
    if !permit.covers(issue.pointer("/patient/reference").and_then(Value::as_str)) {
        return Err(Error::not_found(KIND, id));
    }
    if call.if_match.as_ref().is_some_and(|wanted| !wanted.fits(standing.version)) {
        return Err(Error::version_conflict(KIND, id));
    }
    let (by, now) = (actor(call.access.principal()), call.state.store.clock().now());
    let next = lifecycle::apply(&issue, act, &by, &call.state.settings.escalation, now)?;
    let (who, version) = (by.reference(), standing.version.saturating_add(1));
    let profiles = call.state.pipeline.profiles();
    let checked = profiles.check(next).await.map_err(Error::Unprocessable)?;
    let mut intents = vec![Intent::Update { resource: checked, id: id.clone(), expect: Some(standing.version) }];
    for told in [lifecycle::provenance, lifecycle::audit_event] {
        let resource = profiles.check(told(&id, version, act.code(), &who, now)).await.map_err(Error::Unprocessable)?;
        intents.push(Intent::Create { resource, id: new_id(), guard: None });
    }
    // Leave for the act was asked above, for the version that it is bound to; the record of it is the server's own.
    call.state.pipeline.transaction(&Access::system("alert acts"), intents).await.map(|_| ())
}

fn actor(principal: &Principal) -> Actor {
    let (system, id, person) = match principal {
        Principal::User { id, .. } => ("urn:vigia:user", id.as_str(), true),
        Principal::Client { id } => ("urn:vigia:client", id.as_str(), false),
        Principal::Device { device, .. } => ("urn:vigia:device", device.as_str(), false),
        Principal::System(name) => ("urn:vigia:system", *name, false),
    };
    Actor { system, id: id.to_owned(), person }
}
