//! What leaves the house: the notices that one recipient is told together, as JSON for a system and as text for a
//! person. With `content = "reference"` it says that there is an alert, how urgent, on which ward and where to read
//! it, and nothing that names or describes the patient.

use serde_json::{Value, json};

use super::notice::Notice;
use crate::alert::issue::ours;
use crate::config::notify::Content;
use crate::fhir::time;

/// A notice with the alert as it stands now.
pub(super) struct Told {
    pub notice: Notice,
    pub alert: Value,
    /// Where the patient is.
    pub wards: Vec<String>,
}

/// How much of it is told, and below which address it is read.
pub(super) struct Telling<'t> {
    pub content: Content,
    pub base: &'t str,
}

impl Telling<'_> {
    /// The body of a webhook. `now`: µs UTC.
    pub(super) fn json(&self, told: &[Told], now: i64) -> Value {
        let occasion = told.first().map_or("", |told| told.notice.occasion.code());
        json!({
            "type": format!("alert.{occasion}"),
            "timestamp": time::instant(now),
            "data": {"alerts": told.iter().map(|told| self.alert(told)).collect::<Value>()}
        })
    }

    fn alert(&self, told: &Told) -> Value {
        let Told { notice, alert, wards } = told;
        let mut line = json!({
            "id": notice.alert,
            "occasion": notice.occasion.code(),
            "step": step(notice),
            "url": self.url(notice),
            "severity": alert.get("severity"),
            "priority": code(alert, "alert-priority"),
            "type": code(alert, "alert-type"),
            "state": code(alert, "alert-lifecycle-state"),
            "rule": alert.get("reference"),
            "since": alert.pointer("/identifiedPeriod/start"),
            "locations": wards,
            "communication": format!("Communication/{}", notice.id)
        });
        if let Some(members) = line.as_object_mut() {
            members.retain(|_, value| !value.is_null());
            if self.content == Content::Full {
                members.insert("resource".to_owned(), alert.clone());
            }
        }
        line
    }

    /// Subject and text of a message to a person.
    pub(super) fn text(&self, told: &[Told]) -> (String, String) {
        let worst = told.iter().map(|told| rank(&told.alert)).max().unwrap_or(0);
        let what = match (told, worst) {
            ([one], _) => self.line(one),
            (many, rank) => {
                format!("{} alerts of one patient, the most urgent {}", many.len(), WORDS.get(rank).unwrap_or(&""))
            }
        };
        let lines = told.iter().map(|told| format!("{}\n{}", self.line(told), self.url(&told.notice)));
        let mut text = lines.collect::<Vec<_>>().join("\n\n");
        text.push_str("\n\nThis is decision support, not an alarm system of record. Look at the patient.\n");
        (format!("Vigía: {what}"), text)
    }

    fn line(&self, told: &Told) -> String {
        let Told { notice, alert, wards } = told;
        let urgency = WORDS.get(rank(alert)).unwrap_or(&"");
        let occasion = match (step(notice), notice.occasion.code()) {
            (Some(step), _) => format!("nobody has answered (step {step})"),
            (None, "again") => "waits for an answer again".to_owned(),
            (None, code) => code.to_owned(),
        };
        let place = if wards.is_empty() { String::new() } else { format!(", {}", wards.join(", ")) };
        let since = alert.pointer("/identifiedPeriod/start").and_then(Value::as_str).unwrap_or("an unknown time");
        let detail = match (self.content, alert.get("detail").and_then(Value::as_str)) {
            (Content::Full, Some(detail)) => format!(": {detail}"),
            _ => String::new(),
        };
        format!("{urgency} alert {occasion}{place}, since {since}{detail}")
    }

    fn url(&self, notice: &Notice) -> String {
        format!("{}/fhir/DetectedIssue/{}", self.base, notice.alert)
    }
}

const WORDS: [&str; 3] = ["technical or advisory", "warning", "critical"];

fn rank(alert: &Value) -> usize {
    match alert.get("severity").and_then(Value::as_str) {
        Some("high") => 2,
        Some("moderate") => 1,
        _ => 0,
    }
}

fn step(notice: &Notice) -> Option<u32> {
    match notice.occasion {
        super::plan::Occasion::Escalated(step) => Some(step),
        _ => None,
    }
}

fn code(alert: &Value, name: &str) -> Option<String> {
    ours(alert, name)?.get("valueCode")?.as_str().map(str::to_owned)
}
