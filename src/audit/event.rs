//! An entry as a FHIR R4 `AuditEvent`, by the Basic Audit Log Patterns of IHE (BALP): the profile that it follows, the
//! codes of type and subtype, and who took which part in it. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::chain::hex;
use super::entry::{Act, Entry, Outcome};
use crate::fhir::time;

const PROFILE: &str = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.";
const DICOM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-event-type";
const INTERACTION: &str = "http://hl7.org/fhir/restful-interaction";
const LIFECYCLE: &str = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle";
const ENTITY: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const REQUEST: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType";
const PURPOSE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
/// Codes of this server: addresses and operations.
const OWN: &str = "urn:vigia:audit";

/// DICOM's codes of who gave and who took.
const SOURCE: &str = "110153";
const DESTINATION: &str = "110152";

/// The interactions that FHIR has codes for.
const INTERACTIONS: [&str; 17] = [
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history",
    "history-instance",
    "history-type",
    "history-system",
    "create",
    "search",
    "search-type",
    "search-system",
    "capabilities",
    "transaction",
    "batch",
    "operation",
];

/// `server`: the address of this server. `hash`: of this entry in the chain, where it is known.
pub fn render(entry: &Entry, seq: i64, hash: &[u8], server: &str) -> Value {
    let (kind, subtypes) = codes(entry);
    let mut event = json!({
        "resourceType": "AuditEvent",
        "id": seq.to_string(),
        "meta": {"versionId": "1", "lastUpdated": time::instant(entry.at)},
        "type": kind,
        "subtype": subtypes,
        "action": entry.act.code(),
        "recorded": time::instant(entry.at),
        "outcome": entry.outcome.code(),
        "agent": agents(entry, server),
        "source": {
            "observer": {"display": "Vigía", "identifier": {"system": "urn:vigia:chain", "value": hex(hash)}},
            "type": [{"system": "http://terminology.hl7.org/CodeSystem/security-source-type", "code": "4"}]
        }
    });
    let Some(members) = event.as_object_mut() else { return event };
    if let (Some(profile), Some(meta)) = (profile(entry), members.get_mut("meta").and_then(Value::as_object_mut)) {
        meta.insert("profile".into(), json!([format!("{PROFILE}{profile}")]));
    }
    if let Some(status) = entry.status {
        members.insert("outcomeDesc".into(), format!("HTTP {status}").into());
    }
    if let Some(purpose) = &entry.purpose {
        members.insert("purposeOfEvent".into(), json!([{"coding": [{"system": PURPOSE, "code": purpose}]}]));
    }
    let entities = entities(entry);
    if !entities.is_empty() {
        members.insert("entity".into(), entities.into());
    }
    event
}

fn coding(system: &str, code: &str) -> Value {
    json!({"system": system, "code": code})
}

/// Type and subtypes.
fn codes(entry: &Entry) -> (Value, Vec<Value>) {
    let (kind, mut subtypes) = match entry.what.as_str() {
        "login" => (coding(DICOM, "110114"), vec![coding(DICOM, "110122")]),
        "logout" => (coding(DICOM, "110114"), vec![coding(DICOM, "110123")]),
        "account" => (coding(DICOM, "110113"), vec![coding(DICOM, "110137")]),
        "disclose" | "export" => (coding(DICOM, "110106"), vec![coding(LIFECYCLE, "disclose")]),
        "consent" | "token" | "credential" | "client" => (coding(DICOM, "110113"), vec![coding(OWN, &entry.what)]),
        what if INTERACTIONS.contains(&what) => (coding(TYPE, "rest"), vec![coding(INTERACTION, what)]),
        what => (coding(TYPE, "rest"), vec![coding(OWN, what)]),
    };
    subtypes.extend(entry.operation.as_ref().map(|operation| coding(OWN, operation)));
    (kind, subtypes)
}

/// What is neither a success nor one of the patterns follows none.
fn profile(entry: &Entry) -> Option<String> {
    if entry.outcome != Outcome::Success {
        return None;
    }
    if entry.what == "disclose" {
        return (entry.patients.len() == 1).then(|| "PrivacyDisclosure.Source".to_owned());
    }
    let pattern = match entry.what.as_str() {
        "create" => "Create",
        "read" | "vread" => "Read",
        "update" | "patch" => "Update",
        "delete" => "Delete",
        "search-type" | "search-system" => "Query",
        _ => return None,
    };
    // The patterns of patients are about one.
    let of_one = if entry.patients.len() == 1 && entry.more == 0 { "Patient" } else { "" };
    Some(format!("{of_one}{pattern}"))
}

fn agents(entry: &Entry, server: &str) -> Vec<Value> {
    // Who sends what is asked for or changed: the caller, but for reads.
    let reads = entry.act == Act::R && !entry.what.starts_with("search");
    let (caller, own) = if reads { (DESTINATION, SOURCE) } else { (SOURCE, DESTINATION) };
    let mut agent = json!({
        "type": {"coding": [coding(DICOM, caller)]},
        "who": who(&entry.agent.who, entry.agent.name.as_deref()),
        "requestor": true
    });
    if let Some(members) = agent.as_object_mut() {
        if let Some(name) = &entry.agent.name {
            members.insert("name".into(), name.as_str().into());
        }
        if let Some(role) = &entry.agent.role {
            members.insert("role".into(), json!([{"coding": [coding("urn:vigia:role", role)]}]));
        }
        if let Some(from) = &entry.from {
            members.insert("network".into(), json!({"address": from, "type": "2"}));
        }
    }
    let by = entry
        .agent
        .by
        .as_ref()
        .map(|by| json!({"who": {"identifier": {"system": "urn:vigia:client", "value": by}}, "requestor": false}));
    let server = json!({
        "type": {"coding": [coding(DICOM, own)]},
        "who": {"display": "Vigía"},
        "requestor": false,
        "network": {"address": server, "type": "5"}
    });
    [Some(agent), by, Some(server)].into_iter().flatten().collect()
}

/// `Device/…` is a reference; the others have no resource of their own.
fn who(who: &str, name: Option<&str>) -> Value {
    match who.split_once('/') {
        Some(("Device", _)) => json!({"reference": who}),
        Some((kind, id)) => {
            let identifier = json!({"system": format!("urn:vigia:{kind}"), "value": id});
            name.map_or_else(
                || json!({"identifier": identifier}),
                |name| json!({"identifier": identifier, "display": name}),
            )
        }
        None => json!({"display": who}),
    }
}

fn entities(entry: &Entry) -> Vec<Value> {
    let mut all = Vec::new();
    for patient in &entry.patients {
        all.push(json!({"what": {"reference": patient}, "type": coding(ENTITY, "1"), "role": coding(ROLE, "1")}));
    }
    for resource in entry.resources.iter().filter(|resource| !entry.patients.contains(resource)) {
        all.push(json!({"what": {"reference": resource}, "type": coding(ENTITY, "2"), "role": coding(ROLE, "4")}));
    }
    let mut details = Vec::new();
    if entry.count > entry.resources.len() {
        details.push(json!({"type": "resources", "valueString": entry.count.to_string()}));
    }
    if entry.more > 0 {
        details.push(json!({"type": "more-patients", "valueString": entry.more.to_string()}));
    }
    if let (false, Some(kind)) = (details.is_empty(), &entry.kind) {
        details.push(json!({"type": "type", "valueString": kind}));
    }
    if !details.is_empty() {
        all.push(json!({"name": "count", "type": coding(ENTITY, "2"), "detail": details}));
    }
    if let Some(query) = &entry.query {
        let kind = entry.kind.as_deref().unwrap_or_default();
        let query = STANDARD.encode(format!("{kind}?{query}"));
        all.push(json!({"type": coding(ENTITY, "2"), "role": coding(ROLE, "24"), "query": query}));
    }
    if let Some(request) = &entry.request {
        all.push(json!({"what": {"identifier": {"value": request}}, "type": coding(REQUEST, "XrequestId")}));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Agent;
    use crate::auth::access::{Access, Role};

    fn entry(act: Act, what: &str, patients: &[&str]) -> Entry {
        let mut entry =
            Entry::new(1_700_000_000_000_000, Agent::of(&Access::for_user("u1", "nora", Role::Nurse, None)), act, what);
        entry.patients = patients.iter().map(|p| format!("Patient/{p}")).collect();
        entry.from = Some("10.0.0.7".into());
        entry.request = Some("r-1".into());
        entry
    }

    #[test]
    fn every_kind_of_entry_is_valid_and_names_its_pattern() {
        for (act, what, patients, pattern) in [
            (Act::C, "create", &["a"][..], "PatientCreate"),
            (Act::R, "read", &["a"], "PatientRead"),
            (Act::R, "vread", &[], "Read"),
            (Act::U, "patch", &["a"], "PatientUpdate"),
            (Act::D, "delete", &["a"], "PatientDelete"),
            (Act::E, "search-type", &["a"], "PatientQuery"),
            (Act::E, "search-type", &["a", "b"], "Query"),
            (Act::R, "disclose", &["a"], "PrivacyDisclosure.Source"),
            (Act::E, "login", &[], ""),
            (Act::R, "GET /live", &[], ""),
        ] {
            let mut entry = entry(act, what, patients);
            (entry.query, entry.count) = (Some("family=x".into()), 40);
            let event = render(&entry, 7, &[1; 32], "http://localhost");
            let expected = format!("{PROFILE}{pattern}");
            let named = event.pointer("/meta/profile/0").and_then(Value::as_str);
            assert_eq!(named, Some(expected.as_str()).filter(|_| !pattern.is_empty()), "{what}");
            fhir_r4::check(event).unwrap_or_else(|issues| panic!("{what}: {issues:?}"));
        }
    }

    #[test]
    fn what_was_refused_follows_no_pattern_and_says_why() {
        let mut refused = entry(Act::R, "read", &[]);
        (refused.outcome, refused.status) = (Outcome::Minor, Some(403));
        let event = render(&refused, 7, &[1; 32], "http://localhost");
        assert!(event.pointer("/meta/profile").is_none());
        assert_eq!((&event["outcome"], &event["outcomeDesc"]), (&json!("4"), &json!("HTTP 403")));
    }
}
