//! Recordings: rows of `patient,time,code,value,unit,status` as readings in the order of their times, and the
//! times moved so that the recording begins now and runs as fast as asked. Rows that cannot be read are told
//! with their line and left out; no value is repeated. No sockets in here.

use std::collections::HashMap;
use std::io::Read;

use anyhow::{Context, Result, bail};

use super::super::bedside::reading::{Measure, Reading};
use crate::fhir::time;
use crate::normalize::codes::{DIASTOLIC, MEAN, SYSTOLIC};
use crate::normalize::decimal;

const COLUMNS: [&str; 6] = ["patient", "time", "code", "value", "unit", "status"];
const STATUS: [&str; 8] =
    ["final", "preliminary", "amended", "corrected", "entered-in-error", "cancelled", "registered", "unknown"];

/// A file, read.
pub(super) struct Recording {
    pub(super) patients: Vec<String>,
    /// In the order of their times.
    pub(super) rows: Vec<Row>,
    /// Lines that were left out, and why.
    pub(super) skipped: Vec<(u64, &'static str)>,
}

/// A reading of a patient, at its own time.
pub(super) struct Row {
    pub(super) patient: usize,
    pub(super) reading: Reading,
}

/// Reads a whole recording.
pub(super) fn read(source: impl Read) -> Result<Recording> {
    let mut csv = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(source);
    let header = csv.headers().context("the recording has no first line")?.clone();
    let mut columns = [0; 6];
    for (column, name) in columns.iter_mut().zip(COLUMNS) {
        let Some(at) = header.iter().position(|text| text.trim_start_matches('\u{feff}') == name) else {
            bail!("the recording has no column `{name}`: {} are needed", COLUMNS.join(","));
        };
        *column = at;
    }
    let (mut names, mut patients) = (HashMap::new(), Vec::new());
    let (mut rows, mut skipped) = (Vec::new(), Vec::new());
    let mut record = csv::StringRecord::new();
    loop {
        let line = csv.position().line();
        match csv.read_record(&mut record) {
            Ok(false) => break,
            Err(error) if error.is_io_error() => return Err(error).context("the recording cannot be read to its end"),
            Err(_) => skipped.push((line, "it is no UTF-8")),
            Ok(true) => {
                let line = record.position().map_or(line, csv::Position::line);
                match row(columns.map(|at| record.get(at).unwrap_or_default())) {
                    Err(why) => skipped.push((line, why)),
                    Ok((name, reading)) => {
                        let next = names.len();
                        let patient = *names.entry(name.to_owned()).or_insert_with(|| {
                            patients.push(name.to_owned());
                            next
                        });
                        rows.push(Row { patient, reading });
                    }
                }
            }
        }
    }
    rows.sort_by_key(|row| (row.reading.at, row.patient));
    Ok(Recording { patients, rows: pressures(rows), skipped })
}

fn row([patient, at, code, value, unit, status]: [&str; 6]) -> Result<(&str, Reading), &'static str> {
    if patient.is_empty() || code.is_empty() || value.is_empty() {
        return Err("the patient, the code or the value is missing");
    }
    let at = Some(at)
        .filter(|at| at.contains('T'))
        .and_then(time::range)
        .ok_or("the time is none with date and clock")?
        .start;
    let status = if status.is_empty() { "final" } else { status };
    let status = STATUS.into_iter().find(|known| *known == status).ok_or("the status is not known")?;
    let unit = Some(unit).filter(|unit| !unit.is_empty() && *unit != "None");
    let code = code.to_owned();
    let what = match (unit, decimal(value)) {
        (Some("text"), _) | (None, None) => Measure::Text { code, value: value.to_owned() },
        (unit, Some(value)) => Measure::Number { code, value, unit: unit.map(str::to_owned) },
        (Some(_), None) => return Err("the value is no number, but has a unit"),
    };
    Ok((patient, Reading { at, status, what }))
}

/// Systolic, diastolic and mean pressure of one patient and moment are one measurement.
fn pressures(rows: Vec<Row>) -> Vec<Row> {
    let mut merged = Vec::with_capacity(rows.len());
    let mut rows = rows.into_iter().peekable();
    while let Some(first) = rows.next() {
        let mut moment = vec![first];
        while let Some(next) = rows.next_if(|next| moment.first().is_some_and(|first| together(first, next))) {
            moment.push(next);
        }
        merged.extend(panel(moment));
    }
    merged
}

fn together(a: &Row, b: &Row) -> bool {
    (a.patient, a.reading.at) == (b.patient, b.reading.at)
}

/// The rows of one patient and moment, with their pressures as one reading when both parts are there, once.
fn panel(moment: Vec<Row>) -> Vec<Row> {
    let only = |code: &str| {
        let mut found = moment.iter().filter_map(|row| part(row, code));
        found.next().filter(|_| found.next().is_none()).cloned()
    };
    let (Some(systolic), Some(diastolic), mean) = (only(SYSTOLIC), only(DIASTOLIC), only(MEAN)) else { return moment };
    let parts: Vec<&str> =
        [Some(SYSTOLIC), Some(DIASTOLIC), mean.as_ref().map(|_| MEAN)].into_iter().flatten().collect();
    let what = Measure::Pressure { systolic, diastolic, mean };
    let whole = moment
        .first()
        .map(|row| Row { patient: row.patient, reading: Reading { at: row.reading.at, status: "final", what } });
    let others = moment.into_iter().filter(|row| parts.iter().all(|code| part(row, code).is_none()));
    others.chain(whole).collect()
}

/// The value, when the row is this part of a pressure.
fn part<'r>(row: &'r Row, wanted: &str) -> Option<&'r String> {
    match &row.reading.what {
        Measure::Number { code, value, unit: Some(unit) }
            if code == wanted && unit == "mm[Hg]" && row.reading.status == "final" =>
        {
            Some(value)
        }
        _ => None,
    }
}

/// Moves a recording to now: its own time to the time at which it is played.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub(super) recorded: i64,
    pub(super) started: i64,
    pub(super) speed: i64,
}

impl Pace {
    pub(super) fn moved(&self, at: i64) -> i64 {
        self.started + (at - self.recorded) / self.speed.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(lines: &str) -> Recording {
        read(format!("patient,time,code,value,unit,status\n{lines}").as_bytes()).unwrap()
    }

    #[test]
    fn rows_are_read_and_bad_ones_told_by_their_line() {
        let read = recording(
            "b,2026-01-01T00:01:00Z,8867-4,72.50,/min,final\n\
             a,2026-01-01T00:00:00Z,o2-device,None,text,final\n\
             a,yesterday,8867-4,72,/min,final\n\
             a,2026-01-01T00:00:30Z,8867-4,high,/min,final\n\
             a,2026-01-01T00:00:30Z,8867-4,71,None,\n\
             a,2026-01-01\n\
             a,2026-01-01T00:00:31Z,8867-4,71,/min,done\n\
             a,2026-01-01T00:00:32Z,8310-5,98.6,[degF],entered-in-error\n",
        );
        assert_eq!(read.patients, ["b", "a"]);
        let lines: Vec<u64> = read.skipped.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [4, 5, 7, 8]);
        let whats: Vec<&Measure> = read.rows.iter().map(|row| &row.reading.what).collect();
        let number = |code: &str, value: &str, unit: Option<&str>| Measure::Number {
            code: code.into(),
            value: value.into(),
            unit: unit.map(str::to_owned),
        };
        assert_eq!(
            whats,
            [
                &Measure::Text { code: "o2-device".into(), value: "None".into() },
                &number("8867-4", "71", None),
                &number("8310-5", "98.6", Some("[degF]")),
                &number("8867-4", "72.50", Some("/min")),
            ]
        );
        assert_eq!(read.rows[2].reading.status, "entered-in-error");
    }

    #[test]
    fn pressures_of_one_moment_are_one_reading() {
        let row = |second: u32, code: &str, status: &str| {
            format!("a,2026-01-01T00:00:{second:02}Z,{code},90,mm[Hg],{status}\n")
        };
        let text = [
            row(1, "8480-6", "final"),
            row(1, "8462-4", "final"),
            row(1, "8478-0", "final"),
            row(2, "8480-6", "final"),
            row(2, "8478-0", "final"),
            row(3, "8480-6", "final"),
            row(3, "8462-4", "entered-in-error"),
        ];
        let rows = recording(&text.concat()).rows;
        let panels =
            rows.iter().filter(|row| matches!(row.reading.what, Measure::Pressure { mean: Some(_), .. })).count();
        assert_eq!((panels, rows.len()), (1, 5));
    }

    #[test]
    fn a_header_is_needed_and_its_order_is_free() {
        assert!(read("patient,time,code,value,unit\n".as_bytes()).is_err());
        assert!(read("".as_bytes()).is_err());
        let read = read(
            "\u{feff}status,unit,value,code,time,patient\nfinal,/min,70,8867-4,2026-01-01T00:00:00Z,p\n".as_bytes(),
        )
        .unwrap();
        assert_eq!((read.rows.len(), read.skipped.len()), (1, 0));
    }

    #[test]
    fn times_are_moved_and_run_faster() {
        let pace = Pace { recorded: 1_000_000, started: 50_000_000, speed: 60 };
        assert_eq!((pace.moved(1_000_000), pace.moved(61_000_000)), (50_000_000, 51_000_000));
    }
}
