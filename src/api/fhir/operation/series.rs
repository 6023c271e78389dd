//! What operations over the readings of one patient are asked: whose, of which codes, of which time.

use serde_json::{Map, Value};

use super::Call;
use super::input::{Input, required};
use crate::auth::access::{Action, Reach};
use crate::error::Error;
use crate::fhir::reading::{period, str_of};
use crate::fhir::{reference, time};
use crate::store::Wanted;

/// Whose readings: `Patient/1`, also with the address of this server before it; who may see one patient alone need not
/// say whom.
pub(super) fn subject(call: &Call<'_>, input: &Input) -> Result<String, Error> {
    let permit = call.access.check(Action::Search, "Observation")?;
    let text = match (input.text("subject")?, permit.reach()) {
        (Some(text), _) => text,
        (None, Reach::Patient(own)) => return Ok(own.clone()),
        (None, _) => return Err(required("subject")),
    };
    let own = reference::own(text, call.state.store.base()).unwrap_or(text);
    match reference::local(own).filter(|local| local.version.is_none()) {
        Some(_) => Ok(own.to_owned()),
        None => Err(Error::invalid("value", "http.subject", "a subject of this server is named as Type/id")),
    }
}

/// Which codes.
pub(super) fn wanted(input: &Input) -> Result<Vec<Wanted>, Error> {
    let system = input.text("system")?.map(str::to_owned);
    let mut wanted: Vec<Wanted> =
        input.texts("code")?.into_iter().map(|code| (system.clone(), code.to_owned())).collect();
    for coding in input.objects("coding")? {
        let code = str_of(coding, "code").filter(|code| !code.is_empty());
        let code = code.ok_or_else(|| Error::invalid("value", "http.coding", "a coding needs a code"))?;
        wanted.push((Some(str_of(coding, "system").unwrap_or_default().to_owned()), code.to_owned()));
    }
    if wanted.is_empty() { Err(required("code")) } else { Ok(wanted) }
}

/// The last hours, or a time; none: always.
pub(super) fn stretch(call: &Call<'_>, input: &Input) -> Result<Option<(i64, i64)>, Error> {
    match (input.positive("duration")?, input.object("period")?) {
        (Some(_), Some(_)) => Err(Error::invalid("value", "http.period", "a duration or a period is given, not both")),
        (Some(hours), None) => {
            let now = call.state.store.clock().now();
            // Longer than a century is as good as always.
            let length = std::time::Duration::from_secs_f64((hours * 3600.0).min(4e9));
            let length = i64::try_from(length.as_micros()).map_err(Error::internal)?;
            Ok(Some((now - length, now.saturating_add(1))))
        }
        (None, Some(given)) => {
            let period = period(given).filter(|(start, end)| start < end);
            period.map(Some).ok_or_else(|| Error::invalid("value", "http.period", "this is no period of time"))
        }
        (None, None) => Ok(None),
    }
}

pub(super) fn members(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

pub(super) fn period_json(start: i64, end: i64) -> Value {
    let mut period = Map::new();
    if start > time::BEFORE_ALL {
        period.insert("start".into(), time::instant(start).into());
    }
    if end < time::AFTER_ALL {
        // The end of a FHIR period is in it, ours is not.
        period.insert("end".into(), time::instant((end - 1).max(start)).into());
    }
    period.into()
}
