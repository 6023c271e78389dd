//! Whom devices are at, and what waits for it to be known.

use actix_web::HttpResponse;
use actix_web::web::{self, Path, Query as UrlQuery, ServiceConfig};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::caller::Caller;
use super::super::reply::{Answer, NO_STORE, at};
use super::super::{Shared, State, body};
use crate::auth::access::{Access, Action};
use crate::error::Error;
use crate::fhir::{reference, time};
use crate::pipeline::{Association, SetRight};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(
            at("/devices/{id}/association", "POST, DELETE")
                .route(web::post().to(associate))
                .route(web::delete().to(dissociate)),
        )
        .service(
            at("/held", "GET, POST, DELETE")
                .route(web::get().to(held))
                .route(web::post().to(set_right))
                .route(web::delete().to(discard)),
        );
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComesTo {
    /// `Patient/p1`
    patient: String,
    /// When it came, a FHIR instant; now, unless it is said.
    start: Option<String>,
    /// When it left, where that is over.
    end: Option<String>,
    /// It leaves whomever it is at when it comes.
    #[serde(default)]
    take_over: bool,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Associated {
    /// `DeviceUseStatement/…`
    reference: String,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Leaves {
    /// When it left, a FHIR instant; now, unless it is said.
    end: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct HeldList {
    devices: Vec<HeldDevice>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct HeldDevice {
    device: String,
    /// unbound: nobody says whom it was at; future: its clock was ahead; conflict: another reading stands under the id
    reason: String,
    readings: i64,
    /// The times of the first and the last of them, by the device's clock.
    first: String,
    last: String,
    /// By how many seconds the clock was ahead at least, as one of them came.
    #[serde(skip_serializing_if = "Option::is_none")]
    ahead_s: Option<i64>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrongClock {
    /// `Device/…`
    device: String,
    /// By how many seconds its clock was ahead.
    ahead_s: i64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ClockSetRight {
    /// Stored with the time that they were taken at; what the clock told is kept with them.
    taken: usize,
    /// They wait on: whom the device was at then is to be said first.
    unbound: usize,
    /// They wait on: the time lies in the future still.
    ahead: usize,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Discard {
    /// Device/…
    device: String,
    /// What they wait for: unbound (unless it is said), future, conflict
    reason: Option<String>,
    /// Those that were taken before the end of this date or time.
    end: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Discarded {
    discarded: usize,
}

/// A device comes to a patient: its readings from then on are this patient's, and those that waited for it.
#[utoipa::path(post, path = "/device/v1/devices/{id}/association", tag = "device", params(("id" = String, Path)),
    request_body = ComesTo, responses((status = 201, body = Associated), (status = 404, description = "No such Device"),
    (status = 409, description = "It is at another patient at that time")))]
pub(crate) async fn associate(
    state: Shared,
    caller: Caller,
    id: Path<String>,
    request: actix_web::HttpRequest,
    payload: web::Payload,
) -> Answer {
    caller.check(Action::Create, "DeviceUseStatement")?;
    let device = known(&state, &caller, "Device", &id).await?;
    let bytes = body::read(&request, payload, body::SMALL).await?;
    let said: ComesTo = serde_json::from_slice(&bytes)
        .map_err(|_| Error::invalid("structure", "http.body", "expected {\"patient\": \"Patient/…\", \"start\": …}"))?;
    let patient = reference::local(&said.patient).filter(|local| local.resource_type == "Patient");
    let patient = patient.ok_or_else(|| Error::invalid("value", "patient", "a reference to a Patient is needed"))?;
    let patient = known(&state, &caller, "Patient", patient.id).await?;
    let now = state.store.clock().now();
    let from = instant("start", said.start.as_deref())?.unwrap_or(now);
    let until = instant("end", said.end.as_deref())?;
    let association = Association { device, patient, from, until, take_over: said.take_over };
    let id = state.pipeline.associate(&caller, association).await?;
    Ok(HttpResponse::Created().json(Associated { reference: format!("DeviceUseStatement/{id}") }))
}

/// A device leaves the patient whom it is at: what it measures from then on waits.
#[utoipa::path(delete, path = "/device/v1/devices/{id}/association", tag = "device", params(("id" = String, Path), Leaves),
    responses((status = 204, description = "It is at nobody now"), (status = 404, description = "It was at nobody")))]
pub(crate) async fn dissociate(state: Shared, caller: Caller, id: Path<String>, query: UrlQuery<Leaves>) -> Answer {
    let device = known(&state, &caller, "Device", &id).await?;
    let at = instant("end", query.end.as_deref())?.unwrap_or_else(|| state.store.clock().now());
    if state.pipeline.dissociate(&caller, &device, at).await? {
        return Ok(HttpResponse::NoContent().finish());
    }
    Err(Error::not_found("association", id.into_inner()))
}

/// Devices whose readings wait.
#[utoipa::path(get, path = "/device/v1/held", tag = "device", responses((status = 200, body = HeldList)))]
pub(crate) async fn held(state: Shared, caller: Caller) -> Answer {
    let lines = state.store.held(&caller).await?;
    let devices = lines.into_iter().map(|line| HeldDevice {
        device: line.device,
        ahead_s: (line.reason == "future").then_some(line.ahead / time::SECOND),
        reason: line.reason,
        readings: line.readings,
        first: time::instant(line.first),
        last: time::instant(line.last),
    });
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(HeldList { devices: devices.collect() }))
}

/// A device's clock was ahead by so much: its readings that wait for that are taken, with their times moved.
#[utoipa::path(post, path = "/device/v1/held", tag = "device", request_body = WrongClock,
    responses((status = 200, body = ClockSetRight), (status = 400, description = "That is no such number"),
    (status = 403, description = "Not for everybody")))]
pub(crate) async fn set_right(
    state: Shared,
    caller: Caller,
    request: actix_web::HttpRequest,
    payload: web::Payload,
) -> Answer {
    caller.check(Action::Create, "Observation")?;
    let bytes = body::read(&request, payload, body::SMALL).await?;
    let said: WrongClock = serde_json::from_slice(&bytes)
        .map_err(|_| Error::invalid("structure", "http.body", "expected {\"device\": \"Device/…\", \"ahead_s\": …}"))?;
    let done = state.pipeline.set_right(&caller, &said.device, said.ahead_s.saturating_mul(time::SECOND)).await?;
    let SetRight { taken, unbound, ahead } = done;
    Ok(HttpResponse::Ok().json(ClockSetRight { taken, unbound, ahead }))
}

/// Throws away what waits of a device: it was at nobody, or its times mean nothing.
#[utoipa::path(delete, path = "/device/v1/held", tag = "device", params(Discard),
    responses((status = 200, body = Discarded), (status = 403, description = "Not for everybody")))]
pub(crate) async fn discard(state: Shared, caller: Caller, query: UrlQuery<Discard>) -> Answer {
    if !caller.check(Action::Delete, "Observation")?.covers(None) {
        return Err(Error::Forbidden("What waits is about nobody in particular.".to_owned()));
    }
    let end =
        time::range(&query.end).ok_or_else(|| Error::invalid("value", "http.end", "this is no date or time"))?.end;
    let why = query.reason.as_deref().unwrap_or("unbound");
    let discarded = state.pipeline.discard(&caller, &query.device, why, end).await?;
    Ok(HttpResponse::Ok().json(Discarded { discarded }))
}

fn instant(member: &'static str, text: Option<&str>) -> Result<Option<i64>, Error> {
    let read = |text: &str| time::range(text).filter(|_| text.contains('T')).map(|range| range.start);
    let unreadable = || Error::invalid("value", member, "this is no instant");
    text.map(|text| read(text).ok_or_else(unreadable)).transpose()
}

/// Somebody or something that the caller may see.
async fn known(state: &State, access: &Access, kind: &'static str, id: &str) -> Result<String, Error> {
    let found = state.store.find(access, kind, id).await?;
    Ok(format!("{kind}/{}", found.id))
}
