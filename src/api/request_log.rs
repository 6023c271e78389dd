//! One line a request, its id, and its measure. The line holds the route's pattern, never the address: an
//! address may hold names and identifiers.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use tracing::Instrument;

use super::State;
use crate::audit::trail::{self, Origin};
use crate::clock::new_id;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(super) async fn log(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    // A proxy's own id is kept when it is short and plain.
    let given = request.headers().get(&REQUEST_ID).and_then(|v| v.to_str().ok());
    let plain = |id: &&str| id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let id = given.filter(plain).map_or_else(new_id, str::to_owned);
    let method = request.method().clone();
    let span = tracing::info_span!("request", id = %id);
    let state = request.app_data::<web::Data<State>>().cloned();
    let origin = origin(&request, &id);
    let mut response = trail::follow(origin, next.call(request).instrument(span.clone())).await?;
    let route = response.request().match_pattern().unwrap_or_else(|| "none".to_owned());
    let (status, took) = (response.status().as_u16(), started.elapsed());
    span.in_scope(|| tracing::debug!(%method, route, status, duration_us = took.as_micros(), "answered"));
    if let Some(state) = state {
        state.metrics.request(&route, method.as_str(), status, took);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    Ok(response)
}

/// What the audit trail says of where a request comes from. Who stands behind a proxy is the proxy's to say.
fn origin(request: &ServiceRequest, id: &str) -> Origin {
    let last = request.path().rsplit('/').next().filter(|last| last.starts_with('$') && last.len() <= 64);
    Origin {
        from: request.peer_addr().map(|peer| peer.ip().to_string()),
        request: Some(id.to_owned()),
        operation: last.map(str::to_owned),
    }
}
