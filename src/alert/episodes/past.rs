//! What becomes of episodes when their past is gone through again: told otherwise, told after all, taken back.

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::telling::{self, Telling};
use super::{Conclusion, Deed, Episodes, Origin, Outcome, Place};
use crate::alert::amend::Told;
use crate::alert::issue;
use crate::alert::window::Transition;
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::time;
use crate::store::Store;

impl Episodes {
    /// An episode that was told and never was.
    pub(in crate::alert) fn retract(&mut self, origin: &Origin<'_>, told: &Told) -> Option<Conclusion> {
        let deed: Deed = Arc::new(|standing: &Value| Outcome::Next(issue::retracted(standing)));
        self.amended(told, deed, "retract", origin)
    }

    /// An episode that went otherwise from an instant on; `told`: as it was told, where it was.
    pub(in crate::alert) async fn tell_again(
        &mut self,
        store: &Store,
        origin: &Origin<'_>,
        told: Option<&Told>,
        from: i64,
        changes: &[Transition],
    ) -> Result<Option<Conclusion>, Error> {
        let mut tellings = Vec::with_capacity(changes.len());
        for change in changes {
            tellings.push(Telling::of(store, origin, change).await?);
        }
        let (policy, now, rule) = (self.policy.clone(), origin.now, origin.place.rule.clone());
        let deed: Deed =
            Arc::new(move |standing: &Value| telling::again(standing, &rule, from, &tellings, &policy, now));
        Ok(match told {
            Some(told) => self.amended(told, deed, "amend", origin),
            None => self.begun(deed, "amend", origin),
        })
    }

    fn amended(&mut self, told: &Told, deed: Deed, event: &'static str, origin: &Origin<'_>) -> Option<Conclusion> {
        if let Some(id) = told.resource.get("id").and_then(Value::as_str) {
            self.take_by_id(id);
        }
        self.next(&told.resource, Some(told.version), deed, event, origin.moment())
    }

    /// Every episode of this rule and patient that was in this span, µs UTC.
    pub(in crate::alert) async fn told(
        store: &Store,
        access: &Access,
        place: &Place,
        span: Range<i64>,
    ) -> Result<Vec<Told>, Error> {
        let (since, until) = (format!("ge{}", time::instant(span.start)), format!("lt{}", time::instant(span.end)));
        let mut own = vec![("patient", place.patient.as_ref()), ("identified", since.as_str())];
        own.extend((span.end < i64::MAX).then_some(("identified", until.as_str())));
        let query = Query::new("DetectedIssue", &own, MAX_COUNT)?;
        let mut all = Vec::new();
        for stored in store.search_all(access, query).await? {
            let resource = stored.value()?;
            if issue::is_of(&resource, &place.rule.url, place.device.as_deref()) {
                all.extend(Told::of(resource, stored.version));
            }
        }
        all.sort_by_key(|told| told.steps.first().map(|step| step.at));
        Ok(all)
    }
}
