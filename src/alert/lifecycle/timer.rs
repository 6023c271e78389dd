//! What time does to an alert: the end of a silence, the end of an acknowledgement, the next step of the escalation.
//! An alert has one timer at most, and the resource itself carries it, so that a restart forgets none.

use serde_json::{Map, Value, json};

use super::{Policy, State, Step, extend, find, instant, level, part, remove, set_state, time};

/// What happened when a timer ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A silence is over.
    Expire,
    /// Acknowledged, and it still stands.
    AckTimeout,
    /// Nobody has answered.
    Escalate,
}

impl Event {
    const ALL: [Self; 3] = [Self::Expire, Self::AckTimeout, Self::Escalate];

    pub fn code(self) -> &'static str {
        match self {
            Self::Expire => "silence-end",
            Self::AckTimeout => "ack-timeout",
            Self::Escalate => "escalation-step",
        }
    }
}

/// The version that a timer makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Next {
    pub issue: Value,
    pub event: Event,
}

/// When time will do something to an alert, µs UTC. Nothing is due of what nothing can become of.
pub fn due(issue: &Value) -> Option<i64> {
    State::of(issue).filter(|state| !state.is_over())?;
    Some(timer(issue.as_object()?)?.1)
}

/// What time has done to an alert by now; none when it is not due.
pub fn on_due(issue: &Value, policy: &Policy, now: i64) -> Option<Next> {
    let before = State::of(issue).filter(|state| !state.is_over())?;
    let mut issue = issue.as_object()?.clone();
    let (event, at, since) = timer(&issue)?;
    if at > now {
        return None;
    }
    match event {
        Event::Expire => expire(policy, &mut issue, now),
        Event::AckTimeout => {
            remove(&mut issue, "alert-acknowledged");
            remove(&mut issue, "alert-escalation-step");
            set_state(&mut issue, State::Raised);
            await_answer(policy, &mut issue, now);
        }
        Event::Escalate => {
            step(&mut issue);
            if before != State::Latched {
                set_state(&mut issue, State::Escalated);
            }
            await_answer(policy, &mut issue, since);
        }
    }
    Some(Next { issue: Value::Object(issue), event })
}

/// What was acknowledged before or during a silence stays acknowledged after it.
fn expire(policy: &Policy, issue: &mut Map<String, Value>, now: i64) {
    remove(issue, "alert-suppressed-until");
    remove(issue, "alert-suppressed-level");
    if find(issue, "alert-acknowledged").is_some() {
        set_state(issue, State::Acknowledged);
        await_timeout(policy, issue, now);
    } else if find(issue, "alert-inhibited-by").is_some() {
        remove(issue, "alert-due");
    } else {
        remove(issue, "alert-escalation-step");
        set_state(issue, State::Raised);
        await_answer(policy, issue, now);
    }
}

/// The next step of the escalation, counted from the moment it began to wait.
pub(super) fn await_answer(policy: &Policy, issue: &mut Map<String, Value>, since: i64) {
    let next = next_step(policy, issue).map(|(_, delay)| since.saturating_add(delay));
    // What was known too late to sound calls nobody.
    match next.filter(|_| find(issue, "alert-late").is_none()) {
        Some(at) => set(issue, Event::Escalate, at, since),
        None => remove(issue, "alert-due"),
    }
}

pub(super) fn await_timeout(policy: &Policy, issue: &mut Map<String, Value>, now: i64) {
    match level(issue).and_then(|level| policy.course(level)?.ack_timeout) {
        Some(timeout) => set(issue, Event::AckTimeout, now.saturating_add(timeout), now),
        None => remove(issue, "alert-due"),
    }
}

pub(super) fn await_end_of_silence(issue: &mut Map<String, Value>, now: i64) {
    if let Some(until) = instant(issue, "alert-suppressed-until") {
        set(issue, Event::Expire, until, now);
    }
}

/// Since when an alert waits for an answer.
pub(super) fn since(issue: &Map<String, Value>) -> Option<i64> {
    timer(issue).filter(|(event, ..)| *event == Event::Escalate).map(|(.., since)| since)
}

/// One more step is done.
pub(super) fn step(issue: &mut Map<String, Value>) {
    let count = done(issue).saturating_add(1);
    extend(issue, "alert-escalation-step", "valueUnsignedInt", count.into());
}

fn done(issue: &Map<String, Value>) -> u32 {
    let count = find(issue, "alert-escalation-step").and_then(|e| e.get("valueUnsignedInt")?.as_u64());
    u32::try_from(count.unwrap_or(0)).unwrap_or(u32::MAX)
}

fn next_step<'p>(policy: &'p Policy, issue: &Map<String, Value>) -> Option<(&'p Step, i64)> {
    policy.course(level(issue)?)?.step(done(issue))
}

fn set(issue: &mut Map<String, Value>, event: Event, at: i64, since: i64) {
    let parts = json!([
        {"url": "what", "valueCode": event.code()},
        {"url": "at", "valueInstant": time::instant(at)},
        {"url": "since", "valueInstant": time::instant(since)}
    ]);
    extend(issue, "alert-due", "extension", parts);
}

fn timer(issue: &Map<String, Value>) -> Option<(Event, i64, i64)> {
    let own = find(issue, "alert-due")?;
    let code = part(own, "what")?.get("valueCode")?.as_str()?;
    let instant = |name: &str| Some(time::range(part(own, name)?.get("valueInstant")?.as_str()?)?.start);
    Some((Event::ALL.into_iter().find(|event| event.code() == code)?, instant("at")?, instant("since")?))
}
