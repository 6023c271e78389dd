//! `$dry-run`: a Bundle of Observations in (with the Patients and Flags that matter), episodes out.

use std::collections::{BTreeMap, HashMap};

use fhir_r4::Issue;
use serde_json::Value;

use super::super::Call;
use super::super::input::{Input, required};
use super::answer;
use crate::alert::backtest::{self, Record, Recorded, Report};
use crate::alert::context::Context;
use crate::alert::rule::RuleSet;
use crate::auth::access::Action;
use crate::error::Error;
use crate::fhir::reading::{Reading, list, str_of};
use crate::fhir::time;

/// What a Bundle brings.
#[derive(Default)]
struct Brought {
    records: BTreeMap<String, Record>,
    patients: HashMap<String, Value>,
    flags: HashMap<String, Vec<Value>>,
    /// By the number that tells a reading.
    references: HashMap<i64, String>,
}

pub(in super::super) async fn dry_run(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    call.access.check(Action::Search, super::PLAN)?;
    let input = Input::of(call, Some("readings"))?;
    input.only(&["rule", "readings", "until", "episodes"])?;
    let rules = RuleSet::trial(super::rules(call, &input, "rule").await?);
    let most = answer::most(&input)?;
    let until = match input.text("until")? {
        Some(text) => {
            Some(time::range(text).ok_or_else(|| Error::invalid("value", "http.until", "this is no time"))?.start)
        }
        None => None,
    };
    let bundle = input.object("readings")?.ok_or_else(|| required("readings"))?;
    let brought = brought(bundle, call.state.settings.max_bundle_entries, call.state.store.clock().now())?;
    let judge = move || {
        let (mut report, mut told) = (Report::default(), answer::Told::new(most));
        for record in brought.records.into_values() {
            let last = record.readings.iter().filter_map(|recorded| recorded.reading.effective).map(|(at, _)| at).max();
            let end = until.or(last).unwrap_or(0);
            let concluded = backtest::run(&rules, &record, end);
            told.take(&concluded, (i64::MIN, i64::MAX), |sample| brought.references.get(&sample.seq).cloned());
            report.add(&concluded, None, end);
        }
        answer::parameters(&report, told, true)
    };
    let answer = tokio::task::spawn_blocking(judge).await.map_err(Error::internal)?;
    Ok(answer.to_string().into_bytes())
}

fn brought(bundle: &Value, most: usize, now: i64) -> Result<Brought, Error> {
    if str_of(bundle, "resourceType") != Some("Bundle") {
        return Err(Error::invalid("value", "http.readings", "the readings are a Bundle"));
    }
    let entries: Vec<&Value> = list(bundle.get("entry")).collect();
    if entries.len() > most {
        return Err(Error::unprocessable("too-costly", "Bundle.entry", format!("at most {most} entries are taken")));
    }
    let (mut brought, mut problems, names) = (Brought::default(), Vec::new(), names(&entries));
    for (at, entry) in entries.iter().enumerate() {
        let place = format!("Bundle.entry[{at}].resource");
        let Some(resource) = entry.get("resource") else {
            problems.push(Issue::error("required", place, "an entry without a resource"));
            continue;
        };
        match fhir_r4::check(renamed(resource, &names)) {
            Ok(checked) => {
                if let Err(issue) = brought.take(checked.into_value(), entry, at, now) {
                    problems.push(Issue { expression: place, ..issue });
                }
            }
            Err(issues) => problems.extend(issues.into_iter().map(|issue| issue.under(&place))),
        }
    }
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    brought.know();
    Ok(brought)
}

/// Patients that are known by their full urls only.
fn names(entries: &[&Value]) -> HashMap<String, String> {
    let named = entries.iter().filter_map(|entry| {
        let (url, resource) = (str_of(entry, "fullUrl")?, entry.get("resource")?);
        let own = str_of(resource, "id").or_else(|| url.strip_prefix("urn:uuid:"))?;
        (str_of(resource, "resourceType") == Some("Patient")).then(|| (url.to_owned(), format!("Patient/{own}")))
    });
    named.collect()
}

fn renamed(resource: &Value, names: &HashMap<String, String>) -> Value {
    let mut resource = resource.clone();
    let subject =
        resource.pointer("/subject/reference").and_then(Value::as_str).and_then(|url| names.get(url)).cloned();
    if let (Some(subject), Some(place)) = (subject, resource.pointer_mut("/subject/reference")) {
        *place = subject.into();
    }
    resource
}

impl Brought {
    fn take(&mut self, resource: Value, entry: &Value, at: usize, now: i64) -> Result<(), Issue> {
        let id = str_of(&resource, "id").or_else(|| str_of(entry, "fullUrl")?.strip_prefix("urn:uuid:"));
        let id = id.map_or_else(|| format!("entry-{at}"), str::to_owned);
        let subject = resource.pointer("/subject/reference").and_then(Value::as_str).map(str::to_owned);
        match str_of(&resource, "resourceType") {
            Some("Observation") => {
                let Some(patient) = subject.filter(|subject| subject.starts_with("Patient/")) else {
                    return Err(Issue::error("required", "", "a reading is about a Patient"));
                };
                let seq = i64::try_from(at).unwrap_or(i64::MAX);
                self.references.insert(seq, format!("Observation/{id}/_history/1"));
                let record = self.records.entry(patient.clone()).or_default();
                record.patient = patient;
                let reading = Reading::of(&resource);
                record.readings.push(Recorded { reading, whole: Some(resource), updated: now, seq });
            }
            Some("Patient") => _ = self.patients.insert(format!("Patient/{id}"), resource),
            Some("Flag") => self.flags.entry(subject.unwrap_or_default()).or_default().push(resource),
            _ => return Err(Issue::error("not-supported", "", "only Observation, Patient and Flag are looked at")),
        }
        Ok(())
    }

    /// What matters of the patients. There is no ward here but the one whose Flags are brought.
    fn know(&mut self) {
        let wards: Vec<Value> = self
            .flags
            .iter()
            .filter(|(of, _)| of.starts_with("Location/"))
            .flat_map(|(_, flags)| flags)
            .cloned()
            .collect();
        for (patient, record) in &mut self.records {
            let own = self.flags.get(patient).map_or(&[][..], Vec::as_slice);
            record.context = Context::of(self.patients.get(patient), own, &wards);
        }
    }
}
