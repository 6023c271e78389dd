//! Devices as those see them who look after them: whom each is at, when it was last heard of, what waits of it.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::web::{self, Query as UrlQuery, ServiceConfig};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::super::Shared;
use super::super::caller::Caller;
use super::super::reply::{Answer, NO_STORE, at};
use crate::auth::access::Action;
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::reading::list;
use crate::fhir::time;

const MOST: usize = 500;
const USUAL: usize = 100;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(at("/devices", "GET").route(web::get().to(devices)));
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// At most so many; 100, unless it is said, and never more than 500.
    count: Option<usize>,
    /// Those after this one: the last `device` of the page before.
    after: Option<String>,
    /// Those alone that were not heard of for so many seconds.
    silent_s: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DeviceList {
    devices: Vec<DeviceLine>,
    /// There are more after these.
    more: bool,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DeviceLine {
    /// Device/…
    device: String,
    name: String,
    /// Whom it is at now: Patient/…
    #[serde(skip_serializing_if = "Option::is_none")]
    patient: Option<String>,
    /// When it was last heard of.
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_since: Option<String>,
    /// When what it sent last was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<String>,
    /// Percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    battery: Option<f64>,
    /// Readings that wait until it is known whose they are.
    held: i64,
}

/// Devices with whom they are at, when they were last heard of and what waits of them.
#[utoipa::path(get, path = "/device/v1/devices", tag = "device", params(Wanted), responses((status = 200, body = DeviceList)))]
pub(crate) async fn devices(state: Shared, caller: Caller, query: UrlQuery<Wanted>) -> Answer {
    for kind in ["Patient", "Observation"] {
        if !caller.check(Action::Read, kind)?.covers(None) {
            return Err(Error::Forbidden("Devices are at patients of all kinds.".to_owned()));
        }
    }
    let Wanted { count, after, silent_s } = query.into_inner();
    let (count, now) = (count.unwrap_or(USUAL).clamp(1, MOST), state.store.clock().now());
    let held = held(&state, &caller).await?;
    let mut all = state.store.search_all(&caller, Query::new("Device", &[], MAX_COUNT)?).await?;
    all.sort_by(|one, other| one.id.cmp(&other.id));
    let (mut devices, mut more) = (Vec::new(), false);
    for stored in all {
        let device = format!("Device/{}", stored.id);
        if after.as_ref().is_some_and(|after| device <= *after) {
            continue;
        }
        let contact = state.contacts.of(&device);
        let heard = contact.as_ref().map(|contact| contact.received);
        if silent_s.is_some_and(|silent| heard.is_some_and(|heard| (now - heard) / time::SECOND < silent)) {
            continue;
        }
        if devices.len() == count {
            more = true;
            break;
        }
        devices.push(DeviceLine {
            name: name(&stored.value()?),
            patient: state.pipeline.whom(&device, now).await?,
            silent_since: heard.map(time::instant),
            measured: contact.as_ref().map(|contact| time::instant(contact.measured)),
            battery: contact.and_then(|contact| contact.battery),
            held: held.get(&device).copied().unwrap_or_default(),
            device,
        });
    }
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(DeviceList { devices, more }))
}

async fn held(state: &Shared, caller: &Caller) -> Result<HashMap<String, i64>, Error> {
    let mut held = HashMap::new();
    for line in state.store.held(caller).await? {
        *held.entry(line.device).or_default() += line.readings;
    }
    Ok(held)
}

/// What people call it, else its identifier.
fn name(device: &Value) -> String {
    let named = list(device.get("deviceName")).find_map(|name| name.get("name")?.as_str());
    let told = list(device.get("identifier")).find_map(|identifier| identifier.get("value")?.as_str());
    named.or(told).unwrap_or_default().to_owned()
}
