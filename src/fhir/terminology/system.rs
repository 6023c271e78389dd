//! A code system with its hierarchy, flat: concepts in the order of the definition, each with its parents.

use std::collections::HashMap;

use serde_json::Value;

use crate::fhir::reading::{list, str_of};

/// Properties by which a concept names concepts above it.
const ABOVE: [&str; 2] = ["parent", "subsumedBy"];
/// Nesting beyond this is no hierarchy of concepts.
const MOST_DEEP: usize = 64;

pub struct System<'a> {
    pub definition: &'a Value,
    concepts: Vec<Found<'a>>,
    by_code: HashMap<String, usize>,
    case_sensitive: bool,
}

/// One concept of a system.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    pub code: &'a str,
    pub concept: &'a Value,
    /// The codes right above it.
    pub parents: Vec<&'a str>,
}

impl<'a> System<'a> {
    pub fn of(definition: &'a Value) -> Self {
        // Only a system that says so takes `a` for `A`.
        let case_sensitive = definition.get("caseSensitive") != Some(&Value::Bool(false));
        let mut system = Self { definition, concepts: Vec::new(), by_code: HashMap::new(), case_sensitive };
        system.take(definition, None, 0);
        system
    }

    fn take(&mut self, above: &'a Value, parent: Option<&'a str>, depth: usize) {
        for concept in list(above.get("concept")).filter(|_| depth < MOST_DEEP) {
            let Some(code) = str_of(concept, "code") else { continue };
            let named = properties(concept).filter(|(name, _)| ABOVE.contains(name)).filter_map(|(_, v)| v.as_str());
            let parents = parent.into_iter().chain(named).collect();
            self.by_code.entry(self.key(code)).or_insert(self.concepts.len());
            self.concepts.push(Found { code, concept, parents });
            self.take(concept, Some(code), depth + 1);
        }
    }

    fn key(&self, code: &str) -> String {
        if self.case_sensitive { code.to_owned() } else { code.to_lowercase() }
    }

    /// Are all its concepts here?
    pub fn is_whole(&self) -> bool {
        !matches!(str_of(self.definition, "content"), Some("not-present" | "example" | "fragment" | "supplement"))
    }

    pub fn concepts(&self) -> &[Found<'a>] {
        &self.concepts
    }

    pub fn find(&self, code: &str) -> Option<&Found<'a>> {
        self.concepts.get(*self.by_code.get(&self.key(code))?)
    }

    /// Is the concept below `above`, however far?
    pub fn is_below(&self, concept: &Found<'a>, above: &str) -> bool {
        let mut open: Vec<&str> = concept.parents.clone();
        let mut seen: Vec<&str> = Vec::new();
        while let Some(code) = open.pop() {
            if self.key(code) == self.key(above) {
                return true;
            }
            if !seen.contains(&code) {
                seen.push(code);
                open.extend(self.find(code).into_iter().flat_map(|found| found.parents.iter().copied()));
            }
        }
        false
    }

    /// The codes right below.
    pub fn children(&self, code: &str) -> Vec<&'a str> {
        self.concepts.iter().filter(|found| found.parents.contains(&code)).map(|found| found.code).collect()
    }
}

impl Found<'_> {
    pub fn display(&self) -> Option<&str> {
        str_of(self.concept, "display")
    }

    /// A heading, not to be used itself.
    pub fn is_abstract(&self) -> bool {
        properties(self.concept).any(|(name, value)| ["notSelectable", "abstract"].contains(&name) && is_true(value))
    }

    pub fn is_inactive(&self) -> bool {
        let retired = |value: &Value| value.as_str().is_some_and(|v| ["retired", "inactive"].contains(&v));
        properties(self.concept)
            .any(|(name, value)| (name == "inactive" && is_true(value)) || (name == "status" && retired(value)))
    }
}

fn is_true(value: &Value) -> bool {
    value.as_bool() == Some(true) || value.as_str() == Some("true")
}

/// Names and values of a concept's properties; of a Coding its code.
pub(super) fn properties(concept: &Value) -> impl Iterator<Item = (&str, &Value)> {
    list(concept.get("property")).filter_map(|property| {
        let (_, value) = property.as_object()?.iter().find(|(name, _)| name.starts_with("value"))?;
        Some((str_of(property, "code")?, value.get("code").unwrap_or(value)))
    })
}
