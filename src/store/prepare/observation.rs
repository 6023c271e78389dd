//! What an Observation has beyond the general index rows: its columns, its components, and what its concepts are
//! called. An ordinary vital sign is one row, with nothing beside it.

use serde_json::Value;

use super::rows::{Columns, ComponentRow, Rows, WaveRow};
use super::{canonical, local, short};
use crate::error::Error;
use crate::fhir::index::{self, Component, fold};
use crate::fhir::reading::{Amount, Code, Reading, codings, str_of};
use crate::fhir::waveform;
use crate::store::dict::{Kind, Terms};

/// What is taken out of an Observation before its terms have numbers.
#[derive(Default)]
pub(super) struct Parts {
    profile: Vec<Code>,
    /// What its code and its category are called, folded.
    code_names: Vec<String>,
    category_names: Vec<String>,
    components: Vec<Component>,
    waves: Vec<Wave>,
}

/// A waveform of a reading that counts.
struct Wave {
    codings: Vec<Code>,
    text: String,
    /// System and code.
    unit: Option<Code>,
    span: (i64, i64),
    extremes: (f64, f64),
}

impl Parts {
    pub(super) fn of(observation: &Value) -> Self {
        let names = |concepts: Option<&Value>| -> Vec<String> {
            let all: Vec<&Value> = match concepts {
                Some(Value::Array(all)) => all.iter().collect(),
                one => one.into_iter().collect(),
            };
            all.into_iter()
                .flat_map(index::names)
                .map(|name| short(&fold(name)))
                .filter(|name| !name.is_empty())
                .collect()
        };
        let profiles = observation.get("meta").and_then(|meta| meta.get("profile")).and_then(Value::as_array);
        let uris = profiles.into_iter().flatten().filter_map(Value::as_str);
        Self {
            profile: uris.flat_map(profile).collect(),
            code_names: names(observation.get("code")),
            category_names: names(observation.get("category")),
            components: index::components(observation),
            waves: waves(observation),
        }
    }

    /// Fills the columns and the components; false as soon as one term has no number.
    pub(super) fn fill(&self, rows: &mut Rows, reading: &Reading, terms: &mut Terms<'_>) -> Result<bool, Error> {
        let Some(mut columns) = columns(reading, terms)? else { return Ok(false) };
        if !self.profile.is_empty() {
            columns.profile = terms.concept(&self.profile, None)?;
            if columns.profile.is_none() {
                return Ok(false);
            }
        }
        for (concept, names) in [(columns.concept, &self.code_names), (columns.category, &self.category_names)] {
            for name in names {
                let Some(concept) = concept else { continue };
                if terms.get(Kind::Name, concept, name)?.is_none() {
                    return Ok(false);
                }
            }
        }
        for (n, component) in (0..).zip(&self.components) {
            let Some(row) = component_row(n, component, terms)? else { return Ok(false) };
            rows.components.push(row);
        }
        for (lead, wave) in (0..).zip(&self.waves) {
            let (Some(subject), Some(panel)) = (columns.subject, columns.concept) else { continue };
            let unit = wave.unit.as_ref().map(|(system, code)| terms.unit(system, code)).transpose()?;
            let concept = terms.concept(&wave.codings, Some(&wave.text))?;
            let (Some(concept), Some(unit)) = (concept, unit.map_or(Some(None), |unit| unit.map(Some))) else {
                return Ok(false);
            };
            let ((starts, ends), (low, high)) = (wave.span, wave.extremes);
            rows.waves.push(WaveRow { seq: 0, lead, subject, concept, panel, starts, ends, low, high, unit });
        }
        rows.columns = columns;
        Ok(true)
    }
}

/// What does not count is not drawn.
fn waves(observation: &Value) -> Vec<Wave> {
    let mut leads = waveform::leads(observation).peekable();
    if leads.peek().is_none() {
        return vec![];
    }
    let reading = Reading::of(observation);
    let Some((starts, _)) = reading.effective.filter(|_| reading.status.counts()) else { return vec![] };
    let wave = |lead: waveform::Lead<'_>| {
        let samples = lead.samples(starts)?;
        Some(Wave {
            codings: codings(lead.code),
            text: lead.code.and_then(|code| str_of(code, "text")).unwrap_or_default().to_owned(),
            unit: lead.unit().map(|(system, code)| (system.to_owned(), code.to_owned())),
            span: (starts, samples.ends()),
            extremes: samples.extremes()?,
        })
    };
    leads.filter_map(wave).collect()
}

/// A profile as a coding of no system, with its version and without.
fn profile(uri: &str) -> Vec<Code> {
    let bare = uri.split_once('|').map(|(bare, _)| bare);
    std::iter::once(uri).chain(bare).map(|uri| (String::new(), uri.to_owned())).collect()
}

fn component_row(n: i16, component: &Component, terms: &mut Terms<'_>) -> Result<Option<ComponentRow>, Error> {
    let mut complete = true;
    let mut known = |found: Option<i64>| {
        complete &= found.is_some();
        found
    };
    let amount = component.amount.as_ref();
    let concept = known(terms.concept(&component.codings, Some(&component.text))?);
    let coded = (!component.value.is_empty()).then_some(());
    let row = ComponentRow {
        seq: 0,
        n,
        concept: concept.unwrap_or_default(),
        value: amount.map(|a| a.value),
        unit: optional(amount.and_then(unit_of), |(system, code)| terms.unit(system, code), &mut known)?,
        canonical: amount.map(|a| canonical(a.value, a.unit.as_deref())),
        value_concept: optional(coded, |()| terms.concept(&component.value, None), &mut known)?,
    };
    Ok(complete.then_some(row))
}

fn columns(reading: &Reading, terms: &mut Terms<'_>) -> Result<Option<Columns>, Error> {
    let mut complete = true;
    let mut known = |found: Option<i64>| {
        complete &= found.is_some();
        found
    };
    let value = reading.value.as_ref();
    let columns = Columns {
        subject: optional(reading.subject.as_deref(), |s| local(terms, s), &mut known)?,
        // Never none: a patient's series are found by their concepts.
        concept: known(terms.concept(&reading.codings, Some(reading.text.as_deref().unwrap_or_default()))?),
        starts: reading.effective.map_or(super::NO_TIME, |e| e.0),
        ends: reading.effective.map_or(super::NO_TIME, |e| e.1),
        value: value.map(|v| v.value),
        unit: optional(value.and_then(unit_of), |(system, code)| terms.unit(system, code), &mut known)?,
        canonical: value.map(|v| canonical(v.value, v.unit.as_deref())),
        status: reading.status.number(),
        category: optional(
            (!reading.category.is_empty()).then_some(()),
            |()| terms.concept(&reading.category, None),
            &mut known,
        )?,
        device: optional(reading.device.as_deref(), |s| local(terms, s), &mut known)?,
        encounter: optional(reading.encounter.as_deref(), |s| local(terms, s), &mut known)?,
        profile: None,
    };
    Ok(complete.then_some(columns))
}

fn optional<T>(
    given: Option<T>,
    find: impl FnOnce(T) -> Result<Option<i64>, Error>,
    known: &mut impl FnMut(Option<i64>) -> Option<i64>,
) -> Result<Option<i64>, Error> {
    match given {
        None => Ok(None),
        Some(text) => Ok(known(find(text)?)),
    }
}

fn unit_of(amount: &Amount) -> Option<(&str, &str)> {
    Some((amount.system.as_deref().unwrap_or_default(), amount.unit.as_deref()?))
}
