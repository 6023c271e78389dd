//! What resources of files are called on the server: their own ids, the UUIDs of their Bundle, or, for people and things
//! that the server knows by an identifier, the name that they have there. So references hold, from file to file too, and
//! what comes twice is stored once.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::fhir::bundle::links::Targets;
use crate::fhir::reading::list;
use crate::fhir::reference;

/// Those that others refer to; they are sent first.
const REGISTRY: [&str; 11] = [
    "Organization",
    "Location",
    "Practitioner",
    "PractitionerRole",
    "Patient",
    "RelatedPerson",
    "Device",
    "DeviceMetric",
    "Group",
    "HealthcareService",
    "Endpoint",
];
/// Those of them that an identifier tells from all others.
const IDENTIFIED: [&str; 5] = ["Organization", "Location", "Practitioner", "Patient", "Device"];

/// What the server says to a search for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Nobody,
    /// `Patient/p1`
    One(String),
    Several,
}

#[derive(Debug, Default)]
pub(super) struct Names {
    /// What entries of Bundles are called by the others (`urn:uuid:…`), with their names.
    urns: HashMap<String, String>,
    /// Those who are asked for, with the name of the first who has this identifier.
    asked: HashMap<String, String>,
    /// Names that stand for another one.
    renamed: HashMap<String, String>,
    /// Those who are on the server already.
    known: HashSet<String>,
    /// Those with an identifier who are on their way already.
    sent: HashSet<String>,
    /// Those who are not taken, and what refers to them is not taken either.
    refused: HashSet<String>,
    targets: Targets,
}

pub(super) fn is_registry(kind: &str) -> bool {
    REGISTRY.contains(&kind)
}

/// What a resource is called: `Patient/p1`. Without any name of its own its content is its name.
pub(super) fn name(resource: &Value, full_url: Option<&str>) -> Option<String> {
    let kind = resource.get("resourceType").and_then(Value::as_str)?;
    fhir_r4::resource_type_index(kind)?;
    let own = resource.get("id").and_then(Value::as_str);
    let of_url = || full_url?.rsplit(['/', ':']).next();
    let id = own.or_else(of_url).filter(|id| reference::is_id(id)).map(str::to_owned);
    Some(format!("{kind}/{}", id.unwrap_or_else(|| of_content(resource))))
}

fn of_content(resource: &Value) -> String {
    let hash = Sha256::digest(resource.to_string().as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash).for_each(|(byte, from)| *byte = from);
    Uuid::new_v8(bytes).to_string()
}

/// The search by which a resource is known: `Patient?identifier=system|value`.
pub(super) fn condition(resource: &Value) -> Option<String> {
    let kind = resource.get("resourceType").and_then(Value::as_str).filter(|kind| IDENTIFIED.contains(kind))?;
    let text = |identifier: &Value, name: &str| identifier.get(name).and_then(Value::as_str).map(str::to_owned);
    let current = |identifier: &&Value| !text(identifier, "use").is_some_and(|used| used == "old" || used == "temp");
    let mut identifiers = list(resource.get("identifier")).filter(current);
    identifiers.find_map(|identifier| {
        let (system, value) = (text(identifier, "system")?, text(identifier, "value")?);
        Some(format!("{kind}?identifier={}|{}", operand(&system), operand(&value)))
    })
}

/// A text as it stands in a condition: what means something there is escaped.
fn operand(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '|' | ',' | '$' => plain.extend(['\\', letter]),
            '%' => plain.push_str("%25"),
            '&' => plain.push_str("%26"),
            '+' => plain.push_str("%2B"),
            letter => plain.push(letter),
        }
    }
    plain
}

impl Names {
    /// What an entry calls itself.
    pub(super) fn entry(&mut self, full_url: Option<&str>, name: &str) {
        if let Some(url) = full_url.filter(|url| url.starts_with("urn:")) {
            self.urns.insert(url.to_owned(), name.to_owned());
        }
    }

    /// Whether the server has to be asked for this.
    pub(super) fn ask(&mut self, condition: &str, name: Option<&str>) -> bool {
        match (self.asked.get(condition).cloned(), name) {
            (None, name) => {
                self.asked.insert(condition.to_owned(), name.unwrap_or_default().to_owned());
                true
            }
            (Some(first), Some(name)) if first.is_empty() => {
                self.asked.insert(condition.to_owned(), name.to_owned());
                false
            }
            (Some(first), Some(name)) if first != name => {
                self.renamed.insert(name.to_owned(), first);
                self.known.insert(name.to_owned());
                false
            }
            _ => false,
        }
    }

    /// What everything is called, now that the server has said whom it knows.
    pub(super) fn settle(&mut self, answers: Vec<(String, Answer)>) {
        for (condition, answer) in answers {
            let own = self.asked.get(&condition).cloned().unwrap_or_default();
            match answer {
                Answer::One(there) => {
                    if !own.is_empty() {
                        self.known.insert(own.clone());
                    }
                    if !own.is_empty() && own != there {
                        self.renamed.insert(own, there.clone());
                    }
                    self.targets.condition(condition, there);
                }
                Answer::Nobody if own.is_empty() => {}
                Answer::Nobody => self.targets.condition(condition, own),
                Answer::Several => _ = self.refused.insert(own),
            }
        }
        let (renamed, mut all) = (&self.renamed, Targets::default());
        std::mem::swap(&mut all, &mut self.targets);
        let last = |name: &String| {
            let once = renamed.get(name).unwrap_or(name);
            renamed.get(once).unwrap_or(once).clone()
        };
        for (url, name) in self.urns.drain() {
            all.name(&url, last(&name));
        }
        for name in renamed.keys() {
            all.name(name, last(name));
        }
        self.targets = all;
    }

    pub(super) fn is_known(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    /// Whether somebody with this name is sent for the first time. Who has an identifier is the same each time.
    pub(super) fn first(&mut self, name: &str, resource: &Value) -> bool {
        condition(resource).is_none() || self.sent.insert(name.to_owned())
    }

    pub(super) fn is_refused(&self, name: &str) -> bool {
        self.refused.contains(name)
    }

    pub(super) fn refuse(&mut self, name: String) {
        self.refused.insert(name);
    }

    /// Puts the names of the server into a resource.
    pub(super) fn rewrite(&self, resource: &mut Value, full_url: Option<&str>) {
        self.targets.rewrite(resource, full_url);
    }

    /// The first that a resource refers to and that is not taken.
    pub(super) fn refused_in(&self, resource: &Value) -> Option<String> {
        if self.refused.is_empty() { None } else { self.first_refused(resource) }
    }

    fn first_refused(&self, value: &Value) -> Option<String> {
        match value {
            Value::Array(items) => items.iter().find_map(|item| self.first_refused(item)),
            Value::Object(members) => members.iter().find_map(|(name, member)| match member.as_str() {
                Some(text) if name == "reference" => {
                    let plain = reference::unversioned(text);
                    self.refused.contains(plain).then(|| plain.to_owned())
                }
                _ => self.first_refused(member),
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn resources_are_called_what_they_are_called() {
        let patient = json!({"resourceType": "Patient"});
        let called = |resource: &Value, url: Option<&str>| name(resource, url).unwrap();
        assert_eq!(called(&json!({"resourceType": "Patient", "id": "p1"}), Some("urn:uuid:x")), "Patient/p1");
        assert_eq!(called(&patient, Some("urn:uuid:4f0d")), "Patient/4f0d");
        assert_eq!(called(&patient, Some("http://a/fhir/Patient/7")), "Patient/7");
        assert_eq!(called(&patient, None), called(&patient, Some("urn:uuid:no id!")));
        assert_ne!(called(&patient, None), called(&json!({"resourceType": "Patient", "active": true}), None));
        assert_eq!(name(&json!({"resourceType": "Banana", "id": "a"}), None), None);
    }

    #[test]
    fn conditions_mean_one_identifier() {
        for (identifiers, want) in [
            (json!([{"system": "urn:a", "value": "1"}]), Some("Patient?identifier=urn:a|1")),
            (
                json!([{"value": "1"}, {"system": "s", "value": "2", "use": "old"}, {"system": "s", "value": "3"}]),
                Some("Patient?identifier=s|3"),
            ),
            (json!([{"system": "s", "value": "a,b|c&d+e%"}]), Some("Patient?identifier=s|a\\,b\\|c%26d%2Be%25")),
            (json!([]), None),
        ] {
            let patient = json!({"resourceType": "Patient", "identifier": identifiers});
            assert_eq!(condition(&patient).as_deref(), want);
        }
        assert_eq!(
            condition(&json!({"resourceType": "Observation", "identifier": [{"system": "s", "value": "1"}]})),
            None
        );
    }

    #[test]
    fn who_is_known_by_an_identifier_keeps_the_name_of_the_server() {
        let mut names = Names::default();
        for (condition, name) in [("Patient?identifier=s|1", "Patient/a"), ("Patient?identifier=s|2", "Patient/b")] {
            assert!(names.ask(condition, Some(name)));
        }
        assert!(!names.ask("Patient?identifier=s|1", Some("Patient/again")));
        assert!(names.ask("Practitioner?identifier=s|9", None));
        names.entry(Some("urn:uuid:a"), "Patient/a");
        names.settle(vec![
            ("Patient?identifier=s|1".into(), Answer::One("Patient/x".into())),
            ("Patient?identifier=s|2".into(), Answer::Several),
            ("Practitioner?identifier=s|9".into(), Answer::One("Practitioner/n".into())),
        ]);
        let reference = |text: &str| json!({"resourceType": "Observation", "subject": {"reference": text}});
        for (text, want) in [
            ("Patient/a", "Patient/x"),
            ("Patient/again", "Patient/x"),
            ("urn:uuid:a", "Patient/x"),
            ("Patient/c", "Patient/c"),
            ("Practitioner?identifier=s|9", "Practitioner/n"),
        ] {
            let mut observation = reference(text);
            names.rewrite(&mut observation, None);
            assert_eq!(observation["subject"]["reference"], want, "{text}");
        }
        assert!(names.is_known("Patient/a") && names.is_known("Patient/again") && !names.is_known("Patient/b"));
        let same = json!({"resourceType": "Patient", "identifier": [{"system": "s", "value": "7"}]});
        assert!(names.first("Patient/d", &same) && !names.first("Patient/d", &same));
        assert!(names.first("Patient/e", &reference("")) && names.first("Patient/e", &reference("")));
        assert_eq!(names.refused_in(&reference("Patient/b/_history/2")), Some("Patient/b".to_owned()));
    }
}
