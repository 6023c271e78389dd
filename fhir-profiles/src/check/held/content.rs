//! What a profile says of one value: fixed values and patterns, types, bindings, bounds.

use std::cmp::Ordering;

use serde_json::Value;

use super::{super::walk::Walk, Held};
use crate::{
    Severity,
    definition::{Element, Fixed},
    path::{Item, order_of_numbers, same},
};

impl<'v> Held<'_, 'v> {
    pub(super) fn content(&mut self, element: &'v Element, item: &Item<'v>) {
        match &element.fixed {
            Some(Fixed::Exactly(value)) if !matches(item, value, true) => {
                self.tell(Severity::Error, "value", "must be the value that the profile fixes");
            }
            Some(Fixed::Pattern(value)) if !matches(item, value, false) => {
                self.tell(Severity::Error, "value", "must hold what the pattern of the profile holds");
            }
            _ => {}
        }
        self.types(element, item);
        self.binding(element, item);
        self.bounds(element, item);
    }

    fn types(&mut self, element: &'v Element, item: &Item<'v>) {
        if element.types.is_empty() {
            return;
        }
        let Some(of) = element.types.iter().find(|of| item.is(&of.code)) else {
            let mut names: Vec<&str> = element.types.iter().map(|of| of.code.as_str()).collect();
            names.dedup();
            return self.tell(Severity::Error, "structure", &format!("must be {}", names.join(" or ")));
        };
        if !of.profiles.is_empty() {
            self.part(&of.profiles, item);
        }
        if !of.targets.is_empty() {
            self.target(&of.targets, item);
        }
    }

    /// The target of a reference: its type where that can be told, its profile where it is contained.
    fn target(&mut self, targets: &'v [String], item: &Item<'v>) {
        let Item::Element { object, .. } = item else { return };
        let Some(name) = super::super::reference::points_to(self.walk, object) else { return };
        let Some(definitions) = self.walk.definitions else { return };
        let type_of = |target: &'v String| match definitions.profile(target) {
            Some(profile) => Some(profile.type_name.as_str()),
            None => target
                .strip_prefix("http://hl7.org/fhir/StructureDefinition/")
                .map(|t| t.split('|').next().unwrap_or(t)),
        };
        let types: Vec<Option<&str>> = targets.iter().map(type_of).collect();
        if types
            .iter()
            .any(|t| t.is_none_or(|t| t == name || t == "Resource" || crate::resource_type_index(t).is_none()))
        {
            return self.contained_target(targets, item);
        }
        let names: Vec<&str> = types.into_iter().flatten().collect();
        self.tell(Severity::Error, "value", &format!("must refer to {}", names.join(" or ")));
    }

    fn contained_target(&mut self, targets: &'v [String], item: &Item<'v>) {
        let Item::Element { object, .. } = item else { return };
        let id = object.get("reference").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
        let Some(target) = id.and_then(|id| self.walk.frame.contained_by_id(id)).and_then(Item::resource) else {
            return;
        };
        let Some(definitions) = self.walk.definitions else { return };
        let Some(profiles) = targets.iter().map(|t| definitions.profile(t)).collect::<Option<Vec<_>>>() else { return };
        if !profiles.into_iter().any(|profile| self.fits(profile, &target)) {
            self.tell(
                Severity::Error,
                "structure",
                "the contained resource fits none of the profiles that are asked for",
            );
        }
    }

    fn binding(&mut self, element: &'v Element, item: &Item<'v>) {
        let Some(bound) = &element.binding else { return };
        let severity = if bound.is_required { Severity::Error } else { Severity::Warning };
        match is_bound(self.walk, item, &bound.value_set) {
            Some(true) => {}
            Some(false) => {
                self.tell(severity, "code-invalid", &format!("no code of the value set {}", bound.value_set));
            }
            None => {
                let text = format!("the value set {} is not loaded, so codes were not checked", bound.value_set);
                if bound.is_required || self.walk.is_thorough {
                    self.tell(Severity::Warning, "not-supported", &text);
                }
            }
        }
    }

    fn bounds(&mut self, element: &'v Element, item: &Item<'v>) {
        let Item::Primitive { value: Some(value), .. } = item else { return };
        if let (Some(max), Some(text)) = (element.max_length, value.as_str())
            && text.chars().count() > max
        {
            self.tell(Severity::Error, "too-long", &format!("must have at most {max} characters"));
        }
        let beyond = |bound: &Option<Value>, wrong: Ordering| {
            bound.as_ref().is_some_and(|bound| order(value, bound) == Some(wrong))
        };
        if beyond(&element.min_value, Ordering::Less) {
            self.tell(Severity::Error, "value", "less than the profile allows");
        }
        if beyond(&element.max_value, Ordering::Greater) {
            self.tell(Severity::Error, "value", "greater than the profile allows");
        }
    }
}

fn order(value: &Value, bound: &Value) -> Option<Ordering> {
    match (value, bound) {
        (Value::Number(a), Value::Number(b)) => order_of_numbers(&a.to_string(), &b.to_string()),
        (Value::String(a), Value::String(b)) => {
            match (super::super::calendar::is_after(a, b), super::super::calendar::is_after(b, a)) {
                (true, _) => Some(Ordering::Greater),
                (_, true) => Some(Ordering::Less),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether an item is a value, or holds all of it.
pub(super) fn matches(item: &Item, wanted: &Value, exactly: bool) -> bool {
    match (item, wanted) {
        (Item::Element { object, .. }, Value::Object(wanted)) => {
            let size = !exactly || object.len() == wanted.len();
            size && wanted.iter().all(|(name, part)| {
                object.get(name).is_some_and(|own| if exactly { same(own, part) } else { holds(own, part) })
            })
        }
        (Item::Primitive { value: Some(value), .. }, wanted) => same(value, wanted),
        _ => false,
    }
}

/// Each item of a pattern's array must be somewhere in the value's.
fn holds(value: &Value, pattern: &Value) -> bool {
    match (value, pattern) {
        (Value::Object(own), Value::Object(wanted)) => {
            wanted.iter().all(|(name, part)| own.get(name).is_some_and(|value| holds(value, part)))
        }
        (Value::Array(own), Value::Array(wanted)) => {
            wanted.iter().all(|part| own.iter().any(|value| holds(value, part)))
        }
        _ => same(value, pattern),
    }
}

/// Whether a coded value is in a value set; nothing where that cannot be told.
pub(super) fn is_bound(walk: &Walk, item: &Item, set: &str) -> Option<bool> {
    let definitions = walk.definitions?;
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    match item {
        Item::Primitive { value: Some(Value::String(code)), .. } => definitions.is_member(set, None, code),
        // A value that is missing says so by an extension.
        Item::Primitive { .. } => Some(true),
        Item::Element { object, type_name, .. } => {
            let codings: Vec<&Value> = match *type_name {
                "CodeableConcept" => object.get("coding").and_then(Value::as_array).into_iter().flatten().collect(),
                _ => Vec::new(),
            };
            let in_set = |system: Option<String>, code: Option<String>| match (system, code) {
                (Some(system), Some(code)) => definitions.is_member(set, Some(&system), &code),
                // Whether the set is known at all decides what a missing code means.
                _ => definitions.is_member(set, Some(""), "").map(|_| false),
            };
            if *type_name == "CodeableConcept" {
                if codings.is_empty() {
                    return in_set(None, None);
                }
                let each = codings.into_iter().map(|coding| in_set(text(coding, "system"), text(coding, "code")));
                return each.collect::<Option<Vec<_>>>().map(|all| all.contains(&true));
            }
            let member = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
            in_set(member("system"), member("code"))
        }
        _ => None,
    }
}
