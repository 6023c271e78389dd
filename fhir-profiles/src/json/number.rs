//! Numbers, kept digit for digit, within bounds that arithmetic can bear.

use serde::de::Error;
use serde_json::{Number, Value};

use super::Problems;

/// Digits a number may have: more than any measurement, few enough to compute with.
const MAX_DIGITS: usize = 40;
const MAX_EXPONENT: u32 = 400;

pub(super) fn read<E: Error>(text: &str, problems: &mut Problems) -> Result<Value, E> {
    if !is_bounded(text) {
        problems.note("value", "the number has too many digits or too large an exponent");
        return Ok(Value::Bool(false));
    }
    text.parse::<Number>().map(Value::Number).map_err(|_| E::custom("invalid number"))
}

fn is_bounded(text: &str) -> bool {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let exponent = exponent.trim_start_matches(['+', '-']).trim_start_matches('0');
    let small = exponent.is_empty() || exponent.parse::<u32>().is_ok_and(|e| e <= MAX_EXPONENT);
    digits <= MAX_DIGITS && small
}
