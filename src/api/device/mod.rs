//! The device door: compact batches of readings, each with a receipt of its own.

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::caller::Caller;
use super::reply::{Answer, at};
use super::{Shared, body};
use crate::auth::access::Action;
use crate::error::{Error, outcome_of};
use crate::ingest::device::{self, Item};
use crate::pipeline::Receipt;
use crate::store::Outcome;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(at("/observations", "POST").route(web::post().to(observations)));
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Receipts {
    created: usize,
    duplicate: usize,
    rejected: usize,
    /// One for every reading, in the order in which they were sent.
    items: Vec<ItemReceipt>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ItemReceipt {
    /// Where the reading stood: `[3]`, `line 7`.
    place: String,
    /// created, duplicate or rejected
    outcome: &'static str,
    /// Where the Observation is: `Observation/…`
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// OperationOutcome that says what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Value>,
}

/// Readings in the compact form, as JSON or as one a line (NDJSON). Answered after they are committed; a bad
/// one never harms its neighbours. 200 when at least one was taken, 422 when all were rejected.
#[utoipa::path(post, path = "/device/v1/observations", tag = "device",
    request_body(content = Object, description = "One reading, a list, or {\"patient\", \"device\", \"time\", \"readings\": […]}; see docs/device.md"),
    responses((status = 200, body = Receipts), (status = 400, description = "Not readable at all"),
              (status = 422, body = Receipts, description = "Every reading was rejected"),
              (status = 429, description = "Too much waits already; try again after Retry-After")))]
pub(crate) async fn observations(state: Shared, caller: Caller, request: HttpRequest, payload: web::Payload) -> Answer {
    caller.check(Action::Create, "Observation")?;
    let lines = is_ndjson(&request)?;
    let bytes = body::read(&request, payload, state.settings.max_body_bytes).await?;
    let sender = caller.principal().to_string();
    let items = if lines { device::parse_ndjson(&bytes, &sender) } else { device::parse_json(&bytes, &sender) }?;
    let receipts = accept(&state, &caller, items).await?;
    let count = |outcome: &str| receipts.iter().filter(|r| r.outcome == outcome).count();
    let answer = Receipts {
        created: count("created"),
        duplicate: count("duplicate"),
        rejected: count("rejected"),
        items: receipts,
    };
    let mut response =
        if answer.items.len() == answer.rejected { HttpResponse::UnprocessableEntity() } else { HttpResponse::Ok() };
    Ok(response.json(answer))
}

fn is_ndjson(request: &HttpRequest) -> Result<bool, Error> {
    let media = request.headers().get("Content-Type").and_then(|v| v.to_str().ok()).unwrap_or("application/json");
    match media.split(';').next().unwrap_or_default().trim() {
        "application/json" => Ok(false),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(true),
        _ => Err(body::UNKNOWN_TYPE),
    }
}

/// Items as they stood, each with what became of it.
async fn accept(state: &Shared, caller: &Caller, items: Vec<Item>) -> Result<Vec<ItemReceipt>, Error> {
    let (mut slots, mut drafts) = (Vec::with_capacity(items.len()), Vec::new());
    for item in items {
        slots.push(match item {
            Ok(draft) => {
                drafts.push(draft);
                None
            }
            Err(rejected) => Some(Receipt { place: rejected.place, outcome: Err(rejected.issues) }),
        });
    }
    let mut accepted = state.pipeline.accept(caller, "device", drafts, false).await?.into_iter();
    Ok(slots.into_iter().filter_map(|slot| slot.or_else(|| accepted.next())).map(item_receipt).collect())
}

fn item_receipt(receipt: Receipt) -> ItemReceipt {
    let place = receipt.place;
    match receipt.outcome {
        Ok(written) => ItemReceipt {
            place,
            outcome: if written.outcome == Outcome::Known { "duplicate" } else { "created" },
            reference: Some(format!("Observation/{}", written.id)),
            reason: None,
        },
        Err(issues) => ItemReceipt { place, outcome: "rejected", reference: None, reason: Some(outcome_of(&issues)) },
    }
}
