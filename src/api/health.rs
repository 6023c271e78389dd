//! Is the server alive, is it ready (anybody may ask), and what does it measure (any caller who is known).

use std::sync::atomic::Ordering;

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};

use super::Shared;
use super::caller::Caller;
use super::reply::Answer;
use crate::error::Error;
use crate::telemetry::Metrics;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/health/live", web::get().to(live))
        .route("/health/ready", web::get().to(ready))
        .route("/metrics", web::get().to(metrics));
}

/// The process runs.
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 200, description = "The process runs")))]
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("alive\n")
}

/// The database answers and the server is not stopping.
#[utoipa::path(get, path = "/health/ready", tag = "health", responses(
    (status = 200, description = "Requests can be served"),
    (status = 503, description = "Not now: starting, stopping, or without a database")))]
pub(crate) async fn ready(state: Shared) -> Answer {
    if state.settings.stopping.load(Ordering::Relaxed) {
        return Err(Error::Unavailable("The server is shutting down."));
    }
    state.store.ping().await.map_err(|_| Error::Unavailable("The database is not reachable."))?;
    Ok(HttpResponse::Ok().content_type("text/plain").body("ready\n"))
}

/// Metrics in Prometheus' text format; any valid token will do.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, description = "Prometheus text format")))]
pub(crate) async fn metrics(state: Shared, _: Caller) -> Answer {
    state.metrics.lane_depth(state.store.queue_depth());
    let text = state.metrics.render().map_err(Error::from)?;
    Ok(HttpResponse::Ok().content_type(Metrics::CONTENT_TYPE).body(text))
}
