//! Places and people that a message names: each becomes one resource of its own, however often it is named, below
//! the resources that refer to it.

use serde_json::{Map as Object, Value, json};

use super::Channel;
use super::message::Repetition;
use super::party;
use super::segment::Refer;
use crate::hl7::write::place_system;
use crate::pipeline::{Identity, Merged, Said};

const PHYSICAL: &str = "http://terminology.hl7.org/CodeSystem/location-physical-type";

/// A bed as its Location is known; none where only a ward or a room is named.
pub(super) fn bed(pl: Repetition<'_, '_>) -> Option<String> {
    let [ward, room, bed, facility] = [1, 2, 3, 4].map(|at| pl.text(at));
    let whole = [ward.as_str(), room.as_str(), bed.as_str(), facility.as_str()].join("^");
    (!bed.is_empty()).then(|| whole.trim_end_matches('^').to_owned())
}

/// What was named so far.
pub(super) struct Named<'c> {
    channel: &'c Channel,
    pub(super) said: Vec<Said>,
}

impl<'c> Named<'c> {
    pub(super) fn new(channel: &'c Channel) -> Self {
        Self { channel, said: vec![] }
    }

    fn add(&mut self, kind: &'static str, token: (Option<String>, String), content: Value) -> String {
        let name = format!("said:{kind}:{}|{}", token.0.as_deref().unwrap_or_default(), token.1);
        if !self.said.iter().any(|said| said.name == name) {
            self.said.push(Said {
                name: name.clone(),
                place: kind.to_owned(),
                kind,
                identity: Identity { tokens: vec![token], ..Identity::default() },
                content,
                merge: keep,
                at: None,
                optional: false,
            });
        }
        name
    }
}

/// Who or what is known already is not changed by being named.
fn keep(said: &Value, standing: Option<&Value>, _at: Option<&str>) -> Merged {
    if standing.is_some() { Merged::Leave } else { Merged::Write(said.clone()) }
}

impl Refer for Named<'_> {
    /// Ward, room and bed, each part of the one before it; the reference is to the smallest.
    fn place(&mut self, pl: Repetition<'_, '_>) -> Option<Value> {
        let [ward, room, bed, facility] = [1, 2, 3, 4].map(|at| pl.text(at));
        let levels = [(&ward, "wa", "Ward"), (&room, "ro", "Room"), (&bed, "bd", "Bed")];
        let mut above: Option<String> = None;
        let mut display = String::new();
        for (depth, (text, code, kind)) in levels.into_iter().enumerate() {
            if text.is_empty() {
                continue;
            }
            let own = [&ward, &room, &bed].into_iter().take(depth + 1);
            let mut parts: Vec<&str> = own.map(String::as_str).collect();
            parts.resize(3, "");
            parts.push(&facility);
            let id = parts.join("^").trim_end_matches('^').to_owned();
            display = if display.is_empty() { text.clone() } else { format!("{display} {text}") };
            let mut content = json!({
                "resourceType": "Location",
                "identifier": [{"system": place_system(), "value": id}],
                "status": "active",
                "name": display,
                "mode": "instance",
                "physicalType": {"coding": [{"system": PHYSICAL, "code": code, "display": kind}]},
            });
            if let (Some(above), Value::Object(members)) = (&above, &mut content) {
                members.insert("partOf".into(), json!({"reference": above}));
            }
            above = Some(self.add("Location", (Some(place_system()), id), content));
        }
        match above {
            Some(reference) => Some(json!({"reference": reference, "display": display})),
            None => Some(facility).filter(|text| !text.is_empty()).map(|text| json!({"display": text})),
        }
    }

    /// A person with an identifier is a Practitioner; one without is only named.
    fn person(&mut self, xcn: Repetition<'_, '_>) -> Option<Value> {
        let (id, display) = (xcn.text(1), name_of(xcn));
        if id.is_empty() {
            return Some(display).filter(|text| !text.is_empty()).map(|text| json!({"display": text}));
        }
        let system = party::authority_at(xcn, 9, self.channel);
        let mut identifier = Object::new();
        identifier.extend(system.clone().map(|system| ("system".to_owned(), Value::from(system))));
        identifier.insert("value".into(), id.as_str().into());
        let mut content = json!({"resourceType": "Practitioner", "identifier": [identifier], "active": true});
        let mut human = Object::new();
        for (member, texts) in [
            ("prefix", vec![xcn.text(6)]),
            ("given", vec![xcn.text(3), xcn.text(4)]),
            ("suffix", vec![xcn.text(5), xcn.text(7)]),
        ] {
            let texts: Vec<String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
            if !texts.is_empty() {
                human.insert(member.to_owned(), texts.into());
            }
        }
        let family = xcn.part(2, 1);
        if !family.is_empty() {
            human.insert("family".into(), family.into());
        }
        if let (false, Value::Object(members)) = (human.is_empty(), &mut content) {
            members.insert("name".into(), json!([human]));
        }
        // Without an authority a number says nothing: the name belongs to what makes it the same person.
        let token = if system.is_some() { id.clone() } else { format!("{id}\u{1f}{display}") };
        let name = if system.is_some() {
            self.add("Practitioner", (system, token), content)
        } else {
            let name = format!("said:Practitioner:{token}");
            if !self.said.iter().any(|said| said.name == name) {
                self.said.push(Said {
                    name: name.clone(),
                    place: "Practitioner".to_owned(),
                    kind: "Practitioner",
                    identity: Identity { key: vec![token], ..Identity::default() },
                    content,
                    merge: keep,
                    at: None,
                    optional: false,
                });
            }
            name
        };
        let mut reference = Object::new();
        reference.insert("reference".into(), name.into());
        if !display.is_empty() {
            reference.insert("display".into(), display.into());
        }
        Some(reference.into())
    }
}

/// The name of an XCN, whose parts stand one place further than those of an XPN.
fn name_of(xcn: Repetition<'_, '_>) -> String {
    let parts = [xcn.text(6), xcn.text(3), xcn.text(4), xcn.part(2, 1), xcn.text(5)];
    parts.iter().flat_map(|part| part.split_whitespace()).collect::<Vec<_>>().join(" ")
}
