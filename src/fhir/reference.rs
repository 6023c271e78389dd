//! References between resources: what a reference text points to.

use serde_json::Value;

/// A reference to a resource on this server: `Type/id`, perhaps with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local<'a> {
    pub resource_type: &'a str,
    pub id: &'a str,
    pub version: Option<&'a str>,
}

/// Reads `Type/id` and `Type/id/_history/2`; anything else (absolute, `urn:`, `#contained`) is none.
pub fn local(text: &str) -> Option<Local<'_>> {
    let mut parts = text.split('/');
    let (resource_type, id) = (parts.next()?, parts.next()?);
    if fhir_r4::resource_type_index(resource_type).is_none() || !is_id(id) {
        return None;
    }
    match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => Some(Local { resource_type, id, version: None }),
        (Some("_history"), Some(version), None) => Some(Local { resource_type, id, version: Some(version) }),
        _ => None,
    }
}

/// The local reference that an absolute one below this server's own address comes to.
pub fn own<'a>(text: &'a str, base: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(base)?.strip_prefix('/')?;
    local(rest).map(|_| rest)
}

/// Makes every reference below this server's own address a local one, so that one resource has one name. What is in
/// a Bundle is left as it is: there a relative reference is relative to the `fullUrl` of its entry.
pub fn make_local(resource: &mut Value, base: &str) {
    if resource.get("resourceType").is_none_or(|kind| kind != "Bundle") {
        members_local(resource, base);
    }
}

fn members_local(value: &mut Value, base: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| members_local(item, base)),
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "reference" => {
                        if let Some(local) = own(text, base).map(str::to_owned) {
                            *text = local;
                        }
                    }
                    _ => members_local(member, base),
                }
            }
        }
        _ => {}
    }
}

/// The resource type that a relative or absolute `RESTful` reference names.
pub fn resource_type(text: &str) -> Option<&str> {
    let text = text.split("/_history/").next()?;
    let mut parts = text.rsplit('/');
    let (_id, kind) = (parts.next()?, parts.next()?);
    fhir_r4::resource_type_index(kind).map(|_| kind)
}

/// R4 `id`: 1 to 64 of `A-Z a-z 0-9 - .`
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

/// The reference without its version: what it is indexed under.
pub fn unversioned(text: &str) -> &str {
    text.split("/_history/").next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_local_references_from_others() {
        assert_eq!(local("Patient/p1"), Some(Local { resource_type: "Patient", id: "p1", version: None }));
        assert_eq!(local("Observation/o/_history/2").and_then(|l| l.version), Some("2"));
        for other in ["Patient", "Nope/1", "http://a/Patient/1", "urn:uuid:x", "#p", "Patient/a b", "Patient/a/b", ""] {
            assert_eq!(local(other), None, "{other}");
        }
        let base = "http://a/fhir";
        assert_eq!(own("http://a/fhir/Patient/p1/_history/2", base), Some("Patient/p1/_history/2"));
        for other in ["http://a/fhir", "http://a/fhirPatient/1", "http://b/fhir/Patient/1", "http://a/fhir/Nope/1"] {
            assert_eq!(own(other, base), None, "{other}");
        }
        assert_eq!(resource_type("http://a/fhir/Patient/1/_history/3"), Some("Patient"));
        assert_eq!(unversioned("Patient/1/_history/3"), "Patient/1");
    }
}
