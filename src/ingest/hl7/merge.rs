//! Two records of one patient (A34, A40), and two patients again (A37). Nothing is moved and nothing deleted: the
//! record that is left points to the one that stays (`Patient.link`), and both keep what they had.

use serde_json::{Value, json};

use super::policy::laid;
use crate::fhir::reading;
use crate::pipeline::Merged;

/// The record that stays.
pub(super) fn survivor(said: &Value, standing: Option<&Value>, _at: Option<&str>) -> Merged {
    let (own, mut said) = (own(standing), said.clone());
    if let Some(links) = said.get_mut("link").and_then(Value::as_array_mut) {
        links.retain(|link| other(link) != own.as_deref());
    }
    let mut made = laid(&said, standing);
    tidy(&mut made);
    Merged::Write(made)
}

/// The record that is left. One that nobody knows is made, so that what still comes for it finds its way.
pub(super) fn replaced(said: &Value, standing: Option<&Value>, _at: Option<&str>) -> Merged {
    let (own, mut said) = (own(standing), said.clone());
    if own.is_some() && reading::list(said.get("link")).any(|link| other(link) == own.as_deref()) {
        return Merged::Refuse("business-rule", "a patient cannot be merged with itself");
    }
    if let Value::Object(members) = &mut said {
        members.insert("active".into(), false.into());
        if standing.is_some() {
            // What it was called stays as it was.
            members.remove("name");
        }
    }
    Merged::Write(laid(&said, standing))
}

/// Two records that are two patients again: they let go of each other.
pub(super) fn unlink(said: &Value, standing: Option<&Value>, _at: Option<&str>) -> Merged {
    let Some(before) = standing else {
        return Merged::Refuse("not-found", "the patient is not known here, or not by one record only");
    };
    let parted: Vec<Value> =
        reading::list(said.get("link")).filter_map(|link| link.pointer("/other/reference").cloned()).collect();
    let mut made = before.clone();
    if let Value::Object(members) = &mut made {
        if let Some(Value::Array(links)) = members.get_mut("link") {
            links.retain(|link| !link.pointer("/other/reference").is_some_and(|it| parted.contains(it)));
        }
        members.insert("active".into(), true.into());
    }
    tidy(&mut made);
    if made == *before { Merged::Leave } else { Merged::Write(made) }
}

fn tidy(made: &mut Value) {
    if let Value::Object(members) = made
        && members.get("link") == Some(&json!([]))
    {
        members.remove("link");
    }
}

fn own(standing: Option<&Value>) -> Option<String> {
    standing?.get("id").and_then(Value::as_str).map(|id| format!("Patient/{id}"))
}

fn other(link: &Value) -> Option<&str> {
    link.pointer("/other/reference").and_then(Value::as_str)
}
