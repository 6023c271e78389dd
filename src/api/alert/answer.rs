//! How the report is told: as JSON with the definitions of what it counts, or as one table.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Asked;
use crate::alert::report::{Figures, Offender, Report};
use crate::error::Error;
use crate::fhir::time;

/// Offenders that are named.
const TOP: usize = 20;

pub(super) fn json(asked: &Asked, report: &Report, changes: Option<&[Value]>) -> Value {
    let (tenth, their_share) = report.tenth;
    let mut patients = json!({"topTenPercent": tenth, "theirShareOfAlarms": rounded(their_share)});
    if let Some(members) = patients.as_object_mut().filter(|_| asked.patients) {
        members.insert("most".to_owned(), top(&report.patients, "patient"));
    }
    let both = report.by_rule_and_ward.iter().map(|((rule, ward), figures)| {
        let mut members = members(figures);
        members.insert("rule".to_owned(), rule.as_str().into());
        members.insert("ward".to_owned(), ward.as_str().into());
        Value::Object(members)
    });
    json!({
        "period": {"start": time::instant(asked.period.0), "end": time::instant(asked.period.1)},
        "ward": asked.ward,
        "definitions": definitions(asked),
        "total": members(&report.total),
        "byRule": table(&report.by_rule, "rule"),
        "byWard": table(&report.by_ward, "ward"),
        "byRuleAndWard": both.collect::<Vec<_>>(),
        "byLevel": table(&report.by_level, "level"),
        "byPriority": table(&report.by_priority, "priority"),
        "byType": table(&report.by_type, "type"),
        "countedApart": {"retracted": report.retracted, "shadow": report.shadow},
        "topOffenders": {"rules": top(&report.rules, "rule"), "patients": patients},
        "changesOfLimits": changes
    })
}

fn definitions(asked: &Asked) -> Value {
    let seconds = asked.nuisance / time::SECOND;
    json!({
        "alarm": "One episode: a DetectedIssue that a rule raised in the period. Those entered in error (retracted) and those of rules on trial (shadow) are counted apart.",
        "patientDay": "A UTC day of the period on which a patient has at least one reading that was not entered in error.",
        "ward": "The Location of physical type ward that holds the place of the patient's Encounter at that time; the place itself where no ward is known; none where there is no Encounter with a Location.",
        "nuisance": format!("Raised and over within {seconds} s without an answer of anybody. nuisanceShare is of the physiological alarms, technicalNuisanceShare of the technical ones."),
        "answer": "The first act of a person on the alarm: a mitigation of its DetectedIssue (acknowledge, silence, escalate, resolve or any other) or its acknowledgement.",
        "timeToAnswer": "Seconds from the raise (time of the reading) to the first answer, by nearest rank. Alarms that were known too late to sound (late) have none and are not among the never answered.",
        "changesOfLimits": "Versions of rules (PlanDefinition) and of Flags that speak to rules, stored in the period, for all wards, the newest first, at most 1000; null when the caller may not see them. The author is whom the resource names, for a rule without one its publisher.",
        "topTenPercent": "One in ten of the patients with a patient-day or an alarm, rounded up: those with the most alarms."
    })
}

fn table(all: &BTreeMap<String, Figures>, name: &str) -> Value {
    let row = |(key, figures): (&String, &Figures)| {
        let mut row = Map::from_iter([(name.to_owned(), key.as_str().into())]);
        row.extend(members(figures));
        Value::Object(row)
    };
    all.iter().map(row).collect()
}

fn top(all: &[Offender], name: &str) -> Value {
    let row = |one: &Offender| json!({name: one.name, "alarms": one.alarms, "share": rounded(Some(one.share))});
    all.iter().take(TOP).map(row).collect()
}

fn members(figures: &Figures) -> Map<String, Value> {
    cells(figures).into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn cells(figures: &Figures) -> [(&'static str, Value); 13] {
    [
        ("alarms", figures.alarms.into()),
        ("technical", figures.technical.into()),
        ("patientDays", figures.patient_days.into()),
        ("perPatientDay", rounded(figures.per_patient_day())),
        ("nuisance", figures.nuisance.into()),
        ("nuisanceShare", rounded(figures.nuisance_share())),
        ("technicalNuisance", figures.technical_nuisance.into()),
        ("technicalNuisanceShare", rounded(figures.technical_nuisance_share())),
        ("answered", figures.answers.len().into()),
        ("neverAnswered", figures.never_answered.into()),
        ("late", figures.late.into()),
        ("medianSecondsToAnswer", rounded(figures.answered_within(50))),
        ("p90SecondsToAnswer", rounded(figures.answered_within(90))),
    ]
}

/// Three digits after the point say more than enough of a share.
fn rounded(value: Option<f64>) -> Value {
    value.map_or(Value::Null, |value| ((value * 1000.0).round() / 1000.0).into())
}

/// One row for each group: what it is by, its rule or other key, its ward, then the figures.
pub(super) fn csv(report: &Report) -> Result<Vec<u8>, Error> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let names = cells(&Figures::default()).map(|(name, _)| name);
    table.write_record(["by", "key", "ward"].into_iter().chain(names)).map_err(Error::internal)?;
    let mut row = |by: &str, key: &str, ward: &str, figures: &Figures| {
        let cells = cells(figures).map(|(_, value)| if value.is_null() { String::new() } else { value.to_string() });
        let all = [by, key, ward].map(safe).into_iter().chain(cells);
        table.write_record(all).map_err(Error::internal)
    };
    row("total", "", "", &report.total)?;
    for (by, all) in [
        ("rule", &report.by_rule),
        ("level", &report.by_level),
        ("priority", &report.by_priority),
        ("type", &report.by_type),
    ] {
        for (key, figures) in all {
            row(by, key, "", figures)?;
        }
    }
    for (ward, figures) in &report.by_ward {
        row("ward", "", ward, figures)?;
    }
    for ((rule, ward), figures) in &report.by_rule_and_ward {
        row("rule and ward", rule, ward, figures)?;
    }
    table.into_inner().map_err(Error::internal)
}

/// A spreadsheet takes what begins so for a formula.
fn safe(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
