//! The vital-signs profiles. An Observation is held to those that it claims and that are known
//! here, to the one of its LOINC code, whatever its category says, and, if its category says vital-signs
//! and no code decides, to the general one. To gateways that code by MDC (IEEE 11073-10101), as HL7's Personal Health Device
//! guide has them, what a profile that they do not claim wants is advice: that guide has units of its own (`{beat}/min`).

use serde_json::Value;

use super::{
    binding, reference,
    value::{Object, choice, codings, has, list, object},
    walk::Walk,
};
use crate::{
    Policy, Severity,
    tables::{Profile, ProfileElement, Rule, TABLES},
};

const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";
const GENERAL: &str = "http://hl7.org/fhir/StructureDefinition/vitalsigns";
const LOINC: &str = "http://loinc.org";
const MDC: &str = "urn:iso:std:iso:11073:10101";
const VERSION: &str = "4.0.1";

pub(super) fn observation<'v>(walk: &mut Walk<'v>, observation: &'v Object) {
    let claims = object(observation, "meta").map_or(&[][..], |meta| list(meta, "profile"));
    let categories = list(observation, "category").iter().filter_map(Value::as_object);
    let is_vital = categories.flat_map(codings).any(|c| c == (Some(CATEGORY), Some("vital-signs")));
    let asked = walk.asked();
    let has_code =
        |loinc: &str| object(observation, "code").is_some_and(|c| codings(c).any(|c| c == (Some(LOINC), Some(loinc))));
    let is_mdc = object(observation, "code").is_some_and(|c| codings(c).any(|(system, _)| system == Some(MDC)));
    let mut is_held = false;
    for profile in &TABLES.profiles {
        let mut claims = claims.iter().filter_map(Value::as_str).chain(asked.iter().copied());
        let claimed = claims.any(|claim| is_claim(claim, profile));
        if claimed || profile.loinc.is_some_and(has_code) {
            // The general profile is part of each special one.
            is_held |= profile.url == GENERAL || profile.loinc.is_some();
            Held { walk, profile, is_advice: is_mdc && !claimed }.children(&profile.root, observation);
        }
    }
    if let Some(profile) = TABLES.profiles.iter().find(|p| p.url == GENERAL && is_vital && !is_held) {
        Held { walk, profile, is_advice: is_mdc }.children(&profile.root, observation);
    }
}

/// A claim may name the version. One of a version that is not held here binds nothing.
fn is_claim(claim: &str, profile: &Profile) -> bool {
    claim.strip_prefix(profile.url).is_some_and(|rest| rest.is_empty() || rest.strip_prefix('|') == Some(VERSION))
}

/// One occurrence of an element: where it stands, and its value unless only extensions are there.
#[derive(Clone, Copy)]
struct Item<'v> {
    name: &'v str,
    index: Option<usize>,
    value: Option<&'v Value>,
}

/// A walk over a resource that is held to a profile.
struct Held<'w, 'v> {
    walk: &'w mut Walk<'v>,
    profile: &'static Profile,
    is_advice: bool,
}

impl<'v> Held<'_, 'v> {
    fn children(&mut self, element: &'static ProfileElement, parent: &'v Object) {
        for invariant in &element.invariants {
            if let Some(text) = violated(invariant, parent) {
                self.report("invariant", text);
            }
        }
        for child in &element.children {
            self.child(child, parent);
        }
    }

    fn child(&mut self, child: &'static ProfileElement, parent: &'v Object) {
        let items = items(child, parent);
        self.count(child, items.len());
        for item in &items {
            self.enter(*item, |held| held.item(child, *item));
        }
        for slice in &child.slices {
            let matching: Vec<Item> = items.iter().copied().filter(|i| belongs(*i, child, slice)).collect();
            self.count(slice, matching.len());
            for item in &matching {
                self.enter(*item, |held| held.item(slice, *item));
            }
        }
    }

    fn enter(&mut self, item: Item<'v>, inside: impl FnOnce(&mut Self)) {
        self.walk.path.push(item.name);
        if let Some(index) = item.index {
            self.walk.path.push_index(index);
        }
        inside(self);
        if item.index.is_some() {
            self.walk.path.pop();
        }
        self.walk.path.pop();
    }

    fn count(&mut self, element: &'static ProfileElement, count: usize) {
        let (code, text) = match (element.max, element.min) {
            (Some(0), _) if count > 0 => ("structure", "not allowed here".to_owned()),
            (Some(max), _) if count > max => ("structure", format!("at most {max} allowed")),
            (_, min) if count < min => ("required", format!("at least {min} needed")),
            _ => return,
        };
        let slice = element.slice.map(|s| format!(" of slice {s}")).unwrap_or_default();
        self.walk.path.push(element.name);
        self.report(code, &format!("{text}{slice}"));
        self.walk.path.pop();
    }

    fn item(&mut self, element: &'static ProfileElement, item: Item<'v>) {
        let Some(value) = item.value else { return };
        self.types(element, item, value);
        if let Some(fixed) = element.fixed
            && value.as_str() != Some(fixed)
        {
            self.report("value", &format!("must be {fixed}"));
        }
        if let Some(set) = element.binding.and_then(|b| TABLES.value_sets.get(usize::from(b))) {
            let found = match value {
                Value::String(code) if !set.has_code(code) => {
                    Some((None, format!("not a code of the value set {}", set.name())))
                }
                Value::Object(quantity) if item.name.ends_with("Quantity") => {
                    binding::problem(set, Rule::Quantity, quantity)
                }
                Value::Object(concept) if concept.contains_key("coding") => {
                    binding::problem(set, Rule::CodeableConcept, concept)
                }
                _ => None,
            };
            match found {
                Some((Some(name), text)) => {
                    self.walk.path.push(name);
                    self.report("code-invalid", &text);
                    self.walk.path.pop();
                }
                Some((None, text)) => self.report("code-invalid", &text),
                None => {}
            }
        }
        if let Value::Object(object) = value {
            self.children(element, object);
        } else if let Some(text) = element.invariants.iter().find_map(|key| date_too_coarse(key, value)) {
            self.report("invariant", text);
        }
    }

    fn types(&mut self, element: &'static ProfileElement, item: Item<'v>, value: &'v Value) {
        if element.types.is_empty() {
            return;
        }
        let suffix = item.name.strip_prefix(element.name).unwrap_or_default();
        let allowed = element.types.iter().find(|(name, _)| !element.is_choice || name.eq_ignore_ascii_case(suffix));
        match (allowed, value) {
            (None, _) => {
                let names: Vec<&str> = element.types.iter().map(|(name, _)| *name).collect();
                self.report("structure", &format!("must be {}", names.join(" or ")));
            }
            (Some(("Reference", targets)), Value::Object(object)) => {
                let name = reference::points_to(self.walk, object);
                if name.is_some_and(|name| !targets.is_empty() && !reference::is_target(targets, name)) {
                    self.report("value", &reference::wanted(targets));
                }
            }
            _ => {}
        }
    }

    fn report(&mut self, code: &'static str, text: &str) {
        let name = self.profile.url.rsplit('/').next().unwrap_or_default();
        let named = self.walk.definitions.and_then(|d| d.policies.named.get(self.profile.url));
        let is_advice = self.is_advice || named == Some(&Policy::Warn);
        let severity = if is_advice { Severity::Warning } else { Severity::Error };
        self.walk.tell_once(severity, code, &format!("{text} (profile {name})"));
    }
}

fn items<'v>(element: &'static ProfileElement, parent: &'v Object) -> Vec<Item<'v>> {
    if element.is_choice {
        return choice(parent, element.name)
            .map(|(name, value)| Item { name, index: None, value })
            .into_iter()
            .collect();
    }
    match parent.get(element.name) {
        Some(Value::Array(values)) => {
            let item = |(i, value)| Item { name: element.name, index: Some(i), value: Some(value) };
            values.iter().enumerate().map(item).collect()
        }
        Some(value) => vec![Item { name: element.name, index: None, value: Some(value) }],
        None if has(parent, element.name) => vec![Item { name: element.name, index: None, value: None }],
        None => Vec::new(),
    }
}

/// Whether an item is of a slice: every value that tells slices apart is the one the slice fixes.
fn belongs(item: Item, sliced: &ProfileElement, slice: &ProfileElement) -> bool {
    !sliced.discriminators.is_empty()
        && sliced.discriminators.iter().all(|path| match *path {
            "$type" => slice.slice == Some(item.name),
            path => match (slice.fixed_at(path), item.value) {
                (Some(fixed), Some(value)) => stands_at(value, path, fixed),
                _ => false,
            },
        })
}

fn stands_at(value: &Value, path: &str, wanted: &str) -> bool {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let good = |below: &Value| rest.map_or_else(|| below.as_str() == Some(wanted), |r| stands_at(below, r, wanted));
    match value.get(name) {
        Some(Value::Array(items)) => items.iter().any(good),
        Some(below) => good(below),
        None => false,
    }
}

fn violated(invariant: &str, object: &Object) -> Option<&'static str> {
    let answered = || choice(object, "value").is_some() || has(object, "dataAbsentReason");
    match invariant {
        "vs-2" if !has(object, "component") && !has(object, "hasMember") && !answered() => {
            Some("vs-2: without components or members there must be a value or the reason for its absence")
        }
        "vs-3" if !answered() => Some("vs-3: there must be a value or the reason for its absence"),
        _ => None,
    }
}

fn date_too_coarse(invariant: &str, value: &Value) -> Option<&'static str> {
    let coarse = invariant == "vs-1" && value.as_str().is_some_and(|text| text.len() < 10);
    coarse.then_some("vs-1: the time must be known to the day")
}
