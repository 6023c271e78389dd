//! `$everything`: all that is known about one patient, or one encounter, page by page. First itself, then what is
//! in its compartment, then what that refers to and is no other patient's.

use fhir_r4::Issue;
use serde_json::Value;

use super::{Call, value_of};
use crate::api::fhir::search::{belonging, entries, pairs};
use crate::auth::access::{Action, Reach};
use crate::error::Error;
use crate::fhir::bundle::Writer;
use crate::fhir::compartment::{care_date, members};
use crate::fhir::query::{DEFAULT_COUNT, MAX_COUNT, Query, parse};
use crate::fhir::registry::Params;
use crate::fhir::shape::View;
use crate::fhir::time;
use crate::store::{Everything, Stored};

/// What may be asked for.
const PARAMETERS: [&str; 7] = ["_since", "_type", "_count", "_cursor", "start", "end", "_elements"];

pub(super) async fn run(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    let name = call.kind.ok_or(Error::UnknownEndpoint)?;
    let id = whose(call, name)?;
    let pairs = asked_pairs(call)?;
    let view = View::read(&pairs, fhir_r4::resource_types())?;
    // Whether it may be seen at all is said before anything else.
    let itself = call.state.store.find(call.access, name, &id).await?;
    let mut asked = asked(name, &id, &itself, &pairs)?;
    let shown = asked.cursor.is_none() && takes(&asked, &itself);
    let mut hits = Vec::new();
    if shown {
        hits.push(itself);
        asked.count = asked.count.saturating_sub(1);
    }
    let page = call.state.store.everything(call.access, asked).await?;
    hits.extend(page.hits);
    let base = call.state.fhir_base();
    let links = links(&format!("{base}/{name}/{id}/$everything"), &pairs, page.next.as_deref());
    let mut writer = Writer::new("searchset", None, &links);
    entries(&mut writer, &base, &view, &hits, "match")?;
    Ok(writer.finish())
}

/// The id that is asked about. Without one a caller who is bound to one patient asks about that patient.
fn whose(call: &Call<'_>, name: &str) -> Result<String, Error> {
    if let Some(id) = &call.id {
        return Ok(id.clone());
    }
    let permit = call.access.check(Action::Read, name)?;
    match permit.reach() {
        Reach::Patient(own) => Ok(own.trim_start_matches("Patient/").to_owned()),
        _ => Err(Error::NotSupported("This asks about one patient: Patient/[id]/$everything.".to_owned())),
    }
}

/// The parameters of the address and of a `Parameters` body, as one list.
fn asked_pairs(call: &Call<'_>) -> Result<Vec<(String, String)>, Error> {
    let mut all = pairs(call.query)?;
    let given = call.body.as_ref().and_then(|body| body.get("parameter")?.as_array());
    for parameter in given.into_iter().flatten() {
        let name = parameter.get("name").and_then(Value::as_str).unwrap_or_default();
        let value = match value_of(parameter) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => return Err(Error::invalid("value", format!("Parameters.{name}"), "it has no simple value")),
        };
        all.push((name.to_owned(), value));
    }
    for (name, value) in &all {
        if !PARAMETERS.contains(&name.as_str()) && !matches!(name.as_str(), "_format" | "_pretty") {
            return Err(Error::invalid("not-supported", format!("http.{name}"), "$everything has no such parameter"));
        }
        if value.contains('\0') {
            return Err(Error::invalid("value", format!("http.{name}"), "a value cannot hold the character NUL"));
        }
    }
    Ok(all)
}

fn asked(name: &'static str, id: &str, itself: &Stored, pairs: &[(String, String)]) -> Result<Everything, Error> {
    let values = |wanted: &'static str| pairs.iter().filter(move |(name, _)| name == wanted).map(|(_, v)| v.as_str());
    let members = members(name).ok_or(Error::UnknownEndpoint)?;
    let kinds = kinds(values("_type"))?;
    let since = values("_since").next().map(instant).transpose()?;
    let (mut queries, mut sources) = (Vec::new(), vec![Query::new(name, &[("_id", id)], 1)?]);
    for kind in members.iter().filter(|kind| **kind != name) {
        let source = query(name, id, kind, values("start").next(), values("end").next())?;
        if kinds.as_ref().is_none_or(|kinds| kinds.contains(kind)) {
            let mut query = source.clone();
            if let Some(text) = values("_since").next() {
                let condition = ("_lastUpdated".to_owned(), format!("ge{text}"));
                query.filters.extend(parse(&Params::default(), kind, &[condition], false)?.filters);
            }
            queries.push(query);
        }
        sources.push(source);
    }
    let patient = crate::store::patient_of(name, id, &itself.value()?);
    let cursor = values("_cursor").next().map(str::to_owned);
    let about = format!("{name}/{id}");
    Ok(Everything { queries, sources, about, kinds, since, patient, count: count(values("_count").next())?, cursor })
}

/// What of one type is in the compartment, within the dates of care that are asked for.
fn query(name: &str, id: &str, kind: &str, start: Option<&str>, end: Option<&str>) -> Result<Query, Error> {
    let mut query = Query::new(kind, &[], DEFAULT_COUNT)?;
    query.any = belonging(name, id, kind)?;
    for (own, prefix, date) in [("start", "ge", start), ("end", "le", end)] {
        let Some(date) = date else { continue };
        time::range(date).ok_or_else(|| no_date(own))?;
        if let Some(param) = care_date(kind) {
            let condition = (param.to_owned(), format!("{prefix}{date}"));
            query.filters.extend(parse(&Params::default(), kind, &[condition], false)?.filters);
        }
    }
    Ok(query)
}

fn no_date(name: &str) -> Issue {
    Issue::error("value", format!("http.{name}"), "this is no FHIR date or dateTime")
}

fn instant(text: &str) -> Result<i64, Error> {
    Ok(time::range(text).ok_or_else(|| no_date("_since"))?.start)
}

fn kinds<'a>(values: impl Iterator<Item = &'a str>) -> Result<Option<Vec<&'static str>>, Error> {
    let mut kinds = Vec::new();
    for text in values.flat_map(|value| value.split(',')) {
        let known = crate::api::fhir::kind(text.trim());
        kinds.push(known.map_err(|_| Error::invalid("value", "http._type", "this is no R4 resource type"))?);
    }
    kinds.sort_unstable();
    kinds.dedup();
    Ok((!kinds.is_empty()).then_some(kinds))
}

fn count(text: Option<&str>) -> Result<usize, Error> {
    let count = text.map_or(Ok(DEFAULT_COUNT), str::parse);
    let count = count.map_err(|_| Error::invalid("value", "http._count", "_count must be a whole number"))?;
    Ok(count.clamp(1, MAX_COUNT))
}

/// Whether what it is all about is asked for itself.
fn takes(asked: &Everything, itself: &Stored) -> bool {
    let kind = asked.kinds.as_ref().is_none_or(|kinds| kinds.contains(&itself.resource_type));
    kind && asked.since.is_none_or(|since| itself.updated >= since)
}

fn links(address: &str, pairs: &[(String, String)], next: Option<&str>) -> Vec<(&'static str, String)> {
    let with = |cursor: Option<&str>| {
        let mut link = form_urlencoded::Serializer::new(String::new());
        link.extend_pairs(pairs.iter().filter(|(name, _)| name != "_cursor"));
        link.extend_pairs(cursor.map(|cursor| ("_cursor", cursor)));
        match link.finish() {
            query if query.is_empty() => address.to_owned(),
            query => format!("{address}?{query}"),
        }
    };
    let shown = pairs.iter().find(|(name, _)| name == "_cursor").map(|(_, cursor)| cursor.as_str());
    let mut links = vec![("self", with(shown)), ("first", with(None))];
    links.extend(next.map(|next| ("next", with(Some(next)))));
    links
}
