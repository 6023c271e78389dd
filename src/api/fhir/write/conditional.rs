//! Writes of the one resource that a condition finds. What it finds is looked at again where the commit is made, so
//! two callers never both find nothing.

use actix_web::{HttpRequest, web};

use super::answer::{Asked, answer, deleted};
use super::checked;
use super::criterion::{if_match, in_address, update_match};
use crate::api::Shared;
use crate::api::caller::Caller;
use crate::api::fhir::{kind, patch};
use crate::api::reply::Answer;
use crate::auth::access::Action;
use crate::pipeline::{Interaction, Work};

/// Updates what the search parameters find; creates it when they find nothing.
#[utoipa::path(put, path = "/fhir/{type}", tag = "fhir",
    params(("type" = String, Path), ("If-Match" = Option<String>, Header, description = "The version that must stand"),
        ("If-None-Match" = Option<String>, Header, description = "*: create it, if nothing is found")),
    request_body(content = Object, content_type = "application/fhir+json"),
    responses((status = 200, description = "One was found and updated"), (status = 201, description = "None was found, so this was created"),
              (status = 400, description = "No search parameter, or the body has another id than what was found"),
              (status = 409, description = "The id in the body belongs to a resource that the parameters do not find"),
              (status = 412, description = "Several are found, or another version stands")))]
pub(crate) async fn update(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
) -> Answer {
    let kind = kind(&path)?;
    caller.check(Action::Update, kind)?;
    let (asked, if_match) = (Asked::of(&request)?, update_match(request.headers())?);
    let criterion = Some(in_address(&state.store.params(), &request, kind)?);
    let checked = checked(&state, &request, payload, kind).await?;
    let interaction = Interaction { kind, id: None, criterion, if_match, work: Work::Update(checked) };
    let done = state.pipeline.carry_out(&caller, interaction, asked.content()).await?;
    answer(&state, &caller, &request, kind, done, asked).await
}

/// Patches what the search parameters find.
#[utoipa::path(patch, path = "/fhir/{type}", tag = "fhir",
    params(("type" = String, Path), ("If-Match" = Option<String>, Header, description = "The version that must stand")),
    request_body(content = Object, content_type = "application/json-patch+json"),
    responses((status = 200, description = "One was found and patched"), (status = 404, description = "None was found"),
              (status = 412, description = "Several are found, or another version stands")))]
pub(crate) async fn patch(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
) -> Answer {
    let kind = kind(&path)?;
    caller.check(Action::Update, kind)?;
    let (asked, if_match) = (Asked::of(&request)?, if_match(request.headers())?);
    let criterion = Some(in_address(&state.store.params(), &request, kind)?);
    let work = Work::Patch(patch::read(&request, payload, state.settings.max_body_bytes).await?);
    let interaction = Interaction { kind, id: None, criterion, if_match, work };
    let done = state.pipeline.carry_out(&caller, interaction, asked.content()).await?;
    answer(&state, &caller, &request, kind, done, asked).await
}

/// Deletes the one that the search parameters find.
#[utoipa::path(delete, path = "/fhir/{type}", tag = "fhir",
    params(("type" = String, Path), ("If-Match" = Option<String>, Header, description = "The version that must stand")),
    responses((status = 204, description = "It is not there, or no longer"), (status = 400, description = "No search parameter"),
              (status = 412, description = "Several are found, or another version stands")))]
pub(crate) async fn delete(state: Shared, caller: Caller, request: HttpRequest, path: web::Path<String>) -> Answer {
    let kind = kind(&path)?;
    caller.check(Action::Delete, kind)?;
    let (asked, if_match) = (Asked::of(&request)?, if_match(request.headers())?);
    let criterion = Some(in_address(&state.store.params(), &request, kind)?);
    let interaction = Interaction { kind, id: None, criterion, if_match, work: Work::Delete };
    let done = state.pipeline.carry_out(&caller, interaction, false).await?;
    deleted(&request, kind, &done.written, asked)
}
