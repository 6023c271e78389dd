//! The `CapabilityStatement`: written from the tables that route and search, so it says what works and no more.

use fhir_r4::SearchKind;
use serde_json::{Value, json};

use super::operation::{self, Operation};
use super::params::{self, Param};
use super::registry::Params;
use super::{compartment, include};

/// What every resource type can do.
const INTERACTIONS: [&str; 9] =
    ["read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type"];
/// What the server as a whole can do.
const SYSTEM_INTERACTIONS: [&str; 4] = ["transaction", "batch", "history-system", "search-system"];
/// Forms of what is sent and answered; ndjson is of searches alone.
const FORMATS: [&str; 6] =
    ["application/fhir+json", "application/fhir+xml", "json", "xml", "application/fhir+ndjson", "ndjson"];
/// Forms of a PATCH: JSON Patch, and FHIRPath Patch in either form of `Parameters`.
const PATCH_FORMATS: [&str; 3] = ["application/json-patch+json", "application/fhir+json", "application/fhir+xml"];
const CONDITIONAL_CREATE: bool = true;
const CONDITIONAL_UPDATE: bool = true;
/// `not-supported`, `single` or `multiple`.
const CONDITIONAL_DELETE: &str = "single";
/// `modified-since` and `not-match` together.
const CONDITIONAL_READ: &str = "full-support";

/// The statement as JSON text. `base`: the public address of the FHIR endpoint. `date`: of this build's start, as
/// FHIR writes it.
pub fn statement(params: &Params, base: &str, date: &str) -> Vec<u8> {
    let head = json!({
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
        "format": FORMATS,
        "patchFormat": PATCH_FORMATS
    });
    let mut text = head.to_string();
    text.pop();
    text.push_str(",\"rest\":[");
    // The same for every caller, and long: written once.
    let rest = params.told(|| rest(params).to_string());
    text.push_str(&rest.replacen("\"security\":{}", &format!("\"security\":{}", security(base)), 1));
    text.push_str("]}");
    text.into_bytes()
}

/// Where leave is asked for; clients of SMART 1 read it here. The addresses are beside the FHIR endpoint.
fn security(base: &str) -> Value {
    let own = base.trim_end_matches("/fhir");
    let uri = |name: &str| json!({"url": name, "valueUri": format!("{own}/auth/{name}")});
    json!({
        "extension": [{
            "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
            "extension": [uri("authorize"), uri("token"), uri("introspect"), uri("revoke")]
        }],
        "cors": true,
        "service": [{"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
            "code": "SMART-on-FHIR",
            "display": "SMART-on-FHIR"
        }]}],
        "description": "Bearer tokens with SMART scopes (SMART App Launch 2.2); session cookies for the server's own pages."
    })
}

fn rest(params: &Params) -> Value {
    let resources: Vec<Value> = fhir_r4::resource_types().iter().map(|kind| resource(params, kind)).collect();
    let compartments = compartment::NAMES.map(|name| {
        let mut letters = name.chars();
        let first = letters.next().map(|c| c.to_ascii_lowercase());
        let name: String = first.into_iter().chain(letters).collect();
        format!("http://hl7.org/fhir/CompartmentDefinition/{name}")
    });
    // By what all types have, all types can be searched at once.
    let common = params::of("Basic").iter().filter(|p| p.name.starts_with('_')).map(search_param);
    let rest = with_operations(
        json!({
            "mode": "server",
            "security": {},
            "resource": resources,
            "interaction": codes(&SYSTEM_INTERACTIONS),
            "searchParam": common.collect::<Vec<_>>()
        }),
        operation::of_system(),
    );
    let mut rest = rest;
    if let Some(members) = rest.as_object_mut() {
        members.insert("compartment".into(), json!(compartments));
    }
    rest
}

fn resource(params: &Params, kind: &str) -> Value {
    let resource = json!({
        "type": kind,
        "profile": format!("http://hl7.org/fhir/StructureDefinition/{kind}"),
        "interaction": codes(&INTERACTIONS),
        "versioning": "versioned-update",
        "readHistory": true,
        "updateCreate": true,
        "conditionalCreate": CONDITIONAL_CREATE,
        "conditionalRead": CONDITIONAL_READ,
        "conditionalUpdate": CONDITIONAL_UPDATE,
        "conditionalDelete": CONDITIONAL_DELETE,
        "searchInclude": include::of(params, kind),
        "searchRevInclude": include::reverse_of(params, kind),
        "searchParam": params.of(kind).map(search_param).collect::<Vec<_>>()
    });
    with_operations(resource, operation::of(kind))
}

fn codes(codes: &[&str]) -> Value {
    codes.iter().map(|code| json!({"code": code})).collect()
}

fn search_param(param: &Param) -> Value {
    json!({"name": param.name, "definition": param.definition.url, "type": kind_code(param.kind)})
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
        let text = statement(&Params::default(), "http://localhost/fhir", "2026-01-01");
        assert!(text.len() < 1 << 20, "{}", text.len());
        let statement: Value = serde_json::from_slice(&text).unwrap();
        let issue =
            statement["rest"][0]["resource"].as_array().unwrap().iter().find(|r| r["type"] == "DetectedIssue").unwrap();
        let names: Vec<&str> =
            issue["searchParam"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
        assert!(names.contains(&"severity") && names.contains(&"status"));
        fhir_r4::check(statement).unwrap();
    }
}
