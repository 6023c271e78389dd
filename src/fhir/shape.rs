//! How much of a resource is answered: `_summary` and `_elements`. What is left out is owned to by the tag
//! `SUBSETTED`; what R4 says must stand stays.

use fhir_r4::Issue;
use serde_json::{Map, Value, json};

/// What `_summary` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Summary {
    #[default]
    False,
    True,
    Text,
    Data,
    Count,
}

/// The part of each resource that the caller wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    summary: Summary,
    elements: Vec<Element>,
}

/// One of `_elements`: `name`, `name.family`, `Patient.name`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Element {
    /// Only for this type.
    kind: Option<&'static str>,
    path: Vec<String>,
}

const MAX_ELEMENTS: usize = 100;

/// Always there, whatever is asked for.
const FRAME: [&str; 4] = ["resourceType", "id", "meta", "implicitRules"];

/// Whether a parameter of this name is read here.
pub fn is_one(name: &str) -> bool {
    matches!(name, "_summary" | "_elements")
}

impl View {
    /// Reads the parameters among these pairs. `kinds`: the types that are asked for; every element must be one of
    /// the type that it names, or of one of these.
    pub fn read(pairs: &[(String, String)], kinds: &[&str]) -> Result<Self, Issue> {
        let mut view = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "_summary" => view.summary = summary(value)?,
                "_elements" => {
                    for text in value.split(',').map(str::trim).filter(|text| !text.is_empty()) {
                        if view.elements.len() == MAX_ELEMENTS {
                            let text = format!("{MAX_ELEMENTS} elements at most");
                            return Err(Issue::error("too-costly", "http._elements", text));
                        }
                        view.elements.push(element(text, kinds)?);
                    }
                }
                _ => {}
            }
        }
        if !view.elements.is_empty() && !matches!(view.summary, Summary::False | Summary::Count) {
            return Err(Issue::error("value", "http._elements", "_elements and _summary exclude each other"));
        }
        Ok(view)
    }

    pub fn is_whole(&self) -> bool {
        matches!(self.summary, Summary::False | Summary::Count) && self.elements.is_empty()
    }

    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// The part of this resource.
    pub fn of(&self, resource: Value) -> Value {
        let kind = resource.get("resourceType").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut members = match resource {
            Value::Object(members) if !self.is_whole() => members,
            whole => return whole,
        };
        match self.summary {
            Summary::Data => {
                members.shift_remove("text");
            }
            Summary::Text => members.retain(|name, _| framed(name) || name == "text" || mandatory(&kind, &[], name)),
            Summary::True => summarised(&kind, &[], &mut members),
            Summary::False | Summary::Count => {
                let wanted: Vec<&[String]> = self.elements_of(&kind).collect();
                selected(&kind, &[], &wanted, &mut members);
            }
        }
        mark(&mut members);
        Value::Object(members)
    }

    /// The same of JSON text; the whole of it goes through as it is.
    pub fn of_bytes(&self, json: Vec<u8>) -> Result<Vec<u8>, serde_json::Error> {
        if self.is_whole() {
            return Ok(json);
        }
        serde_json::to_vec(&self.of(serde_json::from_slice(&json)?))
    }

    fn elements_of(&self, kind: &str) -> impl Iterator<Item = &[String]> {
        self.elements.iter().filter(move |e| e.kind.is_none_or(|own| own == kind)).map(|e| e.path.as_slice())
    }
}

fn summary(value: &str) -> Result<Summary, Issue> {
    Ok(match value {
        "true" => Summary::True,
        "text" => Summary::Text,
        "data" => Summary::Data,
        "count" => Summary::Count,
        "false" => Summary::False,
        _ => return Err(Issue::error("value", "http._summary", "_summary is true, text, data, count or false")),
    })
}

fn element(text: &str, kinds: &[&str]) -> Result<Element, Issue> {
    let mut path: Vec<String> = text.split('.').map(str::to_owned).collect();
    let own = path.first().and_then(|first| fhir_r4::resource_type_index(first));
    let kind = own.and_then(|index| fhir_r4::resource_types().get(index)).copied();
    if kind.is_some() {
        path.remove(0);
    }
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    let exists = |kind: &str| !fhir_r4::types_of(kind, &names).is_empty();
    let known = kind.map_or_else(|| kinds.iter().any(|kind| exists(kind)), exists);
    if known {
        Ok(Element { kind, path })
    } else {
        Err(Issue::error("value", "http._elements", "it names an element that the type does not have"))
    }
}

fn framed(name: &str) -> bool {
    FRAME.contains(&bare(name))
}

/// `_birthDate` goes with `birthDate`.
fn bare(name: &str) -> &str {
    name.strip_prefix('_').unwrap_or(name)
}

fn mandatory(kind: &str, path: &[&str], name: &str) -> bool {
    let path: Vec<&str> = path.iter().copied().chain([bare(name)]).collect();
    fhir_r4::is_mandatory(kind, &path)
}

/// Keeps what the definitions mark for the summary, all the way down.
fn summarised(kind: &str, path: &[&str], members: &mut Map<String, Value>) {
    descend(members, path.is_empty(), |name, value| {
        let at: Vec<&str> = path.iter().copied().chain([bare(name)]).collect();
        if !fhir_r4::is_summary(kind, &at) && !fhir_r4::is_mandatory(kind, &at) {
            return false;
        }
        inside(name, value, |members| summarised(kind, &at, members))
    });
}

/// Keeps what leads to one of the wanted paths, and what is mandatory on the way.
fn selected(kind: &str, path: &[&str], wanted: &[&[String]], members: &mut Map<String, Value>) {
    descend(members, path.is_empty(), |name, value| {
        let leading: Vec<&[String]> = wanted
            .iter()
            .filter_map(|w| w.split_first())
            .filter(|(first, _)| is_named(kind, path, first, bare(name)))
            .map(|(_, rest)| rest)
            .collect();
        if leading.is_empty() {
            return mandatory(kind, path, name);
        }
        if leading.iter().any(|rest| rest.is_empty()) {
            return true;
        }
        let at: Vec<&str> = path.iter().copied().chain([bare(name)]).collect();
        inside(name, value, |members| selected(kind, &at, &leading, members))
    });
}

/// Takes out the members that are not kept; those of the frame always are.
fn descend(members: &mut Map<String, Value>, top: bool, mut keep: impl FnMut(&str, &mut Value) -> bool) {
    let names: Vec<String> = members.keys().cloned().collect();
    for name in names {
        let kept = (top && framed(&name)) || members.get_mut(&name).is_some_and(|value| keep(&name, value));
        if !kept {
            // In the order of the others.
            members.shift_remove(&name);
        }
    }
}

/// Does the same within the objects of a member; false when nothing is left of it. What stands beside a primitive
/// (`_given`) is one with it.
fn inside(name: &str, value: &mut Value, mut each: impl FnMut(&mut Map<String, Value>)) -> bool {
    if name.starts_with('_') {
        return true;
    }
    match value {
        Value::Object(members) => {
            each(members);
            !members.is_empty()
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.retain_mut(|item| match item {
                Value::Object(members) => {
                    each(members);
                    !members.is_empty()
                }
                _ => true,
            });
            !items.is_empty()
        }
        _ => true,
    }
}

/// `value` is also the name of `valueQuantity`.
fn is_named(kind: &str, path: &[&str], wanted: &str, member: &str) -> bool {
    if wanted == member {
        return true;
    }
    let Some(suffix) = member.strip_prefix(wanted) else { return false };
    let at: Vec<&str> = path.iter().copied().chain([wanted]).collect();
    fhir_r4::types_of(kind, &at).iter().any(|name| capitalised_is(name, suffix))
}

fn capitalised_is(name: &str, suffix: &str) -> bool {
    let (mut name, mut suffix) = (name.chars(), suffix.chars());
    name.next().map(|c| c.to_ascii_uppercase()) == suffix.next() && name.eq(suffix)
}

/// Says that this is not the whole resource, so that nobody writes it back as such.
fn mark(members: &mut Map<String, Value>) {
    let tag = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"});
    let meta = members.entry("meta").or_insert_with(|| json!({}));
    let Some(meta) = meta.as_object_mut() else { return };
    if let Some(tags) = meta.entry("tag").or_insert_with(|| json!([])).as_array_mut()
        && !tags.iter().any(|own| own.get("code") == tag.get("code") && own.get("system") == tag.get("system"))
    {
        tags.push(tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(query: &[(&str, &str)], resource: &Value) -> Value {
        let pairs: Vec<(String, String)> = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let kind = resource["resourceType"].as_str().unwrap();
        View::read(&pairs, &[kind]).unwrap().of(resource.clone())
    }

    fn names(value: &Value) -> String {
        value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_part_is_what_r4_says() {
        let observation = json!({"resourceType": "Observation", "id": "o", "meta": {"versionId": "1"},
            "text": {"status": "empty", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},
            "status": "final", "_status": {"id": "s"}, "code": {"coding": [{"system": "urn:x", "code": "c"}]}, "note": [{"text": "n"}],
            "valueQuantity": {"value": 1, "unit": "u"}, "component": [{"code": {"text": "c"}, "valueString": "v",
            "interpretation": [{"text": "i"}]}]});
        let table = [
            (
                ("_summary", "true"),
                "resourceType id meta status _status code valueQuantity component",
                "code valueString",
            ),
            (("_summary", "text"), "resourceType id meta text status _status code", ""),
            (
                ("_summary", "data"),
                "resourceType id meta status _status code note valueQuantity component",
                "code valueString interpretation",
            ),
            (("_elements", "note"), "resourceType id meta status _status code note", ""),
            (("_elements", "value"), "resourceType id meta status _status code valueQuantity", ""),
            (
                ("_elements", "Observation.component.value,Patient.name"),
                "resourceType id meta status _status code component",
                "code valueString",
            ),
        ];
        for ((name, value), expected, component) in table {
            let part = part(&[(name, value)], &observation);
            assert_eq!(names(&part), expected, "{name}={value}");
            assert_eq!(part["meta"]["tag"][0]["code"], "SUBSETTED");
            let inner = part["component"].get(0).map(names).unwrap_or_default();
            assert_eq!(inner, component, "{name}={value}");
        }
        let patient = json!({"resourceType": "Patient", "name": [{"family": "A", "given": ["B"]}, {"given": ["C"]}],
            "gender": "female", "link": [{"other": {"reference": "Patient/2"}, "type": "refer"}]});
        assert_eq!(part(&[("_elements", "name.family")], &patient)["name"], json!([{"family": "A"}]));
        assert_eq!(names(&part(&[("_elements", "gender")], &patient)), "resourceType gender meta");
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (query, place) in [
            (vec![("_summary", "yes")], "http._summary"),
            (vec![("_elements", "nope")], "http._elements"),
            (vec![("_elements", "name")], "http._elements"),
            (vec![("_elements", "Patient.nope")], "http._elements"),
            (vec![("_elements", "code"), ("_summary", "true")], "http._elements"),
        ] {
            let pairs: Vec<(String, String)> = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(View::read(&pairs, &["Observation"]).unwrap_err().expression, place, "{query:?}");
        }
        assert!(View::read(&[("_summary".into(), "false".into())], &["Patient"]).unwrap().is_whole());
    }
}
