//! Idempotency keys of batches: the same key with the same body is answered as before, with another body refused. The
//! database decides whose the key is before anything of the batch is taken.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest, Sha256};

use super::Receipts;
use crate::api::Shared;
use crate::api::reply::Answer;
use crate::auth::access::Access;
use crate::error::Error;
use crate::store::{BatchKey, Begun};

/// The longest key.
const LONGEST: usize = 255;

/// What is known of a batch before it is read.
pub(super) enum Batch {
    /// It came without a key.
    Plain,
    /// Its key is ours until its answer is kept.
    Keyed(BatchKey),
    /// It was taken before.
    Answered(HttpResponse),
}

pub(super) async fn begin(state: &Shared, access: &Access, request: &HttpRequest, body: &[u8]) -> Result<Batch, Error> {
    let Some(key) = key(request)? else { return Ok(Batch::Plain) };
    let batch = BatchKey { key, hash: hash(request, body) };
    match state.store.begin_batch(access, batch.clone()).await? {
        Begun::Ours => Ok(Batch::Keyed(batch)),
        Begun::Answered { status, body } => {
            let status = StatusCode::from_u16(status).map_err(Error::internal)?;
            let mut response = HttpResponse::build(status);
            Ok(Batch::Answered(response.content_type("application/json").body(body)))
        }
        Begun::Busy => Err(Error::Conflict("A batch with this Idempotency-Key is being taken; try again.")),
        Begun::Other => Err(Error::unprocessable("business-rule", PLACE, "this key came before with another body")),
    }
}

const PLACE: &str = "http.Idempotency-Key";

/// The key as it is sent, in quotes or without.
fn key(request: &HttpRequest) -> Result<Option<String>, Error> {
    let mut all = request.headers().get_all("Idempotency-Key");
    let Some(value) = all.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let fits = (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if fits && all.next().is_none() {
        return Ok(Some(text.to_owned()));
    }
    Err(Error::invalid("value", PLACE, "one key of 1 to 255 printable ASCII characters is needed"))
}

/// Of everything that decides what the batch means.
fn hash(request: &HttpRequest, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [request.path(), request.query_string(), super::media(request).unwrap_or_default()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.update(body);
    hash.finalize().into()
}

/// The answer, kept for when the batch comes again.
pub(super) async fn keep(state: &Shared, access: &Access, batch: BatchKey, receipts: &Receipts) -> Answer {
    let body = serde_json::to_vec(receipts).map_err(Error::internal)?;
    // What is stored is acknowledged even when its answer cannot be kept.
    if let Err(error) = state.store.finish_batch(access, batch, receipts.status(), body).await {
        tracing::warn!(%error, "the answer to a batch was not kept");
    }
    Ok(receipts.answer())
}

/// Nothing was stored: the key is free again.
pub(super) async fn forget(state: &Shared, access: &Access, batch: BatchKey) {
    if let Err(error) = state.store.forget_batch(access, batch).await {
        tracing::warn!(%error, "the key of a batch was not given back");
    }
}
