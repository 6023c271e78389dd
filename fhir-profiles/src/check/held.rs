//! A resource beside the profiles that were loaded: the ones it claims, and those that the caller names.
//! The base definitions have been checked by the time; here is only what profiles add.

mod content;
mod slice;

use serde_json::Value;

use super::{
    computed,
    value::{Object, list, object},
    walk::Walk,
};
use crate::{
    Severity,
    definition::{Element, Policy, Profile},
    path::{Item, Stop},
    tables::TABLES,
};

/// Profiles one resource is held to.
const MAX_CLAIMS: usize = 50;

/// Everything that a resource claims to be.
pub(super) fn claims<'v>(walk: &mut Walk<'v>, resource: &'v Object) {
    let Some(definitions) = walk.definitions else { return };
    for canonical in walk.asked() {
        match definitions.profile(canonical) {
            Some(profile) => hold(walk, profile, resource, None),
            None if definitions.knows(canonical) => {}
            None => walk.tell(Severity::Error, "not-found", "the profile that is asked for is not loaded here"),
        }
    }
    let claims = object(resource, "meta").map_or(&[][..], |meta| list(meta, "profile"));
    for (i, claim) in claims.iter().enumerate().take(MAX_CLAIMS) {
        let Some(canonical) = claim.as_str() else { continue };
        if let Some(profile) = definitions.profile(canonical) {
            hold(walk, profile, resource, Some(i));
        } else if !definitions.knows(canonical) {
            let severity = match definitions.policies.unknown {
                Policy::Reject => Severity::Error,
                Policy::Warn => Severity::Warning,
            };
            at_claim(walk, i, |walk| {
                walk.tell(severity, "not-found", "this profile is not loaded here, so nothing is held to it");
            });
        }
    }
}

/// The resource at hand beside one profile.
pub(super) fn hold<'v>(walk: &mut Walk<'v>, profile: &'v Profile, resource: &'v Object, claim: Option<usize>) {
    let Some(item) = Item::resource(resource) else { return };
    if item.type_name() != profile.type_name {
        let text =
            format!("a profile of {} cannot be that of this resource (profile {})", profile.type_name, profile.url);
        return match claim {
            Some(i) => at_claim(walk, i, |walk| walk.tell(Severity::Error, "value", text)),
            None => walk.tell(Severity::Error, "value", text),
        };
    }
    Held { walk, profile, depth: 0 }.item(&profile.root, &item);
}

fn at_claim<'v>(walk: &mut Walk<'v>, index: usize, tell: impl FnOnce(&mut Walk<'v>)) {
    walk.path.push("meta");
    walk.path.push("profile");
    walk.path.push_index(index);
    tell(walk);
    for _ in 0..3 {
        walk.path.pop();
    }
}

/// One occurrence of an element.
#[derive(Clone)]
struct Place<'v> {
    /// As it stands in JSON: `valueQuantity`.
    name: &'v str,
    index: Option<usize>,
    item: Item<'v>,
}

struct Held<'w, 'v> {
    walk: &'w mut Walk<'v>,
    profile: &'v Profile,
    /// Profiles that led to this one.
    depth: usize,
}

/// Profiles of parts of parts: more than any guide has.
const MAX_PROFILES: usize = 16;

impl<'v> Held<'_, 'v> {
    fn item(&mut self, element: &'v Element, item: &Item<'v>) {
        // What a profile costs is bounded like the invariants are, slices times items included.
        if self.walk.fuel.spend(4).is_err() {
            return self.walk.spent();
        }
        self.content(element, item);
        self.invariants(element, item);
        for child in &element.children {
            self.child(child, item);
        }
    }

    fn child(&mut self, child: &'v Element, parent: &Item<'v>) {
        let places = places(&child.name, parent);
        self.count(child, places.len());
        if self.walk.fuel.spend(places.len()).is_err() {
            return self.walk.spent();
        }
        for place in &places {
            self.enter(place, |held| held.item(child, &place.item));
        }
        if !child.slices.is_empty() || child.slicing.is_some() {
            self.slices(child, &places);
        }
    }

    fn enter(&mut self, place: &Place<'v>, inside: impl FnOnce(&mut Self)) {
        self.walk.path.push(place.name);
        if let Some(index) = place.index {
            self.walk.path.push_index(index);
        }
        inside(self);
        if place.index.is_some() {
            self.walk.path.pop();
        }
        self.walk.path.pop();
    }

    fn count(&mut self, element: &'v Element, count: usize) {
        let (code, text) = match (element.max, element.min) {
            (Some(0), _) if count > 0 => ("structure", "not allowed here".to_owned()),
            (Some(max), _) if count > max => ("structure", format!("at most {max} allowed")),
            (_, min) if count < min => ("required", format!("at least {min} needed")),
            _ => return,
        };
        let slice = element.slice.as_ref().map(|s| format!(" of slice {s}")).unwrap_or_default();
        self.walk.path.push(&element.name);
        self.tell(Severity::Error, code, &format!("{text}{slice}"));
        self.walk.path.pop();
    }

    fn invariants(&mut self, element: &'v Element, item: &Item<'v>) {
        for constraint in &element.constraints {
            let severity = if constraint.is_error { Severity::Error } else { Severity::Warning };
            let Ok(expression) = &constraint.expression else {
                self.information(&format!("{}: this invariant cannot be computed here", constraint.key));
                continue;
            };
            match computed::holds(self.walk, expression, item) {
                Ok(Some(true)) => {}
                Ok(None) if severity != Severity::Error => {}
                Ok(_) => {
                    self.tell(severity, "invariant", &format!("{}: {}", constraint.key, constraint.words));
                }
                Err(Stop::Unknown | Stop::Wrong) => {
                    self.information(&format!("{}: nothing here tells whether this invariant holds", constraint.key));
                }
                Err(Stop::Spent) => return self.walk.spent(),
            }
        }
    }

    /// A profile for a part of the resource: one of those named must fit.
    fn part(&mut self, profiles: &'v [String], item: &Item<'v>) {
        let Some(definitions) = self.walk.definitions else { return };
        if self.depth >= MAX_PROFILES {
            return;
        }
        let known: Vec<&'v Profile> =
            profiles.iter().filter_map(|p| definitions.profile(p)).filter(|p| item.is(&p.type_name)).collect();
        match known.as_slice() {
            [] => {
                let base = "http://hl7.org/fhir/StructureDefinition/";
                if profiles.iter().any(|p| !p.starts_with(base)) {
                    self.information("a profile of this element is not loaded here, so it was not checked");
                }
            }
            [one] => Held { walk: self.walk, profile: one, depth: self.depth + 1 }.item(&one.root, item),
            several => {
                if !several.iter().any(|profile| self.fits(profile, item)) {
                    self.tell(Severity::Error, "structure", "fits none of the profiles that are allowed here");
                }
            }
        }
    }

    /// Whether an item fits a profile, without telling what is wrong.
    fn fits(&mut self, profile: &'v Profile, item: &Item<'v>) -> bool {
        if self.depth >= MAX_PROFILES || !item.is(&profile.type_name) {
            return false;
        }
        let before = self.walk.mark();
        Held { walk: self.walk, profile, depth: self.depth + 1 }.item(&profile.root, item);
        self.walk.forget_since(before)
    }

    fn tell(&mut self, severity: Severity, code: &'static str, text: &str) {
        let lenient = self.walk.definitions.is_some_and(|d| d.policy(self.profile) == Policy::Warn);
        let severity = if lenient && severity == Severity::Error { Severity::Warning } else { severity };
        self.walk.tell_once(severity, code, &format!("{text} (profile {})", self.profile.url));
    }

    /// Only for who asks for everything.
    fn information(&mut self, text: &str) {
        if self.walk.is_thorough {
            self.walk.tell_once(
                Severity::Information,
                "informational",
                &format!("{text} (profile {})", self.profile.url),
            );
        }
    }
}

/// Where the children of a name stand.
fn places<'v>(name: &str, parent: &Item<'v>) -> Vec<Place<'v>> {
    let (node, object) = match parent {
        Item::Element { node, object, .. } => (*node, *object),
        Item::Primitive { beside: Some(object), .. } => match TABLES.node_of("Element") {
            Some(node) => (node, *object),
            None => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    let choice = node.children.iter().position(|c| c.is_choice && c.name == name);
    let extended = object.keys().any(|key| key.starts_with('_'));
    let mut found = Vec::new();
    let members = node.members.iter().filter(|m| m.name == name || Some(usize::from(m.child)) == choice);
    for member in members {
        let value = object.get(member.name);
        let beside = if extended { object.get(["_", member.name].concat().as_str()) } else { None };
        let lists = (value.and_then(Value::as_array), beside.and_then(Value::as_array));
        if let (None, None) = lists {
            let item = Item::of(member, value, beside);
            found.extend(item.map(|item| Place { name: member.name, index: None, item }));
            continue;
        }
        for i in 0..lists.0.map_or(0, Vec::len).max(lists.1.map_or(0, Vec::len)) {
            let at = |all: Option<&'v Vec<Value>>| all.and_then(|all| all.get(i));
            let item = Item::of(member, at(lists.0), at(lists.1));
            found.extend(item.map(|item| Place { name: member.name, index: Some(i), item }));
        }
    }
    found
}
