//! `Observation/$stats`: one Observation for each code, with a component for each statistic.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Call;
use super::input::{Input, required};
use super::series::{members, period_json, stretch, subject, wanted};
use crate::error::Error;
use crate::fhir::lastn::Kind;
use crate::fhir::reading::Code;
use crate::fhir::stats::{self, Figure, Measure, Sample, Statistic};
use crate::fhir::{UCUM, time, ucum};
use crate::store::{Measured, Wanted, is_wanted};

const PARAMETERS: [&str; 9] =
    ["subject", "code", "system", "coding", "duration", "period", "statistic", "include", "limit"];
/// Readings that one question may cost.
const READ: usize = 100_000;
/// Source readings that are answered when nothing is said, and at most.
const SOURCES: usize = 100;
const MOST_SOURCES: usize = 1000;
const HOUR: f64 = 3_600e6;

struct Asked {
    subject: String,
    wanted: Vec<Wanted>,
    period: Option<(i64, i64)>,
    statistics: Vec<(&'static str, &'static str, Statistic)>,
    sources: usize,
}

pub(super) async fn run(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    let asked = asked(call)?;
    let found =
        call.state.store.measured(call.access, &asked.subject, asked.wanted.clone(), asked.period, READ).await?;
    let found = found.ok_or_else(|| {
        Error::unprocessable("too-costly", "http.period", "this is about more readings than one answer may cost")
    })?;
    let mut parameters = Vec::new();
    for group in groups(&asked, &found) {
        parameters.push(json!({"name": "statistics", "resource": group.observation(&asked)}));
    }
    for source in found.iter().take(asked.sources) {
        parameters.push(json!({"name": "source", "resource": source.stored.value()?}));
    }
    let answer = json!({"resourceType": "Parameters", "parameter": parameters});
    Ok(answer.to_string().into_bytes())
}

fn asked(call: &Call<'_>) -> Result<Asked, Error> {
    let input = Input::of(call, None)?;
    input.only(&PARAMETERS)?;
    let subject = subject(call, &input)?;
    let statistics = input.texts("statistic")?;
    if statistics.is_empty() {
        return Err(required("statistic"));
    }
    let statistics = statistics.into_iter().map(|code| {
        stats::by_code(code).ok_or_else(|| Error::invalid("value", "http.statistic", "R4 has no such statistic"))
    });
    let sources = match input.flag("include")? {
        Some(true) => input.number("limit", 1)?.unwrap_or(SOURCES).min(MOST_SOURCES),
        _ => 0,
    };
    Ok(Asked {
        subject,
        wanted: wanted(&input)?,
        period: stretch(call, &input)?,
        statistics: statistics.collect::<Result<_, _>>()?,
        sources,
    })
}

/// What belongs to one code. Points are told apart by reading and part, so that none counts twice.
struct Group {
    coding: Code,
    /// (commit, part) to time, value and unit
    points: BTreeMap<(i64, usize), Point>,
}

/// When, and what with which unit.
type Point = (i64, Option<(f64, Option<String>)>);

/// One group for each code that was asked for, then one for each further part of the panels among them.
fn groups(asked: &Asked, found: &[Measured]) -> Vec<Group> {
    let coding = |(system, code): &Wanted| (system.clone().unwrap_or_default(), code.clone());
    let mut groups: Vec<Group> =
        asked.wanted.iter().map(|wanted| Group { coding: coding(wanted), points: BTreeMap::new() }).collect();
    let mut parts: BTreeMap<Kind, Group> = BTreeMap::new();
    let mut panels: BTreeSet<usize> = BTreeSet::new();
    for measured in found {
        for (at, part) in measured.parts.iter().enumerate() {
            let point = (measured.starts, part.value.clone());
            let mut placed = false;
            for (number, (group, wanted)) in groups.iter_mut().zip(&asked.wanted).enumerate() {
                let Some(own) = part.codings.iter().find(|coding| is_wanted(wanted, coding)) else { continue };
                group.coding = own.clone();
                placed = true;
                if at == 0 && measured.panel && part.value.is_none() {
                    // A panel has no value of its own: its parts do.
                    panels.insert(number);
                    continue;
                }
                group.points.insert((measured.seq, at), point.clone());
            }
            if let (false, true, Some(first)) = (placed, measured.by_code, part.codings.first()) {
                let group = parts.entry(Kind::of(&part.codings, None));
                let group = group.or_insert_with(|| Group { coding: first.clone(), points: BTreeMap::new() });
                group.points.insert((measured.seq, at), point);
            }
        }
    }
    let empty_panel = |number: usize, group: &Group| panels.contains(&number) && group.points.is_empty();
    let mut number = 0..;
    groups.retain(|group| !number.next().is_some_and(|number| empty_panel(number, group)));
    groups.into_iter().chain(parts.into_values()).collect()
}

impl Group {
    fn observation(&self, asked: &Asked) -> Value {
        let unit = self.unit();
        let times = self.points.values().map(|(starts, _)| *starts).filter(|starts| *starts > time::BEFORE_ALL);
        let (first, last) = (times.clone().min(), times.max());
        let beginning = asked.period.map(|period| period.0).filter(|start| *start > time::BEFORE_ALL).or(first);
        let points = self.points.values().filter_map(|(starts, value)| {
            let (value, own) = value.as_ref()?;
            let hours = beginning.filter(|_| *starts > time::BEFORE_ALL).map(|from| hours(*starts - from));
            Some((hours, in_unit(*value, own.as_deref(), unit.as_deref())?))
        });
        let sample = Sample::new(points.collect(), self.points.len());
        let figures = asked.statistics.iter().flat_map(|(code, display, statistic)| {
            sample.figures(*statistic).into_iter().map(|figure| component(code, display, &figure, unit.as_deref()))
        });
        let (system, code) = &self.coding;
        let coding = if system.is_empty() { json!({"code": code}) } else { json!({"system": system, "code": code}) };
        let measured = first.zip(last.map(|last| last.saturating_add(1)));
        let mut observation = members(json!({"resourceType": "Observation", "status": "final",
            "code": {"coding": [coding]}, "subject": {"reference": asked.subject}}));
        if let Some((start, end)) = asked.period.or(measured) {
            observation.insert("effectivePeriod".into(), period_json(start, end));
        }
        observation.insert("component".into(), figures.collect());
        observation.into()
    }

    /// The unit of all values; where there are several, the canonical one of the kind that most are of.
    fn unit(&self) -> Option<String> {
        let mut by_unit: BTreeMap<&str, usize> = BTreeMap::new();
        for unit in self.points.values().filter_map(|(_, value)| value.as_ref()?.1.as_deref()) {
            *by_unit.entry(unit).or_default() += 1;
        }
        if by_unit.len() <= 1 {
            return by_unit.into_keys().next().map(str::to_owned);
        }
        let mut by_kind: BTreeMap<&str, usize> = BTreeMap::new();
        for (unit, count) in by_unit {
            *by_kind.entry(ucum::canonical(unit).map_or(unit, |canonical| canonical.unit)).or_default() += count;
        }
        by_kind.into_iter().max_by_key(|(_, count)| *count).map(|(unit, _)| unit.to_owned())
    }
}

/// None for what cannot be compared: it is counted, but it is no part of the sample.
fn in_unit(value: f64, own: Option<&str>, unit: Option<&str>) -> Option<f64> {
    match (own, unit) {
        (None, None) => Some(value),
        (Some(own), Some(unit)) => ucum::convert(value, own, unit),
        _ => None,
    }
}

fn hours(us: i64) -> f64 {
    // Whole seconds are exact far beyond any lifetime.
    let (seconds, rest) = (us.div_euclid(time::SECOND), us.rem_euclid(time::SECOND));
    let exact = |n: i64| i32::try_from(n).map_or(f64::NAN, f64::from);
    let whole = exact(seconds.div_euclid(1 << 16)) * 65_536.0 + exact(seconds.rem_euclid(1 << 16));
    (whole * 1e6 + exact(rest)) / HOUR
}

fn component(code: &str, display: &str, figure: &Figure, unit: Option<&str>) -> Value {
    let mut code = members(json!({"coding": [{"system": stats::SYSTEM, "code": code, "display": display}]}));
    if let Some(name) = figure.name {
        code.insert("text".into(), name.into());
    }
    let Some(value) = figure.value else {
        let system = "http://terminology.hl7.org/CodeSystem/data-absent-reason";
        let why = json!({"coding": [{"system": system, "code": "not-a-number"}], "text": "too few values"});
        return json!({"code": code, "dataAbsentReason": why});
    };
    let mut quantity = members(json!({"value": decimal(value)}));
    if let Some((human, code)) = measured_in(figure.measure, unit) {
        quantity.insert("unit".into(), human.into());
        if let Some(code) = code {
            quantity.insert("system".into(), UCUM.into());
            quantity.insert("code".into(), code.into());
        }
    }
    json!({"code": code, "valueQuantity": quantity})
}

/// The number as people write it: no `.0`.
fn decimal(value: f64) -> Value {
    let text = if value.abs() < 1e15 { value.to_string() } else { format!("{value:e}") };
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// The unit of a figure: how people say it, and its UCUM code where it has one.
fn measured_in(measure: Measure, unit: Option<&str>) -> Option<(String, Option<String>)> {
    let known = |unit: &str| ucum::canonical(unit).is_some();
    let unit = match measure {
        Measure::Bare => return Some(("1".to_owned(), Some("1".to_owned()))),
        _ => unit?,
    };
    let human = match ucum::human(unit) {
        "" => unit,
        human => human,
    };
    // Degrees are no unit that can be multiplied; their differences are kelvins.
    Some(match (measure, unit) {
        (Measure::Squared, "Cel") => ("K²".to_owned(), Some("K2".to_owned())),
        (Measure::PerHour, "Cel") => ("K/h".to_owned(), Some("K/h".to_owned())),
        (Measure::Squared, "[degF]") => ("(°F)²".to_owned(), None),
        (Measure::PerHour, "[degF]") => ("°F/h".to_owned(), None),
        (Measure::Squared, unit) => (format!("({human})²"), known(unit).then(|| format!("({unit}).({unit})"))),
        (Measure::PerHour, unit) => (format!("({human})/h"), known(unit).then(|| format!("({unit})/h"))),
        (_, unit) => (human.to_owned(), known(unit).then(|| unit.to_owned())),
    })
}
