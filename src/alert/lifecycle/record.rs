//! How a change of an alert is told for the record: who made which version (Provenance), and who did what when
//! (`AuditEvent`). Neither holds a word about the patient.

use serde_json::{Value, json};

use super::{concept, issue, time};

/// Who made a version of an alert, and by which act. `who`: a Reference.
pub fn provenance(id: &str, version: i32, action: &str, who: &Value, now: i64) -> Value {
    json!({
        "resourceType": "Provenance",
        "target": [{"reference": versioned(id, version)}],
        "recorded": time::instant(now),
        "activity": concept(action, action),
        "agent": [{"who": who}]
    })
}

/// The same for those who watch over the running of the server.
pub fn audit_event(id: &str, version: i32, action: &str, who: &Value, now: i64) -> Value {
    json!({
        "resourceType": "AuditEvent",
        "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "subtype": [{"system": issue::system("alert-action"), "code": action}],
        "action": "U",
        "recorded": time::instant(now),
        "outcome": "0",
        "agent": [{"who": who, "requestor": true}],
        "source": {"observer": {"display": "Vigía"}},
        "entity": [{"what": {"reference": versioned(id, version)}}]
    })
}

fn versioned(id: &str, version: i32) -> String {
    format!("DetectedIssue/{id}/_history/{version}")
}
