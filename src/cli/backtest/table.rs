//! What a back-test is told as: a table for people, JSON and CSV for programs, and every change and score as CSV.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::super::output;
use crate::alert::backtest::{Concluded, Counts, Record, Report};
use crate::alert::score::Parameter;
use crate::fhir::time;

const LEVELS: [&str; 4] = ["critical", "warning", "advisory", "technical"];

/// Files for every change of level and every score, where they are wanted.
pub(super) struct Writers {
    events: Option<csv::Writer<File>>,
    scores: Option<csv::Writer<File>>,
}

impl Writers {
    pub(super) fn open(events: Option<&Path>, scores: Option<&Path>) -> Result<Self> {
        let open = |path: Option<&Path>, head: &[&str]| -> Result<Option<csv::Writer<File>>> {
            let Some(path) = path else { return Ok(None) };
            let mut writer =
                csv::Writer::from_path(path).with_context(|| format!("cannot write {}", path.display()))?;
            writer.write_record(head)?;
            Ok(Some(writer))
        };
        Ok(Self {
            events: open(events, &["patient", "time", "event", "rule", "key", "level", "value"])?,
            scores: open(scores, &["patient", "time", "score", "total", "band", "points", "missing"])?,
        })
    }

    pub(super) fn write(&mut self, record: &Record, concluded: &Concluded) -> Result<()> {
        let patient = record.patient.trim_start_matches("Patient/");
        if let Some(events) = &mut self.events {
            for episode in &concluded.episodes {
                for change in &episode.changes {
                    let level = episode.rule.level_code(change.cause, change.level());
                    events.write_record([
                        patient,
                        &time::instant(change.at),
                        change.kind.code(),
                        &episode.rule.id,
                        &change.cause.key(episode.rule.subject(episode.code)),
                        level,
                        &change.sample.value.to_string(),
                    ])?;
                }
            }
        }
        if let Some(scores) = &mut self.scores {
            for (_, scored) in &concluded.scores {
                let score = &scored.score;
                let points = score.parts.iter().map(|part| {
                    format!(
                        "{}={}",
                        part.parameter.code(),
                        part.points.map_or_else(String::new, |points| points.to_string())
                    )
                });
                let missing: Vec<&str> = score.missing.iter().map(Parameter::code).collect();
                scores.write_record([
                    patient,
                    &time::instant(scored.at),
                    score.kind.code(),
                    &score.total.map_or_else(String::new, |total| total.to_string()),
                    score.band.map_or("", |band| band.code),
                    &points.collect::<Vec<_>>().join(";"),
                    &missing.join(";"),
                ])?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<()> {
        for mut writer in [self.events, self.scores].into_iter().flatten() {
            writer.flush()?;
        }
        Ok(())
    }
}

fn per_day(report: &Report, count: usize) -> String {
    report.per_day(count).map_or_else(|| "-".to_owned(), |number| format!("{number:.3}"))
}

fn hours(us: i64) -> i64 {
    us / 3_600_000_000
}

/// One line for each rule, one for all, the comparison, and some episodes.
pub(super) fn print(report: &Report) {
    let Report { patients, patient_days, readings, .. } = report;
    output::line(format!("{patients} patients, {patient_days} patient-days, {readings} readings\n"));
    output::line(format!(
        "{:<24} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>9} {:>8}",
        "rule", LEVELS[0], LEVELS[1], LEVELS[2], LEVELS[3], "all", "/day", "patients", "hours"
    ));
    for (id, counts) in &report.rules {
        line(report, id, counts);
    }
    line(report, "all", &report.all);
    if let Some(compared) = &report.compared {
        output::line(format!(
            "\nagainst the others: {} episodes of both, {} only here, {} only there",
            compared.both, compared.only_here, compared.only_there
        ));
    }
    if !report.samples.is_empty() {
        output::line("\nfor instance:");
    }
    for sample in report.samples.iter().take(12) {
        let (from, to) = sample.span();
        let cause = sample.cause().map_or("", |cause| cause.code());
        let to = to.map_or_else(|| "not over".to_owned(), time::instant);
        let value = sample.changes.first().map_or(0.0, |change| change.sample.value);
        let patient = sample.patient.trim_start_matches("Patient/");
        let level = sample.level().code();
        output::line(format!(
            "  {patient}  {}  {cause} {level} at {value}  {} to {to}",
            sample.rule.id,
            time::instant(from)
        ));
    }
}

fn line(report: &Report, id: &str, counts: &Counts) {
    let of = |level: &str| counts.raises.get(level).copied().unwrap_or(0);
    let other = counts.total() - LEVELS.iter().map(|level| of(level)).sum::<usize>();
    let trial = if counts.shadow { " (shadow)" } else { "" };
    let bands = if other > 0 { format!("  {}", bands(counts)) } else { String::new() };
    output::line(format!(
        "{:<24} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>9} {:>8}{trial}{bands}",
        id,
        of(LEVELS[0]),
        of(LEVELS[1]),
        of(LEVELS[2]),
        of(LEVELS[3]),
        counts.total(),
        per_day(report, counts.total()),
        counts.patients.len(),
        hours(counts.alarmed)
    ));
}

/// The levels of scores have names of their own.
fn bands(counts: &Counts) -> String {
    let own = counts.raises.iter().filter(|(level, _)| !LEVELS.contains(level));
    own.map(|(band, count)| format!("{band} {count}")).collect::<Vec<_>>().join(", ")
}

pub(super) fn print_json(report: &Report) {
    let counts = |counts: &Counts| {
        json!({"raises": counts.raises, "total": counts.total(), "perPatientDay": report.per_day(counts.total()),
            "patients": counts.patients.len(), "alarmedHours": hours(counts.alarmed), "shadow": counts.shadow})
    };
    let rules: serde_json::Map<String, Value> =
        report.rules.iter().map(|(id, own)| (id.clone(), counts(own))).collect();
    let compared = report.compared.as_ref().map(
        |compared| json!({"both": compared.both, "onlyHere": compared.only_here, "onlyThere": compared.only_there}),
    );
    output::line(format!(
        "{:#}",
        json!({"patients": report.patients, "patientDays": report.patient_days, "readings": report.readings,
            "rules": rules, "all": counts(&report.all), "compared": compared})
    ));
}

pub(super) fn print_csv(report: &Report) -> Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["rule", "level", "raises", "per_patient_day"])?;
    for (id, counts) in &report.rules {
        for (level, count) in &counts.raises {
            writer.write_record([id.as_str(), level, &count.to_string(), &per_day(report, *count)])?;
        }
    }
    output::line(String::from_utf8(writer.into_inner()?)?.trim_end());
    Ok(())
}
