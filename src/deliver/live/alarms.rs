//! Alarms as they come by on the log, for the metrics: how many were raised, by rule and severity, and how long they
//! waited for the first answer of a person. Every node reads the whole log, so each counts all of them.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use serde_json::Value;

use crate::alert::report::{Alarm, Standing};
use crate::store::{Content, Entry};
use crate::telemetry::Metrics;

/// Alarms of which is known that their answer was counted.
const KNOWN: usize = 10_000;
/// Rules that have a name of their own in the metrics; every name costs memory for good.
const RULES: usize = 1000;

pub(super) struct Alarms {
    /// What was answered before was counted before, µs UTC.
    since: i64,
    answered: HashSet<String>,
    order: VecDeque<String>,
    rules: HashSet<String>,
}

impl Alarms {
    pub(super) fn since(since: i64) -> Self {
        Self { since, answered: HashSet::new(), order: VecDeque::new(), rules: HashSet::new() }
    }

    pub(super) fn take(&mut self, entry: &Entry, metrics: &Metrics) {
        let Content::Resource(resource) = &entry.content else { return };
        if entry.resource_type != "DetectedIssue" {
            return;
        }
        let Some(alarm) = Alarm::of(resource).filter(|alarm| alarm.standing == Standing::Counted) else { return };
        if entry.version == 1 {
            metrics.alert_raised(self.rule(&alarm.rule), severity(resource));
        }
        let Some(answered) = alarm.answered.filter(|at| *at >= self.since && !alarm.late) else { return };
        if self.is_new(&entry.id) {
            metrics.alert_answer_seconds.observe(waited(answered - alarm.raised).as_secs_f64());
        }
    }

    fn rule<'a>(&mut self, url: &'a str) -> &'a str {
        let name = url.rsplit('/').next().unwrap_or(url);
        if !self.rules.contains(name) && self.rules.len() >= RULES {
            return "other";
        }
        self.rules.insert(name.to_owned());
        name
    }

    fn is_new(&mut self, id: &str) -> bool {
        let new = self.answered.insert(id.to_owned());
        if new {
            self.order.push_back(id.to_owned());
            if self.order.len() > KNOWN {
                self.order.pop_front().map(|oldest| self.answered.remove(&oldest));
            }
        }
        new
    }
}

fn waited(us: i64) -> Duration {
    Duration::from_micros(u64::try_from(us).unwrap_or(0))
}

fn severity(resource: &Value) -> &'static str {
    match resource.get("severity").and_then(Value::as_str) {
        Some("high") => "high",
        Some("moderate") => "moderate",
        _ => "low",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn entry(version: i32, answered: Option<&str>) -> Entry {
        let mut issue = json!({"resourceType": "DetectedIssue", "status": "preliminary", "severity": "high",
            "code": {"coding": [{"system": "https://vigia.dev/fhir/CodeSystem/alert", "code": "threshold-high"}]},
            "patient": {"reference": "Patient/a"}, "reference": "urn:rules/fast|1",
            "identifiedPeriod": {"start": "2026-03-01T10:00:00Z"}});
        if let Some(at) = answered {
            issue["mitigation"] = json!([{"action": {"text": "seen"}, "date": at}]);
        }
        let content = Content::Resource(Arc::new(issue));
        Entry { seq: 1, resource_type: "DetectedIssue", id: "x".to_owned(), version, updated: 0, content }
    }

    #[test]
    fn a_raise_and_an_answer_are_counted_once() {
        let (metrics, answer) = (Metrics::new().unwrap(), Some("2026-03-01T10:01:30Z"));
        let mut alarms = Alarms::since(0);
        for entry in [entry(1, None), entry(2, None), entry(3, answer), entry(4, answer)] {
            alarms.take(&entry, &metrics);
        }
        // What was answered before the start was counted by the process before.
        Alarms::since(i64::MAX).take(&entry(5, answer), &metrics);
        let text = metrics.render().unwrap();
        for line in [
            "vigia_alerts_raised_total{rule=\"fast\",severity=\"high\"} 1",
            "vigia_alert_answer_seconds_count 1",
            "vigia_alert_answer_seconds_sum 90",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
    }
}
