//! The formats of primitive values, as the regular expressions of FHIR R4 have them.

use serde_json::{Number, Value};

use super::{calendar, xhtml};
use crate::tables::Primitive;

/// A string longer than a megabyte is refused by the datatype itself.
const MAX_STRING: usize = 1024 * 1024;

/// What is wrong with a value, if anything.
pub(super) fn check(kind: Primitive, value: &Value) -> Result<(), &'static str> {
    match (kind, value) {
        (Primitive::Boolean, Value::Bool(_)) => Ok(()),
        (Primitive::Boolean, _) => Err("must be true or false"),
        (Primitive::Decimal, Value::Number(n)) => decimal(n),
        (Primitive::Decimal, _) => Err("must be a JSON number"),
        (Primitive::Integer, Value::Number(n)) => integer(n, i32::MIN),
        (Primitive::UnsignedInt, Value::Number(n)) => integer(n, 0),
        (Primitive::PositiveInt, Value::Number(n)) => integer(n, 1),
        (Primitive::Integer | Primitive::UnsignedInt | Primitive::PositiveInt, _) => Err("must be a JSON number"),
        (_, Value::String(text)) => string(kind, text),
        _ => Err("must be a JSON string"),
    }
}

/// A decimal keeps its text, but is searched for and judged by rules as a number: one that no f64 comes near would
/// be stored and never found again.
fn decimal(number: &Number) -> Result<(), &'static str> {
    let text = number.to_string();
    let zero = !text.split(['e', 'E']).next().unwrap_or_default().contains(|c: char| matches!(c, '1'..='9'));
    match text.parse::<f64>() {
        Ok(value) if !value.is_finite() => Err("must not be larger than can be computed with (1.7e308)"),
        Ok(0.0) if !zero => Err("must not be smaller than can be computed with (5e-324)"),
        Ok(_) => Ok(()),
        Err(_) => Err("must be a JSON number"),
    }
}

fn integer(number: &Number, min: i32) -> Result<(), &'static str> {
    match number.as_i64().and_then(|n| i32::try_from(n).ok()) {
        Some(n) if n >= min => Ok(()),
        Some(_) if min == 0 => Err("must not be negative"),
        Some(_) => Err("must be greater than zero"),
        None => Err("must be a whole number of 32 bits"),
    }
}

fn string(kind: Primitive, text: &str) -> Result<(), &'static str> {
    let (good, what) = match kind {
        Primitive::Id => (is_id(text), "must be an id: 1 to 64 letters, digits, '-' or '.'"),
        Primitive::Code => (is_code(text), "must be a code: no space around it, single spaces within"),
        Primitive::Uri | Primitive::Url | Primitive::Canonical => (is_uri(text), "must be a URI without spaces"),
        Primitive::Oid => (is_oid(text), "must be an OID: urn:oid: and numbers divided by dots"),
        Primitive::Uuid => (is_uuid(text), "must be a UUID in lower case: urn:uuid:8-4-4-4-12"),
        Primitive::Date => (calendar::is_date(text), "must be a date: YYYY, YYYY-MM or YYYY-MM-DD"),
        Primitive::DateTime => {
            (calendar::is_date_time(text), "must be a dateTime: a date, or YYYY-MM-DDThh:mm:ss with a time zone")
        }
        Primitive::Instant => (calendar::is_instant(text), "must be an instant: YYYY-MM-DDThh:mm:ss with a time zone"),
        Primitive::Time => (calendar::is_time(text), "must be a time: hh:mm:ss"),
        Primitive::Base64Binary => (is_base64(text), "must be base64"),
        Primitive::Xhtml => return xhtml::check(text),
        _ => (is_text(text), "must be text: not empty, no control characters, at most a megabyte"),
    };
    if good { Ok(()) } else { Err(what) }
}

pub(super) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

fn is_code(text: &str) -> bool {
    let mut before = b' ';
    for byte in text.bytes() {
        if byte < b' ' || byte == b' ' && before == b' ' {
            return false;
        }
        before = byte;
    }
    before != b' '
}

fn is_uri(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b > b' ')
}

fn is_oid(text: &str) -> bool {
    let Some(numbers) = text.strip_prefix("urn:oid:") else { return false };
    let plain = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) && (n == "0" || !n.starts_with('0'));
    let mut parts = numbers.split('.');
    matches!(parts.next(), Some("0" | "1" | "2")) && numbers.contains('.') && parts.all(plain)
}

fn is_uuid(text: &str) -> bool {
    text.strip_prefix("urn:uuid:").is_some_and(|id| {
        id.len() == 36
            && id.bytes().enumerate().all(|(i, b)| match i {
                8 | 13 | 18 | 23 => b == b'-',
                _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
            })
    })
}

fn is_base64(text: &str) -> bool {
    let (mut count, mut padding) = (0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b'=' => padding += 1,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => {}
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            _ => return false,
        }
        count += 1;
    }
    count > 0 && count.is_multiple_of(4) && padding <= 2
}

fn is_text(text: &str) -> bool {
    let control = |b: u8| b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r');
    !text.is_empty() && text.len() <= MAX_STRING && !text.bytes().any(control) && !text.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn decimals_can_be_computed_with() {
        let nines = "9".repeat(309);
        for (text, good) in [
            ("0", true),
            ("0.00", true),
            ("0e999999", true),
            ("-0.0e-999999", true),
            ("72.50", true),
            ("1.7e308", true),
            ("-1.7E+308", true),
            ("5e-324", true),
            ("1e-324", false),
            ("1e400", false),
            ("-1e400", false),
            ("1E2147483648", false),
            (nines.as_str(), false),
            ("0.000001e-400", false),
        ] {
            let Ok(number) = serde_json::from_str::<Value>(text) else { panic!("{text} is no JSON") };
            assert_eq!(check(Primitive::Decimal, &number).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn formats() {
        use Primitive::{
            Base64Binary, Boolean, Canonical, Code, Decimal, Id, Integer, Markdown, Oid, PositiveInt, String,
            UnsignedInt, Uri, Uuid,
        };
        for (kind, value, good) in [
            (Boolean, json!(true), true),
            (Boolean, json!("true"), false),
            (Decimal, json!(1), true),
            (Decimal, json!("72.50"), false),
            (Integer, json!(-3), true),
            (Integer, json!(3_000_000_000_u64), false),
            (Integer, json!(1.5), false),
            (UnsignedInt, json!(0), true),
            (UnsignedInt, json!(-1), false),
            (PositiveInt, json!(0), false),
            (Id, json!("a-B.9"), true),
            (Id, json!("a b/c"), false),
            (Id, json!("x".repeat(65)), false),
            (Code, json!("a b"), true),
            (Code, json!("a  b"), false),
            (Code, json!(" a"), false),
            (Code, json!("a "), false),
            (Code, json!("a\tb"), false),
            (Uri, json!("http://a.b/c|1"), true),
            (Uri, json!("http://a b"), false),
            (Canonical, json!(7), false),
            (Oid, json!("urn:oid:1.2.840"), true),
            (Oid, json!("urn:oid:1.02"), false),
            (Oid, json!("urn:oid:3.2"), false),
            (Oid, json!("urn:oid:1"), false),
            (Uuid, json!("urn:uuid:c757873d-ec9a-4326-a141-556f43239520"), true),
            (Uuid, json!("urn:uuid:C757873D-ec9a-4326-a141-556f43239520"), false),
            (Base64Binary, json!("TWE="), true),
            (Base64Binary, json!("TW\nFu"), true),
            (Base64Binary, json!("TWE"), false),
            (Base64Binary, json!("T=WE"), false),
            (String, json!("Zoë\n"), true),
            (String, json!("\u{0}"), false),
            (String, json!("  "), false),
            (Markdown, json!("# a"), true),
        ] {
            assert_eq!(check(kind, &value).is_ok(), good, "{kind:?} {value}");
        }
    }
}
