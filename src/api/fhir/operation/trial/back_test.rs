//! `$back-test`: what rules would have concluded from what is stored, patient by patient and within bounds.

use std::collections::HashMap;
use std::time::Duration;

use super::super::Call;
use super::super::input::{Input, required};
use super::answer;
use crate::alert::backtest::{self, Record, Recorded, Report};
use crate::alert::rule::RuleSet;
use crate::alert::{judgeable, lookup};
use crate::auth::access::{Access, Action, Reach};
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::reading::Code;
use crate::fhir::{LOINC, reference, time};
use crate::store::{Content, Past};

const READING: &str = "Observation";
/// Patients, readings of one patient, and readings of all that one trial may be about.
const PATIENTS: usize = 5_000;
const OF_ONE: usize = 200_000;
const OF_ALL: usize = 2_000_000;
/// Steps to the days of patients.
const STEPS: usize = 1_000_000;
/// All of it together.
const PATIENCE: Duration = Duration::from_mins(1);
/// The panel that blood pressures are members of.
const BLOOD_PRESSURE: &str = "85354-9";

/// What is asked for, checked.
struct Asked {
    /// [start, end), µs UTC
    period: (i64, i64),
    rules: RuleSet,
    others: Option<RuleSet>,
    patients: Vec<String>,
    most: usize,
}

pub(in super::super) async fn back_test(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    let asked = asked(call).await?;
    let answer = tokio::time::timeout(PATIENCE, judge(call, asked)).await.map_err(|_| Error::Timeout)??;
    Ok(answer.to_string().into_bytes())
}

async fn asked(call: &Call<'_>) -> Result<Asked, Error> {
    let input = Input::of(call, Some("rule"))?;
    input.only(&["rule", "compare", "start", "end", "ward", "patient", "episodes"])?;
    let patient = input.text("patient")?.map(|text| format!("Patient/{}", text.trim_start_matches("Patient/")));
    authorise(call.access, patient.as_deref())?;
    let range = |name: &str| -> Result<(i64, i64), Error> {
        let text = input.text(name)?.ok_or_else(|| required(name))?;
        let range = time::range(text);
        range
            .map(|range| (range.start, range.end))
            .ok_or_else(|| Error::invalid("value", format!("http.{name}"), "this is no date or time"))
    };
    let period = (range("start")?.0, range("end")?.1);
    if period.1 <= period.0 {
        return Err(Error::invalid("value", "http.end", "the end lies after the start"));
    }
    let ward = input.text("ward")?;
    if ward.is_some_and(|ward| reference::local(ward).is_none_or(|local| local.resource_type != "Location")) {
        return Err(Error::invalid("value", "http.ward", "a ward is named as Location/id"));
    }
    let rules = RuleSet::trial(super::rules(call, &input, "rule").await?);
    let others = super::rules(call, &input, "compare").await?;
    let urls: Vec<&str> = rules.rules().iter().map(|rule| rule.url.as_str()).collect();
    let others = others.into_iter().filter(|other| urls.contains(&other.url.as_str()));
    let others = input.has("compare").then(|| RuleSet::trial(others));
    let patients = match patient {
        Some(patient) => vec![patient],
        None => patients(call, period, ward).await?,
    };
    Ok(Asked { period, rules, others, patients, most: answer::most(&input)? })
}

/// Who may see one patient may try rules on that patient; counts of others say something of them too.
fn authorise(access: &Access, patient: Option<&str>) -> Result<(), Error> {
    for kind in [READING, "DetectedIssue"] {
        let permit = access.check(Action::Search, kind)?;
        if *permit.reach() != Reach::All && !patient.is_some_and(|patient| permit.covers(Some(patient))) {
            return Err(Error::Forbidden(
                "A back-test without a patient counts the alerts of all patients.".to_owned(),
            ));
        }
    }
    Ok(())
}

async fn patients(call: &Call<'_>, period: (i64, i64), ward: Option<&str>) -> Result<Vec<String>, Error> {
    let store = &call.state.store;
    let mut all = match ward {
        None => {
            let attended =
                store.attended(call.access, period, STEPS).await?.ok_or_else(|| costly("days of patients"))?;
            attended.into_iter().filter(|(_, days)| !days.is_empty()).map(|(patient, _)| patient).collect()
        }
        Some(ward) => {
            let (from, to) = (format!("ge{}", time::instant(period.0)), format!("lt{}", time::instant(period.1)));
            let asked = [("location", ward), ("date", from.as_str()), ("date", to.as_str())];
            let stays = store.search_all(call.access, Query::new("Encounter", &asked, MAX_COUNT)?).await?;
            let mut found = Vec::with_capacity(stays.len());
            for stay in stays {
                let stay = stay.value()?;
                found
                    .extend(stay.pointer("/subject/reference").and_then(|subject| subject.as_str().map(str::to_owned)));
            }
            found
        }
    };
    all.sort_unstable();
    all.dedup();
    if all.len() > PATIENTS { Err(costly("patients")) } else { Ok(all) }
}

fn costly(what: &str) -> Error {
    let why =
        format!("this is about more {what} than one trial may cost; ask for a shorter period, a ward or a patient");
    Error::unprocessable("too-costly", "http.end", why)
}

async fn judge(call: &Call<'_>, asked: Asked) -> Result<serde_json::Value, Error> {
    let Asked { period, rules, others, patients, most } = asked;
    let (mut report, mut told, mut read) = (Report::default(), answer::Told::new(most), 0);
    for patient in patients {
        let (record, references) = record(call, &patient, period, &[&rules, others.as_ref().unwrap_or(&rules)]).await?;
        read += record.readings.len();
        if read > OF_ALL {
            return Err(costly("readings"));
        }
        let mut concluded = backtest::run(&rules, &record, period.1);
        let mut compared = others.as_ref().map(|others| backtest::run(others, &record, period.1));
        // What began before the period made the windows what they were, and is not counted.
        for concluded in [Some(&mut concluded), compared.as_mut()].into_iter().flatten() {
            concluded.within(period);
        }
        told.take(&concluded, period, |sample| references.get(&sample.seq).cloned());
        report.add(&concluded, compared.as_ref(), period.1);
        tokio::task::yield_now().await;
    }
    Ok(answer::parameters(&report, told, false))
}

/// What is known of a patient in a period, and before it as far as the rules look back; the references of its readings
/// by their places in the log.
async fn record(
    call: &Call<'_>,
    patient: &str,
    (start, end): (i64, i64),
    sets: &[&RuleSet],
) -> Result<(Record, HashMap<i64, String>), Error> {
    let store = &call.state.store;
    let rules = || sets.iter().flat_map(|set| set.rules());
    let mut codes: Vec<Code> = rules().flat_map(|rule| rule.codes().cloned()).collect();
    codes.push((LOINC.to_owned(), BLOOD_PRESSURE.to_owned()));
    codes.sort_unstable();
    codes.dedup();
    let count = rules().map(|rule| rule.look_back().0).max().unwrap_or(1);
    let back = rules().map(|rule| rule.look_back().1).max().unwrap_or(0);
    let past = Past { codes, span: start.saturating_sub(back)..i64::MAX, count, upto: i64::MAX, most: OF_ONE };
    let entries = store.past(patient, past).await?.ok_or_else(|| costly("readings of one patient"))?;
    let context = lookup::context(store, &Access::system("back-test"), patient).await?;
    let mut record = Record { patient: patient.to_owned(), context, readings: Vec::with_capacity(entries.len()) };
    let mut references = HashMap::with_capacity(entries.len());
    for entry in entries {
        let Content::Reading(reading) = &entry.content else { continue };
        if reading.effective.is_some_and(|(at, _)| at >= end) {
            continue;
        }
        let whole = if sets.iter().any(|set| judgeable::is_read_whole(set, reading)) {
            Some(store.find_version(call.access, READING, &entry.id, entry.version).await?.value()?)
        } else {
            None
        };
        references.insert(entry.seq, entry.versioned_reference());
        let reading = reading.as_ref().clone();
        record.readings.push(Recorded { reading, whole, updated: entry.updated, seq: entry.seq });
    }
    Ok((record, references))
}
