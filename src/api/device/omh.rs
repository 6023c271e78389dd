//! `/device/v1/omh`: data points of Open mHealth.

use actix_web::{HttpRequest, web};

use super::{Receipts, common, json_only, through};
use crate::api::Shared;
use crate::api::caller::Caller;
use crate::api::reply::Answer;
use crate::ingest::device::omh;

/// Data points of Open mHealth, with a header or as bodies alone, checked against their schemas.
#[utoipa::path(post, path = "/device/v1/omh", tag = "device",
    params(("patient" = Option<String>, Query, description = "Whom all points are about that do not say so"),
           ("device" = Option<String>, Query, description = "The same with the device"),
           ("schema" = Option<String>, Query, description = "The schema of bodies without a header: heart-rate, omh:heart-rate:2.0"),
           ("Idempotency-Key" = Option<String>, Header, description = "The same key with the same body is taken once; kept for 48 hours")),
    request_body(content = Object, description = "A data point, a list, or {\"patient\", \"device\", \"schema\", \"items\": […]}; see docs/device.md"),
    responses((status = 200, body = Receipts), (status = 400, description = "Not readable at all"),
              (status = 422, body = Receipts, description = "Every point was rejected, or the key came with another body"),
              (status = 429, description = "Too much waits already; try again after Retry-After")))]
pub(crate) async fn omh(state: Shared, caller: Caller, request: HttpRequest, payload: web::Payload) -> Answer {
    json_only(&request)?;
    let common = common(&request, &["patient", "device", "schema"])?;
    through(&state, &caller, &request, payload, |sent| omh::parse(&sent.bytes, common, &sent.sender)).await
}
