//! The past that windows are made of, read from the store: for one window, or for all of a patient at once, since most of
//! them need the same few readings. Layer 5, beside the engine: it reads the store.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::patients::{self, Key};
use super::reading::{self, Taken};
use super::rule::{LookBack, RuleSet, STEADY};
use crate::error::Error;
use crate::fhir::LOINC;
use crate::fhir::reading::{Code, Reading};
use crate::store::{Entry, Past, Store};

/// More readings than this are not gone through again for one correction.
pub(super) const MOST: usize = 100_000;
/// Nor are more of one kind looked at for the few that a window starts from.
const MOST_BEFORE: usize = 10_000;
/// What reaches no further back is read for all windows of a patient at once, µs.
const SHORT: i64 = STEADY;

/// The panel that blood pressures are members of.
pub(super) const BLOOD_PRESSURE: &str = "85354-9";

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

/// The same for windows of one patient, each from its reading on.
pub(super) async fn of_all(store: &Store, windows: &[(Key, Taken)], upto: i64) -> Result<Vec<Vec<Taken>>, Error> {
    let wanted: Vec<Vec<Want>> = windows.iter().map(|(key, cause)| wants(key, cause)).collect();
    let shared = shared(store, windows, &wanted, upto).await?;
    let mut pasts = Vec::with_capacity(windows.len());
    for ((key, cause), wants) in windows.iter().zip(wanted) {
        let span = cause.sample.at..i64::MAX;
        let mut all = Vec::new();
        for want in wants {
            let known = shared.as_ref().filter(|_| want.own.back <= SHORT).map(|found| found.of(&want));
            match known {
                Some(found) if is_enough(store, key, &want, &found, span.start).await? => all.extend(found.entries),
                _ => all.extend(enough(store, key, &want, &span, upto).await?.unwrap_or_default()),
            }
        }
        pasts.push(of_key(store, key, all).await?);
    }
    Ok(pasts)
}

/// What all of them need that reaches back a little only.
async fn shared(
    store: &Store,
    windows: &[(Key, Taken)],
    wanted: &[Vec<Want>],
    upto: i64,
) -> Result<Option<Found>, Error> {
    let (Some((first, _)), Some(from)) = (windows.first(), windows.iter().map(|(_, cause)| cause.sample.at).min())
    else {
        return Ok(None);
    };
    let short = || wanted.iter().flatten().filter(|want| want.own.back <= SHORT);
    let mut codes: Vec<Code> = short().flat_map(|want| want.codes.iter().cloned()).collect();
    codes.sort_unstable();
    codes.dedup();
    let count = short().map(|want| want.own.count).max().unwrap_or(0);
    let past = Past { codes, span: from.saturating_sub(SHORT)..i64::MAX, count, upto, most: MOST };
    let found = store.past(&first.patient, past).await?;
    Ok(found.map(|entries| Found { entries, count }))
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
        want.codes.extend(cause.reading().into_iter().flat_map(|reading| reading.codings.iter().cloned()));
        want.codes.push((LOINC.to_owned(), BLOOD_PRESSURE.to_owned()));
        want.codes.sort_unstable();
        want.codes.dedup();
    }
    wants
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
    /// What of it this wants.
    fn of(&self, want: &Want) -> Self {
        let wanted = |entry: &&Arc<Entry>| carries(entry, &want.codes);
        Self { entries: self.entries.iter().filter(wanted).cloned().collect(), count: self.count }
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
