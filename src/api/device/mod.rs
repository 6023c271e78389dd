//! The device doors: batches of readings in the forms that devices and gateways speak, each reading with a receipt of
//! its own.

pub(crate) mod csv;
pub(crate) mod gatt;
#[expect(unused_qualifications, reason = "utoipa's macro spells out the type of the query")]
pub mod list;
pub(crate) mod observations;
pub(crate) mod omh;
mod once;
#[expect(unused_qualifications, reason = "utoipa's macro spells out the type of the query")]
pub mod place;
pub mod registry;
pub(crate) mod uploader;
pub(crate) mod waves;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use fhir_r4::Issue;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use self::once::Batch;
use super::reply::{Answer, at};
use super::{Shared, body};
use crate::auth::access::{Access, Action};
use crate::error::{Error, outcome_of};
use crate::ingest::device::{self, Item};
use crate::pipeline::Receipt;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(at("/observations", "POST").route(web::post().to(observations::observations)))
        .service(at("/gatt", "POST").route(web::post().to(gatt::gatt)))
        .service(at("/omh", "POST").route(web::post().to(omh::omh)))
        .service(at("/csv", "POST").route(web::post().to(csv::csv)))
        .service(at("/waves", "GET").route(web::get().to(waves::waves)))
        .configure(list::routes)
        .configure(registry::routes)
        .configure(place::routes);
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Receipts {
    created: usize,
    duplicate: usize,
    quarantined: usize,
    rejected: usize,
    /// One for everything that was sent, in its order.
    items: Vec<ItemReceipt>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ItemReceipt {
    /// Where it stood: `[3]`, `line 7`.
    place: String,
    /// created, duplicate, quarantined (kept until it is known whose it is, or when it was) or rejected
    outcome: &'static str,
    /// What a quarantined one waits for: unbound (whom the device was at) or future (by how much its clock was ahead)
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<&'static str>,
    /// Where the Observation is: `Observation/…`
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// Where all of them are, when it became several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<String>,
    /// OperationOutcome that says what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Value>,
}

/// A request as its door works with it: read, and known to come from somebody who may send readings.
struct Sent {
    bytes: Bytes,
    sender: String,
    /// µs UTC
    now: i64,
}

/// The way through every door: what its form reads is stored, and answered for after it is committed. With an
/// Idempotency-Key the same batch is taken once.
async fn through(
    state: &Shared,
    access: &Access,
    request: &HttpRequest,
    payload: web::Payload,
    read: impl FnOnce(&Sent) -> Result<Vec<Item>, Issue>,
) -> Answer {
    let sent = sent(state, access, request, payload).await?;
    let key = match once::begin(state, access, request, &sent.bytes).await? {
        Batch::Answered(answer) => return Ok(answer),
        Batch::Plain => return Ok(stored(state, access, &sent, read).await?.answer()),
        Batch::Keyed(key) => key,
    };
    match stored(state, access, &sent, read).await {
        Ok(receipts) => once::keep(state, access, key, &receipts).await,
        Err(error) => {
            once::forget(state, access, key).await;
            Err(error)
        }
    }
}

/// The same for doors that answer in words of their own.
async fn taken(
    state: &Shared,
    access: &Access,
    request: &HttpRequest,
    payload: web::Payload,
    read: impl FnOnce(&Sent) -> Result<Vec<Item>, Issue>,
) -> Result<Receipts, Error> {
    let sent = sent(state, access, request, payload).await?;
    stored(state, access, &sent, read).await
}

async fn sent(state: &Shared, access: &Access, request: &HttpRequest, payload: web::Payload) -> Result<Sent, Error> {
    access.check(Action::Create, "Observation")?;
    let bytes = body::read_batch(request, payload, state.settings.max_body_bytes).await?;
    Ok(Sent { bytes, sender: access.principal().to_string(), now: state.store.clock().now() })
}

async fn stored(
    state: &Shared,
    access: &Access,
    sent: &Sent,
    read: impl FnOnce(&Sent) -> Result<Vec<Item>, Issue>,
) -> Result<Receipts, Error> {
    accept(state, access, read(sent)?).await
}

/// What the body is said to be, without its parameters.
fn media(request: &HttpRequest) -> Option<&str> {
    let media = request.headers().get("Content-Type")?.to_str().unwrap_or_default();
    Some(media.split(';').next().unwrap_or_default().trim())
}

/// What the address says for all that is sent.
fn common(request: &HttpRequest, known: &[&str]) -> Result<Map<String, Value>, Error> {
    let mut common = Map::new();
    for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()).into_owned() {
        if !known.contains(&name.as_str()) || common.contains_key(&name) {
            let why = format!("only {} can be given here, each once", known.join(", "));
            return Err(Error::invalid("value", "http.query", why));
        }
        common.insert(name, value.into());
    }
    Ok(common)
}

fn json_only(request: &HttpRequest) -> Result<(), Error> {
    match media(request) {
        None | Some("application/json") => Ok(()),
        Some(_) => Err(body::UNKNOWN_TYPE),
    }
}

impl Receipts {
    fn of(items: Vec<ItemReceipt>) -> Self {
        let count = |outcome: &str| items.iter().filter(|item| item.outcome == outcome).count();
        let (created, duplicate, rejected) = (count("created"), count("duplicate"), count("rejected"));
        Self { created, duplicate, quarantined: count("quarantined"), rejected, items }
    }

    /// 422 when all were rejected.
    fn status(&self) -> u16 {
        if self.items.len() == self.rejected { 422 } else { 200 }
    }

    fn answer(&self) -> HttpResponse {
        match self.status() {
            200 => HttpResponse::Ok().json(self),
            _ => HttpResponse::UnprocessableEntity().json(self),
        }
    }
}

/// Items as they stood, each with what became of it.
async fn accept(state: &Shared, access: &Access, mut items: Vec<Item>) -> Result<Receipts, Error> {
    state.devices.allow(access, items.len())?;
    if let Some(own) = access.device() {
        device::own(&mut items, own);
    }
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
    let mut accepted = state.pipeline.accept(access, "device", drafts, false).await?.into_iter();
    let mut receipts: Vec<ItemReceipt> = Vec::with_capacity(slots.len());
    for receipt in slots.into_iter().filter_map(|slot| slot.or_else(|| accepted.next())) {
        match receipts.last_mut().filter(|last| last.place == receipt.place) {
            Some(last) => last.and(receipt),
            None => receipts.push(ItemReceipt::of(receipt)),
        }
    }
    Ok(Receipts::of(receipts))
}

impl ItemReceipt {
    fn of(receipt: Receipt) -> Self {
        let place = receipt.place;
        match receipt.outcome {
            Ok(taken) => Self {
                place,
                outcome: taken.name(),
                waits_for: taken.waits_for(),
                reference: taken.reference(),
                references: Vec::new(),
                reason: None,
            },
            Err(issues) => Self {
                place,
                outcome: "rejected",
                waits_for: None,
                reference: None,
                references: Vec::new(),
                reason: Some(outcome_of(&issues)),
            },
        }
    }

    /// Several readings of one payload have one receipt: it is rejected when any of them is, and known already when
    /// all are.
    fn and(&mut self, receipt: Receipt) {
        let other = Self::of(receipt);
        if self.references.is_empty() {
            self.references.extend(self.reference.clone());
        }
        self.references.extend(other.reference.clone());
        self.waits_for = self.waits_for.or(other.waits_for);
        if self.reference.is_none() {
            self.reference = other.reference;
        }
        for outcome in ["created", "quarantined", "rejected"] {
            if other.outcome == outcome {
                self.outcome = outcome;
            }
        }
        if self.reason.is_some() {
            self.outcome = "rejected";
        }
        self.reason = self.reason.take().or(other.reason);
    }
}
