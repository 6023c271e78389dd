//! Create, update, delete of one resource.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use fhir_r4::{Checked, Issue, Severity};
use serde_json::Value;

use super::kind;
use super::search::pairs;
use crate::api::caller::Caller;
use crate::api::reply::{Answer, format, if_match, resource, version_headers};
use crate::api::{Shared, State, body};
use crate::auth::access::{Access, Action};
use crate::clock::new_id;
use crate::error::{Error, outcome_of};
use crate::fhir::query::{self, Query};
use crate::fhir::reference;
use crate::pipeline::Intent;
use crate::store::{Outcome, Written};

/// Stores a new resource. With `If-None-Exist` only when nothing matches it.
#[utoipa::path(post, path = "/fhir/{type}", tag = "fhir", params(("type" = String, Path, description = "R4 resource type"),
        ("If-None-Exist" = Option<String>, Header, description = "Search parameters: create only when they find nothing"),
        ("Prefer" = Option<String>, Header, description = "return=minimal, representation or OperationOutcome")),
    request_body(content = Object, content_type = "application/fhir+json"),
    responses((status = 201, description = "Stored durably; Location names its version"),
              (status = 200, description = "If-None-Exist found this one; nothing was stored"),
              (status = 400, description = "No valid R4"), (status = 412, description = "If-None-Exist finds several"),
              (status = 422, description = "Breaks a profile or a rule"), (status = 429, description = "Too much waits; see Retry-After")))]
pub(crate) async fn create(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
) -> Answer {
    let kind = kind(&path)?;
    caller.check(Action::Create, kind)?;
    format(&request)?;
    let unless = if_none_exist(&request, kind)?;
    let checked = checked(&state, &request, payload, kind).await?;
    let content = wants(&request, "representation").then(|| checked.value().clone());
    let warnings = checked.warnings().to_vec();
    let written = match unless {
        None => state.pipeline.write(&caller, Intent::Create { resource: checked, id: new_id(), guard: None }).await?,
        Some(query) => state.pipeline.create_unless(&caller, &checked, &query).await?,
    };
    answer(&state, &caller, &request, kind, &written, content, &warnings).await
}

/// Stores the next version, or the first under an id of the caller's choice.
#[utoipa::path(put, path = "/fhir/{type}/{id}", tag = "fhir",
    params(("type" = String, Path), ("id" = String, Path), ("If-Match" = Option<String>, Header, description = "The version that must stand")),
    request_body(content = Object, content_type = "application/fhir+json"),
    responses((status = 200, description = "The next version stands"), (status = 201, description = "The first version stands"),
              (status = 400, description = "No valid R4"), (status = 412, description = "Another version stands than If-Match names")))]
pub(crate) async fn update(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
) -> Answer {
    let (kind, id) = (kind(&path.0)?, path.1.clone());
    caller.check(Action::Update, kind)?;
    format(&request)?;
    let expect = if_match(request.headers())?;
    let checked = checked(&state, &request, payload, kind).await?;
    same_id(checked.value(), kind, &id)?;
    let content = wants(&request, "representation").then(|| checked.value().clone());
    let warnings = checked.warnings().to_vec();
    let written = state.pipeline.write(&caller, Intent::Update { resource: checked, id, expect }).await?;
    answer(&state, &caller, &request, kind, &written, content, &warnings).await
}

/// Marks the resource as deleted; its versions can still be read.
#[utoipa::path(delete, path = "/fhir/{type}/{id}", tag = "fhir",
    params(("type" = String, Path), ("id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204, description = "Deleted"), (status = 404, description = "Never known"), (status = 412, description = "Another version stands")))]
pub(crate) async fn delete(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Answer {
    let (kind, id) = (kind(&path.0)?, path.1.clone());
    caller.check(Action::Delete, kind)?;
    let expect = if_match(request.headers())?;
    let written = state.pipeline.write(&caller, Intent::Delete { kind, id, expect }).await?;
    Ok(HttpResponse::NoContent().insert_header((header::ETAG, format!("W/\"{}\"", written.version))).finish())
}

async fn checked(state: &State, request: &HttpRequest, payload: web::Payload, kind: &str) -> Result<Checked, Error> {
    let resource = body::resource(request, payload, state.settings.max_body_bytes).await?;
    let checked = state.pipeline.profiles().check(resource).await?;
    if checked.resource_type() == kind {
        return Ok(checked);
    }
    Err(Error::invalid(
        "invalid",
        "resourceType",
        format!("this address takes {kind}, the body is {}", checked.resource_type()),
    ))
}

/// The id in the body, if any, is that of the address.
pub(super) fn same_id(resource: &Value, kind: &str, id: &str) -> Result<(), Error> {
    if !reference::is_id(id) {
        return Err(Error::invalid("value", format!("{kind}.id"), "an id has 1 to 64 of A-Z a-z 0-9 - ."));
    }
    match resource.get("id").and_then(Value::as_str) {
        Some(own) if own == id => Ok(()),
        Some(_) => Err(Error::invalid("value", format!("{kind}.id"), "the id in the body is not that of the address")),
        None => Err(Error::invalid("required", format!("{kind}.id"), "an update must carry the id of its address")),
    }
}

fn if_none_exist(request: &HttpRequest, kind: &str) -> Result<Option<Query>, Error> {
    let Some(header) = request.headers().get("If-None-Exist") else { return Ok(None) };
    let text = header.to_str().map_err(|_| Error::invalid("value", "http.If-None-Exist", "not readable"))?;
    condition(kind, text).map(Some)
}

/// A condition in the form of a query string. An empty one would match everything and is refused.
pub(super) fn condition(kind: &str, text: &str) -> Result<Query, Error> {
    let text = text.split_once('?').map_or(text, |(_, query)| query);
    let query = query::parse(kind, &pairs(text), false)?;
    if query.filters.is_empty() {
        return Err(Error::invalid("value", "http.If-None-Exist", "a condition needs a search parameter"));
    }
    Ok(query)
}

/// `Prefer: return=…`; representation when nothing is said.
fn wants(request: &HttpRequest, what: &str) -> bool {
    let prefer = request.headers().get("Prefer").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let asked = prefer.split([';', ',']).find_map(|part| part.trim().strip_prefix("return="));
    asked.unwrap_or("representation") == what
}

async fn answer(
    state: &State,
    caller: &Access,
    request: &HttpRequest,
    kind: &'static str,
    written: &Written,
    content: Option<Value>,
    warnings: &[Issue],
) -> Answer {
    let mut response = if written.outcome == Outcome::Created { HttpResponse::Created() } else { HttpResponse::Ok() };
    let location = format!("{}/{kind}/{}/_history/{}", state.fhir_base(), written.id, written.version);
    response.insert_header((header::LOCATION, location));
    version_headers(&mut response, written.version, written.updated);
    match content {
        // What was there already is shown as it is there.
        Some(_) if written.outcome == Outcome::Known => {
            let found = state.store.find(caller, kind, &written.id).await?;
            resource(request, response, found.json()?)
        }
        Some(content) => resource(request, response, with_version(content, written)),
        None if wants(request, "OperationOutcome") => outcome(request, response, kind, written, warnings),
        None => Ok(response.finish()),
    }
}

/// What stands now, and what was odd about it. Warnings are not stored: `$validate` of what stands tells them again.
fn outcome(
    request: &HttpRequest,
    response: HttpResponseBuilder,
    kind: &str,
    written: &Written,
    warnings: &[Issue],
) -> Answer {
    let diagnostics = format!("{kind}/{} stands at version {}", written.id, written.version);
    let code = "informational";
    let mut issues = vec![Issue { severity: Severity::Information, code, expression: String::new(), diagnostics }];
    issues.extend_from_slice(warnings);
    resource(request, response, outcome_of(&issues).to_string().into_bytes())
}

/// What was sent, with the id and the version that it got.
pub(super) fn with_version(mut content: Value, written: &Written) -> Vec<u8> {
    if let Some(members) = content.as_object_mut() {
        let mut meta = members.get("meta").and_then(Value::as_object).cloned().unwrap_or_default();
        meta.insert("versionId".into(), written.version.to_string().into());
        meta.insert("lastUpdated".into(), crate::fhir::time::instant(written.updated).into());
        members.insert("id".into(), written.id.clone().into());
        members.insert("meta".into(), Value::Object(meta));
    }
    content.to_string().into_bytes()
}
