//! What becomes of an alert beside its readings: people acknowledge, silence, escalate and resolve it, time ends a
//! silence or calls the next in line. Pure: a DetectedIssue and an instant in, its next version out; nothing is
//! stored and no clock is read. `act` is what people do, `timer` what time does, `policy` who is called when,
//! `record` how it is told for the record.
//!
//! States (`alert-lifecycle-state`): raised, acknowledged, escalated, suppressed (silenced for a time), latched (the
//! condition is gone and nobody has acknowledged it), resolved, superseded, retracted. Extensions beside those that
//! `issue` writes:
//!
//! | extension | value | meaning |
//! |---|---|---|
//! | `alert-suppressed-until` | instant | the end of a silence |
//! | `alert-suppressed-level` | code | the level up to which it is silenced; what is worse breaks through |
//! | `alert-escalation-step` | unsignedInt | how many steps of the escalation are done |
//! | `alert-acknowledged` | `by` Reference, `at` instant | who has seen it as it stands |
//! | `alert-superseded-reason` | code, see [`Superseded`] | what put an end to it |
//! | `alert-due` | `what` code, `at` instant, `since` instant | what time will do to it next |
//!
//! To R6 `DeviceAlert` they map one to one: `condition.acknowledged` is `alert-acknowledged`, `condition.presence` is
//! the absence of `identifiedPeriod.end`, `signal.activationState` is paused while suppressed.

mod act;
mod mute;
mod policy;
mod record;
#[cfg(test)]
mod tests;
mod timer;

use serde_json::{Map, Value, json};

use super::issue::{self, extend, extension, is_ours, member};
use super::rule::{Cause, Level, Rule};
use super::window::{Kind, Transition, level_told};
use crate::fhir::time;

pub use act::{Act, Actor, MAX_SILENCE, apply};
pub use mute::{inhibitor, muted};
pub use policy::{Course, Policy, Step, Target};
pub use record::{audit_event, provenance};
pub use timer::{Event, Next, due, on_due};

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    Raised,
    Acknowledged,
    Escalated,
    Suppressed,
    Latched,
    Resolved,
    Superseded,
    Retracted,
}

impl State {
    const ALL: [Self; 9] = [
        Self::Pending,
        Self::Raised,
        Self::Acknowledged,
        Self::Escalated,
        Self::Suppressed,
        Self::Latched,
        Self::Resolved,
        Self::Superseded,
        Self::Retracted,
    ];

    pub fn code(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Raised => "raised",
            Self::Acknowledged => "acknowledged",
            Self::Escalated => "escalated",
            Self::Suppressed => "suppressed",
            Self::Latched => "latched",
            Self::Resolved => "resolved",
            Self::Superseded => "superseded",
            Self::Retracted => "retracted",
        }
    }

    /// The state of an alert of ours.
    pub fn of(issue: &Value) -> Option<Self> {
        let code = extension(issue, "alert-lifecycle-state")?;
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// Nothing can become of it any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Resolved | Self::Superseded | Self::Retracted)
    }
}

/// What a change of level means for what people have said: applied to what `issue::raised` and `issue::changed`
/// make, before it is committed.
pub fn after_change(
    policy: &Policy,
    previous: Option<&Value>,
    next: Value,
    rule: &Rule,
    transition: &Transition,
    now: i64,
) -> Value {
    let Value::Object(mut issue) = next else { return next };
    let before = previous.and_then(State::of);
    match transition.kind {
        Kind::Raise => begin(policy, &mut issue, now),
        Kind::Escalate if before == Some(State::Suppressed) && is_silenced(&issue, transition.to, now) => {
            set_state(&mut issue, State::Suppressed);
        }
        Kind::Escalate => begin(policy, &mut issue, now),
        // Whoever has seen it as it was has seen the worse.
        Kind::Deescalate => keep(&mut issue, before),
        Kind::Resolve => {
            let keeps = latches(&issue, rule);
            over(policy, &mut issue, keeps, now);
        }
    }
    Value::Object(issue)
}

/// An alert that was known too late to sound stands by a fresh reading: its escalation begins now.
pub fn sounds_now(policy: &Policy, issue: Value, now: i64) -> Value {
    let Value::Object(mut issue) = issue else { return issue };
    begin(policy, &mut issue, now);
    Value::Object(issue)
}

/// An episode that was told anew because its past changed: what people said stands, unless it is worse than they saw.
pub fn retold(policy: &Policy, previous: &Value, next: Value, rule: &Rule, now: i64) -> Value {
    let Value::Object(mut issue) = next else { return next };
    let state = State::of(previous).unwrap_or(State::Raised);
    let stands = issue.get("status").is_none_or(|status| status != "final");
    let old = previous.as_object().filter(|old| level(&issue) <= level(old));
    if let Some(old) = old {
        for name in CARRIED {
            carry(old, &mut issue, name);
        }
    }
    match (state, old) {
        (State::Superseded, _) => {
            over_as_before(previous, &mut issue);
            previous.as_object().into_iter().for_each(|old| carry(old, &mut issue, "alert-superseded-reason"));
            finish(&mut issue, State::Superseded);
        }
        (State::Resolved, Some(old)) if stands => {
            over_as_before(previous, &mut issue);
            if find(old, issue::PRESENCE).is_some() { close(&mut issue) } else { finish(&mut issue, State::Resolved) }
        }
        (State::Resolved, _) if !stands => finish(&mut issue, State::Resolved),
        _ if !stands => {
            let latches = latches(&issue, rule);
            over(policy, &mut issue, latches, now);
        }
        (State::Latched | State::Resolved | State::Retracted, _) | (_, None) => begin(policy, &mut issue, now),
        (state, Some(_)) => set_state(&mut issue, state),
    }
    Value::Object(issue)
}

/// Takes an extension over from an earlier version.
fn carry(from: &Map<String, Value>, issue: &mut Map<String, Value>, name: &str) {
    remove(issue, name);
    let list = issue.get_mut("extension").and_then(Value::as_array_mut);
    if let (Some(list), Some(own)) = (list, find(from, name)) {
        list.push(own.clone());
    }
}

/// It was over at the instant that an earlier version tells.
fn over_as_before(previous: &Value, issue: &mut Map<String, Value>) {
    let end = previous.pointer("/identifiedPeriod/end");
    if let (Some(period), Some(end)) = (issue.get_mut("identifiedPeriod").and_then(Value::as_object_mut), end) {
        period.insert("end".to_owned(), end.clone());
    }
}

/// Somebody closed the alert, and now its condition is gone too, or has become another alert.
pub fn released(previous: &Value) -> Value {
    let Some(mut issue) = previous.as_object().cloned() else { return previous.clone() };
    remove(&mut issue, issue::PRESENCE);
    issue.insert("status".to_owned(), "final".into());
    Value::Object(issue)
}

/// What people and time have said of an alert.
const CARRIED: [&str; 6] = [
    "alert-acknowledged",
    "alert-suppressed-until",
    "alert-suppressed-level",
    "alert-inhibited-by",
    "alert-escalation-step",
    "alert-due",
];

/// Why nothing can become of an alert any more though nobody closed it and its condition did not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Superseded {
    /// It only waited for an answer, and its condition came back as a new episode.
    RaisedAnew,
    /// Its rule is no longer in force.
    RuleRetired,
    /// Its rule no longer asks what it asked when the alert was raised.
    RuleChanged,
    /// The patient was discharged or transferred.
    PatientLeft,
    PatientDied,
    /// Its patient is another record now.
    PatientMerged,
}

impl Superseded {
    pub fn code(self) -> &'static str {
        match self {
            Self::RaisedAnew => "raised-anew",
            Self::RuleRetired => "rule-retired",
            Self::RuleChanged => "rule-changed",
            Self::PatientLeft => "patient-left",
            Self::PatientDied => "patient-died",
            Self::PatientMerged => "patient-merged",
        }
    }
}

/// An alert that something else has put an end to.
pub fn superseded(previous: &Value, why: Superseded, now: i64) -> Value {
    let Some(mut issue) = previous.as_object().cloned() else { return previous.clone() };
    over_instant(&mut issue, now);
    finish(&mut issue, State::Superseded);
    extend(&mut issue, "alert-superseded-reason", "valueCode", why.code().into());
    Value::Object(issue)
}

/// From now on it waits for an answer.
fn begin(policy: &Policy, issue: &mut Map<String, Value>, now: i64) {
    for gone in CARRIED {
        remove(issue, gone);
    }
    set_state(issue, State::Raised);
    timer::await_answer(policy, issue, now);
}

fn keep(issue: &mut Map<String, Value>, before: Option<State>) {
    if let Some(state) = before.filter(|state| !state.is_over() && *state != State::Latched) {
        set_state(issue, state);
    }
}

/// The condition is gone.
fn over(policy: &Policy, issue: &mut Map<String, Value>, latches: bool, now: i64) {
    if !latches {
        return finish(issue, State::Resolved);
    }
    issue.insert("status".to_owned(), "preliminary".into());
    set_state(issue, State::Latched);
    // A silence keeps its word to the end; only then is somebody called again.
    let silence = instant(issue, "alert-suppressed-until");
    let since = silence.or(timer::since(issue)).unwrap_or(now);
    remove(issue, "alert-suppressed-until");
    remove(issue, "alert-suppressed-level");
    timer::await_answer(policy, issue, since);
}

/// Nobody has acknowledged it, and it was at some time as bad as the rule says.
fn latches(issue: &Map<String, Value>, rule: &Rule) -> bool {
    let seen = find(issue, "alert-acknowledged").is_some() || find(issue, "alert-late").is_some();
    let Some(from) = rule.latch.filter(|_| !seen) else { return false };
    let told = Value::Object(issue.clone());
    let technical = issue::cause(&told).is_some_and(Cause::is_technical);
    !technical && issue::steps(&told).iter().map(|step| step.level).chain(level(issue)).any(|level| level >= from)
}

/// When the condition was over, where nothing says so yet.
fn over_instant(issue: &mut Map<String, Value>, now: i64) {
    if let Some(period) = issue.get_mut("identifiedPeriod").and_then(Value::as_object_mut) {
        period.entry("end").or_insert_with(|| time::instant(now).into());
    }
}

/// Nothing will become of it any more.
fn finish(issue: &mut Map<String, Value>, state: State) {
    issue.insert("status".to_owned(), "final".into());
    set_state(issue, state);
    for gone in ["alert-suppressed-until", "alert-suppressed-level", "alert-inhibited-by", "alert-due"] {
        remove(issue, gone);
    }
}

/// Somebody says that it is over, and the readings do not yet.
fn close(issue: &mut Map<String, Value>) {
    finish(issue, State::Resolved);
    issue.insert("status".to_owned(), "amended".into());
    extend(issue, issue::PRESENCE, "valueCode", "present".into());
}

fn is_silenced(issue: &Map<String, Value>, level: Level, now: i64) -> bool {
    let until = instant(issue, "alert-suppressed-until");
    let up_to = find(issue, "alert-suppressed-level").and_then(|e| level_told(e.get("valueCode")?.as_str()?));
    until.is_some_and(|until| now < until) && up_to.is_some_and(|up_to| level <= up_to)
}

/// How bad it is; a technical alert has no degrees and calls nobody at night.
fn level(issue: &Map<String, Value>) -> Option<Level> {
    level_told(find(issue, "alert-level")?.get("valueCode")?.as_str()?)
}

fn set_state(issue: &mut Map<String, Value>, state: State) {
    extend(issue, "alert-lifecycle-state", "valueCode", state.code().into());
}

fn set_instant(issue: &mut Map<String, Value>, name: &str, at: i64) {
    extend(issue, name, "valueInstant", time::instant(at).into());
}

fn instant(issue: &Map<String, Value>, name: &str) -> Option<i64> {
    Some(time::range(find(issue, name)?.get("valueInstant")?.as_str()?)?.start)
}

fn find<'a>(issue: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    member(issue.get("extension")?, name)
}

fn remove(issue: &mut Map<String, Value>, name: &str) {
    if let Some(list) = issue.get_mut("extension").and_then(Value::as_array_mut) {
        list.retain(|extension| !is_ours(extension, name));
    }
}

/// A part of one of our complex extensions.
fn part<'a>(extension: &'a Value, name: &str) -> Option<&'a Value> {
    extension.get("extension")?.as_array()?.iter().find(|part| part.get("url").is_some_and(|url| url == name))
}

/// A code of our own with its words.
fn concept(code: &str, words: &str) -> Value {
    json!({"coding": [{"system": issue::system("alert-action"), "code": code}], "text": words})
}
