//! Invariants of the base definitions that are worth their place: those of elements that monitoring
//! uses, and those of Bundle and of contained resources. Each message begins with the key by which
//! the specification knows the invariant.

mod bundle;

use std::collections::HashSet;

use serde_json::{Number, Value};

use super::{
    calendar,
    value::{Object, choice, codings, has, list, object, text},
    walk::Walk,
};
use crate::tables::Rule;

pub(super) fn check<'v>(walk: &mut Walk<'v>, rule: Rule, element: &'v Object) {
    let found = match rule {
        Rule::Attachment => has(element, "data") && !has(element, "contentType"),
        Rule::BundleEntry => !["resource", "request", "response"].iter().any(|name| has(element, name)),
        Rule::ContactPoint => has(element, "value") && !has(element, "system"),
        Rule::Extension => has(element, "extension") == choice(element, "value").is_some(),
        Rule::ObservationReferenceRange => !["low", "high", "text"].iter().any(|name| has(element, name)),
        Rule::ParametersParameter => {
            let given = [choice(element, "value").is_some(), has(element, "resource"), has(element, "part")];
            given.iter().filter(|given| **given).count() != 1
        }
        Rule::PatientContact => !["name", "telecom", "address", "organization"].iter().any(|name| has(element, name)),
        Rule::Period => is_reversed(element),
        Rule::Quantity => has(element, "code") && !has(element, "system"),
        Rule::Range => is_upside_down(element),
        Rule::Ratio => {
            let (upper, lower) = (has(element, "numerator"), has(element, "denominator"));
            upper != lower || !upper && !has(element, "extension")
        }
        Rule::Bundle => return bundle::check(walk, element),
        Rule::Observation => return observation(walk, element),
        Rule::None | Rule::CodeableConcept | Rule::Coding | Rule::Reference => false,
    };
    if found {
        walk.report("invariant", message(rule));
    }
}

fn message(rule: Rule) -> &'static str {
    match rule {
        Rule::Attachment => "att-1: data needs a contentType",
        Rule::BundleEntry => "bdl-5: an entry needs a resource, a request or a response",
        Rule::ContactPoint => "cpt-2: a value needs a system",
        Rule::Extension => "ext-1: an extension has either a value or extensions, never both",
        Rule::ObservationReferenceRange => "obs-3: a range needs at least low, high or text",
        Rule::ParametersParameter => "inv-1: a parameter has either a value, a resource or parts",
        Rule::PatientContact => "pat-1: a contact needs a name, a telecom, an address or an organization",
        Rule::Period => "per-1: the start must not be later than the end",
        Rule::Quantity => "qty-3: a code for the unit needs its system",
        Rule::Range => "rng-2: low must not be greater than high",
        Rule::Ratio => "rat-1: numerator and denominator stand together",
        _ => "an invariant is violated",
    }
}

fn is_reversed(period: &Object) -> bool {
    match (text(period, "start"), text(period, "end")) {
        (Some(start), Some(end)) => calendar::is_after(start, end),
        _ => false,
    }
}

fn is_upside_down(range: &Object) -> bool {
    let (Some(low), Some(high)) = (object(range, "low"), object(range, "high")) else { return false };
    let number = |q: &Object| q.get("value").and_then(Value::as_number).and_then(Number::as_f64);
    let same = ["system", "code", "unit"].iter().all(|name| text(low, name) == text(high, name));
    match (number(low), number(high)) {
        (Some(low), Some(high)) => same && low > high,
        _ => false,
    }
}

fn observation<'v>(walk: &mut Walk<'v>, observation: &'v Object) {
    if choice(observation, "value").is_none() {
        return;
    }
    if has(observation, "dataAbsentReason") {
        walk.report("invariant", "obs-6: a value and the reason for its absence exclude each other");
    }
    let components = list(observation, "component");
    let Some(code) = object(observation, "code").filter(|_| !components.is_empty()) else { return };
    let own: HashSet<_> = codings(code).filter(|(_, code)| code.is_some()).collect();
    let codes = components.iter().filter_map(Value::as_object).filter_map(|c| object(c, "code"));
    if codes.flat_map(codings).any(|coding| own.contains(&coding)) {
        walk.report("invariant", "obs-7: a component has the code of the Observation, so that must have no value");
    }
}

/// A resource contained in another: it has no life of its own.
pub(super) fn contained<'v>(walk: &mut Walk<'v>, resource: &'v Object) {
    if has(resource, "contained") {
        walk.report("invariant", "dom-2: a contained resource must not contain others");
    }
    let Some(meta) = object(resource, "meta") else { return };
    if has(meta, "versionId") || has(meta, "lastUpdated") {
        walk.report("invariant", "dom-4: a contained resource has no version");
    }
    if has(meta, "security") {
        walk.report("invariant", "dom-5: a contained resource has no security label");
    }
}

/// A resource that contains others: each must be referred to, or refer to its container.
pub(super) fn container(walk: &mut Walk) {
    let all = walk.frame.contained;
    let mut ids = HashSet::new();
    for (i, inner) in all.iter().enumerate() {
        let id = inner.get("id").and_then(Value::as_str);
        walk.path.push("contained");
        walk.path.push_index(i);
        if id.is_some_and(|id| !ids.insert(id)) {
            walk.report("invariant", "two contained resources have the same id");
        }
        if !walk.frame.referring.contains(&i) && !id.is_some_and(|id| walk.frame.referred.contains(id)) {
            walk.report("invariant", "dom-3: nothing refers to this contained resource");
        }
        walk.path.pop();
        walk.path.pop();
    }
}
