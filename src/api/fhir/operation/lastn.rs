//! `Observation/$lastn`: the newest readings of each kind. Plain questions are answered from memory; those with
//! other search parameters are searched for kind by kind, so that a long history of one does not hide another.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::Call;
use super::input::{Input, required};
use crate::auth::access::{Action, Reach};
use crate::error::Error;
use crate::fhir::bundle::Writer;
use crate::fhir::lastn::{Kind, Plain, cut, groups};
use crate::fhir::query;
use crate::fhir::reading::Reading;
use crate::fhir::reference;
use crate::store::{Page, Series, Stored};

/// Search parameters that look at a code.
const OF_CODES: [&str; 12] = [
    "category",
    "code",
    "code-value-concept",
    "code-value-date",
    "code-value-quantity",
    "code-value-string",
    "combo-code",
    "combo-code-value-concept",
    "combo-code-value-quantity",
    "component-code",
    "component-code-value-concept",
    "component-code-value-quantity",
];
/// How to answer is for `$lastn` itself to say.
const NOT_HERE: [&str; 8] =
    ["_sort", "_count", "_cursor", "_total", "_include", "_revinclude", "_summary", "_elements"];
/// Kinds and readings that one question may cost.
const KINDS: usize = 2000;
const READ: usize = 20_000;
const PAGE: usize = 200;

pub(super) async fn run(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    let permit = call.access.check(Action::Search, "Observation")?;
    let input = Input::of(call, None)?;
    let max = input.number("max", 1)?.unwrap_or(1);
    let mut pairs = input.pairs_without(&["max"])?;
    if let (Reach::Patient(own), false) = (permit.reach(), pairs.iter().any(|(name, _)| is_subject(name))) {
        pairs.push(("patient".to_owned(), own.clone()));
    }
    for (_, value) in pairs.iter_mut().filter(|(name, _)| is_subject(name)) {
        if let Some(local) = reference::own(value, call.state.store.base()).map(str::to_owned) {
            *value = local;
        }
    }
    demand(&pairs)?;
    let subject = subject(&pairs)?;
    // Every mistake is told before anything is read.
    query::parse(&call.state.store.params(), "Observation", &pairs, false)?;
    let found = match Plain::read(&pairs) {
        Some(question) => call.state.latest.ask(call.access, &question, max).await?,
        None => None,
    };
    let found = match found {
        Some(found) => found,
        None => searched(call, &subject, &pairs, max).await?,
    };
    answer(call, &found)
}

fn is_subject(name: &str) -> bool {
    ["patient", "subject"].contains(&bare(name))
}

fn bare(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// What the definition says that a request shall have, and what it cannot have.
fn demand(pairs: &[(String, String)]) -> Result<(), Error> {
    if let Some((name, _)) = pairs.iter().find(|(name, _)| NOT_HERE.contains(&bare(name))) {
        return Err(Error::invalid("not-supported", format!("http.{name}"), "this does not go with $lastn"));
    }
    if !pairs.iter().any(|(name, _)| is_subject(name)) {
        return Err(required("patient"));
    }
    if pairs.iter().any(|(name, _)| OF_CODES.contains(&bare(name))) { Ok(()) } else { Err(required("code")) }
}

/// The one subject that is asked about.
fn subject(pairs: &[(String, String)]) -> Result<String, Error> {
    let mut subject: Option<String> = None;
    for (name, value) in pairs.iter().filter(|(name, _)| is_subject(name)) {
        let kind = name.split_once(':').map_or("Patient", |(_, kind)| kind);
        let own = if reference::is_id(value) { format!("{kind}/{value}") } else { value.clone() };
        if reference::local(&own).is_none_or(|local| local.version.is_some())
            || subject.as_ref().is_some_and(|other| *other != own)
        {
            let why = "one subject is named here, by its id or by type and id";
            return Err(Error::invalid("value", format!("http.{name}"), why));
        }
        subject = Some(own);
    }
    subject.ok_or_else(|| required("patient"))
}

/// One hit with what it is grouped and ordered by.
struct Hit {
    kind: Kind,
    /// Its time, then its commit.
    place: (i64, i64),
    stored: Arc<Stored>,
}

impl Hit {
    fn of(stored: Stored) -> Result<Self, Error> {
        let reading = Reading::of(&stored.value()?);
        let kind = Kind::of(&reading.codings, reading.text.as_deref());
        let place = (reading.effective.map_or(i64::MIN, |e| e.0), stored.updated);
        Ok(Self { kind, place, stored: Arc::new(stored) })
    }
}

async fn searched(
    call: &Call<'_>,
    subject: &str,
    pairs: &[(String, String)],
    max: usize,
) -> Result<Vec<Arc<Stored>>, Error> {
    let kinds = call.state.store.newest(call.access, subject, 1, KINDS, kinds).await?.ok_or_else(too_costly)?;
    let (coded, texts): (Vec<Kind>, Vec<Kind>) = kinds.into_iter().partition(|kind| !kind.codings().is_empty());
    let mut left = READ;
    let mut hits: BTreeMap<String, Hit> = BTreeMap::new();
    for kind in coded {
        let mut own = pairs.to_vec();
        own.extend(kind.codings().iter().map(|(system, code)| ("code".to_owned(), token(system, code))));
        for hit in newest_of(call, own, max, &|hit| hit.kind == kind, &mut left).await? {
            hits.insert(hit.stored.id.clone(), hit);
        }
    }
    // There is no search for one text: all are looked through, unless a code is asked for.
    let any_text = !pairs.iter().any(|(name, _)| name == "code");
    for kind in texts.into_iter().filter(|_| any_text) {
        for hit in newest_of(call, pairs.to_vec(), max, &|hit| hit.kind == kind, &mut left).await? {
            hits.insert(hit.stored.id.clone(), hit);
        }
    }
    Ok(cut_groups(hits.into_values().collect(), max))
}

fn kinds(all: Vec<Series>) -> Result<Vec<Kind>, Error> {
    let newest = all.into_iter().flat_map(|series| series.readings);
    newest.map(|placed| Ok(Hit::of(placed.stored)?.kind)).collect()
}

/// The newest of the search that are of the kind, down to the last tie.
async fn newest_of(
    call: &Call<'_>,
    mut pairs: Vec<(String, String)>,
    max: usize,
    is_of: &(dyn Fn(&Hit) -> bool + Sync),
    left: &mut usize,
) -> Result<Vec<Hit>, Error> {
    pairs.push(("_sort".to_owned(), "-date".to_owned()));
    pairs.push(("_count".to_owned(), max.saturating_add(1).min(PAGE).to_string()));
    let mut query = query::parse(&call.state.store.params(), "Observation", &pairs, false)?;
    let mut found: Vec<Hit> = Vec::new();
    loop {
        let Page { hits, next, .. } = call.state.store.search(call.access, query.clone()).await?;
        *left = left.checked_sub(hits.len()).ok_or_else(too_costly)?;
        // Bodies are taken apart where they hold no other request up.
        let read = move || hits.into_iter().map(Hit::of).collect::<Result<Vec<Hit>, Error>>();
        found.extend(tokio::task::spawn_blocking(read).await.map_err(Error::internal)??);
        found.retain(is_of);
        let times: Vec<i64> = found.iter().map(|hit| hit.place.0).collect();
        query.cursor = next;
        if query.cursor.is_none() || cut(&times, max) < times.len() {
            return Ok(found);
        }
    }
}

fn cut_groups(hits: Vec<Hit>, max: usize) -> Vec<Arc<Stored>> {
    let of = groups(&hits.iter().map(|hit| &hit.kind).collect::<Vec<_>>());
    let mut by_group: BTreeMap<usize, Vec<Hit>> = BTreeMap::new();
    for (group, hit) in of.into_iter().zip(hits) {
        by_group.entry(group).or_default().push(hit);
    }
    let mut taken: Vec<Hit> = Vec::new();
    for mut group in by_group.into_values() {
        group.sort_by_key(|hit| std::cmp::Reverse(hit.place));
        group.truncate(cut(&group.iter().map(|hit| hit.place.0).collect::<Vec<_>>(), max));
        taken.extend(group);
    }
    taken.sort_by_key(|hit| std::cmp::Reverse(hit.place));
    taken.into_iter().map(|hit| hit.stored).collect()
}

fn token(system: &str, code: &str) -> String {
    let escaped = |text: &str| {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            if ['\\', '|', ',', '$'].contains(&c) {
                out.push('\\');
            }
            out.push(c);
        }
        out
    };
    format!("{}|{}", escaped(system), escaped(code))
}

fn too_costly() -> Error {
    Error::unprocessable("too-costly", "http.patient", "this asks for more readings than one answer may cost")
}

fn answer(call: &Call<'_>, found: &[Arc<Stored>]) -> Result<Vec<u8>, Error> {
    let base = call.state.fhir_base();
    let total = i64::try_from(found.len()).map_err(Error::internal)?;
    let mut writer = Writer::new("searchset", Some(total), &[]);
    let matched = [("search", json!({"mode": "match"}))];
    for reading in found {
        writer.entry(Some(&format!("{base}/Observation/{}", reading.id)), Some(&reading.json()?), &matched);
    }
    Ok(writer.finish())
}
