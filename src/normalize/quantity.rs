//! Numbers and units of a reading: the decimal stays as it was sent, the unit gets its UCUM code, and what a
//! vital-signs profile does not allow (kPa for a blood pressure) is converted with a note that says so.

use std::str::FromStr;

use serde_json::{Map, Number, Value};

use super::codes;
use super::draft::{Coding, Measured, Sampled};
use crate::fhir::{LOINC, UCUM, ucum};

/// Longer decimals are no measurements.
const LONGEST: usize = 40;

/// A unit as it will stand in a Quantity: a UCUM code, or only a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    code: Option<String>,
    name: String,
}

impl Unit {
    /// Is it of the same kind as this UCUM unit?
    pub(super) fn fits(&self, kind: &str) -> bool {
        self.code.as_deref().is_some_and(|code| code == kind || ucum::convert(1.0, code, kind).is_some())
    }

    /// As members of a Quantity.
    fn members(self) -> Vec<(String, Value)> {
        let name = (!self.name.is_empty()).then(|| ("unit".to_owned(), self.name.into()));
        let code = self.code.map(|code| [("system".to_owned(), UCUM.into()), ("code".to_owned(), code.into())]);
        name.into_iter().chain(code.into_iter().flatten()).collect()
    }
}

/// The unit of a quantity, brought to UCUM as far as it is known.
pub(super) fn unit_of(value: &Measured) -> Option<Unit> {
    let sent = match value {
        Measured::Quantity { unit, .. } => unit.as_ref()?,
        Measured::Sampled(sampled) => sampled.unit.as_ref()?,
        _ => return None,
    };
    let texts = [Some(sent.code.as_str()), sent.display.as_deref()];
    let mut texts = texts.into_iter().flatten().map(str::trim).filter(|t| !t.is_empty());
    let known = texts.clone().find_map(ucum::from_common).map(str::to_owned);
    let code = known.or_else(|| (sent.system == UCUM && !sent.code.is_empty()).then(|| sent.code.clone()));
    let name = match &code {
        Some(code) => ucum::human(code).to_owned(),
        None => sent.display.clone().or_else(|| texts.next().map(str::to_owned))?,
    };
    Some(Unit { code, name })
}

/// A Quantity and, when it is not what was sent, what was.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) quantity: Value,
    pub(super) note: Option<String>,
}

/// The `valueQuantity` of a decimal; an issue code and the reason when there can be none.
pub(super) fn quantity(
    value: &str,
    comparator: Option<&'static str>,
    unit: Option<Unit>,
    codings: &[Coding],
) -> Result<Made, (&'static str, &'static str)> {
    let text = decimal(value).ok_or(("value", "the value is no decimal number"))?;
    let allowed = codings.iter().filter(|c| c.system == LOINC).find_map(|c| codes::units_of(&c.code));
    let (text, unit, note) = match (allowed, unit) {
        (None, unit) => (text, unit, None),
        (Some(allowed), unit) => of_profile(text, unit, allowed)?,
    };
    let mut map = Map::new();
    map.insert(
        "value".into(),
        Value::Number(Number::from_str(&text).map_err(|_| ("value", "the value is no number"))?),
    );
    map.extend(comparator.map(|c| ("comparator".to_owned(), Value::from(c))));
    map.extend(unit.into_iter().flat_map(Unit::members));
    Ok(Made { quantity: map.into(), note })
}

/// The `valueSampledData` of a stretch of a waveform, in the unit that it came in.
pub(super) fn sampled(sampled: &Sampled, unit: Option<Unit>) -> Result<Value, (&'static str, &'static str)> {
    let number = |text: &str, why| {
        let number = decimal(text).and_then(|text| Number::from_str(&text).ok());
        number.map(Value::Number).ok_or(("value", why))
    };
    let mut origin = Map::new();
    origin.insert("value".into(), number(&sampled.origin, "the origin is no decimal number")?);
    origin.extend(unit.into_iter().flat_map(Unit::members));
    let mut map = Map::new();
    map.insert("origin".into(), origin.into());
    map.insert("period".into(), number(&sampled.period, "the period is no decimal number")?);
    map.insert("factor".into(), number(&sampled.factor, "the factor is no decimal number")?);
    map.insert("dimensions".into(), 1.into());
    map.insert("data".into(), sampled.data.as_str().into());
    Ok(map.into())
}

type Fitted = (String, Option<Unit>, Option<String>);

/// Brings a value into a unit that its profile allows.
fn of_profile(text: String, unit: Option<Unit>, allowed: &[&str]) -> Result<Fitted, (&'static str, &'static str)> {
    let preferred = allowed.first().copied().unwrap_or("1");
    let target = Unit { code: Some(preferred.to_owned()), name: ucum::human(preferred).to_owned() };
    let Some(unit) = unit else {
        // A rate has no other unit that a device would leave out; a temperature or a weight has.
        return if preferred == "/min" {
            Ok((text, Some(target), None))
        } else {
            Err(("required", "the unit is missing, and this vital sign is measured in several"))
        };
    };
    let Some(code) = unit.code.as_deref() else {
        return Err(("value", "the unit is not known, and this vital sign needs a known one"));
    };
    if allowed.contains(&code) {
        return Ok((text, Some(unit), None));
    }
    let value = text.parse::<f64>().map_err(|_| ("value", "the value is no number"))?;
    let there = ucum::convert(value, code, preferred).ok_or(("value", "the unit does not fit this vital sign"))?;
    let step = ucum::convert(1.0, code, preferred).zip(ucum::convert(0.0, code, preferred)).map_or(1.0, |(a, b)| a - b);
    let converted = round_like(&text, there, step);
    let note = format!("Sent as {text} {}", unit.name);
    Ok((converted, Some(target), Some(note)))
}

/// Writes a converted value with as many decimals as the sent one was precise to; `step` is what one sent unit
/// is in the new one.
fn round_like(sent: &str, value: f64, step: f64) -> String {
    let sent_decimals = sent.split_once('.').map_or(0, |(_, d)| d.bytes().take_while(u8::is_ascii_digit).count());
    let mut resolution = step.abs();
    for _ in 0..sent_decimals {
        resolution /= 10.0;
    }
    let mut decimals = 0;
    while resolution < 0.999_999 && decimals < 12 {
        resolution *= 10.0;
        decimals += 1;
    }
    format!("{value:.decimals$}")
}

/// A decimal of HL7 v2 or of a device as JSON writes it, with its precision: `+72.50` is `72.50`, `.5` is `0.5`,
/// `007` is `7`, `5.` is `5`. None when it is no decimal, or one that nothing can measure.
pub fn decimal(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() > LONGEST {
        return None;
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (number, exponent) = match rest.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (rest, None),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if !(digits(whole) && digits(fraction)) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let mut plain = format!("{sign}{}", if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        plain.push('.');
        plain.push_str(fraction);
    }
    if let Some(exponent) = exponent {
        let power: i32 = exponent.parse().ok().filter(|p: &i32| (-30..=30).contains(p))?;
        plain = format!("{plain}e{power:+}");
    }
    plain.parse::<f64>().is_ok_and(f64::is_finite).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_keep_their_precision() {
        let table = [
            ("72", Some("72")),
            ("72.50", Some("72.50")),
            ("+72.5", Some("72.5")),
            ("-0.0", Some("-0.0")),
            (".5", Some("0.5")),
            ("5.", Some("5")),
            ("007.10", Some("7.10")),
            (" 36.6 ", Some("36.6")),
            ("1E3", Some("1e+3")),
            ("1e-7", Some("1e-7")),
            ("", None),
            (".", None),
            ("-", None),
            ("1e", None),
            ("1e999", None),
            ("1,5", None),
            ("NaN", None),
            ("inf", None),
            ("0x10", None),
            ("12 3", None),
            ("--1", None),
            ("12345678901234567890123456789012345678901", None),
        ];
        for (text, want) in table {
            assert_eq!(decimal(text).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn converted_values_are_as_precise_as_the_sent_ones() {
        let table = [
            ("16.0", "kPa", "mm[Hg]", "120.0"),
            ("16", "kPa", "mm[Hg]", "120"),
            ("1.75", "m", "cm", "175"),
            ("1.755", "m", "cm", "175.5"),
            ("310.4", "K", "Cel", "37.2"),
            ("71500", "mg", "kg", "0.071500"),
        ];
        for (text, from, to, want) in table {
            let unit = Unit { code: Some(from.to_owned()), name: from.to_owned() };
            let (converted, unit, note) = of_profile(text.to_owned(), Some(unit), &[to]).unwrap();
            assert_eq!((converted.as_str(), unit.unwrap().code.as_deref()), (want, Some(to)), "{text} {from}");
            assert_eq!(note, Some(format!("Sent as {text} {from}")));
        }
    }

    proptest! {
        #[test]
        fn a_decimal_is_a_json_number(text in "[+-]?[0-9.]{0,12}([eE][+-]?[0-9]{0,3})?|\\PC{0,12}") {
            if let Some(plain) = decimal(&text) {
                prop_assert_eq!(Number::from_str(&plain).unwrap().to_string(), plain.clone());
                prop_assert_eq!(decimal(&plain), Some(plain));
            }
        }
    }
}
