//! `/device/v1/gatt`: values of Bluetooth characteristics as they came out of the device.

use actix_web::{HttpRequest, web};

use super::{Receipts, json_only, through};
use crate::api::Shared;
use crate::api::caller::Caller;
use crate::api::reply::Answer;
use crate::ingest::device::gatt;

/// Raw values of the Bluetooth characteristics 2A37, 2A35, 2A36, 2A1C, 2A5E, 2A5F, 2A18, 2A34, 2A9D, 2A9C and 2AA7 as
/// hexadecimal text. One receipt for each payload, also when it holds several readings.
#[utoipa::path(post, path = "/device/v1/gatt", tag = "device",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key with the same body is taken once; kept for 48 hours")),
    request_body(content = Object, description = "{\"patient\", \"device\", \"items\": [{\"char\": \"2A35\", \"hex\", \"receivedAt\", \"deviceClock\", \"id\"}]}; see docs/device.md"),
    responses((status = 200, body = Receipts), (status = 400, description = "Not readable at all"),
              (status = 422, body = Receipts, description = "Every payload was rejected, or the key came with another body"),
              (status = 429, description = "Too much waits already; try again after Retry-After")))]
pub(crate) async fn gatt(state: Shared, caller: Caller, request: HttpRequest, payload: web::Payload) -> Answer {
    json_only(&request)?;
    through(&state, &caller, &request, payload, |sent| gatt::parse(&sent.bytes, &sent.sender, sent.now)).await
}
