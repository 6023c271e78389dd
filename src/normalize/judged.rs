//! What a sender thinks of a value, as members of an Observation or of a component: what is usual, and codes.

use std::str::FromStr;

use serde_json::{Map, Number, Value, json};

use super::draft::Judged;
use super::{concept, decimal};

/// `quantity`: the value as it stands now, when it is one. `converted`: it was sent in another unit.
pub(super) fn members(judged: &Judged, quantity: Option<&Value>, converted: bool) -> Map<String, Value> {
    let mut map = Map::new();
    if !judged.interpretation.is_empty() {
        let codes = judged.interpretation.iter().map(|code| concept(std::slice::from_ref(code)));
        map.insert("interpretation".into(), codes.collect());
    }
    if let Some(text) = judged.range.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        map.insert("referenceRange".into(), json!([range(text, quantity, converted)]));
    }
    map
}

/// Always as it was sent; its ends too where it has two in the unit of the value. `<5` has none: FHIR's ends belong to
/// the range.
fn range(text: &str, quantity: Option<&Value>, converted: bool) -> Value {
    let mut map = Map::new();
    if let (Some(quantity), Some((low, high)), false) = (quantity, ends(text), converted) {
        map.extend(end(&low, quantity).map(|low| ("low".to_owned(), low)));
        map.extend(end(&high, quantity).map(|high| ("high".to_owned(), high)));
    }
    let text = if converted { format!("{text} (in the unit that was sent)") } else { text.to_owned() };
    map.insert("text".into(), text.into());
    map.into()
}

/// `3.5-5.1`, `-2 - 2`, `90^160`, `70_105`: two numbers, the lower one first.
fn ends(text: &str) -> Option<(String, String)> {
    let number = |text: &str| decimal(text).and_then(|text| text.parse::<f64>().ok().map(|number| (text, number)));
    let mut places = text.char_indices().filter(|(at, letter)| *at > 0 && matches!(letter, '-' | '^' | '_'));
    places.find_map(|(at, letter)| {
        let (low, high) = (number(text.get(..at)?)?, number(text.get(at + letter.len_utf8()..)?)?);
        (low.1 <= high.1).then_some((low.0, high.0))
    })
}

fn end(number: &str, quantity: &Value) -> Option<Value> {
    let mut made = quantity.as_object()?.clone();
    made.remove("comparator");
    made.insert("value".into(), Value::Number(Number::from_str(number).ok()?));
    Some(made.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_two_ends() {
        let table = [
            ("3.5-5.10", Some(("3.5", "5.10"))),
            ("-2 - 2", Some(("-2", "2"))),
            ("-5--2", Some(("-5", "-2"))),
            ("90^160", Some(("90", "160"))),
            ("70_105", Some(("70", "105"))),
            ("5-3", None),
            ("<5", None),
            (">98", None),
            ("-5", None),
            ("negative", None),
            ("1-2-3", None),
            ("\u{2013}1\u{2013}2", None),
        ];
        for (text, want) in table {
            assert_eq!(ends(text), want.map(|(low, high)| (low.to_owned(), high.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_range_has_the_unit_of_its_value() {
        let judged = Judged { range: Some("3.5-5.1".into()), interpretation: vec![] };
        let quantity: Value = serde_json::from_str(r#"{"value":6.0,"comparator":">","unit":"mmol/L"}"#).unwrap();
        let made = |quantity, converted| Value::from(members(&judged, quantity, converted)).to_string();
        let both = r#"{"low":{"value":3.5,"unit":"mmol/L"},"high":{"value":5.1,"unit":"mmol/L"},"text":"3.5-5.1"}"#;
        assert_eq!(made(Some(&quantity), false), format!(r#"{{"referenceRange":[{both}]}}"#));
        assert_eq!(
            made(Some(&quantity), true),
            r#"{"referenceRange":[{"text":"3.5-5.1 (in the unit that was sent)"}]}"#
        );
        assert_eq!(made(None, false), r#"{"referenceRange":[{"text":"3.5-5.1"}]}"#);
        assert!(members(&Judged::default(), None, false).is_empty());
    }
}
