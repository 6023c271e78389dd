//! What Observations come out, as JSON.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::codes::MDC;
use super::draft::{Coding, Draft, Judged, Measured, Subject};
use super::*;

const RECEIVED: i64 = 1_767_323_045_000_000; // 2026-01-02T03:04:05Z

fn coding(system: &str, code: &str) -> Coding {
    Coding { system: system.to_owned(), code: code.to_owned(), display: None }
}

fn quantity(value: &str, unit: &str) -> Measured {
    let unit = (!unit.is_empty()).then(|| coding("", unit));
    Measured::Quantity { value: value.to_owned(), comparator: None, unit }
}

fn draft(system: &str, code: &str, value: Measured) -> Draft {
    Draft {
        place: "[3]".to_owned(),
        subject: Some(Subject::Reference("Patient/p1".to_owned())),
        device: None,
        metric: None,
        status: "final",
        code: vec![coding(system, code)],
        value,
        components: Vec::new(),
        judged: Judged::default(),
        parts_judged: Vec::new(),
        effective: Some("2026-01-02T03:04:00+01:00".to_owned()),
        effective_end: None,
        told: None,
        key: "k".to_owned(),
        identifier: None,
        test: false,
        note: None,
        amends: false,
    }
}

fn bound() -> Bound {
    Bound { patient: "Patient/p1".to_owned(), device: Some("Device/d".to_owned()), ..Bound::default() }
}

fn made(draft: &Draft) -> Value {
    observation(draft, &bound(), RECEIVED).unwrap()
}

fn refused(draft: &Draft) -> Vec<(&'static str, String)> {
    observation(draft, &bound(), RECEIVED).unwrap_err().into_iter().map(|i| (i.code, i.expression)).collect()
}

#[test]
fn a_heart_rate_becomes_a_vital_sign() {
    let mut heart_rate = draft(MDC, "147842", quantity("72.50", "264864"));
    heart_rate.identifier = Some((Some("urn:x".to_owned()), "7".to_owned()));
    heart_rate.test = true;
    let text = serde_json::to_string(&made(&heart_rate)).unwrap();
    let id = reading_id(&heart_rate, 1_767_319_440_000_000);
    let want = format!(
        r#"{{"resourceType":"Observation","id":"{id}","meta":{{"tag":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"HTEST"}}]}},"identifier":[{{"system":"urn:x","value":"7"}}],"status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"8867-4","display":"Heart rate"}},{{"system":"urn:iso:std:iso:11073:10101","code":"147842"}}]}},"subject":{{"reference":"Patient/p1"}},"effectiveDateTime":"2026-01-02T03:04:00+01:00","valueQuantity":{{"value":72.50,"unit":"/min","system":"http://unitsofmeasure.org","code":"/min"}},"device":{{"reference":"Device/d"}}}}"#
    );
    assert_eq!(text, want);
}

#[test]
fn a_panel_has_components_and_no_value() {
    let mut pressure = draft("http://loinc.org", "85354-9", Measured::Panel);
    let part = |code, value, unit| (vec![coding("http://loinc.org", code)], quantity(value, unit));
    pressure.components = vec![part("8480-6", "16.0", "kPa"), part("8462-4", "80", "mmHg")];
    let made = made(&pressure);
    assert_eq!(made.pointer("/component/0/valueQuantity/value").unwrap().to_string(), "120.0");
    assert_eq!(made.pointer("/component/1/valueQuantity/code").unwrap(), "mm[Hg]");
    assert_eq!(made.pointer("/note/0/text").unwrap(), "Sent as 16.0 kPa");
    assert!(made.get("valueQuantity").is_none() && made.get("meta").is_none());
}

#[test]
fn other_values_have_their_places() {
    let table = [
        (Measured::Text("vent".to_owned()), "/valueString", json!("vent")),
        (
            Measured::Coded(vec![coding("s", "c")]),
            "/valueCodeableConcept/coding/0",
            json!({"system": "s", "code": "c"}),
        ),
        (Measured::Absent("error"), "/dataAbsentReason/coding/0/code", json!("error")),
        (quantity("5", "furlong"), "/valueQuantity", json!({"value": 5, "unit": "furlong"})),
        (quantity("5", ""), "/valueQuantity", json!({"value": 5})),
        (quantity("5", "{score}"), "/valueQuantity/code", json!("{score}")),
    ];
    for (value, place, want) in table {
        let made = made(&draft("urn:local", "x", value));
        assert_eq!(made.pointer(place), Some(&want), "{place}");
        assert!(made.get("category").is_none());
    }
}

#[test]
fn units_are_never_guessed_but_for_rates() {
    let loinc = |code, value, unit| draft("http://loinc.org", code, quantity(value, unit));
    assert_eq!(made(&loinc("8867-4", "72", "")).pointer("/valueQuantity/code").unwrap(), "/min");
    assert_eq!(made(&loinc("8310-5", "98.6", "degF")).pointer("/valueQuantity/code").unwrap(), "[degF]");
    assert_eq!(made(&loinc("59408-5", "97", "%")).pointer("/code/coding/1/code").unwrap(), "2708-6");
    for (code, unit, why) in [("8310-5", "", "required"), ("8310-5", "warm", "value"), ("8867-4", "kg", "value")] {
        assert_eq!(refused(&loinc(code, "37", unit)), [(why, "[3]".to_owned())], "{code} {unit}");
    }
    let percent = made(&draft(MDC, "151708", quantity("5", "%")));
    assert_eq!(percent.pointer("/code/coding/0/code").unwrap(), "151708", "no code of another quantity");
}

#[test]
fn times_are_checked() {
    let at = |start: Option<&str>, end: Option<&str>| {
        let mut draft = draft("http://loinc.org", "8867-4", quantity("72", "/min"));
        draft.effective = start.map(str::to_owned);
        draft.effective_end = end.map(str::to_owned);
        draft
    };
    assert_eq!(made(&at(None, None)).get("effectiveDateTime").unwrap(), "2026-01-02T03:04:05.000Z");
    assert_eq!(made(&at(Some("2026-01-02T03:09:05Z"), None)).get("effectiveDateTime").unwrap(), "2026-01-02T03:09:05Z");
    let period = made(&at(Some("2026-01-02T03:00:00Z"), Some("2026-01-02T03:04:00Z")));
    assert_eq!(
        period.get("effectivePeriod").unwrap(),
        &json!({"start": "2026-01-02T03:00:00Z", "end": "2026-01-02T03:04:00Z"})
    );
    for (start, end) in [
        ("2026-01-02T03:09:06Z", None),
        ("2027", None),
        ("yesterday", None),
        ("2026-01-02T03:04", None),
        ("2026-01-02T03:04:05", None),
        ("2026-01-02T03:04:05Z", Some("2026-01-02T03:00:00Z")),
        ("2026-01-02T03:04:05Z", Some("later")),
        ("2026-01-02T03:04:05Z", Some("2026-01-03T00:00:00Z")),
    ] {
        assert_eq!(refused(&at(Some(start), end)), [("value", "[3]".to_owned())], "{start} {end:?}");
    }
}

#[test]
fn the_same_reading_has_the_same_id() {
    let one = draft("s", "c", quantity("1", ""));
    let id = reading_id(&one, RECEIVED);
    assert_eq!(id, reading_id(&one, RECEIVED));
    assert_eq!(id.get(..13), Some("019b7ca9-8c88"), "the time leads");
    assert_eq!(id.get(14..15), Some("8"));
    let mut other = one.clone();
    other.key = "l".to_owned();
    assert_ne!(id, reading_id(&other, RECEIVED));
    let mut named = one;
    named.effective = None;
    assert_ne!(reading_id(&named, RECEIVED), reading_id(&named, RECEIVED + 1000), "no time, no name: another reading");
    named.identifier = Some((None, "7".to_owned()));
    assert_eq!(reading_id(&named, RECEIVED), reading_id(&named, RECEIVED + 1000));
}

proptest! {
    #[test]
    fn any_draft_is_made_or_refused(code in "\\PC{0,8}", value in "\\PC{0,8}|[0-9.]{1,6}", unit in "\\PC{0,6}|[a-zA-Z/%]{0,6}",
                                    time in "\\PC{0,8}|2026-01-0[1-9]T0[0-9]:00:00Z", mdc: bool) {
        let mut draft = draft(if mdc { MDC } else { "http://loinc.org" }, &code, quantity(&value, &unit));
        draft.effective = Some(time);
        if let Ok(made) = observation(&draft, &bound(), RECEIVED) {
            prop_assert!(made.get("status").is_some());
        }
    }
}
