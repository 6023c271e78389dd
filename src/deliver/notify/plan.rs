//! Who is to be told of what: decided from two versions of an alert and from who wants to hear. Pure: nothing is
//! looked up, stored or sent.

use serde_json::Value;

use crate::alert::issue::ours;
use crate::alert::lifecycle::{Policy, State, Target};
use crate::alert::pattern::Zone;
use crate::alert::rule::Level;
use crate::config::notify::{AtLeast, Quiet, Recipient};

const DAY: i64 = 86_400_000_000;
const MINUTE: i64 = 60_000_000;

/// Why somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// It has begun.
    Raised,
    /// It is worse than it was.
    Worse,
    /// Nobody has answered for long, or a silence is over: it waits again.
    Again,
    /// Nobody has answered: so many steps of the escalation are done.
    Escalated(u32),
    /// It is over.
    Resolved,
}

impl Occasion {
    const PLAIN: [Self; 4] = [Self::Raised, Self::Worse, Self::Again, Self::Resolved];

    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Worse => "worse",
            Self::Again => "again",
            Self::Escalated(_) => "escalated",
            Self::Resolved => "resolved",
        }
    }

    /// Of its code and the step.
    pub(super) fn of(code: &str, step: u32) -> Option<Self> {
        if code == "escalated" {
            return Some(Self::Escalated(step));
        }
        Self::PLAIN.into_iter().find(|plain| plain.code() == code)
    }
}

/// What a version of an alert says to those outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    state: State,
    urgency: AtLeast,
    step: u32,
}

impl Standing {
    /// None: it calls nobody, because it was known too late or its rule is on trial.
    fn of(alert: &Value) -> Option<Self> {
        let mute = ["alert-late", "alert-shadow"].into_iter().any(|name| ours(alert, name).is_some());
        let step = ours(alert, "alert-escalation-step").and_then(|step| step.get("valueUnsignedInt")?.as_u64());
        let step = u32::try_from(step.unwrap_or(0)).unwrap_or(u32::MAX);
        (!mute).then_some(Self { state: State::of(alert)?, urgency: urgency(alert), step })
    }
}

/// How urgent an alert is.
pub(super) fn urgency(alert: &Value) -> AtLeast {
    match alert.get("severity").and_then(Value::as_str) {
        Some("high") => AtLeast::Critical,
        Some("moderate") => AtLeast::Warning,
        _ => AtLeast::All,
    }
}

/// What a version of an alert has to say that the one before did not.
pub(super) fn occasion(previous: Option<&Value>, next: &Value) -> Option<Occasion> {
    let now = Standing::of(next)?;
    let before = previous.and_then(Standing::of);
    let Some(before) = before else {
        // What is heard of for the first time and is over, or quiet, already calls nobody.
        let calls =
            !now.state.is_over() && !matches!(now.state, State::Suppressed | State::Acknowledged | State::Pending);
        return calls.then_some(Occasion::Raised);
    };
    match now.state {
        State::Resolved | State::Superseded if !before.state.is_over() => Some(Occasion::Resolved),
        state if state.is_over() => None,
        State::Suppressed | State::Acknowledged | State::Pending => None,
        _ if before.state.is_over() => Some(Occasion::Raised),
        _ if now.step > before.step => Some(Occasion::Escalated(now.step)),
        State::Raised if now.urgency > before.urgency => Some(Occasion::Worse),
        State::Raised if matches!(before.state, State::Acknowledged | State::Suppressed) => Some(Occasion::Again),
        _ => None,
    }
}

/// Whom a step of the escalation calls: `done` steps are done.
pub(super) fn targets<'p>(policy: &'p Policy, alert: &Value, done: u32) -> &'p [Target] {
    let code = ours(alert, "alert-level").and_then(|level| level.get("valueCode")?.as_str()).unwrap_or_default();
    let level = Level::from_code(code).unwrap_or(match urgency(alert) {
        AtLeast::Critical => Level::Critical,
        AtLeast::Warning => Level::Warning,
        AtLeast::All => Level::Advisory,
    });
    let step = policy.course(level).and_then(|course| course.step(done.saturating_sub(1)));
    step.map_or(&[], |(step, _)| &step.targets)
}

/// Who hears of an occasion. `wards`: where the patient is; none when that could not be found out, and then it is no
/// reason to leave anybody out.
pub(super) fn whom<'r>(
    recipients: &'r [Recipient],
    occasion: Occasion,
    urgency: AtLeast,
    wards: Option<&[String]>,
    targets: &[Target],
) -> Vec<&'r Recipient> {
    let here = |recipient: &Recipient| {
        let known = wards.filter(|wards| !wards.is_empty());
        recipient.wards.is_empty() || known.is_none_or(|wards| wards.iter().any(|ward| recipient.wards.contains(ward)))
    };
    let first = |recipient: &&Recipient| recipient.first && urgency >= recipient.at_least && here(recipient);
    let called = |recipient: &&Recipient| {
        targets.iter().any(|target| match target {
            Target::Role(role) => recipient.roles.contains(role) && here(recipient),
            Target::Ward(ward) => recipient.wards.contains(ward),
            Target::Person(person) => recipient.persons.contains(person),
        })
    };
    match occasion {
        Occasion::Escalated(_) => recipients.iter().filter(called).collect(),
        Occasion::Resolved => recipients.iter().filter(|r| r.resolved).filter(first).collect(),
        _ => recipients.iter().filter(first).collect(),
    }
}

/// Those who stand in when a step of the escalation reaches nobody.
pub(super) fn fallback(recipients: &[Recipient]) -> Vec<&Recipient> {
    recipients.iter().filter(|recipient| recipient.fallback).collect()
}

/// Are these quiet hours for a recipient, and is this not urgent enough to break them?
pub(super) fn is_quiet(recipient: &Recipient, urgency: AtLeast, now: i64) -> bool {
    recipient.quiet.iter().any(|quiet| urgency < quiet.below && covers(quiet, now))
}

/// Hours that cannot be read keep nobody from hearing.
fn covers(quiet: &Quiet, now: i64) -> bool {
    let zone =
        if quiet.zone.is_empty() { Some(Zone::UTC) } else { Zone::named(&quiet.zone).or(Zone::parse(&quiet.zone)) };
    let Some((zone, (from, to))) = zone.zip(quiet.minutes()) else { return false };
    let local = zone.local(now);
    let (day, minute) = (local.div_euclid(DAY), local.rem_euclid(DAY) / MINUTE);
    let (from, to) = (i64::from(from), i64::from(to));
    // The hours after midnight of a night belong to the day before.
    let begun = match (from <= to, minute) {
        (true, minute) if (from..to).contains(&minute) => day,
        (false, minute) if minute >= from => day,
        (false, minute) if minute < to => day - 1,
        _ => return false,
    };
    // 1970-01-01 was a Thursday.
    quiet.begins_on(usize::try_from((begun + 3).rem_euclid(7)).unwrap_or(0))
}

#[cfg(test)]
mod tests;
