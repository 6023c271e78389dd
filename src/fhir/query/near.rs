//! The values of `near`: `latitude|longitude|distance|units`, the last two optional (R4 Location, 8.7.6).

use super::operand::decimal;
use super::text::{split, unescape};
use super::{Operand, Problem, problem};
use crate::fhir::{globe, ucum};

/// How far `near` looks when the request does not say.
const DEFAULT_METRES: f64 = 10_000.0;
const DEFAULT_UNIT: &str = "km";

pub(super) fn operand(value: &str) -> Result<Operand, Problem> {
    let parts: Vec<String> = split(value, '|').iter().map(|part| unescape(part)).collect();
    let text = |at: usize| parts.get(at).map_or("", String::as_str);
    if parts.len() < 2 || parts.len() > 4 {
        return Err(problem("value", "near is latitude|longitude|distance|units, the last two optional"));
    }
    let (latitude, longitude) = (decimal(text(0))?, decimal(text(1))?);
    if !globe::is_place(latitude, longitude) {
        return Err(problem("value", "a latitude is from -90 to 90, a longitude from -180 to 180"));
    }
    Ok(Operand::Near { latitude, longitude, metres: metres(text(2), text(3))? })
}

fn metres(distance: &str, unit: &str) -> Result<f64, Problem> {
    let unit = if unit.is_empty() { DEFAULT_UNIT } else { unit };
    let in_metres = |value| ucum::convert(value, unit, "m");
    if in_metres(1.0).is_none() {
        return Err(problem("value", "the units are a length in UCUM: m, km, [mi_i], [nmi_i], [ft_i] …"));
    }
    if distance.is_empty() {
        return Ok(DEFAULT_METRES);
    }
    let metres = in_metres(decimal(distance)?).filter(|metres| *metres >= 0.0);
    metres.ok_or_else(|| problem("value", "a distance is not negative, and not beyond all numbers"))
}
