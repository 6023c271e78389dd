//! The search parameters that this server has: R4's own definitions (and ours), compiled for every resource
//! type. Whatever does not compile or cannot be indexed is not in the table, so neither the capability
//! statement nor a search can claim it.

use std::sync::LazyLock;

use fhir_r4::{SearchKind, SearchParameter};

use super::expression::{self, Selector};

/// One search parameter of one resource type.
pub struct Param {
    pub name: &'static str,
    pub kind: SearchKind,
    pub definition: &'static SearchParameter,
    /// The ways to its values; empty for those that are answered without index rows.
    pub selectors: Vec<Selector>,
    /// Resource types that a reference may point to.
    pub target: &'static [&'static str],
    /// Answered by a column instead of index rows.
    pub column: Option<Column>,
}

/// What is a column of the tables: two for every type, the hot parameters for Observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Id,
    Updated,
    Subject,
    Concept,
    Category,
    Date,
    Status,
    Quantity,
    Device,
    Encounter,
}

/// Parameters of Observation that repeat what the columns hold (`combo-code` is `code` or `component-code`);
/// they come with the composite parameters. `_profile` is the same for nearly every reading.
const OBSERVATION_LATER: [&str; 7] = [
    "_profile",
    "combo-code",
    "combo-value-concept",
    "combo-value-quantity",
    "component-code",
    "component-value-concept",
    "component-value-quantity",
];

static TABLE: LazyLock<Vec<Vec<Param>>> =
    LazyLock::new(|| fhir_r4::resource_types().iter().map(|kind| declare(kind)).collect());

/// The parameters of a resource type, by name.
pub fn of(resource_type: &str) -> &'static [Param] {
    fhir_r4::resource_type_index(resource_type).and_then(|i| TABLE.get(i)).map_or(&[], Vec::as_slice)
}

pub fn find(resource_type: &str, name: &str) -> Option<&'static Param> {
    let params = of(resource_type);
    params.binary_search_by(|p| p.name.cmp(name)).ok().and_then(|at| params.get(at))
}

fn declare(resource_type: &'static str) -> Vec<Param> {
    let mut params: Vec<Param> =
        fhir_r4::search_parameters().iter().filter_map(|definition| one(resource_type, definition)).collect();
    params.sort_by_key(|p| p.name);
    params.dedup_by_key(|p| p.name);
    params
}

fn one(resource_type: &'static str, definition: &'static SearchParameter) -> Option<Param> {
    let general = definition.base.iter().any(|b| *b == "Resource" || *b == "DomainResource");
    if !general && !definition.base.contains(&resource_type) {
        return None;
    }
    if matches!(definition.kind, SearchKind::Composite | SearchKind::Special) {
        return None;
    }
    if resource_type == "Observation" && OBSERVATION_LATER.contains(&definition.name) {
        return None;
    }
    let selectors = expression::compile(definition.expression, resource_type).ok()?;
    if selectors.is_empty() {
        return None;
    }
    let column = match definition.name {
        "_id" => Some(Column::Id),
        "_lastUpdated" => Some(Column::Updated),
        name if resource_type == "Observation" => observation_column(name),
        _ => None,
    };
    Some(Param {
        name: definition.name,
        kind: definition.kind,
        definition,
        selectors,
        target: &definition.target,
        column,
    })
}

fn observation_column(name: &str) -> Option<Column> {
    Some(match name {
        "patient" | "subject" => Column::Subject,
        "code" => Column::Concept,
        "category" => Column::Category,
        "date" => Column::Date,
        "status" => Column::Status,
        "value-quantity" => Column::Quantity,
        "device" => Column::Device,
        "encounter" => Column::Encounter,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_the_spine_promises_is_declared() {
        let promised: [(&str, &[&str]); 5] = [
            (
                "Observation",
                &[
                    "patient",
                    "subject",
                    "code",
                    "category",
                    "date",
                    "status",
                    "value-quantity",
                    "device",
                    "encounter",
                    "_id",
                    "_lastUpdated",
                ],
            ),
            ("Patient", &["identifier", "name", "family", "given", "birthdate", "gender", "active"]),
            ("DetectedIssue", &["patient", "identified", "code", "identifier", "implicated", "status", "severity"]),
            ("Encounter", &["identifier", "patient", "status", "type"]),
            ("Device", &["identifier", "patient", "status", "type"]),
        ];
        for (kind, names) in promised {
            for name in names {
                assert!(find(kind, name).is_some(), "{kind} {name}");
            }
        }
        assert!(find("Patient", "nope").is_none() && of("Nope").is_empty());
    }
}
