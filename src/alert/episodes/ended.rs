//! Episodes that something else puts an end to: their rule is no longer in force or asks something else now, or their
//! patient is no longer here.

use std::sync::Arc;

use serde_json::Value;

use super::{Conclusion, Deed, Episodes, Moment, Outcome};
use crate::alert::context::Context;
use crate::alert::issue::{self, OpenEpisode, Standing};
use crate::alert::lifecycle::{self, State, Superseded};
use crate::alert::rule::{Cause, Condition, Rule, RuleSet, Side};

/// What nothing can become of any more stays as it is.
pub(super) fn superseded(why: Superseded, now: i64) -> Deed {
    Arc::new(move |standing: &Value| match State::of(standing) {
        Some(state) if !state.is_over() => Outcome::Next(lifecycle::superseded(standing, why, now)),
        _ if issue::held_episode(standing).is_some() => Outcome::Next(lifecycle::released(standing)),
        _ => Outcome::Nothing,
    })
}

/// What somebody closed is closed for good.
pub(super) fn released() -> Deed {
    Arc::new(|standing: &Value| match issue::held_episode(standing) {
        Some(held) if held.standing == Standing::Closed => Outcome::Next(lifecycle::released(standing)),
        _ => Outcome::Nothing,
    })
}

impl Episodes {
    /// Patients, each with the ids of episodes that the rules may no longer speak of, and why. `spared`: rules that
    /// could not be read; nothing is known of theirs.
    pub(in crate::alert) fn orphans(&self, rules: &RuleSet, spared: &[String], now: i64) -> Vec<Orphan> {
        let episodes = self.open.values().flat_map(|own| own.values()).map(|open| &open.episode);
        let of = |episode: &OpenEpisode| {
            let rule = rules.rules().iter().find(|rule| rule.url == episode.rule_url);
            let why = match rule {
                None if spared.contains(&episode.rule_url) => return None,
                Some(rule) if rule.effective.1 > now => {
                    if covers(rule, &Context::default(), episode, now) {
                        return None;
                    }
                    Superseded::RuleChanged
                }
                _ => Superseded::RuleRetired,
            };
            Some(Orphan { id: episode.id.clone(), patient: episode.patient.as_str().into(), why })
        };
        episodes.filter_map(of).collect()
    }

    /// Is it one after all, with what is set for its patient?
    pub(in crate::alert) fn is_covered(&self, orphan: &Orphan, rules: &RuleSet, context: &Context, now: i64) -> bool {
        let episode = self.by_id(&orphan.id).map(|open| &open.episode);
        orphan.why == Superseded::RuleChanged
            && episode.is_some_and(|episode| {
                rules.rules().iter().any(|rule| rule.url == episode.rule_url && covers(rule, context, episode, now))
            })
    }

    /// Puts an end to everything that stands about a patient (`Patient/…`).
    pub(in crate::alert) fn end_all(&mut self, patient: &str, why: Superseded, now: i64) -> Vec<Conclusion> {
        let own = self.open.get(patient).into_iter().flat_map(|own| own.values());
        let ids: Vec<String> = own.map(|open| open.episode.id.clone()).collect();
        ids.into_iter().filter_map(|id| self.end(&id, why, now)).collect()
    }

    /// Puts an end to an episode.
    pub(in crate::alert) fn end(&mut self, id: &str, why: Superseded, now: i64) -> Option<Conclusion> {
        let open = self.take_by_id(id)?;
        self.done(&open, superseded(why, now), "supersede", Moment::of_time(now))
    }
}

/// An episode that no rule speaks of any more.
pub(in crate::alert) struct Orphan {
    pub id: String,
    /// `Patient/…`
    pub patient: Arc<str>,
    pub why: Superseded,
}

/// May the rule, as it is now and for this patient, raise what this episode is about?
fn covers(rule: &Rule, context: &Context, episode: &OpenEpisode, now: i64) -> bool {
    let keyed = (0..).zip(rule.codes()).any(|(code, _)| episode.cause.key(rule.subject(code)) == episode.rule_key);
    keyed && asks(rule, context, episode.cause, now)
}

fn asks(rule: &Rule, context: &Context, cause: Cause, now: i64) -> bool {
    match (&rule.condition, cause) {
        (_, Cause::Implausible | Cause::Unit) => rule.tells_of_bad_readings(),
        (Condition::Limits { gauge, limits }, cause) => {
            let side = cause.side().unwrap_or(Side::High);
            let own = context.limits(rule, now);
            let mut all = rule.ages.iter().map(|band| band.limits).chain([*limits]).chain(own);
            gauge.cause(side) == cause && all.any(|sides| !sides.get(side).is_empty())
        }
        (condition, cause) => matches!(
            (condition, cause),
            (Condition::Missing { .. }, Cause::Missing)
                | (Condition::Score(_), Cause::Score)
                | (Condition::Compound { .. }, Cause::Compound)
        ),
    }
}
