//! What the alert engine knows while it holds the reader of the log: the rules, a window for each patient and rule, the
//! episodes that are open. All of it is made anew from the store when another node takes over. Layer 5: it reads the
//! store.

use std::sync::Arc;
use std::time::Duration;

use super::departure;
use super::engine::{BATCH, IDLE};
use super::episodes::{Conclusion, Episodes};
use super::lifecycle::Superseded;
use super::patients::{self, Patients};
use super::round;
use super::rule::{Rule, RuleSet};
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::LOINC;
use crate::normalize::codes;
use crate::store::{Entry, Store, Taken};

/// How much longer than it settles an instant may have been open when its engine ended, µs.
const UNSETTLED: i64 = 10_000_000;
/// How often windows are looked for that serve nobody, µs.
const EVICT_EVERY: i64 = 600_000_000;

/// What the engine knows while it holds the reader.
pub(super) struct Watch {
    pub taken: Taken,
    /// The last entry that was judged, and the last that is stored as the cursor.
    pub judged: i64,
    /// When the last entry that was judged was committed, µs UTC.
    pub reached: i64,
    pub saved: i64,
    /// When the last commit was made, µs UTC.
    pub committed: i64,
    pub rules: RuleSet,
    /// Canonical urls of rules that could not be read.
    pub refused: Vec<String>,
    /// When the next of the rules ends, µs UTC.
    pub rules_end: i64,
    /// When windows that serve nobody are let go again, µs UTC.
    pub evicts: i64,
    pub patients: Patients,
    pub episodes: Episodes,
}

impl Watch {
    /// Makes the windows of these rules that may change without a reading, so that they do after a restart too.
    /// `first`: none is there yet, and every series is looked at.
    async fn wake(&mut self, store: &Store, access: &Access, rules: &RuleSet, first: bool) -> Result<(), Error> {
        let timed = RuleSet::some(rules.rules().iter().filter(|rule| rule.has_clock()).cloned());
        let Some(back) = timed.rules().iter().map(|rule| rule.look_back().1).max() else { return Ok(()) };
        let mut open = Vec::new();
        for entry in self.unsettled(store, &timed).await? {
            open.extend(patients::taken(store, &timed, &entry).await?);
        }
        // From the earliest on: what a window is made of reaches back from there.
        open.sort_by_key(|taken| taken.sample.at);
        open.retain(|taken| taken.rule.condition.is_joint());
        round::slots(store, access, self, &open, true).await?;
        let codes = timed.rules().iter().flat_map(|rule| rule.codes().cloned());
        let codes = codes.chain([(LOINC.to_owned(), codes::PANEL.to_owned())]);
        let codes = if first { vec![] } else { codes.collect() };
        // Not counted back from now: what fell silent while nobody watched is silent all the same.
        let reached = self.reached.min(store.clock().now());
        let devices = timed.rules().iter().filter(|rule| rule.is_per_device()).map(|rule| rule.look_back().1).max();
        let devices = devices.map(|back| reached - back);
        for some in store.alive(reached - back, devices, codes).await?.chunks(BATCH) {
            let mut alive = Vec::new();
            for entry in some {
                alive.extend(patients::taken(store, &timed, entry).await?);
            }
            let left = departure::left(store, access, &alive).await?;
            alive.retain(|taken| !left.contains(taken.patient()));
            round::slots(store, access, self, &alive, false).await?;
        }
        Ok(())
    }

    /// Somebody is no longer here.
    pub(super) fn leave(&mut self, patient: &str, why: Superseded, now: i64) -> Vec<Conclusion> {
        self.patients.forget(patient);
        self.episodes.end_all(patient, why, now)
    }

    /// Lets go, from time to time, of what serves nobody.
    pub(super) fn evict(&mut self, now: i64) {
        if self.evicts <= now {
            self.patients.evict(now);
            self.evicts = now + EVICT_EVERY;
        }
    }

    /// What was committed so shortly before the cursor that its instant may be open, however long ago it was measured.
    async fn unsettled(&self, store: &Store, rules: &RuleSet) -> Result<Vec<Arc<Entry>>, Error> {
        let joint = rules.rules().iter().filter(|rule| rule.condition.is_joint());
        let Some(settle) = joint.map(|rule| rule.timing.settle).max() else { return Ok(vec![]) };
        let since = self.reached - settle - UNSETTLED;
        let (mut all, mut upto) = (Vec::new(), self.judged);
        while upto > 0 {
            let from = upto.saturating_sub(i64::try_from(BATCH).map_err(Error::internal)?).max(0);
            let count = usize::try_from(upto - from).map_err(Error::internal)?;
            let before = store.log_after(from, count).await?;
            let known = all.len();
            all.extend(before.into_iter().filter(|entry| entry.seq <= upto && entry.updated >= since));
            upto = if all.len() > known { from } else { 0 };
        }
        Ok(all)
    }

    /// Takes other rules. Nothing is done for those that stay the same.
    pub(super) async fn obey(&mut self, store: &Store, access: &Access, rules: RuleSet) -> Result<(), Error> {
        let known = |rule: &&Arc<Rule>| self.rules.rules().iter().any(|own| Arc::ptr_eq(own, rule));
        let new = RuleSet::some(rules.rules().iter().filter(|rule| !known(rule)).cloned());
        if new.rules().is_empty() && rules.rules().len() == self.rules.rules().len() {
            return Ok(());
        }
        let first = self.rules.rules().is_empty();
        self.rules = rules;
        self.patients.keep(&self.rules);
        self.rules_end = i64::MIN;
        self.wake(store, access, &new, first).await
    }

    /// How long there is nothing to do if nothing comes.
    pub(super) fn rest(&self, now: i64) -> Duration {
        let due = self.patients.next_due().into_iter().chain(self.episodes.next_due()).chain([self.rules_end]).min();
        let due = due.map(|due| Duration::from_micros(u64::try_from(due.saturating_sub(now)).unwrap_or(0)));
        due.unwrap_or(IDLE).min(IDLE)
    }
}
