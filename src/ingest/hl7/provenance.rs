//! Who said what: one Provenance for all that a message changed, by the tables for MSH. What it changed is known only
//! where it is stored, and is named there.

use serde_json::{Value, json};

use super::message::Message;
use super::{Channel, policy};
use crate::fhir::OURS;
use crate::pipeline::{Identity, Said};

const EVENT: &str = "http://terminology.hl7.org/CodeSystem/v2-0003";
const PARTICIPANT: &str = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";

/// Its source is the message as it is kept: sender and control id find it, and `made` there names this Provenance.
pub(super) fn of(message: &Message, channel: &Channel, at: Option<&str>) -> Said {
    let header = message.header();
    let sender = format!("{}|{}", header.sending_application, header.sending_facility);
    let plain = sender.replace(['|', header.separators.component], " ");
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let author = agent("author", &sender, "sender", if plain.is_empty() { "unnamed" } else { &plain });
    let assembler = agent("assembler", &channel.name, "channel", "Vigía");
    let source = identifier("message", &format!("{sender}|{}", header.control_id));
    let mut content = json!({
        "resourceType": "Provenance",
        "target": [],
        "activity": {"coding": [{"system": EVENT, "code": header.kind.1}]},
        "agent": [author, assembler],
        "entity": [{"role": "source", "what": {"identifier": source}}],
    });
    if let (Some(at), Value::Object(members)) = (at, &mut content) {
        members.insert("occurredDateTime".into(), at.into());
    }
    Said {
        name: "said:Provenance".to_owned(),
        place: "MSH[1]".to_owned(),
        kind: "Provenance",
        identity: Identity::default(),
        content,
        merge: policy::update,
        at: None,
        optional: true,
    }
}

/// Sender and channel are named as they are with the messages that are kept.
fn agent(role: &str, value: &str, kind: &str, display: &str) -> Value {
    let who = json!({"identifier": identifier(kind, value), "display": display});
    json!({"type": {"coding": [{"system": PARTICIPANT, "code": role}]}, "who": who})
}

fn identifier(kind: &str, value: &str) -> Value {
    json!({"system": format!("{OURS}/hl7v2-{kind}"), "value": value})
}
