//! Reading one resource: the version that stands, or any version.

use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};

use super::kind;
use super::search::pairs;
use crate::api::Shared;
use crate::api::caller::Caller;
use crate::api::reply::{Answer, etag, stored, version_headers};
use crate::error::Error;
use crate::fhir::shape::{Summary, View};
use crate::store::Stored;

/// The version that stands.
#[utoipa::path(get, path = "/fhir/{type}/{id}", tag = "fhir",
    params(("type" = String, Path, description = "R4 resource type"), ("id" = String, Path, description = "Logical id"),
        ("_summary" = Option<String>, Query), ("_elements" = Option<String>, Query)),
    responses((status = 200, content_type = "application/fhir+json", description = "The resource; its version is the ETag"),
              (status = 304, description = "If-None-Match names the version that stands, or it is not newer than If-Modified-Since"),
              (status = 404, description = "Not known"), (status = 410, description = "Deleted")))]
pub(crate) async fn read(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Answer {
    let (kind, id) = (kind(&path.0)?, &path.1);
    let view = view(request.query_string(), kind)?;
    let found = state.store.find(&caller, kind, id).await?;
    if unchanged(request.headers(), &found) {
        let mut response = HttpResponse::NotModified();
        version_headers(&mut response, found.version, found.updated);
        return Ok(response.finish());
    }
    stored(&request, &found, &view)
}

/// Whether the caller holds the version that stands. `If-None-Match` is exact, so it goes before the time.
fn unchanged(headers: &HeaderMap, found: &Stored) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(held) = text(header::IF_NONE_MATCH) {
        return held.split(',').any(|tag| tag.trim() == "*" || etag(tag).is_ok_and(|version| version == found.version));
    }
    let since = text(header::IF_MODIFIED_SINCE).and_then(|text| text.parse::<header::HttpDate>().ok());
    let since = since.and_then(|date| SystemTime::from(date).duration_since(UNIX_EPOCH).ok());
    // The header has whole seconds, as `Last-Modified` had that the caller repeats.
    since.is_some_and(|since| i64::try_from(since.as_secs()).is_ok_and(|s| found.updated.div_euclid(1_000_000) <= s))
}

/// How much of one resource is wanted. A count is of searches alone.
pub(super) fn view(query: &str, kind: &str) -> Result<View, Error> {
    let view = View::read(&pairs(query)?, &[kind])?;
    if view.summary() == Summary::Count {
        return Err(Error::invalid("value", "http._summary", "a count is of searches alone"));
    }
    Ok(view)
}

/// One version, whether it stands or not.
#[utoipa::path(get, path = "/fhir/{type}/{id}/_history/{version}", tag = "fhir",
    params(("type" = String, Path), ("id" = String, Path), ("version" = String, Path)),
    responses((status = 200, content_type = "application/fhir+json", description = "That version"),
              (status = 404, description = "Not known"), (status = 410, description = "That version is a deletion")))]
pub(crate) async fn version(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String, String)>,
) -> Answer {
    let (kind, id) = (kind(&path.0)?, &path.1);
    let version = path.2.parse().map_err(|_| Error::not_found(kind, id))?;
    let view = view(request.query_string(), kind)?;
    stored(&request, &state.store.find_version(&caller, kind, id, version).await?, &view)
}
