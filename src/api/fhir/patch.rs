//! The body of a PATCH: which kind of patch it is goes by its content type, or by the resource that a Bundle's entry
//! carries it in.

use actix_web::http::header;
use actix_web::{HttpRequest, web};

use crate::api::body;
use crate::error::Error;
use crate::fhir::patch::Patch;

const JSON_PATCH: &str = "application/json-patch+json";

/// The patch that the request brings.
pub(super) async fn read(request: &HttpRequest, payload: web::Payload, limit: usize) -> Result<Patch, Error> {
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if is_json_patch(media) {
        return of_media(media, &body::read(request, payload, limit).await?);
    }
    // No type at all is no FHIR either: a patch says what it is.
    if media.is_empty() {
        return Err(body::UNKNOWN_TYPE);
    }
    Patch::parameters(body::resource(request, payload, limit).await?)
}

/// The patch that these bytes of this type are.
pub(super) fn of_media(media: &str, bytes: &[u8]) -> Result<Patch, Error> {
    if is_json_patch(media) { Patch::json(bytes) } else { Err(body::UNKNOWN_TYPE) }
}

fn is_json_patch(media: &str) -> bool {
    media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(JSON_PATCH)
}
