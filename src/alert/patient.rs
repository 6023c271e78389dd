//! The windows of all patients, made when a reading first needs them: from the readings that were committed
//! before it and from what is firing. Layer 5, beside the engine: it reads the store.

use std::collections::HashMap;
use std::sync::Arc;

use super::episodes::Episodes;
use super::rule::Rule;
use super::window::{Sample, Terms, Transition, Window};
use crate::error::Error;
use crate::fhir::reading::{Amount, Code, Reading};
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
        signal: usize,
        amount: &Amount,
    ) -> Result<Vec<Transition>, Error> {
        let Some(patient) = reading.subject.as_deref() else { return Ok(vec![]) };
        let Some(sample) = sample(rule, signal, entry, reading, amount) else { return Ok(vec![]) };
        let terms = Terms::of(rule);
        let slots = self.windows.get_mut(patient);
        if let Some(slot) = slots.and_then(|slots| slots.iter_mut().find(|slot| Arc::ptr_eq(&slot.rule, rule))) {
            return Ok(slot.window.step(&terms, &sample));
        }
        let mut window = rebuild(store, episodes, entry, patient, rule).await?;
        let transitions = window.step(&terms, &sample);
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
    let codes: Vec<Code> = rule.codes().cloned().collect();
    let (count, _) = rule.look_back();
    let mut before = store.readings_before(patient, &codes, entry.seq, count).await?;
    if before.is_empty()
        && let Content::Reading(reading) = &entry.content
    {
        before = store.readings_before(patient, &reading.codings, entry.seq, count).await?;
    }
    let mut samples: Vec<Sample> = before.iter().filter_map(|earlier| sample_of(rule, earlier)).collect();
    samples.reverse();
    Ok(Window::resume(&Terms::of(rule), &episodes.firing(patient, rule), &samples))
}

/// The sample that an earlier reading was for this rule.
fn sample_of(rule: &Rule, entry: &Entry) -> Option<Sample> {
    let Content::Reading(reading) = &entry.content else { return None };
    if !reading.status.counts() || reading.test {
        return None;
    }
    let (signal, amount) = reading.amounts().find_map(|(codings, amount)| Some((rule.matches(codings)?.0, amount)))?;
    sample(rule, signal, entry, reading, amount)
}

fn sample(rule: &Rule, signal: usize, entry: &Entry, reading: &Reading, amount: &Amount) -> Option<Sample> {
    let at = reading.effective.map_or(entry.updated, |(start, _)| start);
    let value = rule.signals.get(signal)?.in_unit(amount.value, amount.unit.as_deref().unwrap_or_default());
    let signal = u8::try_from(signal).ok()?;
    Some(Sample { at, value: value.unwrap_or_default(), seq: entry.seq, signal, readable: value.is_some() })
}
