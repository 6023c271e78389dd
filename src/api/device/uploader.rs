//! Addresses that uploaders made for other servers know: Nightscout's `/api/v1/entries` and `ThingsBoard`'s
//! `/api/v1/{token}/telemetry`. They prove who they are as they are used to: by the SHA-1 of the device's key in the
//! header `api-secret`, or by the key in the address. Everything else is as at the other doors.

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::{ItemReceipt, Receipts, taken, through};
use crate::api::caller::Caller;
use crate::api::reply::{Answer, at};
use crate::api::{Shared, body};
use crate::auth::access::{Access, Action};
use crate::auth::device::proof::SECRET_PREFIX;
use crate::error::Error;
use crate::fhir::time;
use crate::ingest::device::nightscout::{self, NO_READING};
use crate::ingest::device::thingsboard;

pub(crate) fn routes(config: &mut ServiceConfig) {
    for path in ["/entries", "/entries.json"] {
        config.service(at(path, "POST").route(web::post().to(entries)));
    }
    for path in ["/status", "/status.json"] {
        config.service(at(path, "GET").route(web::get().to(status)));
    }
    config
        .service(at("/experiments/test", "GET").route(web::get().to(test)))
        .service(at("/verifyauth", "GET").route(web::get().to(verify)))
        .service(at("/{token}/telemetry", "POST").route(web::post().to(telemetry)));
}

/// Who uploads: by the header that Nightscout's uploaders send, else as everywhere.
async fn uploader(state: &Shared, request: &HttpRequest) -> Result<Access, Error> {
    let Some(secret) = request.headers().get("api-secret") else {
        return Ok(<Caller as actix_web::FromRequest>::extract(request).await?.0);
    };
    let secret = secret.to_str().unwrap_or_default();
    if secret.starts_with(SECRET_PREFIX) {
        return state.devices.by_secret(secret).await;
    }
    state.devices.by_secret_hash(secret).await
}

/// Entries of glucose sensors and meters, as Nightscout takes them. Each that was taken comes back with its `_id`, each
/// that was not with the reason.
#[utoipa::path(post, path = "/api/v1/entries", tag = "device", security(("api-secret" = []), ("token" = [])),
    request_body(content = Object, description = "An entry (`sgv` or `mbg`, in mg/dL) or a list; see docs/device.md"),
    responses((status = 200, description = "A list, one for each entry: {\"_id\"} or {\"error\"}"),
              (status = 400, description = "Not readable at all"), (status = 401, description = "The secret is not known"),
              (status = 422, description = "Every reading was rejected"),
              (status = 429, description = "Too much at once; try again after Retry-After")))]
pub(crate) async fn entries(state: Shared, request: HttpRequest, payload: web::Payload) -> Answer {
    let access = uploader(&state, &request).await?;
    super::json_only(&request)?;
    let receipts =
        taken(&state, &access, &request, payload, |sent| nightscout::parse(&sent.bytes, &sent.sender)).await?;
    let told: Vec<Value> = receipts.items.iter().map(told).collect();
    // What is no reading is no reason to send all of it again.
    if receipts.items.iter().all(|item| item.outcome == "rejected" && !is_no_reading(item)) {
        return Ok(HttpResponse::UnprocessableEntity().json(told));
    }
    Ok(HttpResponse::Ok().json(told))
}

fn told(item: &ItemReceipt) -> Value {
    match (&item.reference, &item.reason) {
        (Some(reference), None) => json!({"_id": reference.strip_prefix("Observation/").unwrap_or(reference)}),
        (_, Some(reason)) => json!({"error": reason}),
        (None, None) => json!({"outcome": item.outcome}),
    }
}

fn is_no_reading(item: &ItemReceipt) -> bool {
    item.reason.as_ref().and_then(|reason| reason.pointer("/issue/0/code")).is_some_and(|code| code == NO_READING)
}

/// That there is a server, what it is, and that the secret is good.
async fn status(state: Shared, request: HttpRequest) -> Answer {
    uploader(&state, &request).await?;
    let now = state.store.clock().now();
    Ok(HttpResponse::Ok().json(json!({
        "status": "ok",
        "name": "vigia",
        "version": env!("CARGO_PKG_VERSION"),
        "serverTime": time::instant(now),
        "serverTimeEpoch": now.div_euclid(1000),
        "apiEnabled": true,
        "careportalEnabled": false,
        "boluscalcEnabled": false,
        "settings": {"units": "mg/dl", "enable": []},
    })))
}

/// Asked by uploaders to see whether their secret is good.
async fn test(state: Shared, request: HttpRequest) -> Answer {
    uploader(&state, &request).await?;
    Ok(HttpResponse::Ok().json(json!({"status": "ok"})))
}

async fn verify(state: Shared, request: HttpRequest) -> Answer {
    let access = uploader(&state, &request).await?;
    let may = |action| access.check(action, "Observation").is_ok();
    let (read, write) = (may(Action::Search), may(Action::Create));
    let message = json!({"canRead": read, "canWrite": write, "isAdmin": false, "message": "OK", "rolefound": "FOUND"});
    Ok(HttpResponse::Ok().json(json!({"status": 200, "message": message})))
}

/// Telemetry by names, as `ThingsBoard` takes it; the device's key is in the address. One receipt for each name.
#[utoipa::path(post, path = "/api/v1/{token}/telemetry", tag = "device", security(()),
    params(("token" = String, Path, description = "The key of the device")),
    request_body(content = Object, description = "{\"heartRate\": 72}, {\"ts\", \"values\": {…}} or a list; see docs/device.md"),
    responses((status = 200, body = Receipts), (status = 400, description = "Not readable at all"),
              (status = 401, description = "The key is not known"),
              (status = 422, body = Receipts, description = "Every value was rejected"),
              (status = 429, description = "Too much at once; try again after Retry-After")))]
pub(crate) async fn telemetry(
    state: Shared,
    token: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let access = state.devices.by_secret(&token).await?;
    if !matches!(super::media(&request), None | Some("application/json" | "text/plain")) {
        return Err(body::UNKNOWN_TYPE);
    }
    through(&state, &access, &request, payload, |sent| thingsboard::parse(&sent.bytes, &sent.sender)).await
}
