//! What a write depends on: conditions in the form of a search, and the version that `If-Match` names.

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap};

use crate::api::fhir::search::pairs;
use crate::api::reply::etag;
use crate::error::Error;
use crate::fhir::query::{self, Query};
use crate::fhir::registry::Params;
use crate::pipeline::Match;

/// The condition of a create, where it has one.
pub(super) fn if_none_exist(params: &Params, request: &HttpRequest, kind: &str) -> Result<Option<Query>, Error> {
    let Some(header) = request.headers().get("If-None-Exist") else { return Ok(None) };
    let text = header.to_str().map_err(|_| Error::invalid("value", "http.If-None-Exist", "not readable"))?;
    condition(params, kind, text, "http.If-None-Exist").map(Some)
}

/// The condition in an address, in place of an id.
pub(super) fn in_address(params: &Params, request: &HttpRequest, kind: &str) -> Result<Query, Error> {
    condition(params, kind, request.query_string(), "http.query")
}

/// A condition in the form of a query string. One without a filter would match everything and is refused; every
/// parameter must be known, or more would match than is meant.
pub(in crate::api::fhir) fn condition(params: &Params, kind: &str, text: &str, place: &str) -> Result<Query, Error> {
    // `Patient?identifier=…`; a question mark after the first `=` belongs to a value.
    let (named, text) = text.split_once('?').filter(|(named, _)| !named.contains('=')).unwrap_or((kind, text));
    if !named.is_empty() && named != kind {
        return Err(Error::invalid("value", place, format!("the condition is about {kind} here")));
    }
    let query = query::parse(params, kind, &pairs(text)?, false)?;
    if query.filters.is_empty() {
        return Err(Error::invalid("value", place, "a condition needs a search parameter"));
    }
    Ok(query)
}

/// The version that `If-Match` demands.
pub(in crate::api::fhir) fn if_match(headers: &HeaderMap) -> Result<Option<Match>, Error> {
    let values: Vec<&str> = headers.get_all(header::IF_MATCH).map(|value| value.to_str().unwrap_or_default()).collect();
    if values.is_empty() { Ok(None) } else { version_match(&values.join(",")).map(Some) }
}

/// The same of an update, which `If-None-Match: *` makes a creation where nothing stands yet.
pub(super) fn update_match(headers: &HeaderMap) -> Result<Option<Match>, Error> {
    let if_match = if_match(headers)?;
    match headers.get(header::IF_NONE_MATCH) {
        Some(value) => nothing_match(value.to_str().unwrap_or_default(), if_match.is_some(), "http.If-None-Match"),
        None => Ok(if_match),
    }
}

/// `*`, and no `If-Match` beside it: both together can never hold.
pub(in crate::api::fhir) fn nothing_match(
    text: &str,
    with_if_match: bool,
    place: &str,
) -> Result<Option<Match>, Error> {
    if text.trim() == "*" && !with_if_match {
        return Ok(Some(Match::Nothing));
    }
    Err(Error::invalid("value", place, "an update takes * here, and no If-Match beside it"))
}

/// `W/"3"`, `"3"` or `3`, several of them by commas, or `*` for any.
pub(in crate::api::fhir) fn version_match(text: &str) -> Result<Match, Error> {
    if text.trim() == "*" {
        return Ok(Match::Any);
    }
    let mut versions = text.split(',').map(etag).collect::<Result<Vec<_>, _>>()?;
    match versions.pop() {
        Some(only) if versions.is_empty() => Ok(Match::Version(only)),
        last => Ok(Match::OneOf(versions.into_iter().chain(last).collect())),
    }
}
