//! Create, update, patch and delete of one resource, named by its id or by a condition.

pub(super) mod answer;
pub(crate) mod conditional;
pub(super) mod criterion;

use actix_web::{HttpRequest, web};
use fhir_r4::Checked;
use serde_json::Value;

use self::answer::{Asked, answer, deleted};
use self::criterion::{if_match, if_none_exist, update_match};
use super::kind;
use crate::api::caller::Caller;
use crate::api::reply::{Answer, format};
use crate::api::{Shared, State, body};
use crate::auth::access::Action;
use crate::error::Error;
use crate::fhir::reference;
use crate::pipeline::{Interaction, Work};

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
    let asked = Asked::of(&request)?;
    let criterion = if_none_exist(&state.store.params(), &request, kind)?;
    let checked = checked(&state, &request, payload, kind).await?;
    let interaction = Interaction { kind, id: None, criterion, if_match: None, work: Work::Create(checked) };
    let done = state.pipeline.carry_out(&caller, interaction, asked.content()).await?;
    answer(&state, &caller, &request, kind, done, asked).await
}

/// Stores the next version, or the first under an id of the caller's choice.
#[utoipa::path(put, path = "/fhir/{type}/{id}", tag = "fhir",
    params(("type" = String, Path), ("id" = String, Path), ("If-Match" = Option<String>, Header, description = "The version that must stand, or several of which one must"),
        ("If-None-Match" = Option<String>, Header, description = "*: create it, if nothing stands"),
        ("Prefer" = Option<String>, Header, description = "return=minimal, representation or OperationOutcome")),
    request_body(content = Object, content_type = "application/fhir+json"),
    responses((status = 200, description = "The next version stands"), (status = 201, description = "The first version stands"),
              (status = 400, description = "No valid R4"), (status = 412, description = "Another version stands than If-Match names, or one where none may")))]
pub(crate) async fn update(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
) -> Answer {
    let (kind, id) = (kind(&path.0)?, path.1.clone());
    caller.check(Action::Update, kind)?;
    let (asked, if_match) = (Asked::of(&request)?, update_match(request.headers())?);
    let checked = checked(&state, &request, payload, kind).await?;
    same_id(checked.value(), kind, &id)?;
    let interaction = Interaction { kind, id: Some(id), criterion: None, if_match, work: Work::Update(checked) };
    let done = state.pipeline.carry_out(&caller, interaction, asked.content()).await?;
    answer(&state, &caller, &request, kind, done, asked).await
}

/// Changes the version that stands, by JSON Patch or FHIRPath Patch. Without `If-Match` a lost race is run again.
#[utoipa::path(patch, path = "/fhir/{type}/{id}", tag = "fhir",
    params(("type" = String, Path), ("id" = String, Path), ("If-Match" = Option<String>, Header, description = "The version that must stand"),
        ("Prefer" = Option<String>, Header, description = "return=minimal, representation or OperationOutcome")),
    request_body(content = Object, content_type = "application/json-patch+json"),
    responses((status = 200, description = "The next version stands"), (status = 400, description = "No patch"),
              (status = 404, description = "Not known"), (status = 410, description = "Deleted"),
              (status = 412, description = "Another version stands than If-Match names"), (status = 415, description = "A patch of another kind"),
              (status = 422, description = "The patch does not fit what stands, or its result is not valid")))]
pub(crate) async fn patch(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
) -> Answer {
    let (kind, id) = (kind(&path.0)?, path.1.clone());
    caller.check(Action::Update, kind)?;
    let (asked, if_match) = (Asked::of(&request)?, if_match(request.headers())?);
    let patch = super::patch::read(&request, payload, state.settings.max_body_bytes).await?;
    let interaction = Interaction { kind, id: Some(id), criterion: None, if_match, work: Work::Patch(patch) };
    let done = state.pipeline.carry_out(&caller, interaction, asked.content()).await?;
    answer(&state, &caller, &request, kind, done, asked).await
}

/// Marks the resource as deleted; its versions can still be read. What was never known is as good as deleted.
#[utoipa::path(delete, path = "/fhir/{type}/{id}", tag = "fhir",
    params(("type" = String, Path), ("id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204, description = "It is not there, or no longer"), (status = 412, description = "Another version stands")))]
pub(crate) async fn delete(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Answer {
    let (kind, id) = (kind(&path.0)?, path.1.clone());
    caller.check(Action::Delete, kind)?;
    let (asked, if_match) = (Asked::of(&request)?, if_match(request.headers())?);
    let interaction = Interaction { kind, id: Some(id), criterion: None, if_match, work: Work::Delete };
    let done = state.pipeline.carry_out(&caller, interaction, false).await?;
    deleted(&request, kind, &done.written, asked)
}

pub(super) async fn checked(
    state: &State,
    request: &HttpRequest,
    payload: web::Payload,
    kind: &str,
) -> Result<Checked, Error> {
    format(request)?;
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
