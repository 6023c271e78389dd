//! What of a patient matters to the rules: the age, how oxygen saturation is to be scored, and limits that were set
//! for this patient or this ward. Pure. It comes from the Patient, from Flags, and from the Encounter in progress.
//!
//! Two kinds of Flag speak to the rules, by a code of <https://vigia.dev/fhir/CodeSystem/alert-flag>:
//! - `spo2-scale-2`: NEWS2 scores oxygen saturation on scale 2 (hypercapnic respiratory failure). Without such a Flag
//!   it never does.
//! - `alert-limits`: other limits of one rule. `subject` is the patient or the ward (Location); `author`, `period` with
//!   an end, and the reason (extension `alert-reason`) are required; `alert-rule` names the rule by its canonical url
//!   and `alert-limit`, `alert-hysteresis` stand as in a rule.
//!
//! Limits resolve patient > ward > age band > default, each by the time of the reading.

use fhir_r4::Issue;
use serde_json::Value;

use super::rule::{self, Rule, Side, Sides};
use super::score;
use crate::fhir::{OURS, reading, time};

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context {
    /// Start of the day of birth, µs UTC.
    born: Option<i64>,
    /// When saturation is scored on scale 2.
    scale_2: Vec<(i64, i64)>,
    /// Those of the patient before those of the ward.
    limits: Vec<Override>,
}

/// Limits that somebody set for a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// Canonical url of the rule, without the version.
    pub rule: String,
    /// [start, end), µs UTC.
    pub period: (i64, i64),
    pub limits: Sides,
}

/// What a Flag says to the rules.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    Scale2((i64, i64)),
    Limits(Override),
}

impl Context {
    /// Of a Patient, its own active Flags, and those of the ward where it lies.
    pub fn of<'a>(
        patient: Option<&Value>,
        own: impl IntoIterator<Item = &'a Value>,
        ward: impl IntoIterator<Item = &'a Value>,
    ) -> Self {
        let born = patient.and_then(|patient| patient.get("birthDate")?.as_str()).and_then(time::range);
        let mut context = Self { born: born.map(|day| day.start), ..Self::default() };
        for said in own.into_iter().filter_map(|flag| said(flag).ok().flatten()) {
            match said {
                Said::Scale2(period) => context.scale_2.push(period),
                Said::Limits(limits) => context.limits.push(limits),
            }
        }
        for said in ward.into_iter().filter_map(|flag| said(flag).ok().flatten()) {
            // Scale 2 is a patient's, never a ward's.
            if let Said::Limits(limits) = said {
                context.limits.push(limits);
            }
        }
        context
    }

    /// The limits of this rule that stand in for its own at this time.
    pub fn limits(&self, rule: &Rule, at: i64) -> Option<Sides> {
        let covers = |(start, end): (i64, i64)| (start..end).contains(&at);
        let set = self.limits.iter().find(|set| set.rule == rule.url && covers(set.period));
        let of_age = self.of_age(rule, at);
        let Some(set) = set else { return of_age };
        // Who sets one side says nothing of the other.
        let (mut limits, below) = (set.limits, of_age.or(rule.sides()));
        for side in Side::BOTH {
            if let Some(below) = below.filter(|_| limits.get(side).is_empty()) {
                *limits.get_mut(side) = *below.get(side);
            }
        }
        Some(limits)
    }

    fn of_age(&self, rule: &Rule, at: i64) -> Option<Sides> {
        let age = self.age_days(at)?;
        rule.ages.iter().find(|band| (band.from..band.to).contains(&age)).map(|band| band.limits)
    }

    /// What the scores must know at this time.
    pub fn scored(&self, at: i64) -> score::Patient {
        let spo2_scale_2 = self.scale_2.iter().any(|(start, end)| (*start..*end).contains(&at));
        score::Patient { spo2_scale_2, age_days: self.age_days(at) }
    }

    fn age_days(&self, at: i64) -> Option<i64> {
        self.born.map(|born| (at - born).div_euclid(DAY))
    }
}

/// What a Flag says to the rules: nothing, if it is not one of theirs. Every problem of one that is.
pub fn said(flag: &Value) -> Result<Option<Said>, Vec<Issue>> {
    let system = format!("{OURS}/CodeSystem/alert-flag");
    let codings = reading::codings(flag.get("code"));
    let Some((_, code)) = codings.iter().find(|(own, _)| *own == system) else { return Ok(None) };
    if flag.get("status").and_then(Value::as_str) != Some("active") {
        return Ok(None);
    }
    let period = flag.get("period").and_then(reading::period);
    match code.as_str() {
        "spo2-scale-2" => Ok(Some(Said::Scale2(period.unwrap_or((time::BEFORE_ALL, time::AFTER_ALL))))),
        "alert-limits" => limits(flag, period).map(|limits| Some(Said::Limits(limits))),
        _ => Err(vec![Issue::error("code-invalid", "Flag.code", "must be spo2-scale-2 or alert-limits")]),
    }
}

fn limits(flag: &Value, period: Option<(i64, i64)>) -> Result<Override, Vec<Issue>> {
    let mut problems = Vec::new();
    let mut missing = |place: &str, text: &str| problems.push(Issue::error("required", place, text));
    let part = |name: &str, member: &str| {
        let url = format!("{OURS}/StructureDefinition/{name}");
        reading::list(flag.get("extension"))
            .find(|extension| reading::str_of(extension, "url") == Some(&url))
            .and_then(|extension| extension.get(member)?.as_str().map(str::to_owned))
    };
    if flag.pointer("/author/reference").is_none() {
        missing("Flag.author", "other limits have an author");
    }
    let period = period.filter(|(_, end)| *end < time::AFTER_ALL);
    if period.is_none() {
        missing("Flag.period.end", "other limits have an end");
    }
    if part("alert-reason", "valueString").is_none() {
        missing("Flag.extension", "other limits have a reason (alert-reason)");
    }
    let rule = part("alert-rule", "valueCanonical");
    if rule.is_none() {
        missing("Flag.extension", "other limits name the rule that they are for (alert-rule)");
    }
    let sides = rule::limits_of("Flag", flag).map_err(|found| problems.extend(found)).ok();
    match (rule, period, sides) {
        (Some(rule), Some(period), Some(limits)) if problems.is_empty() => {
            let rule = rule.split('|').next().unwrap_or_default().to_owned();
            Ok(Override { rule, period, limits })
        }
        _ => Err(problems),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::rule::{Comparator, Level, compile, default_plans};
    use super::*;

    fn extension(name: &str, member: &str, value: &str) -> Value {
        json!({"url": format!("{OURS}/StructureDefinition/{name}"), member: value})
    }

    fn flag(subject: &str, low: i64) -> Value {
        let limit = json!({"url": format!("{OURS}/StructureDefinition/alert-limit"), "extension": [
            {"url": "side", "valueCode": "low"}, {"url": "level", "valueCode": "critical"},
            {"url": "comparator", "valueCode": "<="}, {"url": "value", "valueDecimal": low}]});
        json!({
            "resourceType": "Flag", "status": "active", "subject": {"reference": subject},
            "code": {"coding": [{"system": format!("{OURS}/CodeSystem/alert-flag"), "code": "alert-limits"}]},
            "author": {"reference": "Practitioner/1"},
            "period": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"},
            "extension": [
                extension("alert-reason", "valueString", "COPD"),
                extension("alert-rule", "valueCanonical", &format!("{OURS}/PlanDefinition/limits-59408-5")),
                limit
            ]
        })
    }

    fn low(context: &Context, at: &str) -> Option<f64> {
        let plan = default_plans().into_iter().find(|plan| plan["id"] == "limits-59408-5").unwrap();
        let at = time::range(at).unwrap().start;
        Some(context.limits(&compile(&plan).unwrap(), at)?.low.get(Level::Critical)?.value)
    }

    #[test]
    fn limits_of_the_patient_come_before_those_of_the_ward_and_end() {
        let (own, ward) = (flag("Patient/1", 85), flag("Location/1", 88));
        for (own, ward, at, expected) in [
            (vec![&own], vec![&ward], "2026-01-01T12:00:00Z", Some(85.0)),
            (vec![], vec![&ward], "2026-01-01T12:00:00Z", Some(88.0)),
            (vec![&own], vec![&ward], "2026-01-02T00:00:01Z", None),
            (vec![], vec![], "2026-01-01T12:00:00Z", None),
        ] {
            assert_eq!(low(&Context::of(None, own, ward), at), expected, "{at}");
        }
        let Ok(Some(Said::Limits(set))) = said(&own) else { panic!() };
        assert_eq!(set.limits.low.get(Level::Critical).map(|l| l.comparator), Some(Comparator::AtOrBelow));
    }

    #[test]
    fn other_limits_without_author_end_or_reason_are_refused() {
        for (pointer, place) in
            [("author", "Flag.author"), ("period", "Flag.period.end"), ("extension", "Flag.extension")]
        {
            let mut flag = flag("Patient/1", 85);
            flag.as_object_mut().unwrap().remove(pointer);
            assert_eq!(said(&flag).unwrap_err()[0].expression, place);
            flag["status"] = "inactive".into();
            assert_eq!(said(&flag), Ok(None));
        }
    }

    #[test]
    fn scale_2_counts_as_long_as_its_flag() {
        let mut flag = flag("Patient/1", 85);
        flag["code"]["coding"][0]["code"] = "spo2-scale-2".into();
        let patient = json!({"birthDate": "1950-01-01"});
        let context = Context::of(Some(&patient), [&flag], []);
        for (at, scale) in [("2026-01-01T12:00:00Z", true), ("2026-01-03T00:00:00Z", false)] {
            let scored = context.scored(time::range(at).unwrap().start);
            assert_eq!((scored.spo2_scale_2, scored.age_days.unwrap() / 365), (scale, 76), "{at}");
        }
    }
}
