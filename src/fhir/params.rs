//! The search parameters that this server has: R4's own definitions (and ours), compiled for every resource
//! type. Whatever does not compile or cannot be indexed is not in the table, so neither the capability
//! statement nor a search can claim it.

use std::sync::LazyLock;

use fhir_r4::{SearchKind, SearchParameter};

use super::composite::{self, Part, Shape};
use super::expression::{self, Selector};

/// One search parameter of one resource type.
pub struct Param {
    pub name: &'static str,
    pub kind: SearchKind,
    pub definition: &'static SearchParameter,
    /// The ways to its values; of a composite parameter, to the elements whose values belong together.
    pub selectors: Vec<Selector>,
    /// Resource types that a reference may point to.
    pub target: Vec<&'static str>,
    /// The code systems that its `code` elements have without saying so; empty: they say it, or it is not known.
    pub systems: Vec<&'static str>,
    /// The values of a composite parameter.
    pub parts: Vec<Part>,
    /// Answered by a column instead of index rows.
    pub column: Option<Column>,
    /// What its index rows stand under, a facet each.
    index: [String; 4],
}

/// What of a value is indexed beside itself, each under a name of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Facet {
    #[default]
    Value,
    /// What a code or a reference is called (`:text`).
    Text,
    /// The identifier of what a reference points to (`:identifier`).
    Identifier,
    /// An identifier with its type (`:of-type`).
    OfType,
}

/// What is a column of the tables: two for every type, the hot parameters and the components for Observation.
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
    Profile,
    ComponentConcept,
    ComponentQuantity,
    ComponentValueConcept,
    /// The Observation's own, or one of its components'.
    ComboConcept,
    ComboQuantity,
    ComboValueConcept,
    /// A composite that needs no rows of its own.
    Composite(Shape),
}

static TABLE: LazyLock<Vec<Vec<Param>>> =
    LazyLock::new(|| fhir_r4::resource_types().iter().map(|kind| declare(kind)).collect());

/// The one special parameter with values of its own: places, and how far around them (`query::near`).
const NEAR: &str = "near";

/// The parameters of a resource type, by name.
pub fn of(resource_type: &str) -> &'static [Param] {
    fhir_r4::resource_type_index(resource_type).and_then(|i| TABLE.get(i)).map_or(&[], Vec::as_slice)
}

pub fn find(resource_type: &str, name: &str) -> Option<&'static Param> {
    let params = of(resource_type);
    params.binary_search_by(|p| p.name.cmp(name)).ok().and_then(|at| params.get(at))
}

/// The parameter whose operands say what refers to a resource (`_has`, `_list`): of no type, with no rows.
pub fn referred() -> Option<&'static Param> {
    static REFERRED: LazyLock<Option<Param>> = LazyLock::new(|| {
        let definition = fhir_r4::search_parameters().iter().find(|d| d.name == "_query")?;
        let index = [const { String::new() }; 4];
        let (selectors, target, systems, parts) = (vec![], vec![], vec![], vec![]);
        let (name, kind) = ("_has", SearchKind::Special);
        Some(Param { name, kind, definition, selectors, target, systems, parts, column: None, index })
    });
    REFERRED.as_ref()
}

impl Param {
    /// The name that index rows of this facet stand under.
    pub fn index_name(&'static self, facet: Facet) -> &'static str {
        let [value, text, identifier, of_type] = &self.index;
        match facet {
            Facet::Value => value,
            Facet::Text => text,
            Facet::Identifier => identifier,
            Facet::OfType => of_type,
        }
    }

    /// Whether a column holds its values: nothing is to be indexed.
    pub fn is_derived(&self) -> bool {
        self.column.is_some()
    }
}

impl std::fmt::Debug for Param {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Param {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

/// Whether its values have an order: composites, places, and what stands in components only, have none.
pub fn is_sortable(param: &Param) -> bool {
    !matches!(param.kind, SearchKind::Composite | SearchKind::Special)
        && !matches!(
            param.column,
            Some(
                Column::Profile
                    | Column::ComponentConcept
                    | Column::ComponentQuantity
                    | Column::ComponentValueConcept
                    | Column::ComboConcept
                    | Column::ComboQuantity
                    | Column::ComboValueConcept
            )
        )
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
    let (name, mut column) = (definition.name, column(resource_type, definition.name));
    let parts = match definition.kind {
        SearchKind::Special if name != NEAR => return None,
        SearchKind::Composite => {
            let (shape, parts) = composite::of(resource_type, name)?;
            column = Some(Column::Composite(shape)).filter(|_| shape != Shape::Pair);
            parts
        }
        _ => vec![],
    };
    let selectors = match column {
        Some(Column::Composite(_)) => vec![],
        _ => Some(expression::compile(definition.expression, resource_type).ok()?).filter(|s| !s.is_empty())?,
    };
    Some(Param {
        name,
        kind: definition.kind,
        definition,
        target: targets(resource_type, &selectors, definition),
        systems: systems(resource_type, &selectors),
        selectors,
        parts,
        column,
        index: ["", ":text", ":identifier", ":of-type"].map(|facet| format!("{name}{facet}")),
    })
}

/// What a definition that somebody stored means for a resource type; none where it selects nothing of it. The id
/// keeps its index rows apart from those of every other parameter: no name has two colons at one place.
pub(super) fn custom(resource_type: &'static str, definition: &'static SearchParameter, id: &str) -> Option<Param> {
    let selectors = expression::compile(definition.expression, resource_type).ok().filter(|s| !s.is_empty())?;
    Some(Param {
        name: definition.name,
        kind: definition.kind,
        definition,
        target: targets(resource_type, &selectors, definition),
        systems: systems(resource_type, &selectors),
        selectors,
        parts: vec![],
        column: None,
        index: ["", ":text", ":identifier", ":of-type"].map(|facet| format!("custom::{id}{facet}")),
    })
}

/// `patient` only ever means a Patient, and `encounter` of a type that knows no `EpisodeOfCare` an Encounter: what
/// the definition says of all its types, as far as the element allows it.
fn targets(kind: &str, selectors: &[Selector], definition: &'static SearchParameter) -> Vec<&'static str> {
    if definition.kind != SearchKind::Reference {
        return vec![];
    }
    let mut found: Vec<&'static str> = Vec::new();
    for selector in selectors {
        let allowed = fhir_r4::targets_of(kind, &selector.path());
        match selector.resolves().and_then(fhir_r4::resource_type_index) {
            Some(index) => found.extend(fhir_r4::resource_types().get(index)),
            None if definition.name == "patient" => found.push("Patient"),
            None => found.extend(definition.target.iter().filter(|t| allowed.is_empty() || allowed.contains(t))),
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// A boolean has a system too: R4 search, "token".
const BOOLEANS: &str = "http://terminology.hl7.org/CodeSystem/special-values";

fn systems(resource_type: &str, selectors: &[Selector]) -> Vec<&'static str> {
    let mut found = Vec::new();
    for selector in selectors {
        let path = selector.path();
        found.extend(fhir_r4::code_systems(resource_type, &path));
        if fhir_r4::types_of(resource_type, &path).contains(&"boolean") {
            found.push(BOOLEANS);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn column(resource_type: &str, name: &str) -> Option<Column> {
    match name {
        "_id" => Some(Column::Id),
        "_lastUpdated" => Some(Column::Updated),
        name if resource_type == "Observation" => observation_column(name),
        _ => None,
    }
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
        "_profile" => Column::Profile,
        "component-code" => Column::ComponentConcept,
        "component-value-quantity" => Column::ComponentQuantity,
        "component-value-concept" => Column::ComponentValueConcept,
        "combo-code" => Column::ComboConcept,
        "combo-value-quantity" => Column::ComboQuantity,
        "combo-value-concept" => Column::ComboValueConcept,
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

    /// R4's own parameters that this server does not have, with the reason.
    const NOT_DECLARED: [(&str, &str); 3] = [
        ("_content", "a full-text index of whole resources, optional in R4"),
        ("_text", "a full-text index of narratives, optional in R4"),
        ("_query", "named queries: this server has none"),
    ];

    #[test]
    fn every_parameter_of_r4_is_declared_but_these() {
        for definition in fhir_r4::search_parameters() {
            if NOT_DECLARED.iter().any(|(name, _)| *name == definition.name) {
                continue;
            }
            let general = definition.base.iter().any(|b| *b == "Resource" || *b == "DomainResource");
            let base = if general { vec!["Patient", "Observation"] } else { definition.base.clone() };
            for kind in base {
                assert!(find(kind, definition.name).is_some(), "{kind} {}", definition.name);
            }
        }
    }

    #[test]
    fn codes_know_their_systems_and_references_their_targets() {
        assert_eq!(find("Patient", "gender").unwrap().systems, ["http://hl7.org/fhir/administrative-gender"]);
        assert_eq!(find("Observation", "status").unwrap().systems, ["http://hl7.org/fhir/observation-status"]);
        assert_eq!(find("Patient", "active").unwrap().systems, [BOOLEANS]);
        assert_eq!(find("Observation", "patient").unwrap().target, ["Patient"]);
        assert_eq!(find("Observation", "encounter").unwrap().target, ["Encounter"]);
        assert_eq!(find("Observation", "subject").unwrap().target, ["Device", "Group", "Location", "Patient"]);
        assert!(find("Observation", "code").unwrap().systems.is_empty());
    }
}
