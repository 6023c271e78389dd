//! The rules that the house starts with: one PlanDefinition for each measurement of `data/vital-signs.csv` that
//! has limits. They are data: stored once, changed afterwards like any other PlanDefinition.
//!
//! One measurement, one rule, so that a reading never fires twice:
//! - the alternative codes of a row are further codings of its rule;
//! - a row that a later row names as an alternative of its own is part of that later rule: the general arterial
//!   saturation (2708-6) stands in the rule of the pulse oximeter (59408-5), since profiles demand both codings on
//!   one reading. The more specific code comes first and names the rule key;
//! - a pulse from the oximeter may also carry the general heart rate code. It has limits and a state of its own
//!   (the two sensors fail differently), so the general rule leaves it alone (`alert-except`).
//!
//! Beside them a rule for each score (`scores`), and those of `data/rules` in the short form. What suits only some
//! wards is a draft.

mod scores;

use serde_json::{Value, json};

use super::toml;

use crate::fhir::{LOINC, OURS};

const TABLE: &str = include_str!("../data/vital-signs.csv");
const MDC: &str = "urn:iso:std:iso:11073:10101";

const NEWS2: &str = "NEWS2: Royal College of Physicians, National Early Warning Score (NEWS) 2, 2017.";

/// Rules that are no limits of one value.
const FILES: [&str; 10] = [
    include_str!("../data/rules/change-29463-7.toml"),
    include_str!("../data/rules/change-news2.toml"),
    include_str!("../data/rules/rate-2339-0.toml"),
    include_str!("../data/rules/flat-8867-4.toml"),
    include_str!("../data/rules/missing-8867-4.toml"),
    include_str!("../data/rules/missing-59408-5.toml"),
    include_str!("../data/rules/missing-9279-1.toml"),
    include_str!("../data/rules/silent-device.toml"),
    include_str!("../data/rules/difference-8867-4.toml"),
    include_str!("../data/rules/usual-8867-4.toml"),
];

/// What a bedside names it; the others are called by their LOINC name.
const LABELS: [(&str, &str); 8] = [
    ("59408-5", "SpO2"),
    ("8889-8", "Pulse rate"),
    ("19889-5", "End-tidal CO2"),
    ("9269-2", "Glasgow coma score"),
    ("2339-0", "Blood glucose"),
    ("15074-8", "Blood glucose"),
    ("99504-3", "Sensor glucose"),
    ("105272-9", "Sensor glucose"),
];

/// Readings that carry both codes belong to the rule of the second.
const EXCEPT: [(&str, &str); 1] = [("8867-4", "8889-8")];

const LIMITS: [(&str, &str, &str); 4] = [
    ("low", "critical", "low_critical"),
    ("low", "warning", "low_warning"),
    ("high", "warning", "high_warning"),
    ("high", "critical", "high_critical"),
];

/// One line of the table.
struct Row(Vec<(String, String)>);

impl Row {
    fn get(&self, column: &str) -> &str {
        self.0.iter().find(|(name, _)| name == column).map_or("", |(_, text)| text)
    }

    /// The alternative codes as codings; a code without LOINC's check digit is a nomenclature code of IEEE 11073.
    fn alternatives(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let codes =
            self.get("alt_codes").split(';').map(|code| code.trim_end_matches("(MDC)")).filter(|c| !c.is_empty());
        codes.map(|code| (if code.contains('-') { LOINC } else { MDC }, code))
    }

    fn names(&self, loinc: &str) -> bool {
        self.alternatives().any(|(_, code)| code == loinc)
    }

    fn has_limits(&self) -> bool {
        LIMITS.iter().any(|(_, _, column)| !self.get(column).is_empty())
    }
}

/// The default rules, each a PlanDefinition with its id.
pub fn default_plans() -> Vec<Value> {
    let files = FILES.iter().filter_map(|text| toml::import(text).ok());
    limit_plans().into_iter().chain(scores::plans()).chain(files).collect()
}

fn url(name: &str) -> String {
    format!("{OURS}/StructureDefinition/{name}")
}

fn limit_plans() -> Vec<Value> {
    let rows: Vec<Row> = rows().into_iter().filter(Row::has_limits).collect();
    let own = rows.iter().enumerate().filter(|(at, row)| {
        let loinc = row.get("loinc");
        !rows.iter().skip(at + 1).any(|later| later.names(loinc))
    });
    own.map(|(_, row)| plan(row)).collect()
}

fn rows() -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(TABLE.as_bytes());
    let names = reader.headers().cloned().unwrap_or_default();
    let row = |record: csv::StringRecord| {
        Row(names.iter().zip(record.iter()).map(|(name, text)| (name.to_owned(), text.to_owned())).collect())
    };
    reader.records().filter_map(Result::ok).map(row).collect()
}

fn plan(row: &Row) -> Value {
    let loinc = row.get("loinc");
    let label = LABELS.iter().find(|(code, _)| *code == loinc).map_or(row.get("display"), |(_, label)| label);
    let id = format!("limits-{loinc}");
    let source = row.get("limits_source");
    let description = format!(
        "Raises an alert when two readings in a row break a limit of {} ({}). Source of the limits: {source}. \
         A starting point for adults, to be adapted to the ward and the patient.",
        row.get("display"),
        row.get("ucum")
    );
    let mut plan = plan_of(&id, &format!("{label}: default adult limits"), "active", &description);
    if let Some(plan) = plan.as_object_mut() {
        if source.contains("NEWS2") {
            plan.insert("copyright".to_owned(), json!(NEWS2));
        }
        let data = json!([{"type": "Observation", "codeFilter": [{"path": "code", "code": codings(row)}]}]);
        let action =
            json!([{"extension": extensions(row), "title": label, "trigger": [{"type": "data-added", "data": data}]}]);
        plan.insert("action".to_owned(), action);
    }
    plan
}

/// What all have before their action.
fn plan_of(id: &str, title: &str, status: &str, description: &str) -> Value {
    json!({
        "resourceType": "PlanDefinition",
        "id": id,
        "url": format!("{OURS}/PlanDefinition/{id}"),
        "version": "1.0.0",
        "name": name(id),
        "title": title,
        "type": {"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/plan-definition-type",
            "code": "eca-rule",
            "display": "ECA Rule"
        }]},
        "status": status,
        "description": description
    })
}

/// A name for programs: `Limits_8867_4`.
fn name(id: &str) -> String {
    let (first, rest) = id.split_at_checked(1).unwrap_or_default();
    format!("{}{}", first.to_ascii_uppercase(), rest.replace('-', "_"))
}

fn codings(row: &Row) -> Vec<Value> {
    let own = json!({"system": LOINC, "code": row.get("loinc"), "display": row.get("display")});
    let others = row.alternatives().map(|(system, code)| json!({"system": system, "code": code}));
    std::iter::once(own).chain(others).collect()
}

fn extensions(row: &Row) -> Vec<Value> {
    let mut all = vec![json!({"url": url("alert-unit"), "valueCode": row.get("ucum")})];
    for (side, level, column) in LIMITS {
        if let Some(value) = decimal(row.get(column)) {
            all.push(json!({"url": url("alert-limit"), "extension": [
                {"url": "side", "valueCode": side},
                {"url": "level", "valueCode": level},
                {"url": "comparator", "valueCode": row.get(&format!("{column}_op"))},
                {"url": "value", "valueDecimal": value}
            ]}));
        }
    }
    all.push(json!({"url": url("alert-n-of-m"), "extension": [
        {"url": "n", "valuePositiveInt": 2},
        {"url": "m", "valuePositiveInt": 2}
    ]}));
    if let Some(value) = decimal(row.get("clear_hysteresis")) {
        all.push(json!({"url": url("alert-hysteresis"), "valueDecimal": value}));
    }
    if let (Some(low), Some(high)) = (decimal(row.get("plausible_min")), decimal(row.get("plausible_max"))) {
        all.push(json!({"url": url("alert-plausible"), "extension": [
            {"url": "low", "valueDecimal": low},
            {"url": "high", "valueDecimal": high}
        ]}));
    }
    let except = EXCEPT.iter().filter(|(code, _)| *code == row.get("loinc"));
    all.extend(
        except.map(|(_, other)| json!({"url": url("alert-except"), "valueCoding": {"system": LOINC, "code": other}})),
    );
    all.extend(cases(row));
    all
}

/// Two readings at the end of what is plausible raise the most urgent alert of that side, one does not.
fn cases(row: &Row) -> Vec<Value> {
    let sides =
        [("low_critical", "plausible_min", "threshold-low"), ("high_critical", "plausible_max", "threshold-high")];
    let Some((value, cause)) = sides.iter().find_map(|(limit, end, cause)| {
        decimal(row.get(limit))?;
        Some((decimal(row.get(end))?, *cause))
    }) else {
        return vec![];
    };
    let reading = |at: u8| {
        json!({"url": "reading", "extension": [
        {"url": "at", "valueDecimal": at}, {"url": "value", "valueDecimal": value}]})
    };
    let event = json!({"url": "event", "extension": [{"url": "at", "valueDecimal": 1}, {"url": "kind", "valueCode": "raise"},
        {"url": "cause", "valueCode": cause}, {"url": "level", "valueCode": "critical"}]});
    vec![
        json!({"url": url("alert-case"), "extension": [
            {"url": "name", "valueString": "two readings in a row"}, reading(0), reading(1), event]}),
        json!({"url": url("alert-case"), "extension": [
            {"url": "name", "valueString": "one reading is not enough"}, reading(0)]}),
    ]
}

/// A number of the table with the digits that it is written with.
fn decimal(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().filter(Value::is_number)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::{Condition, Level, compile};
    use super::*;

    #[test]
    fn every_row_with_limits_has_a_rule() {
        let plans = limit_plans();
        let ids: Vec<&str> = plans.iter().filter_map(|plan| plan["id"].as_str()).collect();
        let codes =
            "8867-4 9279-1 59408-5 8310-5 8480-6 8462-4 8478-0 8889-8 19889-5 9269-2 2339-0 15074-8 99504-3 105272-9";
        assert_eq!(ids, codes.split(' ').map(|code| format!("limits-{code}")).collect::<Vec<_>>());
    }

    #[test]
    fn every_default_compiles_and_keeps_its_numbers() {
        for row in rows().iter().filter(|row| row.has_limits() && row.get("loinc") != "2708-6") {
            let rule = compile(&plan(row)).unwrap();
            let Condition::Limits { limits, .. } = &rule.condition else { panic!("{}", rule.id) };
            let limits = [
                limits.low.get(Level::Critical),
                limits.low.get(Level::Warning),
                limits.high.get(Level::Warning),
                limits.high.get(Level::Critical),
            ];
            for ((_, _, column), limit) in LIMITS.iter().zip(limits) {
                assert_eq!(limit.map(|l| l.value), row.get(column).parse().ok(), "{} {column}", rule.id);
            }
        }
    }

    #[test]
    fn no_code_belongs_to_two_rules() {
        let mut seen = HashSet::new();
        for plan in limit_plans() {
            for code in compile(&plan).unwrap().codes() {
                assert!(seen.insert(code.clone()), "{code:?}");
            }
        }
    }

    #[test]
    fn every_file_is_a_rule() {
        for text in FILES {
            let plan = toml::import(text).unwrap();
            let rule = compile(&plan).unwrap();
            assert_eq!(rule.active, rule.id == "change-29463-7", "{}", rule.id);
        }
    }

    #[test]
    fn rows_that_are_one_measurement_have_one_set_of_limits() {
        let rows = rows();
        let limits = |loinc: &str| {
            let row = rows.iter().find(|row| row.get("loinc") == loinc).unwrap();
            ["low_critical", "low_warning", "clear_hysteresis", "plausible_min"]
                .map(|column| row.get(column).to_owned())
        };
        assert_eq!(limits("2708-6"), limits("59408-5"));
    }
}
