//! What the server tells through its FHIR API after a replay, as lines that can be held against the expected ones:
//! every change of level that a DetectedIssue tells, and every complete NEWS2.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, SecondsFormat};
use serde_json::Value;

use crate::nodes::Nodes;

/// How often each line is there.
type Lines = BTreeMap<String, i64>;

/// Parameters of NEWS2 in the order of the expected columns.
const PARTS: [&str; 7] =
    ["respiration-rate", "spo2", "oxygen", "systolic-pressure", "heart-rate", "consciousness", "temperature"];

/// What was told, or what should be.
#[derive(Default)]
pub(crate) struct Story {
    events: Lines,
    scores: Lines,
    /// Of clinical and technical alerts; those that were taken back do not count.
    pub(crate) issues: i64,
    pub(crate) retracted: i64,
}

impl Story {
    /// What the files say should be. `damped`: two readings in a row, as the rules are shipped.
    pub(crate) fn expected(directory: &Path, damped: bool, patients: &str) -> Result<Self> {
        let mut story = Self::default();
        let single = rows(&directory.join("expected.csv"), patients)?;
        let limits = |row: &Vec<String>| cell(row, 3).starts_with("threshold:");
        let mut events: Vec<Vec<String>> = single.iter().filter(|row| !damped || !limits(row)).cloned().collect();
        if damped {
            // Technical alerts and scores are the same under both; the second file leaves them out.
            events.extend(rows(&directory.join("expected-p1.csv"), patients)?);
        }
        for row in &events {
            let rule = cell(row, 3);
            let value: f64 = cell(row, 5).parse().context("a value that is no number")?;
            let fahrenheit = rule.contains("8310-5") && value > 60.0;
            let value = if fahrenheit { (value - 32.0) * 5.0 / 9.0 } else { value };
            story.issues += i64::from(cell(row, 2) == "raise");
            story.event(cell(row, 0), &instant(cell(row, 1))?, cell(row, 2), rule, cell(row, 4), value);
        }
        for row in rows(&directory.join("expected-news2.csv"), patients)? {
            let line =
                [&[cell(&row, 0).to_owned(), instant(cell(&row, 1))?], row.get(2..).unwrap_or_default()].concat();
            *story.scores.entry(line.join(",")).or_default() += 1;
        }
        Ok(story)
    }

    /// What the server says of all patients but the helpers of this program.
    pub(crate) async fn told(nodes: &Nodes) -> Result<Self> {
        let mut story = Self::default();
        for issue in nodes.all("/fhir/DetectedIssue?_count=200").await? {
            story.issue(&issue)?;
        }
        let scores = "/fhir/Observation?code=https://vigia.dev/fhir/CodeSystem/score%7Cnews2&_count=200";
        for score in nodes.all(scores).await? {
            story.score(&score)?;
        }
        Ok(story)
    }

    fn event(&mut self, patient: &str, at: &str, event: &str, rule: &str, level: &str, value: f64) {
        *self.events.entry(format!("{patient},{at},{event},{rule},{level},{value:.4}")).or_default() += 1;
    }

    fn issue(&mut self, issue: &Value) -> Result<()> {
        let patient = text(issue, "/patient/reference").trim_start_matches("Patient/");
        if patient.starts_with(crate::nodes::FENCE) {
            return Ok(());
        }
        if text(issue, "/status") == "entered-in-error" {
            self.retracted += 1;
            return Ok(());
        }
        self.issues += 1;
        // The second coding is the rule key: `threshold:8867-4:low`, `news2`.
        let rule = text(issue, "/code/coding/1/code");
        let steps = issue.get("extension").and_then(Value::as_array).into_iter().flatten();
        let steps = steps.filter(|e| text(e, "/url").ends_with("/alert-transition"));
        for step in steps {
            let part = |name: &str| {
                let mut parts = step.get("extension").and_then(Value::as_array).into_iter().flatten();
                parts.find(|part| text(part, "/url") == name)
            };
            let code = |name: &str| part(name).map_or("", |part| text(part, "/valueCode"));
            let at = instant(part("at").map_or("", |part| text(part, "/valueInstant")))?;
            let value = part("value").and_then(|part| part.pointer("/valueQuantity/value")?.as_f64());
            self.event(patient, &at, code("kind"), rule, code("level"), value.unwrap_or(f64::NAN));
        }
        Ok(())
    }

    fn score(&mut self, score: &Value) -> Result<()> {
        let patient = text(score, "/subject/reference").trim_start_matches("Patient/");
        let total = score.pointer("/valueQuantity/value");
        let (Some(total), "final") = (total, text(score, "/status")) else { return Ok(()) };
        let mut line = vec![patient.to_owned(), instant(text(score, "/effectiveDateTime"))?];
        for part in PARTS {
            let own = format!("news2-{part}");
            let named = |component: &&Value| {
                let codings = component.pointer("/code/coding").and_then(Value::as_array).into_iter().flatten();
                codings.into_iter().any(|coding| text(coding, "/code") == own)
            };
            let component = score.get("component").and_then(Value::as_array).and_then(|all| all.iter().find(named));
            line.push(
                component.and_then(|c| c.pointer("/valueQuantity/value")).map_or(String::new(), Value::to_string),
            );
        }
        line.push(total.to_string());
        line.push(text(score, "/interpretation/0/coding/0/code").to_owned());
        *self.scores.entry(line.join(",")).or_default() += 1;
        Ok(())
    }

    /// Prints how the two differ. True when they do not.
    pub(crate) fn holds_against(&self, expected: &Self) -> bool {
        let events = compare("events", &expected.events, &self.events);
        let scores = compare("NEWS2", &expected.scores, &self.scores);
        println!(
            "DetectedIssues: {} of {} episodes; {} more were told and taken back",
            self.issues, expected.issues, self.retracted
        );
        events && scores && self.issues == expected.issues
    }
}

fn compare(name: &str, expected: &Lines, found: &Lines) -> bool {
    let count = |lines: &Lines| lines.values().sum::<i64>();
    let less = |a: &Lines, b: &Lines| -> Vec<String> {
        a.iter().filter(|(line, n)| b.get(*line).unwrap_or(&0) < n).map(|(line, _)| line.clone()).collect()
    };
    let (lost, more) = (less(expected, found), less(found, expected));
    println!(
        "{name}: {} expected, {} told, {} missing, {} too many",
        count(expected),
        count(found),
        lost.len(),
        more.len()
    );
    for (sign, lines) in [('-', &lost), ('+', &more)] {
        lines.iter().take(20).for_each(|line| println!("  {sign} {line}"));
    }
    lost.is_empty() && more.is_empty()
}

fn rows(file: &Path, patients: &str) -> Result<Vec<Vec<String>>> {
    let mut reader = csv::Reader::from_path(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let mut all = Vec::new();
    for record in reader.records() {
        let row: Vec<String> = record?.iter().map(str::to_owned).collect();
        if cell(&row, 0).starts_with(patients) {
            all.push(row);
        }
    }
    ensure!(!all.is_empty(), "{} says nothing of these patients", file.display());
    Ok(all)
}

fn cell(row: &[String], at: usize) -> &str {
    row.get(at).map_or("", String::as_str)
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn instant(text: &str) -> Result<String> {
    let at = DateTime::parse_from_rfc3339(text).with_context(|| format!("no instant: {text}"))?;
    Ok(at.to_utc().to_rfc3339_opts(SecondsFormat::Secs, true))
}
