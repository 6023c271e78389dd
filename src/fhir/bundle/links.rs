//! Links between the entries of a transaction. What an entry calls another one by (its `fullUrl`) becomes the address
//! that the other one gets, wherever R4 says that a link may stand: in references, in elements of the types uri, url,
//! oid and uuid, and in the `href` and `src` of narrative. Canonicals and texts are left alone, whatever they hold.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::fhir::reference;

/// Element types that hold links.
const LINKS: [&str; 4] = ["uri", "url", "oid", "uuid"];

/// What the links of a transaction mean.
#[derive(Debug, Default)]
pub struct Targets {
    /// `fullUrl` to `Type/id`.
    full_urls: HashMap<String, String>,
    /// Conditional references (`Patient?identifier=…`) to `Type/id`.
    conditions: HashMap<String, String>,
}

impl Targets {
    /// False when the name is taken.
    pub fn name(&mut self, full_url: &str, target: String) -> bool {
        self.full_urls.insert(full_url.to_owned(), target).is_none()
    }

    pub fn condition(&mut self, reference: String, target: String) {
        self.conditions.insert(reference, target);
    }

    /// Rewrites the links of one entry's resource. `full_url`: its own, which relative references are relative to.
    pub fn rewrite(&self, resource: &mut Value, full_url: Option<&str>) {
        if self.full_urls.is_empty() && self.conditions.is_empty() {
            return;
        }
        let mut walk = Walk { targets: self, base: full_url.and_then(base) };
        if let Some(members) = resource.as_object_mut() {
            walk.resource(members);
        }
    }

    fn of_reference(&self, text: &str, base: Option<&str>) -> Option<&String> {
        let absolute = || {
            let base = base.filter(|_| reference::local(text).is_some())?;
            self.full_urls.get(&format!("{base}/{text}"))
        };
        self.full_urls.get(text).or_else(|| self.conditions.get(text)).or_else(absolute)
    }
}

/// The references of a resource that are searches: `Patient?identifier=…`.
pub fn conditional(resource: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(resource, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str() {
                    Some(text) if name == "reference" && is_condition(text) => found.push(text.to_owned()),
                    _ => collect(member, found),
                }
            }
        }
        _ => {}
    }
}

fn is_condition(text: &str) -> bool {
    text.split_once('?').is_some_and(|(kind, _)| fhir_r4::resource_type_index(kind).is_some())
}

/// `http://a/fhir` of `http://a/fhir/Patient/1`.
fn base(full_url: &str) -> Option<&str> {
    let (rest, _id) = full_url.rsplit_once('/')?;
    let (base, kind) = rest.rsplit_once('/')?;
    fhir_r4::resource_type_index(kind).map(|_| base)
}

/// Where a member stands below its resource.
struct Place<'p> {
    kind: &'p str,
    name: &'p str,
    above: Option<&'p Place<'p>>,
}

impl Place<'_> {
    fn path(&self) -> Vec<&str> {
        let mut path = self.above.map(Place::path).unwrap_or_default();
        path.push(self.name.trim_start_matches('_'));
        path
    }

    fn is_of(&self, types: &[&str]) -> bool {
        let path = self.path();
        // An extension is the same everywhere, also beside a primitive, which has no members of its own.
        let extension = path.iter().rposition(|name| *name == "extension").map(|at| at + 1);
        let (kind, below) = match extension.and_then(|at| path.get(at..)).filter(|below| !below.is_empty()) {
            Some(below) => ("Extension", below),
            None => (self.kind, path.as_slice()),
        };
        fhir_r4::types_of(kind, below).iter().any(|own| types.contains(own))
    }
}

struct Walk<'t> {
    targets: &'t Targets,
    base: Option<&'t str>,
}

impl Walk<'_> {
    fn resource(&mut self, members: &mut Map<String, Value>) {
        let kind = members.get("resourceType").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.members(members, &kind, None);
    }

    fn members(&mut self, members: &mut Map<String, Value>, kind: &str, above: Option<&Place<'_>>) {
        for (name, member) in members.iter_mut() {
            self.value(member, &Place { kind, name, above });
        }
    }

    fn value(&mut self, value: &mut Value, place: &Place<'_>) {
        match value {
            Value::String(text) => self.text(text, place),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item, place)),
            // A contained resource, or one of a Bundle in the Bundle, has paths of its own.
            Value::Object(members) if members.contains_key("resourceType") => self.resource(members),
            // What stands beside a primitive is an Element with nothing but an id and extensions.
            Value::Object(members) if place.name.starts_with('_') => self.members(members, "Element", None),
            Value::Object(members) => self.members(members, place.kind, Some(place)),
            _ => {}
        }
    }

    /// The type of an element is looked up only when its text is that of a link.
    fn text(&self, text: &mut String, place: &Place<'_>) {
        if place.name == "div" && place.above.is_some_and(|above| above.name == "text") {
            return self.narrative(text);
        }
        if place.name == "reference"
            && let Some(target) = self.targets.of_reference(text, self.base)
        {
            if place.above.is_some_and(|above| above.is_of(&["Reference"])) {
                text.clone_from(target);
            }
            return;
        }
        if let Some(target) = self.targets.full_urls.get(text.as_str())
            && place.is_of(&LINKS)
        {
            text.clone_from(target);
        }
    }

    fn narrative(&self, text: &mut String) {
        for attribute in [" href=\"", " src=\""] {
            if !text.contains(attribute) {
                continue;
            }
            let mut parts = text.split(attribute);
            let mut out = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                out.push_str(attribute);
                match part.split_once('"') {
                    Some((link, rest)) => {
                        let target = self.targets.of_reference(&link.replace("&amp;", "&"), self.base);
                        out.push_str(target.map_or(link, String::as_str));
                        out.push('"');
                        out.push_str(rest);
                    }
                    None => out.push_str(part),
                }
            }
            *text = out;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn targets() -> Targets {
        let mut targets = Targets::default();
        assert!(targets.name("urn:uuid:a", "Patient/1".into()));
        assert!(targets.name("http://else.where/fhir/Patient/7", "Patient/2".into()));
        assert!(!targets.name("urn:uuid:a", "Patient/1".into()));
        targets.condition("Patient?identifier=x|1".into(), "Patient/3".into());
        targets
    }

    #[test]
    fn links_are_rewritten_where_r4_says_and_nowhere_else() {
        let div = |link: &str| {
            format!(
                "<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"{link}\">urn:uuid:a</a><img src=\"{link}\" alt=\"urn:uuid:a\"/></div>"
            )
        };
        let a = "urn:uuid:a";
        let sent = json!({"resourceType": "Observation",
            "text": {"status": "generated", "div": div(a)},
            "implicitRules": a,
            "instantiatesCanonical": a,
            "identifier": [{"system": a, "value": a}],
            "subject": {"reference": a, "display": a},
            "focus": [{"reference": "http://else.where/fhir/Patient/7"}, {"reference": "Patient/7"}, {"reference": "Patient/8"}],
            "performer": [{"reference": "Patient?identifier=x|1"}, {"reference": "Patient/7/_history/1"}],
            "extension": [{"url": "http://x", "valueUri": a}, {"url": "http://x", "valueString": a}, {"url": "http://x", "valueCanonical": a}],
            "note": [{"text": a, "_text": {"extension": [{"url": "http://x", "valueUuid": a}]}}],
            "contained": [{"resourceType": "Provenance", "target": [{"reference": a}], "policy": [a]}],
            "valueString": a});
        let p = "Patient/1";
        let expected = json!({"resourceType": "Observation",
            "text": {"status": "generated", "div": div(p).replace("alt=\"Patient/1\"", "alt=\"urn:uuid:a\"")},
            "implicitRules": p,
            "instantiatesCanonical": a,
            "identifier": [{"system": p, "value": a}],
            "subject": {"reference": p, "display": a},
            "focus": [{"reference": "Patient/2"}, {"reference": "Patient/2"}, {"reference": "Patient/8"}],
            "performer": [{"reference": "Patient/3"}, {"reference": "Patient/7/_history/1"}],
            "extension": [{"url": "http://x", "valueUri": p}, {"url": "http://x", "valueString": a}, {"url": "http://x", "valueCanonical": a}],
            "note": [{"text": a, "_text": {"extension": [{"url": "http://x", "valueUuid": p}]}}],
            "contained": [{"resourceType": "Provenance", "target": [{"reference": p}], "policy": [p]}],
            "valueString": a});
        let mut rewritten = sent.clone();
        targets().rewrite(&mut rewritten, Some("http://else.where/fhir/Observation/1"));
        assert_eq!(rewritten, expected);
        assert_eq!(conditional(&sent), ["Patient?identifier=x|1"]);
        let mut elsewhere = json!({"resourceType": "Observation", "subject": {"reference": "Patient/7"}});
        targets().rewrite(&mut elsewhere, Some("urn:uuid:b"));
        assert_eq!(elsewhere["subject"]["reference"], "Patient/7", "relative to nothing that is known");
    }
}
