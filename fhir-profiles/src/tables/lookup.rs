//! What other rooms may ask of the tables.

use super::{Child, Kind, Node, Primitive, TABLES};

/// The concrete resource types, in order.
pub fn resource_types() -> &'static [&'static str] {
    &TABLES.resource_names
}

/// Where a type stands in [`resource_types`].
pub fn resource_type_index(name: &str) -> Option<usize> {
    TABLES.resource_index(name)
}

/// The datatypes at a path below a resource or datatype: `types_of("Observation", &["code"])` is
/// `["CodeableConcept"]`. A choice goes by its bare name and has many (`value`), by its full name
/// one (`valueQuantity`); backbone elements answer `BackboneElement`; unknown paths nothing. Paths
/// lead on through datatypes (`["code", "coding", "system"]`).
pub fn types_of(resource_type: &str, path: &[&str]) -> Vec<&'static str> {
    let Some((last, above)) = path.split_last() else { return Vec::new() };
    let mut found = Vec::new();
    for node in nodes_at(resource_type, above) {
        for name in node.members.iter().filter(|m| is_named(node, m, last)).map(|m| m.type_name) {
            if !found.contains(&name) {
                found.push(name);
            }
        }
    }
    found
}

/// Whether the element may stand more than once.
pub fn is_list(resource_type: &str, path: &[&str]) -> bool {
    child_at(resource_type, path).is_some_and(|c| c.is_list)
}

/// Whether the element belongs to the summary view of its resource.
pub fn is_summary(resource_type: &str, path: &[&str]) -> bool {
    child_at(resource_type, path).is_some_and(|c| c.is_summary)
}

/// Whether the element must stand wherever what holds it stands.
pub fn is_mandatory(resource_type: &str, path: &[&str]) -> bool {
    let Some((last, above)) = path.split_last() else { return false };
    nodes_at(resource_type, above).into_iter().any(|node| {
        let member = node.members.iter().find(|m| is_named(node, m, last));
        member.is_some_and(|m| node.required & (1 << m.child) != 0)
    })
}

/// The resource types of a compartment (`Patient`, `Device`, `Encounter`, `Practitioner`,
/// `RelatedPerson`) and the search parameters that put a resource into it.
pub fn compartment(name: &str) -> Option<&'static [(&'static str, Vec<&'static str>)]> {
    TABLES.compartments.iter().find(|(n, _)| *n == name).map(|(_, members)| members.as_slice())
}

/// The search parameters that put a resource of this type into a compartment; empty: never in it.
pub fn compartment_params(name: &str, resource_type: &str) -> &'static [&'static str] {
    let members = compartment(name).unwrap_or_default();
    let at = members.binary_search_by_key(&resource_type, |(t, _)| t).ok();
    at.and_then(|i| members.get(i)).map_or(&[], |(_, params)| params.as_slice())
}

/// The code systems that a `code` element at this path has by its binding; empty where it is no `code`, or where
/// its value set is not listed here.
pub fn code_systems(resource_type: &str, path: &[&str]) -> Vec<&'static str> {
    let Some((last, above)) = path.split_last() else { return Vec::new() };
    let mut found = Vec::new();
    for node in nodes_at(resource_type, above) {
        let codes =
            node.members.iter().filter(|m| is_named(node, m, last) && m.kind == Kind::Primitive(Primitive::Code));
        for set in codes.filter_map(|m| TABLES.value_sets.get(usize::from(m.binding?))) {
            found.extend(set.systems.iter().map(|(system, _)| *system));
        }
    }
    found
}

/// The resource types that a reference at this path may point to; empty: any, or no reference.
pub fn targets_of(resource_type: &str, path: &[&str]) -> Vec<&'static str> {
    let Some((last, above)) = path.split_last() else { return Vec::new() };
    let members = nodes_at(resource_type, above)
        .into_iter()
        .flat_map(|node| node.members.iter().filter(move |m| is_named(node, m, last)));
    let targets = members.flat_map(|m| &m.targets).filter_map(|i| TABLES.resource_names.get(usize::from(*i)));
    targets.copied().collect()
}

/// The systems and codes of a value set that the tables list in full.
pub fn value_set(url: &str) -> Option<&'static [(&'static str, Vec<&'static str>)]> {
    let url = url.split('|').next()?;
    TABLES.value_sets.iter().find(|set| set.url == url).map(|set| set.systems.as_slice())
}

fn is_named(node: &Node, member: &super::Member, name: &str) -> bool {
    member.name == name || node.children.get(usize::from(member.child)).is_some_and(|c| c.is_choice && c.name == name)
}

fn nodes_at(type_name: &str, path: &[&str]) -> Vec<&'static Node> {
    let mut nodes: Vec<&Node> = TABLES.node_of(type_name).into_iter().collect();
    for name in path {
        let mut below: Vec<&Node> = Vec::new();
        for node in nodes {
            for member in node.members.iter().filter(|m| is_named(node, m, name)) {
                if let Kind::Node(id) = member.kind {
                    below.extend(TABLES.node(id).filter(|n| !below.iter().any(|b| b.path == n.path)));
                }
            }
        }
        nodes = below;
    }
    nodes
}

fn child_at(type_name: &str, path: &[&str]) -> Option<&'static Child> {
    let (last, above) = path.split_last()?;
    nodes_at(type_name, above).into_iter().find_map(|node| {
        let member = node.members.iter().find(|m| is_named(node, m, last))?;
        node.children.get(usize::from(member.child))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SearchKind, search_parameters};

    #[test]
    fn resource_types_are_sorted_and_concrete() {
        let types = resource_types();
        assert!(types.len() >= 146 && types.is_sorted());
        assert!(resource_type_index("Observation").is_some_and(|i| types[i] == "Observation"));
        for not_one in ["DomainResource", "Resource", "Quantity", "Observation.component", "observation", ""] {
            assert_eq!(resource_type_index(not_one), None);
        }
    }

    #[test]
    fn paths_lead_through_backbones_references_and_choices() {
        for (path, expected) in [
            ("Observation.code", "CodeableConcept"),
            ("Observation.code.coding.system", "uri"),
            ("Observation.component", "BackboneElement"),
            ("Observation.component.referenceRange.low.value", "decimal"),
            ("Observation.valueQuantity", "Quantity"),
            ("Observation.value.unit", "string"),
            ("Observation.id", "id"),
            ("Patient.name", "HumanName"),
            ("Patient.deceased", "boolean dateTime"),
            ("Bundle.entry.resource", "Resource"),
            ("Questionnaire.item.item.item.linkId", "string"),
            ("Extension.url", "uri"),
            ("Patient.banana", ""),
            ("Banana.code", ""),
        ] {
            let mut words = path.split('.');
            let types = types_of(words.next().unwrap(), &words.collect::<Vec<_>>());
            assert_eq!(types.join(" "), expected, "{path}");
        }
        assert_eq!(types_of("Observation", &["value"]).len(), 11);
        assert!(is_list("Observation", &["category"]) && !is_list("Observation", &["code"]));
        assert!(is_summary("Observation", &["status"]) && !is_summary("Observation", &["note"]));
        assert!(is_mandatory("Observation", &["code"]) && !is_mandatory("Observation", &["subject"]));
        assert!(is_mandatory("Patient", &["link", "other"]) && !is_mandatory("Observation", &["value"]));
    }

    #[test]
    fn search_parameters_are_all_there() {
        let all = search_parameters();
        assert_eq!(all.len(), 1377);
        let of = |base: &str, name: &str| all.iter().find(|p| p.name == name && p.base.contains(&base)).unwrap();
        assert_eq!(of("Observation", "code").expression.split(" | ").filter(|e| *e == "Observation.code").count(), 1);
        assert_eq!(of("Observation", "subject").target, ["Group", "Device", "Patient", "Location"]);
        assert_eq!(of("DetectedIssue", "status").kind, SearchKind::Token);
        assert_eq!(of("DetectedIssue", "severity").expression, "DetectedIssue.severity");
        assert_eq!(of("Resource", "_lastUpdated").kind, SearchKind::Date);
    }

    #[test]
    fn codes_have_the_systems_of_their_bindings() {
        assert_eq!(code_systems("Patient", &["gender"]), ["http://hl7.org/fhir/administrative-gender"]);
        assert!(
            code_systems("Patient", &["maritalStatus"]).is_empty() && code_systems("Patient", &["name"]).is_empty()
        );
        let genders = value_set("http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1").unwrap();
        assert!(genders.iter().any(|(_, codes)| codes.contains(&"female")) && value_set("urn:none").is_none());
    }

    #[test]
    fn references_have_their_targets() {
        assert_eq!(targets_of("Observation", &["encounter"]), ["Encounter"]);
        assert!(
            targets_of("AuditEvent", &["entity", "what"]).is_empty() && targets_of("Patient", &["name"]).is_empty()
        );
    }

    #[test]
    fn compartments() {
        assert_eq!(compartment_params("Patient", "Observation"), ["subject", "performer"]);
        assert!(compartment_params("Patient", "Location").is_empty());
        assert!(compartment("Patient").unwrap().is_sorted_by_key(|(t, _)| *t));
        assert!(compartment("Banana").is_none());
    }
}
