//! What a change of level makes of the episodes when it is known in time: a new one, the next version of one, or of
//! one that was over just now.

use std::sync::Arc;

use serde_json::Value;

use super::telling::Telling;
use super::{Conclusion, Deed, Episodes, Open, Origin, Outcome, closed, ended, key};
use crate::alert::amend;
use crate::alert::issue::{self, Standing};
use crate::alert::lifecycle::{self, Superseded};
use crate::alert::rule::{Cause, Level};
use crate::alert::window::{Kind, Transition};
use crate::auth::access::Access;
use crate::error::Error;
use crate::store::Store;

impl Episodes {
    /// A fresh reading finds alerts standing that were known too late to sound: now they do.
    pub(in crate::alert) fn confirm(&mut self, origin: &Origin<'_>, at: i64) -> Vec<Conclusion> {
        if self.late == 0 || origin.now - at > origin.place.rule.timing.late_after {
            return vec![];
        }
        let firing = self.firing(origin.place);
        let late =
            firing.into_iter().filter(|(cause, _)| self.get(origin.place, *cause).is_some_and(|o| o.episode.late));
        let causes: Vec<Cause> = late.map(|(cause, _)| cause).collect();
        let confirmed = causes.into_iter().filter_map(|cause| {
            let open = self.take(&origin.place.patient, &key(origin.place, cause))?;
            let (policy, now) = (self.policy.clone(), origin.now);
            let deed: Deed = Arc::new(move |standing: &Value| match issue::open_episode(standing) {
                Some(_) => Outcome::Next(lifecycle::sounds_now(&policy, issue::confirmed(standing), now)),
                None => Outcome::Nothing,
            });
            self.done(&open, deed, "confirm", origin.moment())
        });
        confirmed.collect()
    }

    /// The versions that a change of level makes: of the episode, and of one that waited for an answer when this one
    /// takes its place. None when the episode was closed by somebody else.
    pub(in crate::alert) async fn conclude(
        &mut self,
        store: &Store,
        origin: &Origin<'_>,
        transition: &Transition,
    ) -> Result<Vec<Conclusion>, Error> {
        let telling = Telling::of(store, origin, transition).await?;
        let again = self.over_just_now(store, origin, transition).await?;
        let (policy, now) = (self.policy.clone(), origin.now);
        let deed: Deed = Arc::new(move |standing: &Value| telling.after(standing, &policy, now));
        let superseded = if again.is_none() { self.supersede(origin, transition) } else { None };
        let mut conclusions: Vec<Conclusion> = superseded.into_iter().collect();
        let event = transition.kind.code();
        let firing = self.take(&origin.place.patient, &key(origin.place, transition.cause));
        let closed = self.take_closed(origin, transition);
        let (over, released) = match (&firing, closed) {
            (None, Some(closed)) if transition.to == Level::None => (Some(closed), None),
            (_, closed) => (None, closed),
        };
        conclusions
            .extend(released.and_then(|closed| self.done(&closed, ended::released(), "release", origin.moment())));
        conclusions.extend(match (firing, over) {
            (Some(open), _) | (None, Some(open)) => self.done(&open, deed, event, origin.moment()),
            (None, None) => match again {
                Some((resource, version)) => self.next(&resource, Some(version), deed, event, origin.moment()),
                None => self.begun(deed, event, origin),
            },
        });
        Ok(conclusions)
    }

    /// The episode that a raise goes on with: one that was over just now, as the rule counts it.
    async fn over_just_now(
        &mut self,
        store: &Store,
        origin: &Origin<'_>,
        transition: &Transition,
    ) -> Result<Option<(Value, i32)>, Error> {
        let regroup = origin.place.rule.timing.regroup;
        let firing = key(origin.place, transition.cause);
        let held = self.get(origin.place, transition.cause).is_some() || self.is_closed(origin, transition);
        if transition.kind != Kind::Raise || regroup == 0 || held {
            return Ok(None);
        }
        let goes_on = |resource: &Value| {
            let last = issue::steps(resource).last().copied().filter(|step| step.kind == Kind::Resolve);
            last.is_some_and(|last| amend::rejoins(transition.at, last.at, regroup))
        };
        let (url, cause, device, _) = firing.clone();
        let latched = (url, cause, device, Standing::Latched);
        let own = self.open.get(origin.place.patient.as_ref());
        if own.and_then(|own| own.get(&latched)).is_some_and(|open| goes_on(&open.resource)) {
            return Ok(self.take(&origin.place.patient, &latched).map(|open| (open.resource, open.version)));
        }
        // What this round has resolved is not in the store yet.
        let rested = self.rested.remove(&(origin.place.patient.to_string(), firing));
        if let Some(rested) = rested.filter(|(resource, _)| goes_on(resource)) {
            return Ok(Some(rested));
        }
        let access = Access::system("alert engine");
        let told = Self::told(store, &access, origin.place, transition.at.saturating_sub(regroup)..i64::MAX).await?;
        let mut own = told.into_iter().filter(|told| told.cause == transition.cause && goes_on(&told.resource));
        Ok(own.next_back().map(|told| (told.resource, told.version)))
    }

    /// An episode that somebody closed, when it stays closed no longer: its condition is over, or worse.
    fn take_closed(&mut self, origin: &Origin<'_>, transition: &Transition) -> Option<Open> {
        let key = closed(origin.place, transition.cause);
        let level = self.open.get(origin.place.patient.as_ref())?.get(&key)?.episode.level;
        let stays = transition.to > Level::None && transition.to <= level;
        if stays { None } else { self.take(&origin.place.patient, &key) }
    }

    fn is_closed(&self, origin: &Origin<'_>, transition: &Transition) -> bool {
        let own = self.open.get(origin.place.patient.as_ref());
        own.is_some_and(|own| own.contains_key(&closed(origin.place, transition.cause)))
    }

    /// What is raised anew takes the place of what only waited for an answer.
    fn supersede(&mut self, origin: &Origin<'_>, transition: &Transition) -> Option<Conclusion> {
        if transition.kind != Kind::Raise {
            return None;
        }
        let (url, cause, device, _) = key(origin.place, transition.cause);
        let latched = self.take(&origin.place.patient, &(url, cause, device, Standing::Latched))?;
        self.done(&latched, ended::superseded(Superseded::RaisedAnew, origin.now), "supersede", origin.moment())
    }
}
