//! Results that wait for somebody to say whose they are: how many from which bed, and saying so. Nothing of what they
//! say is shown: who attaches them stands at the bed, and need not be an administrator.

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::Shared;
use super::super::caller::Caller;
use super::super::reply::{Answer, NO_STORE, at};
use crate::error::Error;
use crate::fhir::{reference, time};
use crate::ingest::hl7::waiting::{Attach, Attached};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(at("/waiting", "GET").route(web::get().to(waiting)))
        .service(at("/waiting/attach", "POST").route(web::post().to(attach)));
}

#[derive(Serialize, ToSchema)]
pub(crate) struct WaitingList {
    places: Vec<WaitingPlace>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct WaitingPlace {
    /// The bed as PV1-3 names it: ward^room^bed^facility.
    place: String,
    messages: i64,
    /// When the first and the last of them came.
    first: String,
    last: String,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct AttachQuery {
    /// The bed, as it is listed.
    place: String,
    /// Whose they are: Patient/p1
    patient: String,
    /// Those that came from this date or time on.
    start: String,
    /// Those that came before the end of this date or time.
    end: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AttachedList {
    found: usize,
    taken: usize,
    /// There may be more: ask again.
    more: bool,
}

/// Beds that sent results of nobody who is known.
#[utoipa::path(get, path = "/hl7/waiting", tag = "hl7",
    responses((status = 200, body = WaitingList),
              (status = 403, description = "Only who may change the readings of every patient")))]
pub(crate) async fn waiting(state: Shared, caller: Caller) -> Answer {
    let found = state.store.waiting(&caller).await?;
    let place = |waiting: crate::store::Waiting| WaitingPlace {
        place: waiting.place,
        messages: waiting.messages,
        first: time::instant(waiting.first),
        last: time::instant(waiting.last),
    };
    let places = found.into_iter().map(place).collect();
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(WaitingList { places }))
}

/// Takes what waits from a bed as a patient's, oldest first, 200 messages at most. What names somebody who is known by
/// now stays theirs.
#[utoipa::path(post, path = "/hl7/waiting/attach", tag = "hl7", params(AttachQuery),
    responses((status = 200, body = AttachedList), (status = 400, description = "A parameter is wrong"),
              (status = 403, description = "Only who may change the readings of every patient"),
              (status = 404, description = "There is no such patient")))]
pub(crate) async fn attach(state: Shared, caller: Caller, asked: web::Query<AttachQuery>) -> Answer {
    state.store.may_attach(&caller)?;
    let AttachQuery { place, patient, start, end } = asked.into_inner();
    let wrong = |name: &str, why: &str| Error::invalid("value", format!("http.{name}"), why);
    let read = |name: &str, text: &str| time::range(text).ok_or_else(|| wrong(name, "this is no date or time"));
    if place.contains('\0') {
        return Err(wrong("place", "there is no such place"));
    }
    let from = read("start", &start)?.start;
    let to = end.as_deref().map(|end| read("end", end)).transpose()?.map(|range| range.end);
    let local = reference::local(&patient).filter(|local| local.resource_type == "Patient");
    let local = local.ok_or_else(|| wrong("patient", "a reference is needed: Patient/p1"))?;
    let found = state.store.find(&caller, "Patient", local.id).await?;
    let patient = format!("Patient/{}", found.id);
    let by = caller.principal().to_string();
    let attach = Attach { place, patient, received: (from, to), by };
    let Attached { found, taken, more } = state.hl7.receiver.attach(attach).await?;
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(AttachedList { found, taken, more }))
}
