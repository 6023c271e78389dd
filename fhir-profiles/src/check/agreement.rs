//! Holds invariants that are written by hand to those that the definitions write.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::check;
use crate::{
    Format, parse,
    path::{Context, Fuel, Item},
    tables::TABLES,
};

#[test]
fn every_invariant_can_be_computed() {
    let all = || {
        let of_children =
            TABLES.nodes.iter().flat_map(|n| &n.children).flat_map(|c| c.constraints.iter().chain(&c.by_hand));
        TABLES.nodes.iter().flat_map(|n| n.constraints.iter().chain(&n.by_hand)).chain(of_children)
    };
    let unread: Vec<&str> = all().filter(|c| c.expression().is_err()).map(|c| c.key).collect();
    assert_eq!((all().count(), unread), (237, vec![]));
}

/// Every element in a resource, with the resource.
fn elements<'v>(root: &'v serde_json::Map<String, Value>, found: &mut Vec<Item<'v>>) {
    let mut open: Vec<Item> = Item::resource(root).into_iter().collect();
    while let Some(item) = open.pop() {
        let _ = item.all_children(&mut open);
        found.push(item);
    }
}

/// The keys of the invariants by hand that fail when they are computed.
fn computed(resource: &Value) -> Vec<&'static str> {
    let root = resource.as_object().unwrap();
    let context = Context { resource: root, root, definitions: None };
    let mut all = Vec::new();
    elements(root, &mut all);
    let mut failed = Vec::new();
    for item in &all {
        let Item::Element { node, .. } = item else { continue };
        for constraint in &node.by_hand {
            let expression = constraint.expression().as_ref().unwrap();
            if matches!(expression.holds(item, &context, &Fuel::new(100_000)), Ok(None | Some(false))) {
                failed.push(constraint.key);
            }
        }
    }
    failed.sort_unstable();
    failed.dedup();
    failed
}

/// Those that fail by hand.
fn by_hand(resource: &Value) -> Vec<String> {
    let issues = check(resource.clone()).err().unwrap_or_default();
    let known = |key: &str| TABLES.nodes.iter().flat_map(|n| &n.by_hand).any(|c| c.key == key);
    let keys = issues.iter().filter_map(|i| i.diagnostics.split_once(':')).map(|(key, _)| key.to_owned());
    let mut keys: Vec<String> = keys.filter(|key| known(key)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

#[test]
fn both_find_the_same() {
    let reading = json!({"resourceType": "Observation", "status": "final", "code": {"coding": [{"code": "x"}]}});
    let with = |name: &str, value: Value| {
        let mut reading = reading.clone();
        reading[name] = value;
        reading
    };
    let both = |a: Value, b: Value| {
        let mut reading = with("valueQuantity", a);
        reading["component"] = json!([{"code": {"coding": [{"code": "x"}]}}]);
        reading["dataAbsentReason"] = b;
        reading
    };
    let bundle =
        |kind: &str, entry: Value| json!({"resourceType": "Bundle", "type": kind, "total": 1, "entry": [entry, {}]});
    let patient = |more: Value| {
        json!({"resourceType": "Patient", "contact": [more], "contained": [{"resourceType": "Organization", "id": "o", "name": "x"}],
        "managingOrganization": {"reference": "#o"}})
    };
    let spoiled = [
        both(json!({"value": 1, "code": "x"}), json!({"text": "x"})),
        with("referenceRange", json!([{}, {"low": {"value": 1}}, {"age": {"low": {"value": 1}}}])),
        with("valueRange", json!({"low": {"value": 10}, "high": {"value": 9}})),
        with("valueRange", json!({"low": {"value": 10}, "high": {"value": 10.0}})),
        with("valueRatio", json!({"numerator": {"value": 1}})),
        with("valueRatio", json!({"denominator": {"value": 1}})),
        with("valuePeriod", json!({"start": "2026-02-01", "end": "2026-01-01"})),
        with("effectivePeriod", json!({"start": "2026-02-01"})),
        with("subject", json!({"reference": "#nobody"})),
        bundle("searchset", json!({"fullUrl": "urn:x:1/_history/2", "request": {"method": "GET", "url": "x"}})),
        bundle("transaction", json!({"search": {"mode": "match"}, "response": {"status": "200"}})),
        bundle("document", json!({"resource": {"resourceType": "Patient", "active": true}})),
        bundle("message", json!({"resource": {"resourceType": "Patient", "active": true}})),
        bundle("collection", json!({"resource": {"resourceType": "Patient", "active": true}, "fullUrl": "urn:x:1"})),
        patient(json!({"gender": "male"})),
        patient(json!({"telecom": [{"value": "1"}]})),
        json!({"resourceType": "Media", "status": "completed", "content": {"data": "AAAA"}}),
        json!({"resourceType": "Parameters", "parameter": [{"name": "a"}, {"name": "b", "valueString": "x", "part": [{"name": "c"}]}]}),
    ];
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/examples");
    let examples = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    let examples = examples.map(|bytes| parse(&bytes, Format::Json).unwrap());
    let mut keys = std::collections::BTreeSet::new();
    for resource in examples.chain(spoiled) {
        let found = by_hand(&resource);
        assert_eq!(found, computed(&resource), "{resource}");
        keys.extend(found);
    }
    assert!(keys.len() >= 18, "the spoiled ones reach most of them: {keys:?}");
}
