//! A silent device is one alert, not one for each of its signals: while it stands, the technical alerts of its
//! signals are recorded and quiet. Which came first makes no difference, and clinical alerts are never muted.

use std::sync::Arc;

use serde_json::Value;

use super::{Conclusion, Deed, Episodes, Moment, Open, Outcome};
use crate::alert::issue::{self, Standing};
use crate::alert::lifecycle;

impl Episodes {
    /// Remembers whose signals to look at when a device falls silent or is heard again.
    pub(super) fn heed(&mut self, open: &Open) {
        if open.episode.device.is_some() {
            self.unmuted.insert(open.episode.patient.clone());
        }
    }

    /// What the silence of a device, or its end, means for the alerts of its signals that stand already.
    pub(in crate::alert) fn mute(&mut self, now: i64) -> Vec<Conclusion> {
        let patients = std::mem::take(&mut self.unmuted);
        let own = patients.iter().filter_map(|patient| self.open.get(patient)).flat_map(|own| own.values());
        let changed =
            own.filter(|open| lifecycle::inhibitor(&open.resource) != self.inhibitor(&open.resource).as_deref());
        let ids: Vec<String> = changed.map(|open| open.episode.id.clone()).collect();
        ids.into_iter().filter_map(|id| self.muted(&id, now)).collect()
    }

    fn muted(&mut self, id: &str, now: i64) -> Option<Conclusion> {
        let by = self.inhibitor(&self.by_id(id)?.resource);
        let open = self.take_by_id(id)?;
        let policy = self.policy.clone();
        let deed: Deed =
            Arc::new(move |standing: &Value| match lifecycle::muted(&policy, standing, by.as_deref(), now) {
                Some(next) => Outcome::Next(next),
                None => Outcome::Nothing,
            });
        let event = if self.inhibitor(&open.resource).is_some() { "inhibit" } else { "uninhibit" };
        let held = (open.resource.clone(), open.version);
        let conclusion = self.done(&open, deed, event, Moment::of_time(now));
        if conclusion.is_none() {
            self.hold(held.0, held.1);
        }
        conclusion
    }

    /// The same deed, with what the silence of a device means for the alert that it makes.
    pub(super) fn muting(&self, standing: &Value, deed: Deed, now: i64) -> Deed {
        let (Outcome::Next(made) | Outcome::New(made)) = deed(standing) else { return deed };
        let by = self.inhibitor(&made);
        if by.is_none() && lifecycle::inhibitor(&made).is_none() {
            return deed;
        }
        let policy = self.policy.clone();
        let muted = move |made: Value| lifecycle::muted(&policy, &made, by.as_deref(), now).unwrap_or(made);
        Arc::new(move |standing: &Value| match deed(standing) {
            Outcome::Next(made) => Outcome::Next(muted(made)),
            Outcome::New(made) => Outcome::New(muted(made)),
            Outcome::Nothing => Outcome::Nothing,
        })
    }

    /// The alert that mutes this one (`DetectedIssue/…`): that of the silence of the device that it is about.
    fn inhibitor(&self, resource: &Value) -> Option<String> {
        let signal = issue::open_episode(resource).filter(|episode| episode.cause.is_technical())?;
        if signal.device.is_some() {
            return None;
        }
        let device = resource.pointer("/implicated/0/reference").and_then(Value::as_str)?;
        let silent =
            |open: &&Open| open.episode.device.as_deref() == Some(device) && open.episode.standing != Standing::Latched;
        let own = self.open.get(&signal.patient)?.values().filter(silent);
        // The same of several, whatever their order.
        own.map(|open| format!("DetectedIssue/{}", open.episode.id)).min()
    }
}
