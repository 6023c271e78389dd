//! The filters of a value set's include (R4, ValueSet.compose.include.filter).

use serde_json::Value;

use super::Problem;
use super::system::{Found, System, properties};
use crate::fhir::reading::{list, str_of};

/// Does the concept pass all filters of the include?
pub(super) fn passes(system: &System<'_>, found: &Found<'_>, include: &Value) -> Result<bool, Problem> {
    for filter in list(include.get("filter")) {
        if !one(system, found, filter)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn one(system: &System<'_>, found: &Found<'_>, filter: &Value) -> Result<bool, Problem> {
    let (property, op) = (str_of(filter, "property").unwrap_or_default(), str_of(filter, "op").unwrap_or_default());
    let value = str_of(filter, "value").unwrap_or_default();
    let of_concept = property == "concept" || property == "code";
    let is = |code: &str| system.find(code).is_some_and(|other| other.code == found.code);
    let any = || value.split(',').map(str::trim).any(|one| has(found, property, one));
    Ok(match op {
        "is-a" if of_concept => is(value) || system.is_below(found, value),
        "descendent-of" if of_concept => system.is_below(found, value),
        "is-not-a" if of_concept => !is(value) && !system.is_below(found, value),
        "generalizes" if of_concept => {
            is(value) || system.find(value).is_some_and(|below| system.is_below(below, found.code))
        }
        "in" if of_concept => value.split(',').any(|code| is(code.trim())),
        "not-in" if of_concept => !value.split(',').any(|code| is(code.trim())),
        "=" if of_concept => is(value),
        "=" if ABOVE.contains(&property) => found.parents.contains(&value),
        "=" => has(found, property, value),
        "in" => any(),
        "not-in" => !any(),
        "exists" => (properties(found.concept).any(|(name, _)| name == property)) == (value == "true"),
        _ => {
            let op: String = op.chars().filter(char::is_ascii).take(20).collect();
            return Err(Problem::NotSupported(format!("the filter {op} is not supported here")));
        }
    })
}

const ABOVE: [&str; 2] = ["parent", "subsumedBy"];

fn has(found: &Found<'_>, property: &str, wanted: &str) -> bool {
    if property == "display" {
        return found.display() == Some(wanted);
    }
    properties(found.concept).any(|(name, value)| name == property && text_of(value) == wanted)
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
