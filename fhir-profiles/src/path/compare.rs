//! Equality and order of what an expression finds. Numbers are compared by their digits.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Item, Stop};
use crate::check::calendar;

pub(super) fn equal(a: &Item, b: &Item) -> bool {
    if let (Some(a), Some(b)) = (a.boolean(), b.boolean()) {
        return a == b;
    }
    if let (Some(a), Some(b)) = (a.text(), b.text()) {
        return a == b;
    }
    if let (Some(a), Some(b)) = (a.number(), b.number()) {
        return order_of_numbers(&a, &b) == Some(Ordering::Equal);
    }
    match (a, b) {
        (Item::Element { object: a, .. }, Item::Element { object: b, .. }) => same_members(a, b),
        _ => false,
    }
}

fn same_members(a: &serde_json::Map<String, Value>, b: &serde_json::Map<String, Value>) -> bool {
    a.len() == b.len() && a.iter().all(|(name, value)| b.get(name).is_some_and(|other| same(value, other)))
}

/// The same value whatever the order of members; numbers by what they are worth.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => same_members(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Number(a), Value::Number(b)) => {
            order_of_numbers(&a.to_string(), &b.to_string()) == Some(Ordering::Equal)
        }
        _ => a == b,
    }
}

/// What is equal has one key: sets are built by it.
pub(super) fn key(item: &Item) -> String {
    if let Some(is) = item.boolean() {
        return format!("b{is}");
    }
    if let Some(text) = item.text() {
        return format!("t{text}");
    }
    if let Some(number) = item.number() {
        return match Decimal::read(&number) {
            Some(d) => format!("n{}{} {}", if d.negative { "-" } else { "" }, d.digits, d.point),
            None => format!("n{number}"),
        };
    }
    match item {
        Item::Element { object, .. } => format!("e{}", sorted(&Value::Object((*object).clone()))),
        _ => String::new(),
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            members.into_iter().collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

pub(super) fn order(a: &Item, b: &Item) -> Result<Ordering, Stop> {
    if let (Some(a), Some(b)) = (a.number(), b.number()) {
        return order_of_numbers(&a, &b).ok_or(Stop::Wrong);
    }
    if let (Some(first), Some(second)) = (a.text(), b.text()) {
        if !a.is_time() && !b.is_time() {
            return Ok(first.cmp(second));
        }
        if first == second {
            return Ok(Ordering::Equal);
        }
        return match (calendar::is_after(first, second), calendar::is_after(second, first)) {
            (true, _) => Ok(Ordering::Greater),
            (_, true) => Ok(Ordering::Less),
            _ => Err(Stop::Unknown),
        };
    }
    match (quantity(a), quantity(b)) {
        (Some((a, unit)), Some((b, other))) if unit == other => order_of_numbers(&a, &b).ok_or(Stop::Wrong),
        (Some(_), Some(_)) => Err(Stop::Unknown),
        _ => Err(Stop::Wrong),
    }
}

/// A quantity as its value and what says its unit.
fn quantity<'v>(item: &Item<'v>) -> Option<(String, [Option<&'v Value>; 3])> {
    let Item::Element { object, .. } = item else { return None };
    let Some(Value::Number(value)) = object.get("value") else { return None };
    Some((value.to_string(), [object.get("system"), object.get("code"), object.get("unit")]))
}

/// A decimal without the zeros that say nothing: 0.`digits` times ten to the `point`.
struct Decimal {
    negative: bool,
    digits: String,
    point: i64,
}

impl Decimal {
    fn read(text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i64 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
        let negative = mantissa.starts_with('-');
        let (whole, fraction) = mantissa
            .trim_start_matches(['-', '+'])
            .split_once('.')
            .unwrap_or((mantissa.trim_start_matches(['-', '+']), ""));
        let all = [whole, fraction].concat();
        if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let leading = all.len() - all.trim_start_matches('0').len();
        let digits = all.trim_start_matches('0').trim_end_matches('0').to_owned();
        let place = i64::try_from(whole.len()).ok()? - i64::try_from(leading).ok()?;
        let point = if digits.is_empty() { 0 } else { place.checked_add(exponent)? };
        let negative = negative && !digits.is_empty();
        Some(Self { negative, digits, point })
    }
}

pub(crate) fn order_of_numbers(a: &str, b: &str) -> Option<Ordering> {
    let (a, b) = (Decimal::read(a)?, Decimal::read(b)?);
    let sign = |d: &Decimal| match (d.digits.is_empty(), d.negative) {
        (true, _) => 0,
        (_, true) => -1,
        _ => 1,
    };
    let by_sign = sign(&a).cmp(&sign(&b));
    if by_sign != Ordering::Equal || a.digits.is_empty() {
        return Some(by_sign);
    }
    let by_size = a.point.cmp(&b.point).then_with(|| a.digits.cmp(&b.digits));
    Some(if a.negative { by_size.reverse() } else { by_size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_by_their_worth() {
        for (a, b, order) in [
            ("1.10", "1.1", Ordering::Equal),
            ("0", "-0.0", Ordering::Equal),
            ("100", "1e2", Ordering::Equal),
            ("0.010", "1E-2", Ordering::Equal),
            ("99", "100", Ordering::Less),
            ("-99", "-100", Ordering::Greater),
            ("-1", "0.001", Ordering::Less),
            ("1.0000000000000000000000000000001", "1", Ordering::Greater),
            ("123", "124", Ordering::Less),
        ] {
            assert_eq!(order_of_numbers(a, b), Some(order), "{a} {b}");
            assert_eq!(order_of_numbers(b, a), Some(order.reverse()), "{b} {a}");
        }
        assert_eq!(order_of_numbers("x", "1"), None);
    }
}
