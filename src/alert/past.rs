//! The past that windows are made of, read from the store: for one window, or for all of a patient at once, since most of
//! them need the same few readings. Layer 5, beside the engine: it reads the store.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::patients::{self, Key};
use super::reading::{self, Taken};
use super::rule::{LookBack, RuleSet, STEADY};
use crate::error::Error;
use crate::fhir::LOINC;
use crate::fhir::reading::{Code, Reading};
use crate::normalize::codes;
use crate::store::{Entry, Past, Store};

/// More readings than this are not gone through again for one correction.
pub(super) const MOST: usize = 100_000;
/// Nor are more of one kind looked at for the few that a window starts from.
const MOST_BEFORE: usize = 10_000;
/// What reaches no further back is asked for all windows of a patient at once, µs.
const SHORT: i64 = STEADY;

/// What some signals of a window need.
struct Want {
    places: Vec<usize>,
    codes: Vec<Code>,
    own: LookBack,
}

/// Readings that were found, with how many of each kind were asked for.
struct Found {
    entries: Vec<Arc<Entry>>,
    count: usize,
}

/// The past of a patient under a rule: everything that was measured in this span (µs UTC) and committed up to `upto`, with
/// the look back that a window needs. None when it is too much.
pub(super) async fn of(
    store: &Store,
    key: &Key,
    cause: &Taken,
    span: Range<i64>,
    upto: i64,
) -> Result<Option<Vec<Taken>>, Error> {
    let mut all = Vec::new();
    for want in wants(key, cause) {
        match enough(store, key, &want, &span, upto).await? {
            Some(entries) => all.extend(entries),
            None => return Ok(None),
        }
    }
    of_key(store, key, all).await.map(Some)
}

/// The same for many windows, each from its reading on.
pub(super) async fn of_all(store: &Store, windows: &[(Key, Taken)], upto: i64) -> Result<Vec<Vec<Taken>>, Error> {
    let wanted: Vec<Vec<Want>> = windows.iter().map(|(key, cause)| wants(key, cause)).collect();
    let (asked, places) = asked(windows, &wanted, upto);
    let counts: Vec<usize> = asked.iter().map(|(_, past)| past.count).collect();
    let answers = store.pasts(asked).await?;
    let mut places = places.into_iter();
    let mut pasts = Vec::with_capacity(windows.len());
    for ((key, cause), wants) in windows.iter().zip(wanted) {
        let span = cause.sample.at..i64::MAX;
        let mut all = Vec::new();
        for want in wants {
            let answer = places.next().and_then(|at| Some((answers.get(at)?.as_ref()?, *counts.get(at)?)));
            let found = answer.map(|(entries, count)| Found::of(entries, &want, count));
            match found {
                Some(found) if is_enough(store, key, &want, &found, span.start).await? => all.extend(found.entries),
                _ => all.extend(enough(store, key, &want, &span, upto).await?.unwrap_or_default()),
            }
        }
        pasts.push(of_key(store, key, all).await?);
    }
    Ok(pasts)
}

/// What is asked of the store, by patient: one question for all that reaches back a little only, one for each that
/// reaches further. Then, for each want in its turn, which of them it is.
fn asked(windows: &[(Key, Taken)], wanted: &[Vec<Want>], upto: i64) -> (Vec<(Arc<str>, Past)>, Vec<usize>) {
    let mut asked: Vec<(Arc<str>, Past)> = Vec::new();
    let mut shared: HashMap<Arc<str>, usize> = HashMap::new();
    let mut places = Vec::new();
    for ((key, cause), want) in
        windows.iter().zip(wanted).flat_map(|(window, all)| all.iter().map(move |w| (window, w)))
    {
        let back = want.own.back.max(SHORT);
        let known = shared.get(&key.patient).copied().filter(|_| back == SHORT);
        let place = known.unwrap_or(asked.len());
        if known.is_none() {
            let past = Past { codes: vec![], span: i64::MAX..i64::MAX, count: 0, upto, most: MOST };
            asked.push((key.patient.clone(), past));
        }
        if back == SHORT {
            shared.insert(key.patient.clone(), place);
        }
        if let Some((_, past)) = asked.get_mut(place) {
            past.codes.extend(want.codes.iter().cloned());
            past.count = past.count.max(want.own.count);
            past.span.start = past.span.start.min(cause.sample.at.saturating_sub(back));
        }
        places.push(place);
    }
    for (_, past) in &mut asked {
        past.codes.sort_unstable();
        past.codes.dedup();
    }
    (asked, places)
}

/// What the signals of this window need; those that need as much of it together.
///
/// Members of panels are stored under their panel's code: that of the usual one, and that of the reading in hand.
fn wants(key: &Key, cause: &Taken) -> Vec<Want> {
    let mut wants: Vec<Want> = Vec::new();
    for (place, signal) in key.rule.signals.iter().enumerate() {
        let own = key.rule.look_back_of(place);
        let known = wants.iter_mut().find(|want| (want.own.count, want.own.back) == (own.count, own.back));
        if let Some(want) = known {
            want.places.push(place);
            want.codes.extend(signal.codes.iter().cloned());
        } else {
            wants.push(Want { places: vec![place], codes: signal.codes.clone(), own });
        }
    }
    for want in &mut wants {
        if want.own.back <= SHORT || want.places.contains(&usize::from(cause.sample.signal)) {
            want.codes.extend(cause.reading().into_iter().flat_map(|reading| reading.codings.iter().cloned()));
        }
        if want.codes.iter().any(is_pressure) {
            want.codes.push((LOINC.to_owned(), codes::PANEL.to_owned()));
        }
        want.codes.sort_unstable();
        want.codes.dedup();
    }
    wants
}

/// May it be a member of the usual panel? Of MDC the pressures of blood are, by any method.
fn is_pressure((system, code): &Code) -> bool {
    match system.as_str() {
        LOINC => [codes::SYSTOLIC, codes::DIASTOLIC, codes::MEAN].contains(&code.as_str()),
        codes::MDC => code.starts_with("150"),
        _ => false,
    }
}

/// Reads until it is enough. None when it is too much.
async fn enough(
    store: &Store,
    key: &Key,
    want: &Want,
    span: &Range<i64>,
    upto: i64,
) -> Result<Option<Vec<Arc<Entry>>>, Error> {
    let mut count = want.own.count;
    loop {
        let past = Past {
            codes: want.codes.clone(),
            span: span.start.saturating_sub(want.own.back)..span.end,
            count,
            upto,
            most: MOST,
        };
        let Some(entries) = store.past(&key.patient, past).await? else { return Ok(None) };
        let found = Found { entries, count };
        if count >= MOST_BEFORE || is_enough(store, key, want, &found, span.start).await? {
            return Ok(Some(found.entries));
        }
        count *= 8;
    }
}

/// Are there as many useful readings of each signal before this instant as are wanted, or no more to be had?
///
/// A sensor that was off for long has left many readings that count for nothing.
async fn is_enough(store: &Store, key: &Key, want: &Want, found: &Found, from: i64) -> Result<bool, Error> {
    let taken = of_key(store, key, found.entries.clone()).await?;
    let start = from.saturating_sub(want.own.back);
    let before = |entry: &&Arc<Entry>| starts(entry) < start;
    Ok(want.places.iter().all(|place| {
        let useful = taken.iter().filter(|taken| usize::from(taken.sample.signal) == *place && taken.is_useful());
        if useful.filter(|taken| taken.sample.at < start).count() >= want.own.count {
            return true;
        }
        let codes = key.rule.signals.get(*place).map(|signal| signal.codes.as_slice()).unwrap_or_default();
        let carried: Vec<&Arc<Entry>> =
            found.entries.iter().filter(before).filter(|entry| carries(entry, codes)).collect();
        let reach = key.rule.look_back_of(*place).reach;
        let oldest = carried.iter().map(|entry| starts(entry)).min();
        carried.len() < found.count || reach.is_some_and(|reach| oldest.is_some_and(|oldest| oldest < from - reach))
    }))
}

impl Found {
    /// What this wants of an answer.
    fn of(answer: &[Arc<Entry>], want: &Want, count: usize) -> Self {
        let wanted = |entry: &&Arc<Entry>| carries(entry, &want.codes);
        Self { entries: answer.iter().filter(wanted).cloned().collect(), count }
    }
}

fn starts(entry: &Entry) -> i64 {
    let effective = reading::reading(entry).and_then(|reading| reading.effective);
    effective.map_or(entry.updated, |(start, _)| start)
}

/// Does it, or one of its members, carry one of these codes?
fn carries(entry: &Entry, codes: &[Code]) -> bool {
    let any = |codings: &[Code]| codings.iter().any(|code| codes.contains(code));
    reading::reading(entry).is_some_and(|reading: &Reading| {
        any(&reading.codings)
            || reading.amounts().any(|(codings, _)| any(codings))
            || reading.answers.iter().any(|(codings, _)| any(codings))
    })
}

/// What the key's rule takes of these entries, in the order of their times.
async fn of_key(store: &Store, key: &Key, entries: Vec<Arc<Entry>>) -> Result<Vec<Taken>, Error> {
    let own = RuleSet::of(key.rule.clone());
    let once: BTreeMap<i64, Arc<Entry>> = entries.into_iter().map(|entry| (entry.seq, entry)).collect();
    let mut all = Vec::new();
    for entry in once.values() {
        all.extend(patients::taken(store, &own, entry).await?);
    }
    all.retain(|taken: &Taken| taken.device() == key.device.as_deref());
    all.sort_by_key(|taken| (taken.sample.at, taken.sample.seq));
    Ok(all)
}
