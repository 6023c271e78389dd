//! The snapshots that US Core publishes beside those that are made here from its differentials: the trees that the
//! checker walks must be the same, but for what is listed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde_json::Value;

use super::super::{
    compile::compile,
    profile::{Element, Fixed, Profile, Rules, Sort},
};

/// All that the checker uses of a profile, one line a rule.
fn lines(element: &Element, way: &str, found: &mut BTreeSet<String>) {
    let place = match &element.slice {
        Some(slice) => format!("{way}{}:{slice}", element.name),
        None => format!("{way}{}", element.name),
    };
    let mut line = |what: String| {
        found.insert(format!("{place} {what}"));
    };
    if element.min > 0 {
        line(format!("min {}", element.min));
    }
    if let Some(max) = element.max {
        line(format!("max {max}"));
    }
    match &element.fixed {
        Some(Fixed::Exactly(value)) => line(format!("fixed {value}")),
        Some(Fixed::Pattern(value)) => line(format!("pattern {value}")),
        None => {}
    }
    for of in &element.types {
        line(format!("type {} {:?} {:?}", of.code, of.profiles, of.targets));
    }
    if let Some(bound) = &element.binding {
        line(format!("{} {}", if bound.is_required { "required" } else { "extensible" }, bound.value_set));
    }
    for constraint in &element.constraints {
        line(format!("constraint {} {}", constraint.key, constraint.is_error));
    }
    if let Some(slicing) = &element.slicing {
        let by: Vec<String> = slicing.discriminators.iter().map(|d| format!("{} {}", sort(d.sort), d.path)).collect();
        let rules = if slicing.rules == Rules::Open { "open" } else { "closed" };
        line(format!("slicing {} {rules} {}", by.join(", "), slicing.is_ordered));
    }
    for child in element.children.iter().chain(&element.slices) {
        let below = if element.slices.iter().any(|slice| std::ptr::eq(slice, child)) {
            way.to_owned()
        } else {
            format!("{place}.")
        };
        lines(child, &below, found);
    }
}

fn sort(sort: Sort) -> &'static str {
    match sort {
        Sort::Value => "value",
        Sort::Exists => "exists",
        Sort::Type => "type",
        Sort::Profile => "profile",
    }
}

fn rules(profile: &Profile) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    lines(&profile.root, "", &mut found);
    found
}

fn differentials() -> Vec<Value> {
    let text = include_str!("../../../tests/data/us-core-differentials.ndjson");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The profiles of the shipped packages, which carry the snapshots only.
fn published() -> Vec<Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packages");
    let mut all = Vec::new();
    for name in ["us-core-6.1.0.tar.zst", "us-core-8.0.0.tar.zst"] {
        let unpacked = zstd::Decoder::new(std::fs::File::open(folder.join(name)).unwrap()).unwrap();
        for file in tar::Archive::new(unpacked).entries().unwrap() {
            let definition: Value = serde_json::from_reader(file.unwrap()).unwrap();
            if definition["resourceType"] == "StructureDefinition" {
                all.push(definition);
            }
        }
    }
    all
}

/// Why a rule may be in one of the two only; `own` are the rules of the one that is made here.
fn reason(rule: &str, own: &BTreeSet<String>) -> Option<&'static str> {
    let (place, what) = rule.split_once(' ')?;
    let unsliced: Vec<&str> = place.split('.').map(|part| part.split(':').next().unwrap_or(part)).collect();
    // The rule stands at the element and holds for its slices by that.
    if place.contains(':') && own.contains(&format!("{} {what}", unsliced.join("."))) {
        return Some("said of all slices at once");
    }
    // Slicing without slices divides nothing.
    if place.ends_with("xtension") && what.starts_with("slicing value url") {
        return Some("no slices");
    }
    // Bindings of the base definitions that are no more than extensible are not in the tables. An element that
    // stands in a snapshot for its binding brings the maximum of the base along.
    let base = [
        ("dataAbsentReason", "hl7.org/fhir/ValueSet/data-absent-reason"),
        ("interpretation", "hl7.org/fhir/ValueSet/observation-interpretation"),
        ("class", "terminology.hl7.org/ValueSet/v3-ActEncounterCode"),
        ("identifier.type", "hl7.org/fhir/ValueSet/identifier-type"),
        ("participant.type", "hl7.org/fhir/ValueSet/encounter-participant-type"),
        ("statusReason", "hl7.org/fhir/ValueSet/device-status-reason"),
        ("relationship", "hl7.org/fhir/ValueSet/patient-contactrelationship"),
        ("maritalStatus", "hl7.org/fhir/ValueSet/marital-status"),
    ];
    let bound = |set: &str| what == format!("extensible http://{set}") || matches!(what, "max 1" | "min 1");
    if base.iter().any(|(name, set)| place.ends_with(name) && bound(set)) {
        return Some("extensible in the base");
    }
    // Its strength is raised without the name of the value set, which the tables have for required bindings only.
    if place == "Observation.code" && bound("hl7.org/fhir/ValueSet/observation-codes") {
        return Some("an example in the base");
    }
    // US Core loosens what the vital-signs profile of R4, its base, requires; the base wins here.
    (place.ends_with("component.value") || place.contains("component:")).then_some(())?;
    what.contains("ValueSet/ucum-vitals-common").then_some("a loosened binding")
}

#[test]
fn what_us_core_publishes_is_what_is_made_here() {
    let (differentials, published) = (differentials(), published());
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut differences, mut same) = (Vec::new(), 0);
    for differential in &differentials {
        let beside: Vec<&Value> = differentials.iter().filter(|of| of["version"] == differential["version"]).collect();
        let theirs = published.iter().find(|of| ["url", "version"].iter().all(|name| of[name] == differential[name]));
        let theirs = rules(&compile(theirs.unwrap(), &[]).unwrap().unwrap());
        let own = rules(&compile(differential, &beside).unwrap().unwrap());
        same += own.intersection(&theirs).count();
        for rule in own.symmetric_difference(&theirs) {
            match reason(rule, &own) {
                Some(reason) => *reasons.entry(reason).or_default() += 1,
                None => differences.push(format!(
                    "{} {} {} {rule}",
                    differential["version"],
                    differential["id"],
                    if own.contains(rule) { "+" } else { "-" }
                )),
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let expected = [
        ("a loosened binding", 60),
        ("an example in the base", 3),
        ("extensible in the base", 213),
        ("no slices", 93),
        ("said of all slices at once", 38),
    ];
    assert_eq!((differentials.len(), same), (31, 1378));
    assert_eq!(reasons, BTreeMap::from(expected));
}
