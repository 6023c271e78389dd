//! `Patient/[id]/$vitals-summary`: patterns of a patient's readings over whole local days. What is asked is read and
//! bounded here; the figures are `alert::pattern`'s, the digested days come from memory where nothing was written
//! since, and `answer` says it in FHIR.

mod answer;

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::{Value, json};

use super::Call;
use super::input::Input;
use crate::alert::pattern::{Bands, Digest, MOST_DAYS, Night, Signal, Summary, Zone};
use crate::auth::access::Action;
use crate::deliver::days::{Digested, UnitDay};
use crate::error::Error;
use crate::fhir::LOINC;
use crate::fhir::reading::{Code, str_of};
use crate::fhir::time;
use crate::store::{Telling, Wanted};

const PARAMETERS: [&str; 8] = ["code", "period", "start", "end", "offset", "timezone", "night", "slot"];
/// Days that are answered when no beginning is asked for: two weeks, as glucose reports have them.
const DAYS: i64 = 14;
/// Codes that one answer may be about.
const CODES: usize = 20;
/// Readings that one answer may read from the store.
const READ: usize = 1_000_000;
/// Lengths of a slot of the profile, in minutes.
const SLOTS: [usize; 6] = [15, 30, 60, 120, 180, 240];

#[derive(Clone)]
struct Asked {
    subject: String,
    codes: Vec<Wanted>,
    zone: Zone,
    days: Range<i64>,
    /// The local day that it is now.
    today: i64,
    night: Night,
    /// Quarters of an hour.
    slot: u8,
    /// Which parameter the length of time came from.
    place: &'static str,
}

pub(super) async fn run(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    let id = call.id.as_deref().ok_or(Error::UnknownEndpoint)?;
    let mut asked = asked(call, id)?;
    // Who may read the patient is told when there is none; who may read its readings only finds none.
    if call.access.check(Action::Read, "Patient").is_ok() {
        call.state.store.find(call.access, "Patient", id).await?;
    }
    let named = !asked.codes.is_empty();
    if !named {
        asked.codes = vital_signs(call, &asked).await?;
    }
    let (mut parameters, mut left) = (answer::head(&asked), READ);
    for code in &asked.codes {
        let days = call
            .state
            .days
            .ask(call.access, &asked.subject, code, asked.zone, asked.days.clone(), &mut left)
            .await?
            .ok_or_else(|| too_much(asked.place, "this is about more readings than one answer may cost"))?;
        // Many days are milliseconds of work, which is no work for a thread that answers others too.
        let (asked, code) = (asked.clone(), code.clone());
        let said = move || said(&asked, &code, &days, named);
        parameters.extend(tokio::task::spawn_blocking(said).await.map_err(Error::internal)?);
    }
    let answer = json!({"resourceType": "Parameters", "parameter": parameters});
    Ok(answer.to_string().into_bytes())
}

fn too_much(place: &str, why: &str) -> Error {
    Error::unprocessable("too-costly", format!("http.{place}"), why.to_owned())
}

fn asked(call: &Call<'_>, id: &str) -> Result<Asked, Error> {
    let permit = call.access.check(Action::Search, "Observation")?;
    let subject = format!("Patient/{id}");
    if !permit.covers(Some(&subject)) {
        return Err(Error::not_found("Patient", id));
    }
    let input = Input::of(call, None)?;
    input.only(&PARAMETERS)?;
    let zone = zone(&input)?;
    let night = match input.text("night")? {
        None => Night::default(),
        Some(text) => Night::parse(text)
            .ok_or_else(|| wrong("night", "a night is written as 22-06 or 22:30-06:15, on quarters of an hour"))?,
    };
    let slot = input.number("slot", 1)?.unwrap_or(60);
    if !SLOTS.contains(&slot) {
        return Err(wrong("slot", "a slot lasts 15, 30, 60, 120, 180 or 240 minutes"));
    }
    let (days, place) = days(call, &input, zone)?;
    let slot = u8::try_from(slot / 15).map_err(Error::internal)?;
    let today = zone.day(call.state.store.clock().now());
    Ok(Asked { subject, codes: codes(&input)?, zone, days, today, night, slot, place })
}

fn zone(input: &Input) -> Result<Zone, Error> {
    match (input.text("offset")?, input.text("timezone")?) {
        (None, None) => Ok(Zone::UTC),
        (Some(_), Some(_)) => Err(wrong("timezone", "an offset or a time zone is given, not both")),
        (Some(text), None) => {
            Zone::parse(text).ok_or_else(|| wrong("offset", "a distance from UTC is written as +02:00, -05:30 or Z"))
        }
        (None, Some(text)) => Zone::named(text)
            .ok_or_else(|| wrong("timezone", "no such time zone is known; they are named as Europe/Madrid")),
    }
}

fn wrong(name: &str, why: &str) -> Error {
    Error::invalid("value", format!("http.{name}"), why.to_owned())
}

/// `8867-4` of any system, or `http://loinc.org|8867-4`; each once.
fn codes(input: &Input) -> Result<Vec<Wanted>, Error> {
    let mut codes: Vec<Wanted> = Vec::new();
    for text in input.texts("code")? {
        let wanted = match text.split_once('|') {
            None => (None, text.to_owned()),
            Some((system, code)) => (Some(system.to_owned()), code.to_owned()),
        };
        if wanted.1.is_empty() {
            return Err(wrong("code", "a code is written as code or system|code"));
        }
        if !codes.contains(&wanted) {
            codes.push(wanted);
        }
    }
    if codes.len() > CODES {
        Err(too_much("code", "this is more codes than one answer may be about"))
    } else {
        Ok(codes)
    }
}

/// The whole local days that are touched by what is asked for, and by which parameter.
fn days(call: &Call<'_>, input: &Input, zone: Zone) -> Result<(Range<i64>, &'static str), Error> {
    let period = input.object("period")?;
    if period.is_some() && (input.has("start") || input.has("end")) {
        return Err(wrong("period", "a period or its start and end are given, not both"));
    }
    let (start, end, place) = match period {
        Some(period) => (str_of(period, "start"), str_of(period, "end"), "period"),
        None => (input.text("start")?, input.text("end")?, "start"),
    };
    let name = |own: &'static str| if period.is_some() { "period" } else { own };
    let end = match end {
        None => zone.day(call.state.store.clock().now()) + 1,
        Some(text) => zone.day(bounds(text, zone).ok_or_else(|| wrong(name("end"), "this is no time"))?.1 - 1) + 1,
    };
    let start = match start {
        None => end - DAYS,
        Some(text) => zone.day(bounds(text, zone).ok_or_else(|| wrong(name("start"), "this is no time"))?.0),
    };
    if start >= end {
        return Err(wrong(place, "the end is before the start"));
    }
    match usize::try_from(end - start) {
        Ok(days) if days <= MOST_DAYS => Ok((start..end, place)),
        _ => Err(too_much(place, "a summary is of 366 days at most")),
    }
}

/// What a time covers; a date is a date where the patient is.
fn bounds(text: &str, zone: Zone) -> Option<(i64, i64)> {
    let range = time::range(text)?;
    if text.contains('T') { Some((range.start, range.end)) } else { Some((zone.utc(range.start), zone.utc(range.end))) }
}

/// What the patient has of vital signs in the period: by category, or since the house knows the code as one.
async fn vital_signs(call: &Call<'_>, asked: &Asked) -> Result<Vec<Wanted>, Error> {
    let stretch = (asked.zone.midnight(asked.days.start), asked.zone.midnight(asked.days.end));
    let told = call.state.store.telling(call.access, &asked.subject, stretch).await?;
    let told =
        told.ok_or_else(|| too_much("code", "the patient has more kinds of readings than can be looked through"))?;
    let codes: BTreeSet<Code> = told.iter().flat_map(of_kind).collect();
    if codes.len() > CODES {
        return Err(too_much("code", "the patient has more vital signs than one answer may be about: name some"));
    }
    Ok(codes.into_iter().map(|(system, code)| (Some(system), code)).collect())
}

fn of_kind(told: &Telling) -> impl Iterator<Item = Code> {
    let vital = told.category.iter().any(|(_, code)| code == "vital-signs");
    told.codings.iter().filter_map(move |codings| {
        let known = codings.iter().find(|(system, code)| system == LOINC && Signal::of(code).is_some());
        let first = || codings.iter().find(|(system, _)| system == LOINC).or_else(|| codings.first());
        known.or_else(|| if vital { first() } else { None }).cloned()
    })
}

fn units(days: &Digested) -> BTreeSet<String> {
    days.iter().flat_map(|(_, units)| units.iter().map(|unit| unit.unit.clone())).collect()
}

/// The summaries of one code, one for each unit that cannot be turned into the others.
fn said(asked: &Asked, code: &Wanted, days: &Digested, named: bool) -> Vec<Value> {
    let units = units(days);
    if units.is_empty() && named {
        return vec![answer::nothing(code)];
    }
    units.iter().map(|unit| one(asked, code, unit, days)).collect()
}

fn one(asked: &Asked, code: &Wanted, unit: &str, days: &Digested) -> Value {
    let of_unit = || days.iter().filter_map(|(day, units)| Some((*day, units.iter().find(|own| own.unit == unit)?)));
    let digests: Vec<(i64, &Digest)> = of_unit().map(|(day, own)| (day, &own.digest)).collect();
    let implausible = of_unit().map(|(_, own)| own.implausible).sum();
    let signal = UnitDay::signal(&code.1, unit);
    let nothing = Bands::default();
    let bands = signal.map_or(&nothing, |signal| &signal.bands);
    // A day that is not over has missed nothing yet.
    let judged = asked.days.start..asked.days.end.min(asked.today);
    let summary = Summary::of(&digests, bands, asked.slot, asked.night, judged);
    answer::Said { code, unit, signal, bands, summary: &summary, implausible, night: asked.night }.parameter()
}
