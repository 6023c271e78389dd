//! What a concept subsumes and what subsumes it, for `:below` and `:above` (R4, search.html 3.1.1.5.5). Only a code
//! system that is here in full, and whose hierarchy means "is a", can tell.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::library::Library;
use super::system::{System, properties};
use crate::fhir::reading::{Code, str_of};

/// Which way a hierarchy is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    Above,
    Below,
}

/// The concept and everything above or below it; none where the library cannot tell.
pub fn subsumed(library: &Library, system: &str, code: &str, direction: Direction) -> Option<Vec<Code>> {
    let definition = library.code_system(system)?;
    let whole = System::of(definition);
    if !whole.is_whole() || !is_subsumption(definition) {
        return None;
    }
    // The version that a canonical names is no part of a coding's system.
    let name = system.split('|').next().unwrap_or(system);
    let found = walk(&whole, code, direction)?;
    Some(found.into_iter().map(|code| (name.to_owned(), code.to_owned())).collect())
}

/// Groups and parts are no kinds of what they are under.
fn is_subsumption(definition: &Value) -> bool {
    !matches!(str_of(definition, "hierarchyMeaning"), Some("grouped-by" | "part-of"))
}

fn walk<'a>(system: &System<'a>, code: &str, direction: Direction) -> Option<Vec<&'a str>> {
    let edges = edges(system, direction);
    let mut open = vec![system.find(code)?.code];
    let mut seen: HashSet<&str> = HashSet::new();
    let mut found = Vec::new();
    while let Some(code) = open.pop() {
        if seen.insert(code) {
            found.push(code);
            open.extend(edges.get(code).into_iter().flatten());
        }
    }
    Some(found)
}

/// From each concept one step in this direction, by the codes as the definition writes them.
fn edges<'a>(system: &System<'a>, direction: Direction) -> HashMap<&'a str, Vec<&'a str>> {
    let mut edges: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut add = |upper: &str, lower: &str| {
        let (Some(upper), Some(lower)) = (system.find(upper), system.find(lower)) else { return };
        let (from, to) = match direction {
            Direction::Above => (lower.code, upper.code),
            Direction::Below => (upper.code, lower.code),
        };
        edges.entry(from).or_default().push(to);
    };
    for found in system.concepts() {
        for parent in &found.parents {
            add(parent, found.code);
        }
        for (_, child) in properties(found.concept).filter(|(name, _)| *name == "child") {
            add(found.code, child.as_str().unwrap_or_default());
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fhir::terminology::Kind;

    #[test]
    fn hierarchies_are_followed_however_they_are_written() {
        let system = |more: Value| {
            let mut system = json!({"resourceType": "CodeSystem", "url": "urn:s", "content": "complete", "concept": [
                {"code": "a", "concept": [{"code": "b", "concept": [{"code": "c"}]}]},
                {"code": "d", "property": [{"code": "parent", "valueCode": "b"}]},
                {"code": "e", "property": [{"code": "subsumedBy", "valueCode": "d"}, {"code": "child", "valueCode": "f"}]},
                {"code": "f"},
                {"code": "x", "property": [{"code": "parent", "valueCode": "y"}]},
                {"code": "y", "property": [{"code": "parent", "valueCode": "x"}]}]});
            for (name, value) in more.as_object().unwrap() {
                system[name] = value.clone();
            }
            system
        };
        let ask = |more: Value, code: &str, direction| {
            let mut library = Library::default();
            library.add(Kind::CodeSystem, "urn:s", Some(system(more)));
            let mut codes: Vec<String> =
                subsumed(&library, "urn:s", code, direction)?.into_iter().map(|(_, code)| code).collect();
            codes.sort();
            Some(codes.join(" "))
        };
        for (code, below, above) in [
            ("a", "a b c d e f", "a"),
            ("b", "b c d e f", "a b"),
            ("e", "e f", "a b d e"),
            ("f", "f", "a b d e f"),
            ("x", "x y", "x y"),
        ] {
            assert_eq!(ask(json!({}), code, Direction::Below).as_deref(), Some(below), "{code}");
            assert_eq!(ask(json!({}), code, Direction::Above).as_deref(), Some(above), "{code}");
        }
        assert_eq!(ask(json!({}), "nope", Direction::Below), None);
        for unfit in [json!({"content": "fragment"}), json!({"hierarchyMeaning": "part-of"})] {
            assert_eq!(ask(unfit, "a", Direction::Below), None);
        }
    }
}
