//! One patient on the board: who it is, where it lies, its latest values and open alerts, and how all that is
//! written for the page.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

use crate::alert::issue;
use crate::fhir::reading::{Amount, Code, Reading};
use crate::fhir::{LOINC, time};

/// Points of a series that are held for its sparkline.
const RECENT: usize = 60;
/// Readings that the trend arrow looks at.
const TREND: usize = 5;

#[derive(Default)]
pub(super) struct Patient {
    pub name: String,
    pub identifier: String,
    pub birth_date: Option<String>,
    pub gender: Option<String>,
    pub bed: Option<String>,
    pub ward: Option<String>,
    pub encounter: Option<String>,
    pub vitals: BTreeMap<String, Vital>,
    pub alerts: BTreeMap<String, Value>,
    pub known: bool,
    /// Codes whose value has changed since the last tick.
    pub changed: Vec<String>,
}

pub(super) struct Vital {
    text: String,
    unit: String,
    at: i64,
    recent: VecDeque<(i64, f64)>,
    /// How far out the rules judge it: "", L, LL, H, HH.
    interpretation: &'static str,
    test: bool,
}

impl Patient {
    /// Takes a reading in; one that is older than what is shown only joins the series.
    pub(super) fn take(&mut self, reading: &Reading, at: i64, interpretation: &'static str) {
        let Some(code) = shown_code(&reading.codings) else { return };
        let Some((text, unit, value)) = shown_value(reading) else { return };
        let vital = self.vitals.entry(code.to_owned()).or_insert_with(|| Vital {
            text: String::new(),
            unit: String::new(),
            at: i64::MIN,
            recent: VecDeque::new(),
            interpretation: "",
            test: false,
        });
        let place = vital.recent.partition_point(|(t, _)| *t <= at);
        vital.recent.insert(place, (at, value));
        if vital.recent.len() > RECENT {
            vital.recent.pop_front();
        }
        if at >= vital.at {
            (vital.text, vital.unit, vital.at) = (text, unit, at);
            (vital.interpretation, vital.test) = (interpretation, reading.test);
            if !self.changed.iter().any(|c| c == code) {
                self.changed.push(code.to_owned());
            }
        }
    }

    /// The patient as the page's snapshot has it.
    pub(super) fn json(&self, id: &str) -> Value {
        let vitals: Map<String, Value> = self.vitals.iter().map(|(code, v)| (code.clone(), v.json(true))).collect();
        let alerts: Vec<&Value> = self.alerts.values().collect();
        json!({
            "id": id, "name": self.name, "identifier": self.identifier, "birthDate": self.birth_date,
            "gender": self.gender, "bed": self.bed, "encounter": self.encounter,
            "vitals": vitals, "alerts": alerts,
        })
    }

    /// What has changed since it was asked last.
    pub(super) fn changed_json(&mut self) -> Option<Value> {
        if self.changed.is_empty() {
            return None;
        }
        let changed = std::mem::take(&mut self.changed);
        let vitals = changed.into_iter().filter_map(|code| self.vitals.get(&code).map(|v| (code, v.json(false))));
        Some(Value::Object(vitals.collect()))
    }
}

impl Vital {
    fn json(&self, with_recent: bool) -> Value {
        let mut vital = json!({
            "value": self.text, "unit": self.unit, "time": time::instant(self.at),
            "interp": self.interpretation, "trend": self.trend(),
        });
        if let Some(members) = vital.as_object_mut() {
            if self.test {
                members.insert("test".into(), true.into());
            }
            if with_recent {
                let points: Vec<Value> = self.recent.iter().map(|(at, v)| json!([at / 1000, v])).collect();
                members.insert("recent".into(), points.into());
            }
        }
        vital
    }

    /// Up or down against the mean of the readings before, when it is more than 3 % of it.
    fn trend(&self) -> i8 {
        let mut last = self.recent.iter().rev().map(|(_, v)| *v).take(TREND);
        let Some(now) = last.next() else { return 0 };
        let before: Vec<f64> = last.collect();
        let Some(count) = u32::try_from(before.len()).ok().filter(|n| *n > 0) else { return 0 };
        let mean = before.iter().sum::<f64>() / f64::from(count);
        match now - mean {
            difference if difference.abs() <= mean.abs() * 0.03 => 0,
            difference if difference > 0.0 => 1,
            _ => -1,
        }
    }
}

/// The code that a reading is shown under: its LOINC code, of several the one that the page knows best.
fn shown_code(codings: &[Code]) -> Option<&str> {
    // Pulse oximetry carries both codes for one value.
    let loinc = || codings.iter().filter(|(system, _)| system == LOINC).map(|(_, code)| code.as_str());
    loinc().find(|code| *code == "59408-5").or_else(|| loinc().next()).or(codings.first().map(|c| c.1.as_str()))
}

/// Value and unit as shown, and the number for the series. A pressure is shown as systolic/diastolic.
fn shown_value(reading: &Reading) -> Option<(String, String, f64)> {
    if let Some(Amount { value, text, unit, .. }) = &reading.value {
        return Some((text.clone(), unit.clone().unwrap_or_default(), *value));
    }
    let part = |code: &str| reading.components.iter().find(|(c, _)| c.iter().any(|c| c.1 == code)).map(|(_, a)| a);
    let (systolic, diastolic) = (part("8480-6")?, part("8462-4")?);
    let text = format!("{}/{}", systolic.text, diastolic.text);
    Some((text, systolic.unit.clone().unwrap_or_default(), systolic.value))
}

/// What rules measure, as a ward's page names it.
const LABELS: [(&str, &str); 9] = [
    ("8867-4", "HR"),
    ("8889-8", "HR"),
    ("9279-1", "RR"),
    ("59408-5", "SpO2"),
    ("2708-6", "SpO2"),
    ("8310-5", "Temp"),
    ("8480-6", "SBP"),
    ("8462-4", "DBP"),
    ("8478-0", "MAP"),
];

/// An alert as the page shows it; none when the DetectedIssue has no id, or is of a rule on trial.
pub(super) fn alert_json(issue: &Value) -> Option<(String, Value)> {
    let id = issue.get("id")?.as_str()?;
    // A rule on trial tells nobody.
    if extension(issue, "/alert-shadow").is_some() {
        return None;
    }
    let open = issue::open_episode(issue).is_some();
    let kind = extension(issue, "/alert-type").and_then(|e| e.get("valueCode")).and_then(Value::as_str);
    let alert = json!({
        "id": id,
        "severity": issue.get("severity"),
        "type": kind.unwrap_or("physiological"),
        "text": short_text(issue).map_or_else(|| issue.get("detail").cloned(), |text| Some(text.into())),
        "title": issue.pointer("/code/text"),
        "code": issue.pointer("/code/coding/0/code"),
        "since": issue.pointer("/identifiedPeriod/start").or_else(|| issue.get("identifiedDateTime")),
        "state": if open { "raised" } else { "resolved" },
        "lifecycle": extension(issue, "/alert-lifecycle-state").and_then(|e| e.get("valueCode")),
        "late": issue::is_late(issue),
    });
    Some((id.to_owned(), alert))
}

/// `HR 134 /min ≥ 131 /min`: what was measured and the limit that it broke, for readers three metres away. After a
/// de-escalation the last value may be within the limit: then the worst one stands there, or the value alone.
fn short_text(issue: &Value) -> Option<String> {
    let key = issue.pointer("/code/coding/1/code")?.as_str()?.strip_prefix("threshold:")?;
    let (code, _) = key.split_once(':')?;
    let (_, label) = LABELS.iter().find(|(known, _)| *known == code)?;
    let event = extension(issue, "/alert-event")?.get("extension")?.as_array()?;
    let last = event.iter().find(|e| e.get("url").and_then(Value::as_str) == Some("value"))?.get("valueQuantity")?;
    let range = extension(issue, "/alert-condition-limit")?.get("valueRange")?;
    let (sign, limit) = match (range.get("low"), range.get("high")) {
        (Some(low), None) => ("≤", low),
        (None, Some(high)) => ("≥", high),
        _ => return None,
    };
    let unit = |quantity: &Value| quantity.get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
    let shown = |quantity: &Value| Some(format!("{} {}", quantity.get("value")?, unit(quantity)).trim_end().to_owned());
    let number = |quantity: &Value| quantity.get("value")?.as_f64();
    let breaks = |quantity: &&Value| match (number(quantity), number(limit)) {
        (Some(value), Some(limit_value)) if unit(quantity) == unit(limit) => {
            if sign == "≤" {
                value <= limit_value
            } else {
                value >= limit_value
            }
        }
        _ => false,
    };
    match [Some(last), issue::peak(issue)].into_iter().flatten().find(breaks) {
        Some(value) => Some(format!("{label} {} {sign} {}", shown(value)?, shown(limit)?)),
        None => Some(format!("{label} {}", shown(last)?)),
    }
}

fn extension<'a>(issue: &'a Value, name: &str) -> Option<&'a Value> {
    let named = |e: &&Value| e.get("url").and_then(Value::as_str).is_some_and(|url| url.ends_with(name));
    issue.get("extension")?.as_array()?.iter().find(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(last: &str, limit: &str, peak: Option<&str>) -> Value {
        let quantity = |text: &str| {
            let (value, code) = text.split_once(' ').unwrap();
            json!({"value": serde_json::from_str::<Value>(value).unwrap(), "code": code})
        };
        let (side, limit) = limit.split_once(' ').unwrap();
        let ours = |name: &str| format!("https://vigia.dev/fhir/StructureDefinition/{name}");
        let evidence: Vec<Value> = peak
            .map(|peak| {
                json!({
                    "extension": [{"url": ours("alert-reading"), "extension": [{"url": "value", "valueQuantity": quantity(peak)}]}],
                    "code": [{"coding": [{"system": "https://vigia.dev/fhir/CodeSystem/alert-evidence", "code": "peak"}]}]
                })
            })
            .into_iter()
            .collect();
        json!({
            "code": {"coding": [{}, {"code": "threshold:8478-0:low"}]},
            "evidence": evidence,
            "extension": [
                {"url": ours("alert-condition-limit"), "valueRange": {side: quantity(limit)}},
                {"url": ours("alert-event"), "extension": [{"url": "value", "valueQuantity": quantity(last)}]}
            ]
        })
    }

    #[test]
    fn a_comparison_is_shown_only_where_it_holds() {
        for (last, limit, peak, text) in [
            ("64 mm[Hg]", "low 65 mm[Hg]", Some("64 mm[Hg]"), "MAP 64 mm[Hg] ≤ 65 mm[Hg]"),
            ("65 mm[Hg]", "low 65 mm[Hg]", Some("60 mm[Hg]"), "MAP 65 mm[Hg] ≤ 65 mm[Hg]"),
            ("94 mm[Hg]", "low 70 mm[Hg]", Some("58.5 mm[Hg]"), "MAP 58.5 mm[Hg] ≤ 70 mm[Hg]"),
            ("94 mm[Hg]", "low 70 mm[Hg]", Some("71 mm[Hg]"), "MAP 94 mm[Hg]"),
            ("94 mm[Hg]", "low 70 mm[Hg]", None, "MAP 94 mm[Hg]"),
            ("110 mm[Hg]", "high 130 mm[Hg]", Some("142 mm[Hg]"), "MAP 142 mm[Hg] ≥ 130 mm[Hg]"),
            ("60 mm[Hg]", "low 8 kPa", None, "MAP 60 mm[Hg]"),
        ] {
            assert_eq!(short_text(&alert(last, limit, peak)).as_deref(), Some(text), "{last}, {limit}, {peak:?}");
        }
    }
}
