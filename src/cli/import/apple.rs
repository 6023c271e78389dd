//! export.xml of Apple Health, record by record as the file streams. The halves of blood pressures stand in it twice, as
//! records and in a correlation: they are one reading. Workouts, summaries and clinical documents are counted and left
//! out.

use std::collections::HashMap;

use anyhow::{Result, bail};
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value};

use super::entry::{Door, Entry, What};
use super::input::Source;
use super::lines::{row, with_patient};
use super::sink::Sink;
use super::xml::{Events, Step, attribute, copy};
use crate::ingest::device::apple::{self, Record};

/// So many halves of blood pressures wait for their correlation.
const WAITING: usize = 100_000;

/// The element below the root that is being read.
struct Open {
    line: u64,
    name: String,
    kind: String,
    record: Result<Record, String>,
    /// Records of a correlation.
    parts: Vec<Result<Record, String>>,
    original: Vec<u8>,
}

/// The source and the times, which both halves of a blood pressure share.
type Moment = (String, String, String);

struct Half {
    line: u64,
    record: Record,
    original: Vec<u8>,
}

pub(super) struct Export<'a, 's> {
    patient: Option<&'a str>,
    sink: Sink<'s>,
    waiting: HashMap<Moment, Vec<Half>>,
    halves: usize,
}

pub(super) fn read(source: &mut Source<'_>, patient: Option<&str>, sink: Sink<'_>) -> Result<()> {
    let mut export = Export { patient, sink, waiting: HashMap::new(), halves: 0 };
    let mut events = Events::new(source);
    let mut open: Option<Open> = None;
    while let Some(Step { line, depth, event }) = events.next()? {
        let whole = matches!(event, Event::Empty(_) | Event::End(_)) && depth == 1;
        match (&event, depth) {
            (Event::Start(start) | Event::Empty(start), 0) if start.name().into_inner() != "HealthData" => {
                bail!("line {line}: this is no export of Apple Health")
            }
            (Event::Start(start) | Event::Empty(start), 1) => open = Some(Open::of(line, start)),
            (Event::Start(start) | Event::Empty(start), 2) => open.iter_mut().for_each(|open| open.inner(start)),
            _ => {}
        }
        if let Some(open) = open.as_mut().filter(|open| open.is_kept()) {
            copy(&mut open.original, event)?;
        }
        if whole && let Some(open) = open.take() {
            export.element(open)?;
            events.fresh();
        }
    }
    export.lone()?;
    export.sink.flush()
}

impl Open {
    fn of(line: u64, start: &BytesStart<'_>) -> Self {
        let name = start.name().into_inner().to_owned();
        let kind = attribute(start, "type").ok().flatten().unwrap_or_else(|| name.clone());
        let record = if name == "Record" { record(start) } else { Err(String::new()) };
        Self { line, name, kind, record, parts: Vec::new(), original: Vec::new() }
    }

    /// Others are counted, and not repeated.
    fn is_kept(&self) -> bool {
        matches!(self.name.as_str(), "Record" | "Correlation")
    }

    /// What stands in an element: the halves of a correlation, and that a record was typed in.
    fn inner(&mut self, start: &BytesStart<'_>) {
        match (self.name.as_str(), start.name().into_inner()) {
            ("Correlation", "Record") => self.parts.push(record(start)),
            (_, "MetadataEntry") => {
                let is =
                    |name: &str, value: &str| attribute(start, name).is_ok_and(|own| own.as_deref() == Some(value));
                if let Ok(record) = &mut self.record
                    && is("key", "HKWasUserEntered")
                    && is("value", "1")
                {
                    record.typed = true;
                }
            }
            _ => {}
        }
    }
}

fn record(start: &BytesStart<'_>) -> Result<Record, String> {
    let needed = |name: &str| attribute(start, name)?.ok_or_else(|| format!("the attribute {name} is missing"));
    Ok(Record {
        kind: needed("type")?,
        unit: attribute(start, "unit")?,
        value: attribute(start, "value")?,
        source: needed("sourceName")?,
        start: needed("startDate")?,
        end: needed("endDate")?,
        typed: false,
    })
}

impl Export<'_, '_> {
    fn element(&mut self, open: Open) -> Result<()> {
        let Open { line, name, kind, record, parts, original } = open;
        match (name.as_str(), record) {
            ("ExportDate" | "Me", _) => Ok(()),
            ("Record", Ok(record)) if apple::is_pressure(&kind) => self.half(Half { line, record, original }),
            ("Record", Ok(record)) => self.put(line, apple::short(&kind), original, apple::reading(&record)),
            ("Record", Err(why)) => self.put(line, apple::short(&kind), original, Err(why)),
            ("Correlation", _) if apple::short(&kind) == "BloodPressure" => self.correlation(line, parts, original),
            _ => {
                let kind = if name == "Workout" { name } else { apple::short(&kind).to_owned() };
                self.sink.put(&Door::Compact, Entry { line, kind, original, what: What::LeftOut })
            }
        }
    }

    fn correlation(&mut self, line: u64, parts: Vec<Result<Record, String>>, original: Vec<u8>) -> Result<()> {
        let parts: Result<Vec<Record>, String> = parts.into_iter().collect();
        let reading = parts.and_then(|parts| {
            let half = |kind: &str| parts.iter().find(|record| apple::short(&record.kind) == kind);
            let (Some(systolic), Some(diastolic)) = (half("BloodPressureSystolic"), half("BloodPressureDiastolic"))
            else {
                return Err("a blood pressure has a systolic and a diastolic record".to_owned());
            };
            // The same halves stand in the file as records of their own.
            if let Some(halves) = self.waiting.remove(&moment(systolic)) {
                self.halves = self.halves.saturating_sub(halves.len());
            }
            apple::pressure(systolic, diastolic)
        });
        self.put(line, "BloodPressure", original, reading)
    }

    /// One half: kept until its correlation comes, or the end.
    fn half(&mut self, half: Half) -> Result<()> {
        if self.halves >= WAITING {
            self.lone()?;
        }
        self.halves += 1;
        self.waiting.entry(moment(&half.record)).or_default().push(half);
        Ok(())
    }

    /// Halves that no correlation holds: two of one moment are a blood pressure, one is what it is. One that a
    /// correlation holds after all is the same reading, and known as that.
    fn lone(&mut self) -> Result<()> {
        let mut waiting: Vec<Vec<Half>> = self.waiting.drain().map(|(_, halves)| halves).collect();
        self.halves = 0;
        waiting.sort_by_key(|halves| halves.first().map(|half| half.line));
        for halves in waiting {
            match halves.as_slice() {
                [one, other] if one.record.kind != other.record.kind => {
                    let systolic_first = apple::short(&one.record.kind) == "BloodPressureSystolic";
                    let (systolic, diastolic) = if systolic_first { (one, other) } else { (other, one) };
                    let original = [systolic.original.as_slice(), &diastolic.original].concat();
                    let reading = apple::pressure(&systolic.record, &diastolic.record);
                    self.put(one.line, "BloodPressure", original, reading)?;
                }
                all => {
                    for half in all {
                        let reading = apple::reading(&half.record);
                        self.put(half.line, apple::short(&half.record.kind), half.original.clone(), reading)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn put(
        &mut self,
        line: u64,
        kind: &str,
        original: Vec<u8>,
        reading: Result<Map<String, Value>, String>,
    ) -> Result<()> {
        let what = match reading {
            Err(why) => What::Wrong(why),
            Ok(mut reading) => {
                with_patient(&mut reading, self.patient);
                What::Row(row(reading))
            }
        };
        self.sink.put(&Door::Compact, Entry { line, kind: kind.to_owned(), original, what })
    }
}

fn moment(record: &Record) -> Moment {
    (record.source.clone(), record.start.clone(), record.end.clone())
}
