//! What people do to an alert. Each act is a mitigation of the DetectedIssue with its author and time; what cannot
//! be done to an alert as it stands is refused with the reason.

use serde_json::{Map, Value, json};

use super::{
    Policy, State, close, concept, extend, finish, issue, level, over_instant, remove, set_instant, set_state, time,
    timer,
};
use crate::alert::rule::Level;
use crate::error::Error;

/// A silence is no longer than this, µs.
pub const MAX_SILENCE: i64 = 12 * 3_600_000_000;

/// What somebody wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Acknowledge {
        note: Option<String>,
    },
    /// Until an instant, µs UTC. `critical`: critical alerts too.
    Silence {
        reason: String,
        until: i64,
        critical: bool,
    },
    Escalate {
        reason: String,
    },
    Resolve {
        reason: String,
    },
}

impl Act {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Acknowledge { .. } => "acknowledge",
            Self::Silence { .. } => "silence",
            Self::Escalate { .. } => "escalate",
            Self::Resolve { .. } => "resolve",
        }
    }

    /// What was said about it.
    pub fn words(&self) -> Option<&str> {
        match self {
            Self::Acknowledge { note } => note.as_deref(),
            Self::Silence { reason, .. } | Self::Escalate { reason } | Self::Resolve { reason } => Some(reason),
        }
    }
}

/// Who does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// System of the identifier: `urn:vigia:user`.
    pub system: &'static str,
    pub id: String,
    /// A person; a machine is never the author of a mitigation.
    pub person: bool,
}

impl Actor {
    pub fn reference(&self) -> Value {
        let mut reference = json!({"identifier": {"system": self.system, "value": self.id}});
        if let Some(members) = reference.as_object_mut().filter(|_| self.person) {
            members.insert("type".to_owned(), "Practitioner".into());
        }
        reference
    }
}

/// The version of an alert that an act makes.
pub fn apply(previous: &Value, act: &Act, by: &Actor, policy: &Policy, now: i64) -> Result<Value, Error> {
    let (Some(issue), Some(state)) = (previous.as_object(), State::of(previous)) else {
        return Err(Error::Conflict("This DetectedIssue is no alert of this server."));
    };
    if state.is_over() {
        return Err(Error::Conflict("This alert is over; nothing can be done to it any more."));
    }
    if state == State::Latched && matches!(act, Act::Silence { .. } | Act::Escalate { .. }) {
        return Err(Error::Conflict("The condition of this alert is over; it can be acknowledged or resolved."));
    }
    let mut issue = issue.clone();
    match act {
        Act::Acknowledge { .. } => acknowledge(&mut issue, state, by, policy, now)?,
        Act::Silence { until, critical, .. } => silence(&mut issue, *until, *critical, now)?,
        Act::Escalate { .. } => escalate(&mut issue, policy, now),
        Act::Resolve { .. } => resolve(&mut issue, state, by, now),
    }
    mitigated(&mut issue, act, by, now);
    Ok(Value::Object(issue))
}

fn acknowledge(
    issue: &mut Map<String, Value>,
    state: State,
    by: &Actor,
    policy: &Policy,
    now: i64,
) -> Result<(), Error> {
    if super::find(issue, "alert-acknowledged").is_some() {
        return Err(Error::Conflict("This alert is acknowledged already."));
    }
    seen(issue, by, now);
    remove(issue, "alert-inhibited-by");
    match state {
        State::Latched => finish(issue, State::Resolved),
        // The silence goes on to its end.
        State::Suppressed if super::find(issue, "alert-suppressed-until").is_some() => {}
        _ => {
            set_state(issue, State::Acknowledged);
            timer::await_timeout(policy, issue, now);
        }
    }
    Ok(())
}

fn silence(issue: &mut Map<String, Value>, until: i64, critical: bool, now: i64) -> Result<(), Error> {
    let refused = |why: &str| Err(Error::unprocessable("value", "Parameters.parameter", why));
    if until <= now {
        return refused("until is over already");
    }
    if until - now > MAX_SILENCE {
        return refused("until is more than 12 hours away: a silence is no longer than that");
    }
    if level(issue) == Some(Level::Critical) && !critical {
        return refused("this alert is critical: it is silenced only with critical = true");
    }
    let up_to = if critical { Level::Critical } else { Level::Warning };
    set_instant(issue, "alert-suppressed-until", until);
    extend(issue, "alert-suppressed-level", "valueCode", up_to.code().into());
    set_state(issue, State::Suppressed);
    timer::await_end_of_silence(issue, now);
    Ok(())
}

/// Somebody calls for help: the next step is done now, and it waits for an answer again.
fn escalate(issue: &mut Map<String, Value>, policy: &Policy, now: i64) {
    for gone in ["alert-acknowledged", "alert-suppressed-until", "alert-suppressed-level", "alert-inhibited-by"] {
        remove(issue, gone);
    }
    timer::step(issue);
    set_state(issue, State::Escalated);
    timer::await_answer(policy, issue, now);
}

/// As long as the condition holds without a break and gets no worse, the alert stays closed.
fn resolve(issue: &mut Map<String, Value>, state: State, by: &Actor, now: i64) {
    if super::find(issue, "alert-acknowledged").is_none() {
        seen(issue, by, now);
    }
    over_instant(issue, now);
    if state == State::Latched { finish(issue, State::Resolved) } else { close(issue) }
}

fn seen(issue: &mut Map<String, Value>, by: &Actor, now: i64) {
    let parts = json!([
        {"url": "by", "valueReference": by.reference()},
        {"url": "at", "valueInstant": time::instant(now)}
    ]);
    extend(issue, "alert-acknowledged", "extension", parts);
}

fn mitigated(issue: &mut Map<String, Value>, act: &Act, by: &Actor, now: i64) {
    let mut mitigation = json!({
        "action": concept(act.code(), act.words().unwrap_or(act.code())),
        "date": time::instant(now)
    });
    if let Some(members) = mitigation.as_object_mut().filter(|_| by.person) {
        members.insert("author".to_owned(), by.reference());
    }
    if let (Act::Silence { until, .. }, Some(members)) = (act, mitigation.as_object_mut()) {
        let url = issue::url("alert-suppressed-until");
        members.insert("extension".to_owned(), json!([{"url": url, "valueInstant": time::instant(*until)}]));
    }
    match issue.get_mut("mitigation").and_then(Value::as_array_mut) {
        Some(all) => all.push(mitigation),
        None => {
            issue.insert("mitigation".to_owned(), json!([mitigation]));
        }
    }
}
