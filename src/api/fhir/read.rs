//! Reading one resource: the version that stands, or any version.

use actix_web::{HttpRequest, HttpResponse, http::header, web};

use super::kind;
use crate::api::Shared;
use crate::api::caller::Caller;
use crate::api::reply::{Answer, etag, stored};
use crate::error::Error;

/// The version that stands.
#[utoipa::path(get, path = "/fhir/{type}/{id}", tag = "fhir",
    params(("type" = String, Path, description = "R4 resource type"), ("id" = String, Path, description = "Logical id")),
    responses((status = 200, content_type = "application/fhir+json", description = "The resource; its version is the ETag"),
              (status = 304, description = "If-None-Match names the version that stands"),
              (status = 404, description = "Not known"), (status = 410, description = "Deleted")))]
pub(crate) async fn read(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Answer {
    let (kind, id) = (kind(&path.0)?, &path.1);
    let found = state.store.find(&caller, kind, id).await?;
    if let Some(held) = request.headers().get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok())
        && held.split(',').any(|tag| etag(tag).is_ok_and(|version| version == found.version))
    {
        return Ok(HttpResponse::NotModified()
            .insert_header((header::ETAG, format!("W/\"{}\"", found.version)))
            .finish());
    }
    stored(&request, &found)
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
    stored(&request, &state.store.find_version(&caller, kind, id, version).await?)
}
