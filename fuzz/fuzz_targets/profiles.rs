//! Any bytes as an expression, as a path, as a definition and as a resource that is held to it: nothing panics and
//! nothing runs on. The first line is the expression, the rest a resource.

#![no_main]

use fhir_r4::{Definitions, Format, Policies, parse};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (expression, resource) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(value) = parse(resource.as_bytes(), Format::Json) else { return };
    let kind = value["resourceType"].as_str().unwrap_or("Patient");
    let constraint = json!([{"key": "x-1", "severity": "error", "human": "x", "expression": expression}]);
    let profile = json!({"resourceType": "StructureDefinition", "url": "urn:x", "type": kind, "derivation": "constraint",
        "snapshot": {"element": [
            {"path": kind, "constraint": constraint},
            {"path": format!("{kind}.extension"), "slicing": {"discriminator": [{"type": "value", "path": expression}]}},
            {"path": format!("{kind}.extension"), "sliceName": "a", "constraint": constraint}]}});
    // The same words as the path of a differential, and what was sent as one.
    let change = json!({"path": format!("{kind}.{expression}"), "id": expression, "min": 1, "sliceName": "a"});
    let differential = json!({"resourceType": "StructureDefinition", "url": "urn:y", "type": kind,
        "derivation": "constraint", "baseDefinition": "urn:x", "differential": {"element": [change, value]}});
    let _ = Definitions::problem(&differential, [&profile, &value]);
    let (definitions, _) = Definitions::compile([&profile, &value], Policies::default());
    let _ = definitions.validate(&value, &["urn:x"]);
});
