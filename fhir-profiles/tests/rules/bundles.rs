//! What the type of a Bundle refuses, and what its shell leaves alone.

use fhir_r4::check_bundle_shell;
use serde_json::{Value, json};

use crate::support::{changes, heart_rate, places};

#[test]
fn bundles() {
    let entry = json!({"fullUrl": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "resource": heart_rate(),
        "request": {"method": "POST", "url": "Observation"}});
    let base = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
    changes(
        &base,
        &[
            ("/type", json!("banana"), &["Bundle.type", "Bundle.entry[0].request"]),
            ("/total", json!(1), &["Bundle.total"]),
            ("/entry/0/request", Value::Null, &["Bundle.entry[0].request"]),
            ("/entry/0/request/method", json!("FETCH"), &["Bundle.entry[0].request.method"]),
            ("/entry/0/response", json!({"status": "200"}), &["Bundle.entry[0].response"]),
            ("/entry/0/search", json!({"mode": "match"}), &["Bundle.entry[0].search"]),
            ("/entry/0/resource/status", json!("x"), &["Bundle.entry[0].resource.status"]),
            ("/entry/0/resource/valueQuantity/code", json!("x"), &["Bundle.entry[0].resource.valueQuantity.code"]),
            ("/entry", json!([entry, entry]), &["Bundle.entry[1].fullUrl"]),
            (
                "/type",
                json!("document"),
                &["Bundle.identifier", "Bundle.timestamp", "Bundle.entry[0].request", "Bundle.entry[0]"],
            ),
        ],
    );
}

#[test]
fn the_shell_of_a_bundle_leaves_its_resources_alone() {
    let mut bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        {"resource": {"resourceType": "Banana", "x": [1]}, "request": {"method": "PUT", "url": "Banana/1"}}]});
    assert_eq!(check_bundle_shell(&bundle), []);
    assert!(!places(&bundle).is_empty());
    bundle["entry"][0]["banana"] = json!(1);
    let found: Vec<String> = check_bundle_shell(&bundle).into_iter().map(|i| i.expression).collect();
    assert_eq!(found, ["Bundle.entry[0].banana"]);
    assert!(!check_bundle_shell(&heart_rate()).is_empty());
    assert!(!check_bundle_shell(&json!(7)).is_empty());
}
