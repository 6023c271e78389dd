//! `/device/v1/observations`: readings in the compact form.

use actix_web::{HttpRequest, web};

use super::{Receipts, through};
use crate::api::Shared;
use crate::api::body;
use crate::api::caller::Caller;
use crate::api::reply::Answer;
use crate::error::Error;
use crate::ingest::device;

/// Readings in the compact form, as JSON or as one a line (NDJSON). Answered after they are committed; a bad
/// one never harms its neighbours. 200 when at least one was taken, 422 when all were rejected.
#[utoipa::path(post, path = "/device/v1/observations", tag = "device",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key with the same body is taken once; kept for 48 hours")),
    request_body(content = Object, description = "One reading, a list, or {\"patient\", \"device\", \"time\", \"readings\": […]}; see docs/device.md"),
    responses((status = 200, body = Receipts), (status = 400, description = "Not readable at all"),
              (status = 422, body = Receipts, description = "Every reading was rejected, or the key came with another body"),
              (status = 429, description = "Too much waits already; try again after Retry-After")))]
pub(crate) async fn observations(state: Shared, caller: Caller, request: HttpRequest, payload: web::Payload) -> Answer {
    let lines = is_ndjson(&request)?;
    through(&state, &caller, &request, payload, |sent| {
        if lines {
            device::parse_ndjson(&sent.bytes, &sent.sender)
        } else {
            device::parse_json(&sent.bytes, &sent.sender, sent.now)
        }
    })
    .await
}

fn is_ndjson(request: &HttpRequest) -> Result<bool, Error> {
    match super::media(request).unwrap_or("application/json") {
        "application/json" => Ok(false),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(true),
        _ => Err(body::UNKNOWN_TYPE),
    }
}
