//! The windows of all patients, made when a reading first needs them: from the readings that were committed
//! before it and from what is firing. Layer 5, beside the engine: it reads the store.

use std::collections::HashMap;
use std::sync::Arc;

use super::episodes::Episodes;
use super::rule::Rule;
use super::window::{Sample, Transition, Window};
use crate::error::Error;
use crate::fhir::reading::{Amount, Reading};
use crate::store::{Content, Entry, Store};

#[derive(Default)]
pub(super) struct Patients {
    windows: HashMap<String, Vec<Slot>>,
}

struct Slot {
    rule: Arc<Rule>,
    window: Window,
}

impl Patients {
    /// What a rule makes of one value of a reading.
    pub(super) async fn judge(
        &mut self,
        store: &Store,
        episodes: &Episodes,
        entry: &Entry,
        reading: &Reading,
        rule: &Arc<Rule>,
        amount: &Amount,
    ) -> Result<Vec<Transition>, Error> {
        let Some(patient) = reading.subject.as_deref() else { return Ok(vec![]) };
        let Some(sample) = sample(rule, entry, reading, amount) else {
            tracing::warn!(id = %entry.id, rule = %rule.id, "reading in a unit that the rule cannot convert");
            return Ok(vec![]);
        };
        let slots = self.windows.get_mut(patient);
        if let Some(slot) = slots.and_then(|slots| slots.iter_mut().find(|slot| Arc::ptr_eq(&slot.rule, rule))) {
            return Ok(slot.window.step(rule, &sample));
        }
        let mut window = rebuild(store, episodes, entry, patient, rule).await?;
        let transitions = window.step(rule, &sample);
        let slot = Slot { rule: rule.clone(), window };
        self.windows.entry(patient.to_owned()).or_default().push(slot);
        Ok(transitions)
    }
}

/// The window as it stood before this entry.
async fn rebuild(
    store: &Store,
    episodes: &Episodes,
    entry: &Entry,
    patient: &str,
    rule: &Rule,
) -> Result<Window, Error> {
    // A component's readings lie under the panel's code, so the panel is asked for by the rule's codes too.
    let mut before = store.readings_before(patient, &rule.codes, entry.seq, rule.damping.m).await?;
    if before.is_empty()
        && let Content::Reading(reading) = &entry.content
    {
        before = store.readings_before(patient, &reading.codings, entry.seq, rule.damping.m).await?;
    }
    let mut samples: Vec<Sample> = before.iter().filter_map(|earlier| sample_of(rule, earlier)).collect();
    samples.reverse();
    Ok(Window::resume(rule, episodes.firing(patient, rule), &samples))
}

/// The sample that an earlier reading was for this rule.
fn sample_of(rule: &Rule, entry: &Entry) -> Option<Sample> {
    let Content::Reading(reading) = &entry.content else { return None };
    if !reading.status.counts() || reading.test {
        return None;
    }
    let (_, amount) = reading.amounts().find(|(codings, _)| rule.matches(codings).is_some())?;
    sample(rule, entry, reading, amount)
}

fn sample(rule: &Rule, entry: &Entry, reading: &Reading, amount: &Amount) -> Option<Sample> {
    let unit = amount.unit.as_deref()?;
    let at = reading.effective.map_or(entry.updated, |(start, _)| start);
    Some(Sample { at, value: rule.in_unit(amount.value, unit)?, seq: entry.seq })
}
