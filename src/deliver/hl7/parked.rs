//! A message that a destination has refused, as a Communication (status `stopped`): what it was about, who refused it and
//! why. Whoever gives it the status `preparation` again has it sent once more; then it is `completed`.

use serde_json::{Value, json};

use super::parcel::Parcel;
use crate::clock::derived_id;
use crate::fhir::{OURS, reading, time};

pub(super) const CATEGORY: &str = "hl7-destination";
const WHO: &str = "urn:vigia:hl7-destination";

/// The Communication, and the version that it follows.
pub(super) fn parked(name: &str, parcel: &Parcel, why: &str, now: i64) -> (Value, Option<i32>) {
    if let Some((mut standing, version)) = parcel.again.clone() {
        if let Value::Object(members) = &mut standing {
            members.insert("status".to_owned(), "stopped".into());
            members.insert("statusReason".to_owned(), json!({"text": why}));
        }
        return (standing, Some(version));
    }
    let about: Vec<Value> = parcel.about.iter().map(|reference| json!({"reference": reference})).collect();
    let mut communication = json!({
        "resourceType": "Communication",
        "id": derived_id(&[name, &parcel.control], now),
        "identifier": [{"system": format!("{OURS}/hl7v2-control-id"), "value": parcel.control}],
        "status": "stopped",
        "statusReason": {"text": why},
        "category": [{"coding": [{"system": format!("{OURS}/CodeSystem/communication"), "code": CATEGORY}]}],
        "recipient": [{"identifier": {"system": WHO, "value": name}, "display": name}],
        "about": about,
        "sent": time::instant(now),
    });
    if let (Some(patient), Value::Object(members)) = (&parcel.patient, &mut communication) {
        members.insert("subject".to_owned(), json!({"reference": patient}));
    }
    (communication, None)
}

/// It was taken after all.
pub(super) fn settled((communication, version): &(Value, i32)) -> (Value, Option<i32>) {
    let mut communication = communication.clone();
    if let Value::Object(members) = &mut communication {
        members.insert("status".to_owned(), "completed".into());
        members.shift_remove("statusReason");
    }
    (communication, Some(*version))
}

/// What a Communication asks to be sent again to this destination: references to versions.
pub(super) fn asked(communication: &Value, name: &str) -> Option<Vec<String>> {
    let coded = reading::list(communication.get("category"))
        .any(|category| reading::codings(Some(category)).into_iter().any(|(_, code)| code == CATEGORY));
    let of = |who: &Value| who.pointer("/identifier/value").and_then(Value::as_str) == Some(name);
    let ours = reading::list(communication.get("recipient")).any(of);
    let again = reading::str_of(communication, "status") == Some("preparation");
    let about = reading::list(communication.get("about")).filter_map(|it| reading::str_of(it, "reference"));
    (coded && ours && again).then(|| about.map(str::to_owned).collect())
}
