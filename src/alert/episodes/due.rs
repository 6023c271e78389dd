//! What time does to episodes: silences that are over, steps of an escalation.

use std::sync::Arc;

use serde_json::Value;

use super::{Conclusion, Deed, Episodes, Moment, Outcome};
use crate::alert::lifecycle;

impl Episodes {
    /// When time will do something to one of them, µs UTC.
    pub(in crate::alert) fn next_due(&self) -> Option<i64> {
        self.due.first().map(|(at, _)| *at)
    }

    /// What time has done to them by now, the first that were due; about so many versions at most.
    pub(in crate::alert) fn ripen(&mut self, now: i64, most: usize) -> Vec<Conclusion> {
        let due = self.due.iter().take_while(|(at, _)| *at <= now).take(most);
        let due: Vec<String> = due.map(|(_, id)| id.clone()).collect();
        due.into_iter().filter_map(|id| self.ripened(&id, now)).collect()
    }

    fn ripened(&mut self, id: &str, now: i64) -> Option<Conclusion> {
        let open = self.take_by_id(id)?;
        let Some(event) = lifecycle::on_due(&open.resource, &self.policy, now).map(|next| next.event.code()) else {
            self.hold(open.resource, open.version);
            return None;
        };
        let policy = self.policy.clone();
        let deed: Deed = Arc::new(move |standing: &Value| {
            lifecycle::on_due(standing, &policy, now).map_or(Outcome::Nothing, |next| Outcome::Next(next.issue))
        });
        self.done(&open, deed, event, Moment::of_time(now))
    }
}
