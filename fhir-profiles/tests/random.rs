//! Whatever comes in, nothing panics; and what passes the check can be written and read again.

use fhir_r4::{Definitions, Format, Policies, check, check_bundle_shell, parse, resource_types, write_xml};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value, json};

const NAMES: [&str; 40] = [
    "resourceType",
    "id",
    "meta",
    "text",
    "div",
    "contained",
    "extension",
    "modifierExtension",
    "url",
    "valueString",
    "valueQuantity",
    "_valueString",
    "_id",
    "value",
    "code",
    "coding",
    "system",
    "status",
    "_status",
    "category",
    "component",
    "subject",
    "reference",
    "entry",
    "resource",
    "request",
    "response",
    "fullUrl",
    "type",
    "name",
    "given",
    "_given",
    "period",
    "start",
    "end",
    "effectiveDateTime",
    "parameter",
    "profile",
    "identifier",
    "$serde_json::private::Number",
];

const TEXTS: [&str; 18] = [
    "final",
    "vital-signs",
    "http://terminology.hl7.org/CodeSystem/observation-category",
    "http://loinc.org",
    "8867-4",
    "85354-9",
    "Patient/1",
    "#a",
    "#",
    "urn:uuid:x",
    "2026-11-22",
    "2026-11-22T10:00:00Z",
    "transaction",
    "<div xmlns=\"http://www.w3.org/1999/xhtml\">a</div>",
    "<div>&",
    "http://hl7.org/fhir/StructureDefinition/bp",
    "\u{f8ff}d0;",
    "",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(&TEXTS[..]).prop_map(str::to_owned),
        1 => select(resource_types()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        text().prop_map(Value::String),
    ];
    leaf.prop_recursive(8, 96, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec((select(&NAMES[..]), inner), 0..8)
                .prop_map(|m| Value::Object(m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

/// A tree that at least begins like a resource.
fn resource() -> impl Strategy<Value = Value> {
    (select(resource_types()), vec((select(&NAMES[..]), tree()), 0..8)).prop_map(|(name, members)| {
        let mut resource = Map::new();
        resource.insert("resourceType".into(), json!(name));
        resource.extend(members.into_iter().filter(|(k, _)| *k != "resourceType").map(|(k, v)| (k.to_owned(), v)));
        Value::Object(resource)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn trees_never_panic(value in prop_oneof![tree(), resource()]) {
        let _ = write_xml(&value);
        let _ = check_bundle_shell(&value);
        let _ = check(value.clone());
        let text = value.to_string();
        if let Ok(read) = parse(text.as_bytes(), Format::Json) {
            prop_assert_eq!(read, value);
        }
    }

    #[test]
    fn what_is_checked_can_be_written(value in resource()) {
        if let Ok(checked) = parse(value.to_string().as_bytes(), Format::Json).and_then(check) {
            let xml = write_xml(checked.value()).map_err(|i| TestCaseError::fail(format!("{i:?}")))?;
            prop_assert!(parse(&xml, Format::Xml).and_then(check).is_ok());
        }
    }

    #[test]
    fn expressions_never_panic(
        parts in vec(select(&[
            "name", "$this", "%resource", "%context", "descendants()", "children()", ".", ".", "(", ")", "[0]", "[", "]", "{}", "1", "-1",
            "9223372036854775807", "'a'", "'", "@2026", "=", "!=", "<", ">=", "~", "and", "or", "implies", "xor", "in", "contains", "|", "&", "+",
            "*", "div", "mod", "/", " ", " ", "is", "as", "Quantity", "where(", "select(", "all(", "exists()", "first()", "matches('(a*)*b')",
            "matches('[')", "replaceMatches('a', '$1')", "substring(1)", "toInteger()", "length()", "iif(true, ", "resolve()", "extension('u')",
            "ofType(string)", "isDistinct()", "intersect(", "skip(1)", "trace('x')", "`a`", "//", "/*", "\u{1f600}", "not()", ",",
        ][..]), 0..16),
        value in resource(),
        slicing in any::<String>(),
    ) {
        let text = parts.concat();
        let constraint = json!([{"key": "x-1", "severity": "error", "human": "x", "expression": text}]);
        let kind = value["resourceType"].as_str().unwrap_or_default().to_owned();
        let elements = json!([
            {"path": kind, "constraint": constraint},
            {"path": format!("{kind}.extension"), "slicing": {"discriminator": [{"type": "value", "path": text}]}},
            {"path": format!("{kind}.extension"), "sliceName": slicing, "constraint": constraint, "min": 1},
            {"path": format!("{kind}.extension.url"), "fixedUri": "u"}]);
        let profile = json!({"resourceType": "StructureDefinition", "url": "urn:x", "type": kind, "derivation": "constraint",
            "snapshot": {"element": elements}});
        let (definitions, _) = Definitions::compile([&profile], Policies::default());
        let _ = definitions.validate(&value, &["urn:x"]);
        let _ = Definitions::problem(&value, [&value]);
        let _ = Definitions::compile([&value], Policies::default());
    }

    #[test]
    fn differentials_never_panic(
        changes in vec((vec(select(&[
            "Observation", "component", "value[x]", "valueQuantity", "valueString", "code", "coding", "extension", "url", "id", "contained",
            "referenceRange", "low", "", "banana", "component:a", "extension:x", "value[x]:valueQuantity", "é",
        ][..]), 0..6), any::<bool>(), prop::option::of(select(&["a", "b", "a/b", "valueQuantity", ""][..])), tree(), 0..4_u8, any::<bool>()), 0..12),
        base in select(&["Observation", "vitalsigns", "bp", "Patient", "DomainResource"][..]),
        value in resource(),
    ) {
        let elements: Vec<Value> = changes.into_iter().map(|(parts, is_rooted, slice, odd, min, has_id)| {
            let bare: Vec<&str> = parts.iter().map(|part| part.split(':').next().unwrap_or_default()).collect();
            let root = if is_rooted { "Observation." } else { "" };
            let mut element = json!({"path": format!("{root}{}", bare.join(".")), "min": min});
            if has_id {
                element["id"] = format!("{root}{}", parts.join(".")).into();
            }
            if let Some(slice) = slice {
                element["sliceName"] = slice.into();
                element["slicing"] = json!({"discriminator": [{"type": "type", "path": "$this"}]});
            } else {
                element["type"] = odd.clone();
                element["max"] = odd;
            }
            element
        }).collect();
        let profile = json!({"resourceType": "StructureDefinition", "url": "urn:x", "type": "Observation", "derivation": "constraint",
            "baseDefinition": format!("http://hl7.org/fhir/StructureDefinition/{base}"), "differential": {"element": elements}});
        let _ = Definitions::problem(&profile, [&value]);
        let (definitions, _) = Definitions::compile([&profile], Policies::default());
        let _ = definitions.validate(&value, &["urn:x"]);
    }

    #[test]
    fn bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, Format::Json);
        let _ = parse(&bytes, Format::Xml);
    }

    #[test]
    fn markup_never_panics(parts in vec(select(&[
        "<Patient xmlns=\"http://hl7.org/fhir\">", "</Patient>", "<id value=\"a\"/>", "<name>", "</name>", "<contained>",
        "</contained>", "<div xmlns=\"http://www.w3.org/1999/xhtml\">", "</div>", "<b/>", "x", "&amp;", "&#0;", "<!--", "-->",
        "<text>", "</text>", "<extension url=\"u\">", "</extension>", "<valueDecimal value=\"1.0\"/>", "<active/>",
        "<given value=\"a\"><extension url=\"u\"/></given>", " ", "<?xml version=\"1.0\"?>", "<active value=\"\u{f8ff}\"/>",
    ][..]), 0..12)) {
        let _ = parse(parts.concat().as_bytes(), Format::Xml);
        let whole = format!("<Patient xmlns=\"http://hl7.org/fhir\">{}</Patient>", parts.concat());
        if let Ok(value) = parse(whole.as_bytes(), Format::Xml) {
            let _ = check(value);
        }
    }
}
