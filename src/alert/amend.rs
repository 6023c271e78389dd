//! Corrected history: what was told about a patient held against what the same rule concludes now that a reading
//! came late, was corrected or was retracted. Pure. Episodes that still stand are left alone, those that changed are
//! told anew under their own id (acknowledgements stay with them), those that never were are retracted, and those
//! that were missed are raised.

use std::collections::BTreeSet;

use serde_json::Value;

use super::issue::{self, Step};
use super::lifecycle::State;
use super::rule::{Cause, Level};
use super::window::{Kind, Transition};
use crate::fhir::time;

/// An episode as it was told.
#[derive(Clone, Debug)]
pub struct Told {
    pub version: i32,
    pub resource: Value,
    pub cause: Cause,
    pub steps: Vec<Step>,
    pub ended: Option<Ended>,
}

/// What put an end to an episode while its condition held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// µs UTC
    pub at: i64,
    /// Somebody closed it at this level: what is no worse is no new episode.
    pub by_hand: Option<Level>,
}

/// What is to be done about an episode.
#[derive(Debug, PartialEq)]
pub enum Amendment {
    /// It never was. The place among those told.
    Retract(usize),
    /// From the instant on it went like this. The place among those told.
    Revise(usize, Vec<Transition>),
    /// It was missed.
    Raise(Vec<Transition>),
}

impl Told {
    /// None for one that is retracted already, or that is no alert of a rule.
    pub fn of(resource: Value, version: i32) -> Option<Self> {
        if resource.get("status").and_then(Value::as_str) == Some("entered-in-error") {
            return None;
        }
        let (cause, steps) = (issue::cause(&resource)?, issue::steps(&resource));
        let last = steps.last()?;
        let by_hand = match State::of(&resource) {
            _ if last.kind == Kind::Resolve => None,
            Some(State::Superseded) => Some(None),
            Some(State::Resolved) => Some(Some(last.level)),
            _ => None,
        };
        let end = resource.pointer("/identifiedPeriod/end").and_then(Value::as_str).and_then(time::range);
        let ended = end.zip(by_hand).map(|(end, by_hand)| Ended { at: end.start, by_hand });
        Some(Self { version, resource, cause, steps, ended })
    }

    /// Was it over, with all that was told of it, before this instant?
    pub fn is_over(&self, at: i64) -> bool {
        let resolved = self.steps.last().is_some_and(|step| step.kind == Kind::Resolve);
        let ended = self.ended.is_some_and(|ended| ended.by_hand.is_none() && ended.at < at);
        self.steps.iter().all(|step| step.at < at) && (resolved || ended)
    }

    fn before(&self, from: i64) -> &[Step] {
        let count = self.steps.iter().take_while(|step| step.at < from).count();
        self.steps.get(..count).unwrap_or_default()
    }

    /// Does it stand open when only what came before `from` is known?
    fn open_at(&self, from: i64) -> Option<Level> {
        let stands = self.before(from).last().filter(|step| step.kind != Kind::Resolve);
        let gone = self.ended.is_some_and(|ended| ended.by_hand.is_none() && ended.at < from);
        stands.filter(|_| !gone).map(|step| step.level)
    }

    fn span(&self) -> (i64, i64) {
        let start = self.steps.first().map_or(i64::MAX, |step| step.at);
        let end = self.steps.last().filter(|step| step.kind == Kind::Resolve).map_or(i64::MAX, |step| step.at);
        (start, end)
    }
}

/// What fired just before this instant.
pub fn firing_at(told: &[Told], from: i64) -> Vec<(Cause, Level)> {
    told.iter().filter_map(|told| Some((told.cause, told.open_at(from)?))).collect()
}

/// When something else put an end to episodes, in order: what fired before does not fire after.
pub fn breaks(told: &[Told], from: i64) -> BTreeSet<i64> {
    let ended = told.iter().filter_map(|told| told.ended.filter(|ended| ended.by_hand.is_none()));
    ended.map(|ended| ended.at).filter(|at| *at >= from).collect()
}

/// Is what is raised so soon after an episode was over (both µs UTC) the same episode again? `regroup` as in the rule's
/// timing.
pub fn rejoins(raised: i64, over: i64, regroup: i64) -> bool {
    regroup > 0 && raised - over <= regroup
}

/// What is to be done, given what the rule concludes from `from` on. `regroup` as in the rule's timing.
pub fn amendments(told: &[Told], from: i64, transitions: &[Transition], regroup: i64) -> Vec<Amendment> {
    let causes: BTreeSet<Cause> =
        told.iter().map(|told| told.cause).chain(transitions.iter().map(|t| t.cause)).collect();
    causes.into_iter().flat_map(|cause| of_cause(told, from, transitions, regroup, cause)).collect()
}

/// An episode as it should be told: the one that it goes on with, and its changes from the instant on.
struct Due {
    told: Option<usize>,
    changes: Vec<Transition>,
    /// As in [`Told`].
    ended: Option<Ended>,
}

impl Ended {
    /// Does the episode go on with this change, which came after its end? None: it is told nowhere.
    fn goes_on(self, change: &Transition) -> Option<bool> {
        match (change.kind, self.by_hand) {
            (Kind::Resolve, Some(_)) => Some(true),
            (Kind::Deescalate | Kind::Resolve, _) => None,
            (Kind::Raise, _) => Some(false),
            (Kind::Escalate, level) => (level.is_none_or(|level| change.to > level)).then_some(false),
        }
    }
}

fn of_cause(told: &[Told], from: i64, transitions: &[Transition], regroup: i64, cause: Cause) -> Vec<Amendment> {
    let mine: Vec<usize> = told.iter().enumerate().filter(|(_, t)| t.cause == cause).map(|(at, _)| at).collect();
    let get = |at: usize| told.get(at);
    let open = mine.iter().copied().find(|at| get(*at).is_some_and(|told| told.open_at(from).is_some()));
    let begun = |at: usize| Due { told: Some(at), changes: vec![], ended: get(at).and_then(|told| told.ended) };
    let mut due: Vec<Due> = open.map(begun).into_iter().collect();
    for change in transitions.iter().filter(|t| t.cause == cause) {
        let holds = |last: &&Due| last.changes.last().is_none_or(|t| t.kind != Kind::Resolve);
        let ended = due.last().filter(holds).and_then(|last| last.ended);
        if let Some(ended) = ended.filter(|ended| change.at > ended.at) {
            match (ended.goes_on(change), due.last_mut()) {
                (Some(true), Some(last)) => last.changes.push(*change),
                (Some(_), _) => due.push(Due { told: None, changes: vec![*change], ended: None }),
                (None, _) => {}
            }
            continue;
        }
        let joins = |last: &&mut Due| {
            let over = last.changes.last().filter(|t| t.kind == Kind::Resolve).map(|t| t.at);
            change.kind != Kind::Raise || over.is_some_and(|over| rejoins(change.at, over, regroup))
        };
        match due.last_mut().filter(joins) {
            Some(last) => last.changes.push(*change),
            None => due.push(Due { told: None, changes: vec![*change], ended: None }),
        }
    }
    let mut free: Vec<usize> = mine
        .into_iter()
        .filter(|at| Some(*at) != open && get(*at).is_some_and(|told| told.before(from).is_empty()))
        .collect();
    for episode in due.iter_mut().filter(|episode| episode.told.is_none()) {
        let found = free.iter().position(|at| get(*at).is_some_and(|told| overlap(told, &episode.changes)));
        episode.told = found.map(|place| free.remove(place));
    }
    let mut all: Vec<Amendment> = free.into_iter().map(Amendment::Retract).collect();
    for Due { told: at, changes, .. } in due {
        match at.and_then(|at| Some((at, get(at)?))) {
            Some((at, told)) if !same(told, from, &changes) => all.push(Amendment::Revise(at, changes)),
            Some(_) => {}
            None => all.push(Amendment::Raise(changes)),
        }
    }
    all
}

fn overlap(told: &Told, changes: &[Transition]) -> bool {
    let (start, end) = told.span();
    let from = changes.first().map_or(i64::MAX, |t| t.onset.at.min(t.at));
    let to = changes.last().filter(|t| t.kind == Kind::Resolve).map_or(i64::MAX, |t| t.at);
    from <= end && start <= to
}

fn same(told: &Told, from: i64, changes: &[Transition]) -> bool {
    let after = told.steps.iter().skip(told.before(from).len());
    let mut changes = changes.iter().map(|t| (t.at, t.kind, t.level()));
    after.map(|step| (step.at, step.kind, step.level)).eq(changes.by_ref())
}

#[cfg(test)]
mod tests;
