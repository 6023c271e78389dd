//! `/device/v1/csv`: readings as a table.

use actix_web::{HttpRequest, web};

use super::{Receipts, common, through};
use crate::api::caller::Caller;
use crate::api::reply::Answer;
use crate::api::{Shared, body};
use crate::ingest::device::csv;

/// A table with a header (`time,patient,device,code,value,unit`), one reading a row.
#[utoipa::path(post, path = "/device/v1/csv", tag = "device",
    params(("patient" = Option<String>, Query, description = "Whom rows are about that do not say so"),
           ("device" = Option<String>, Query, description = "The same with the device"),
           ("Idempotency-Key" = Option<String>, Header, description = "The same key with the same body is taken once; kept for 48 hours")),
    request_body(content = String, content_type = "text/csv", description = "See docs/device.md"),
    responses((status = 200, body = Receipts), (status = 400, description = "Not readable at all, or an unknown column"),
              (status = 422, body = Receipts, description = "Every row was rejected, or the key came with another body"),
              (status = 429, description = "Too much waits already; try again after Retry-After")))]
pub(crate) async fn csv(state: Shared, caller: Caller, request: HttpRequest, payload: web::Payload) -> Answer {
    if !matches!(super::media(&request), None | Some("text/csv" | "text/plain")) {
        return Err(body::UNKNOWN_TYPE);
    }
    let common = common(&request, &["patient", "device"])?;
    through(&state, &caller, &request, payload, |sent| csv::parse(&sent.bytes, &common, &sent.sender)).await
}
