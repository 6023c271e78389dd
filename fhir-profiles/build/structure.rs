//! Base definitions: which elements stand where, how many, of which type, bound to what.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::{Fallible, record, terminology::ValueSets};

#[derive(Deserialize)]
pub(crate) struct Definition {
    pub(crate) id: String,
    pub(crate) url: String,
    kind: String,
    #[serde(rename = "abstract")]
    is_abstract: bool,
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    derivation: Option<String>,
    pub(crate) snapshot: Snapshot,
}

#[derive(Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) element: Vec<Element>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Element {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) slice_name: Option<String>,
    pub(crate) min: u32,
    pub(crate) max: String,
    pub(crate) base: Option<Base>,
    pub(crate) content_reference: Option<String>,
    #[serde(default, rename = "type")]
    pub(crate) types: Vec<Type>,
    pub(crate) slicing: Option<Slicing>,
    pub(crate) binding: Option<Binding>,
    #[serde(default)]
    pub(crate) constraint: Vec<String>,
    #[serde(default)]
    pub(crate) is_summary: bool,
    /// `fixedUri`, `patternCodeableConcept`, …
    #[serde(flatten)]
    pub(crate) rest: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
pub(crate) struct Base {
    pub(crate) path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Type {
    code: String,
    #[serde(rename = "fhirType")]
    system_name: Option<String>,
    #[serde(default)]
    target_profile: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Slicing {
    #[serde(default)]
    pub(crate) discriminator: Vec<Discriminator>,
}

#[derive(Deserialize)]
pub(crate) struct Discriminator {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) path: String,
}

#[derive(Deserialize)]
pub(crate) struct Binding {
    strength: String,
    #[serde(rename = "valueSet")]
    value_set: Option<String>,
}

/// What an element says apart from its name: the part that a profile can narrow.
#[derive(PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) min: String,
    pub(crate) max: String,
    pub(crate) types: String,
    pub(crate) binding: String,
}

/// Everything that one record must know of the others.
pub(crate) struct Known<'a> {
    resource_names: BTreeSet<&'a str>,
    /// Profile name to the resource type it profiles: a reference to `vitalsigns` is one to an Observation.
    profiled: BTreeMap<&'a str, &'a str>,
    value_sets: &'a ValueSets,
    base: BTreeMap<&'a str, &'a Element>,
}

impl<'a> Known<'a> {
    pub(crate) fn new(
        resources: &'a [Definition],
        types: &'a [Definition],
        profiles: &'a [Definition],
        value_sets: &'a ValueSets,
    ) -> Self {
        let elements = resources.iter().chain(types).filter(|d| !d.is_constraint()).flat_map(|d| &d.snapshot.element);
        Self {
            resource_names: resources.iter().map(|d| d.id.as_str()).collect(),
            profiled: profiles.iter().map(|d| (d.id.as_str(), d.type_name.as_str())).collect(),
            value_sets,
            base: elements.map(|e| (e.path.as_str(), e)).collect(),
        }
    }

    pub(crate) fn base_shape(&self, element: &Element) -> Fallible<Shape> {
        let path = element.base.as_ref().map_or(element.path.as_str(), |b| b.path.as_str());
        self.shape(self.base.get(path).ok_or_else(|| format!("no base {path}"))?)
    }

    pub(crate) fn shape(&self, element: &Element) -> Fallible<Shape> {
        let types = element.types.iter().map(|t| self.type_text(element, t)).collect::<Fallible<Vec<_>>>()?;
        let required = element.binding.as_ref().filter(|b| b.strength == "required");
        let number = required.and_then(|b| b.value_set.as_deref()).and_then(|url| self.value_sets.number(url));
        Ok(Shape {
            min: element.min.to_string(),
            max: element.max.clone(),
            types: types.join(" "),
            binding: number.map(|n| n.to_string()).unwrap_or_default(),
        })
    }

    /// `Quantity`, or `Reference(Patient|Group)`; the `System.String` of ids and urls by its FHIR name.
    fn type_text(&self, element: &Element, of: &Type) -> Fallible<String> {
        if of.code.starts_with("http://hl7.org/fhirpath/") {
            let resource_id = element.base.as_ref().is_some_and(|b| b.path == "Resource.id");
            return Ok(if resource_id {
                "id".into()
            } else {
                of.system_name.clone().ok_or("System type without a name")?
            });
        }
        let mut targets = BTreeSet::new();
        for profile in of.target_profile.iter().filter(|_| of.code == "Reference") {
            let name = profile.rsplit('/').next().unwrap_or_default();
            match self.profiled.get(name) {
                Some(of) => targets.insert(*of),
                None if self.resource_names.contains(name) => targets.insert(name),
                None => return Err(format!("{}: unknown target {name}", element.path).into()),
            };
        }
        if targets.is_empty() || targets.contains("Resource") {
            return Ok(of.code.clone());
        }
        Ok(format!("{}({})", of.code, targets.into_iter().collect::<Vec<_>>().join("|")))
    }
}

impl Definition {
    /// `SimpleQuantity` and `MoneyQuantity`: constraints of `Quantity`, not types of their own.
    fn is_constraint(&self) -> bool {
        self.derivation.as_deref() == Some("constraint")
    }

    fn letter(&self) -> &'static str {
        match (self.kind.as_str(), self.is_abstract) {
            ("resource", false) => "R",
            ("resource", true) => "A",
            _ => "D",
        }
    }
}

/// `N path kind` opens a node, `E name min max summary binding types` follows for each child.
pub(crate) fn write(resources: &[Definition], types: &[Definition], known: &Known, text: &mut String) -> Fallible<()> {
    for definition in types.iter().chain(resources) {
        if definition.is_constraint() || definition.kind == "primitive-type" {
            continue;
        }
        // Children of one element do not stand together in a snapshot: gather them first.
        let mut nodes: Vec<(&str, Vec<&Element>)> = Vec::new();
        for element in &definition.snapshot.element {
            let Some((parent, _)) = element.path.rsplit_once('.') else {
                nodes.push((&element.path, Vec::new()));
                continue;
            };
            match nodes.iter_mut().find(|(path, _)| *path == parent) {
                Some((_, children)) => children.push(element),
                None => nodes.push((parent, vec![element])),
            }
        }
        for (path, children) in &nodes {
            let letter = if path.contains('.') { "B" } else { definition.letter() };
            record(text, &["N", path, letter]);
            for child in children {
                let shape = known.shape(child)?;
                let name = child.path.rsplit('.').next().unwrap_or_default();
                let types = match &child.content_reference {
                    Some(reference) => format!("@{}", reference.trim_start_matches('#')),
                    None if nodes.iter().any(|(p, _)| *p == child.path) => format!("@{}", child.path),
                    None => shape.types,
                };
                let summary = if child.is_summary { "s" } else { "" };
                record(text, &["E", name, &shape.min, &shape.max, summary, &shape.binding, &types]);
            }
        }
    }
    Ok(())
}
