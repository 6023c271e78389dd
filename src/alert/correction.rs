//! A window whose past has changed: its readings are gone through again from the instant on, as far as it matters, and
//! what was told is put right. Layer 5, beside the engine: it reads the store.

use super::amend::{self, Amendment, Told};
use super::episodes::{Conclusion, Episodes, Origin};
use super::past;
use super::patients::{self, Key};
use super::reading::Taken;
use super::scores;
use super::watch::Watch;
use super::window::{Kind, Scored, Terms, Transition, Window};
use crate::auth::access::Access;
use crate::error::Error;
use crate::store::Store;

/// How far beyond the change is looked first, µs; further by this factor while something still stands there.
const AHEAD: i64 = 600_000_000;
const FURTHER: i64 = 8;

pub(super) struct Correction {
    pub key: Key,
    /// The first and the last instant at which the past has changed, µs UTC.
    pub from: i64,
    pub to: i64,
    /// One of the readings that it is about.
    pub cause: Taken,
}

/// A past gone through again.
struct Again {
    told: Vec<Told>,
    changes: Vec<Transition>,
    scored: Vec<Scored>,
    window: Window,
    past: Vec<Taken>,
}

impl Correction {
    /// Goes through the past again, and tells what was told otherwise.
    pub(super) async fn conclude(
        &self,
        store: &Store,
        access: &Access,
        watch: &mut Watch,
    ) -> Result<Vec<Conclusion>, Error> {
        let key = &self.key;
        // An instant that waits to be judged is gone through too.
        let open = watch.patients.get(key).and_then(|slot| slot.window.open());
        let from = open.map_or(self.from, |open| open.min(self.from));
        let now = store.clock().now();
        let mut ahead = AHEAD.max(2 * key.rule.look_back().1);
        let (again, until) = loop {
            let until = self.to.saturating_add(ahead);
            // As precise as what was told.
            let until = Some(until - until.rem_euclid(1_000)).filter(|until| *until < now);
            let Some(again) = self.again(store, access, watch, from, until).await? else {
                tracing::warn!(rule = %key.rule.id, most = past::MOST, "too many readings since a corrected one: left as it was told");
                return Ok(vec![]);
            };
            if until.is_none_or(|until| self.is_behind(&again, until)) {
                break (again, until);
            }
            ahead = ahead.saturating_mul(FURTHER);
        };
        let last = again.past.last().unwrap_or(&self.cause);
        if until.is_none() {
            watch.patients.put(key, again.window, last.code, last.entry.updated);
        }
        let origin = Origin { place: key, code: last.code, entry: Some(&self.cause.entry), now };
        let span = from..until.unwrap_or(i64::MAX);
        let mut conclusions = scores::told_again(store, access, &origin, span, again.scored).await?;
        let told = &again.told;
        for amendment in amend::amendments(told, from, &again.changes, key.rule.timing.regroup) {
            conclusions.extend(match &amendment {
                Amendment::Retract(at) => told.get(*at).and_then(|told| watch.episodes.retract(&origin, told)),
                Amendment::Revise(at, changes) => {
                    watch.episodes.tell_again(store, &origin, told.get(*at), from, changes).await?
                }
                Amendment::Raise(changes) => watch.episodes.tell_again(store, &origin, None, from, changes).await?,
            });
        }
        Ok(conclusions)
    }

    /// From an instant on, up to another or to the present. None when that is too much.
    async fn again(
        &self,
        store: &Store,
        access: &Access,
        watch: &mut Watch,
        from: i64,
        until: Option<i64>,
    ) -> Result<Option<Again>, Error> {
        let (key, end) = (&self.key, until.unwrap_or(i64::MAX));
        let context = watch.patients.context(&key.patient);
        let terms = Terms { rule: &key.rule, context: &context };
        let Some(past) = past::of(store, key, &self.cause, from..end, watch.judged).await? else {
            return Ok(None);
        };
        let told = Episodes::told(store, access, key, from..end).await?;
        let (before, since) = past.split_at(past.partition_point(|taken| taken.sample.at < from));
        let mut window = patients::resumed(&terms, &amend::firing_at(&told, from), before).settled(&terms);
        let (mut changes, mut scored) = (Vec::new(), Vec::new());
        let mut breaks = amend::breaks(&told, from).into_iter().take_while(|at| *at < end).peekable();
        for (known, taken) in (before.len()..).zip(since.iter().map(Some).chain([None])) {
            let over = |at: &i64| taken.is_none_or(|taken| *at < taken.sample.at);
            while breaks.next_if(over).is_some() {
                // What an end was put to fires no longer.
                scored.extend(window.take_scores());
                window = patients::resumed(&terms, &[], past.get(..known).unwrap_or_default()).settled(&terms);
            }
            changes.extend(taken.map(|taken| window.step(&terms, &taken.sample)).unwrap_or_default());
        }
        let now = watch.patients.get(key).and_then(|slot| slot.window.now());
        if let Some(now) = until.map(|until| until - 1).or(now) {
            changes.extend(window.advance(&terms, now));
        }
        scored.extend(window.take_scores());
        Ok(Some(Again { told, changes, scored, window, past }))
    }

    /// Is the change over and done with at this instant? Nothing stands then, neither now nor as it was told, and the
    /// window is made of readings that are the same: what comes after stays as it is.
    fn is_behind(&self, again: &Again, until: i64) -> bool {
        let rule = &self.key.rule;
        let closed = until - rule.timing.regroup;
        let ends = again.changes.iter().filter(|change| change.kind == Kind::Resolve).map(|change| change.at);
        again.window.firing(rule).is_empty()
            && again.told.iter().all(|told| told.is_over(closed))
            && ends.max().is_none_or(|end| end < closed)
            && self.is_renewed(&again.past)
    }

    /// Has enough been measured since the change? A reading that counts for a time only is forgotten by then.
    fn is_renewed(&self, past: &[Taken]) -> bool {
        let (rule, count) = (&self.key.rule, self.key.rule.look_back().0);
        let since = past.iter().filter(|taken| taken.sample.at > self.to && taken.is_useful());
        let places: Vec<usize> = since.map(|taken| usize::from(taken.sample.signal)).collect();
        let of = |place: usize| places.iter().filter(|known| **known == place).count();
        let lasting = rule.signals.iter().enumerate().filter(|(_, signal)| signal.fresh.is_none());
        places.len() >= count && lasting.into_iter().all(|(place, _)| of(place) >= count)
    }
}
