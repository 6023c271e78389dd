//! The `CapabilityStatement`: written from the tables that route and search, so it says what works and no more.

use fhir_r4::SearchKind;
use serde_json::{Value, json};

use super::operation::{self, Operation};
use super::params;

/// `base`: the public address of the FHIR endpoint. `date`: of this build's start, as FHIR writes it.
pub fn statement(base: &str, date: &str) -> Value {
    let resources: Vec<Value> = fhir_r4::resource_types().iter().map(|kind| resource(kind)).collect();
    let rest = with_operations(
        json!({
            "mode": "server",
            "security": {
                "cors": false,
                "description": "Bearer tokens (JWT, ES256) with SMART v2 scopes; session cookies for the server's own pages."
            },
            "resource": resources,
            "interaction": [{"code": "transaction"}, {"code": "batch"}, {"code": "history-system"}]
        }),
        operation::of_system(),
    );
    json!({
        "resourceType": "CapabilityStatement",
        "id": "vigia",
        "url": format!("{base}/metadata"),
        "version": env!("CARGO_PKG_VERSION"),
        "name": "Vigia",
        "title": "Vigía patient monitoring server",
        "status": "active",
        "date": date,
        "kind": "instance",
        "software": {"name": "Vigía", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": "Vigía", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "application/fhir+xml", "json", "xml"],
        "rest": [rest]
    })
}

fn resource(kind: &str) -> Value {
    let interactions =
        ["read", "vread", "update", "delete", "history-instance", "history-type", "create", "search-type"];
    let params: Vec<Value> = params::of(kind)
        .iter()
        .map(|param| json!({"name": param.name, "definition": param.definition.url, "type": kind_code(param.kind)}))
        .collect();
    let resource = json!({
        "type": kind,
        "profile": format!("http://hl7.org/fhir/StructureDefinition/{kind}"),
        "interaction": interactions.iter().map(|code| json!({"code": code})).collect::<Vec<_>>(),
        "versioning": "versioned-update",
        "readHistory": true,
        "updateCreate": true,
        "conditionalCreate": true,
        "conditionalUpdate": false,
        "conditionalDelete": "not-supported",
        "searchParam": params
    });
    with_operations(resource, operation::of(kind))
}

/// FHIR has no empty lists: without operations the member is left out.
fn with_operations(mut part: Value, all: impl Iterator<Item = &'static Operation>) -> Value {
    let all: Vec<Value> = all.map(|o| json!({"name": o.name, "definition": o.definition})).collect();
    if let (false, Some(members)) = (all.is_empty(), part.as_object_mut()) {
        members.insert("operation".into(), all.into());
    }
    part
}

fn kind_code(kind: SearchKind) -> &'static str {
    match kind {
        SearchKind::Number => "number",
        SearchKind::Date => "date",
        SearchKind::String => "string",
        SearchKind::Token => "token",
        SearchKind::Reference => "reference",
        SearchKind::Composite => "composite",
        SearchKind::Quantity => "quantity",
        SearchKind::Uri => "uri",
        SearchKind::Special => "special",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_is_valid_and_names_our_own_parameters() {
        let statement = statement("http://localhost/fhir", "2026-01-01");
        let issue =
            statement["rest"][0]["resource"].as_array().unwrap().iter().find(|r| r["type"] == "DetectedIssue").unwrap();
        let names: Vec<&str> =
            issue["searchParam"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
        assert!(names.contains(&"severity") && names.contains(&"status"));
        fhir_r4::check(statement).unwrap();
    }
}
