//! What a value set holds: everything its includes name, without what its excludes name, in the order of the
//! definition, none twice.

use std::collections::HashSet;

use serde_json::Value;

use super::library::{Kind, Library, system_of};
use super::system::System;
use super::{MOST, Problem, filter};
use crate::fhir::reading::{Code, list, str_of};

/// One concept of an expansion.
#[derive(Clone, Debug, PartialEq)]
pub struct Concept {
    pub system: String,
    pub code: String,
    pub display: Option<String>,
    pub designation: Option<Value>,
    /// A heading, not to be used itself.
    pub is_abstract: bool,
    pub is_inactive: bool,
}

impl Concept {
    fn key(&self) -> Code {
        (self.system.clone(), self.code.clone())
    }
}

/// Value sets in value sets: more is a circle.
const MOST_DEEP: usize = 16;

/// All concepts of a value set that the library holds.
pub fn expand_url(library: &Library, canonical: &str) -> Result<Vec<Concept>, Problem> {
    let definition = library.value_set(canonical);
    let definition = definition.ok_or_else(|| Problem::Unknown(Kind::ValueSet, canonical.to_owned()))?;
    expand(library, definition)
}

/// All concepts of a value set.
pub fn expand(library: &Library, definition: &Value) -> Result<Vec<Concept>, Problem> {
    whole(library, definition, 0)
}

/// The concept of a value set that a code means; one that could not be looked into is a problem only when no
/// other part of the set has the code. Without a system any will do.
pub fn find(
    library: &Library,
    definition: &Value,
    system: Option<&str>,
    code: &str,
) -> Result<Option<Concept>, Problem> {
    let is_it = |concept: &Concept| is_it(library, concept, system, code);
    let Some(compose) = definition.get("compose") else {
        return Ok(expand(library, definition)?.into_iter().find(is_it));
    };
    let (mut found, mut problem) = (None, None);
    for part in list(compose.get("include")) {
        // A part of another system cannot hold it, however large it is.
        let own = str_of(part, "system");
        if system.zip(own).is_some_and(|(asked, own)| asked != own) {
            continue;
        }
        match include(library, part, 0) {
            Ok(concepts) => found = found.or_else(|| concepts.into_iter().find(is_it)),
            Err(other) => problem = problem.or(Some(other)),
        }
    }
    let Some(found) = found else { return problem.map_or(Ok(None), Err) };
    for part in list(compose.get("exclude")) {
        if include(library, part, 0)?.iter().any(is_it) {
            return Ok(None);
        }
    }
    Ok(Some(found))
}

fn is_it(library: &Library, concept: &Concept, system: Option<&str>, code: &str) -> bool {
    if system.is_some_and(|system| system != concept.system) {
        return false;
    }
    let folds = || library.code_system(&concept.system)?.get("caseSensitive")?.as_bool();
    concept.code == code || (folds() == Some(false) && concept.code.to_lowercase() == code.to_lowercase())
}

fn whole(library: &Library, definition: &Value, depth: usize) -> Result<Vec<Concept>, Problem> {
    if depth > MOST_DEEP {
        return Err(Problem::NotSupported("its value sets import each other in a circle".to_owned()));
    }
    let Some(compose) = definition.get("compose") else {
        let mut concepts = Vec::new();
        contained(definition.get("expansion"), &mut concepts, 0)?;
        return Ok(concepts);
    };
    let mut without: HashSet<Code> = HashSet::new();
    for part in list(compose.get("exclude")) {
        without.extend(include(library, part, depth)?.iter().map(Concept::key));
    }
    let no_inactive = compose.get("inactive") == Some(&Value::Bool(false));
    let mut concepts = Vec::new();
    for part in list(compose.get("include")) {
        for concept in include(library, part, depth)? {
            if !(no_inactive && concept.is_inactive) && without.insert(concept.key()) {
                concepts.push(concept);
            }
        }
        enough(&concepts)?;
    }
    Ok(concepts)
}

fn enough(concepts: &[Concept]) -> Result<(), Problem> {
    if concepts.len() <= MOST {
        return Ok(());
    }
    Err(Problem::TooCostly(format!("it has more than {MOST} codes")))
}

/// An expansion that somebody else made and sent.
fn contained(above: Option<&Value>, concepts: &mut Vec<Concept>, depth: usize) -> Result<(), Problem> {
    for one in list(above.and_then(|above| above.get("contains"))) {
        if let Some(code) = str_of(one, "code") {
            concepts.push(Concept {
                system: str_of(one, "system").unwrap_or_default().to_owned(),
                code: code.to_owned(),
                display: str_of(one, "display").map(str::to_owned),
                designation: one.get("designation").cloned(),
                is_abstract: one.get("abstract") == Some(&Value::Bool(true)),
                is_inactive: one.get("inactive") == Some(&Value::Bool(true)),
            });
        }
        enough(concepts)?;
        if depth < MOST_DEEP {
            contained(Some(one), concepts, depth + 1)?;
        }
    }
    Ok(())
}

/// What one include (or exclude) names: codes of a system that are in each of its value sets.
fn include(library: &Library, part: &Value, depth: usize) -> Result<Vec<Concept>, Problem> {
    let mut concepts = of_system(library, part)?;
    for url in list(part.get("valueSet")).filter_map(Value::as_str) {
        let definition = library.value_set(url);
        let definition = definition.ok_or_else(|| Problem::Unknown(Kind::ValueSet, url.to_owned()))?;
        let other = whole(library, definition, depth + 1)?;
        concepts = Some(match concepts {
            None => other,
            Some(mut own) => {
                let keys: HashSet<Code> = other.iter().map(Concept::key).collect();
                own.retain(|concept| keys.contains(&concept.key()));
                own
            }
        });
    }
    Ok(concepts.unwrap_or_default())
}

/// The codes that are listed, or those of the system that pass the filters; none when no system is named.
fn of_system(library: &Library, part: &Value) -> Result<Option<Vec<Concept>>, Problem> {
    let Some(canonical) = system_of(part) else { return Ok(None) };
    let url = str_of(part, "system").unwrap_or_default();
    let system = library.code_system(&canonical).map(System::of);
    if part.get("concept").is_some() {
        return Ok(Some(list(part.get("concept")).filter_map(|one| listed(url, system.as_ref(), one)).collect()));
    }
    let Some(system) = system else { return Err(without_end(url)) };
    if !system.is_whole() {
        return Err(Problem::TooCostly(format!("the code system {url} is not held in full here")));
    }
    let mut concepts = Vec::new();
    for found in system.concepts() {
        if filter::passes(&system, found, part)? {
            concepts.push(Concept {
                system: url.to_owned(),
                code: found.code.to_owned(),
                display: found.display().map(str::to_owned),
                designation: found.concept.get("designation").cloned(),
                is_abstract: found.is_abstract(),
                is_inactive: found.is_inactive(),
            });
        }
        enough(&concepts)?;
    }
    Ok(Some(concepts))
}

fn listed(url: &str, system: Option<&System<'_>>, one: &Value) -> Option<Concept> {
    let code = str_of(one, "code")?;
    let known = system.and_then(|system| system.find(code));
    Some(Concept {
        system: url.to_owned(),
        code: code.to_owned(),
        display: str_of(one, "display").or_else(|| known?.display()).map(str::to_owned),
        designation: one.get("designation").or_else(|| known?.concept.get("designation")).cloned(),
        is_abstract: false,
        is_inactive: known.is_some_and(super::Found::is_inactive),
    })
}

/// Systems that nobody can list, and those that are merely not here.
fn without_end(url: &str) -> Problem {
    const ENDLESS: [&str; 6] = [
        "http://snomed.info/sct",
        "http://loinc.org",
        "http://unitsofmeasure.org",
        "urn:ietf:bcp:13",
        "urn:ietf:bcp:47",
        "urn:iso:std:iso:11073:10101",
    ];
    if ENDLESS.contains(&url) {
        return Problem::TooCostly(format!("the code system {url} cannot be listed here"));
    }
    Problem::Unknown(Kind::CodeSystem, url.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn library(definitions: &[Value]) -> Library {
        let mut library = Library::default();
        for definition in definitions {
            let kind = if definition["resourceType"] == "ValueSet" { Kind::ValueSet } else { Kind::CodeSystem };
            library.add(kind, definition["url"].as_str().unwrap(), Some(definition.clone()));
        }
        while let Some((kind, url)) = library.missing().pop() {
            library.add(kind, &url, None);
        }
        library
    }

    fn codes(compose: &Value) -> String {
        let animals = json!({"resourceType": "CodeSystem", "url": "urn:animals", "content": "complete", "concept": [
            {"code": "animal", "property": [{"code": "notSelectable", "valueBoolean": true}], "concept": [
                {"code": "dog", "display": "Dog", "concept": [{"code": "poodle"}]},
                {"code": "cat", "property": [{"code": "legs", "valueInteger": 4}, {"code": "status", "valueCode": "retired"}]}]},
            {"code": "duck", "property": [{"code": "parent", "valueCode": "animal"}, {"code": "legs", "valueInteger": 2}]},
            {"code": "stone"}]});
        let pets = json!({"resourceType": "ValueSet", "url": "urn:pets", "compose": {"include": [
            {"system": "urn:animals", "concept": [{"code": "dog"}, {"code": "cat"}]}]}});
        let circle = json!({"resourceType": "ValueSet", "url": "urn:circle", "compose": {"include": [{"valueSet": ["urn:circle"]}]}});
        let set = json!({"resourceType": "ValueSet", "url": "urn:set", "compose": compose});
        match expand_url(&library(&[animals, pets, circle, set]), "urn:set") {
            Ok(concepts) => concepts.into_iter().map(|c| c.code).collect::<Vec<_>>().join(" "),
            Err(Problem::TooCostly(_)) => "too costly".to_owned(),
            Err(Problem::Unknown(_, url)) => format!("unknown {url}"),
            Err(Problem::NotSupported(_)) => "not supported".to_owned(),
        }
    }

    #[test]
    fn includes_excludes_filters_and_imports() {
        let filter = |property: &str, op: &str, value: &str| json!({"include": [{"system": "urn:animals", "filter": [{"property": property, "op": op, "value": value}]}]});
        for (compose, expected) in [
            (json!({"include": [{"system": "urn:animals"}]}), "animal dog poodle cat duck stone"),
            (json!({"include": [{"system": "urn:animals"}], "inactive": false}), "animal dog poodle duck stone"),
            (
                json!({"include": [{"system": "urn:animals"}], "exclude": [{"valueSet": ["urn:pets"]}]}),
                "animal poodle duck stone",
            ),
            (
                json!({"include": [{"system": "urn:animals", "concept": [{"code": "dog"}]}, {"valueSet": ["urn:pets"]}]}),
                "dog cat",
            ),
            (json!({"include": [{"system": "urn:animals", "valueSet": ["urn:pets"]}]}), "dog cat"),
            (filter("concept", "is-a", "animal"), "animal dog poodle cat duck"),
            (filter("concept", "descendent-of", "dog"), "poodle"),
            (filter("concept", "is-not-a", "animal"), "stone"),
            (filter("code", "in", "dog, stone"), "dog stone"),
            (filter("legs", "=", "4"), "cat"),
            (filter("legs", "exists", "true"), "cat duck"),
            (filter("code", "regex", ".*"), "not supported"),
            (json!({"include": [{"system": "urn:nowhere"}]}), "unknown urn:nowhere"),
            (json!({"include": [{"valueSet": ["urn:nowhere"]}]}), "unknown urn:nowhere"),
            (json!({"include": [{"valueSet": ["urn:circle"]}]}), "not supported"),
            (json!({"include": [{"system": "http://snomed.info/sct"}]}), "too costly"),
            (json!({"include": [{"system": "http://snomed.info/sct", "concept": [{"code": "1"}]}]}), "1"),
        ] {
            assert_eq!(codes(&compose), expected, "{compose}");
        }
    }

    #[test]
    fn what_is_shipped_can_be_looked_into() {
        let mut library = Library::default();
        let url = "http://hl7.org/fhir/ValueSet/observation-category";
        library.add(Kind::ValueSet, url, None);
        while let Some((kind, url)) = library.missing().pop() {
            library.add(kind, &url, None);
        }
        let all = expand_url(&library, url).unwrap();
        assert!(all.iter().any(|c| c.code == "vital-signs" && c.display.as_deref() == Some("Vital Signs")));
        let set = library.value_set(url).unwrap();
        let system = "http://terminology.hl7.org/CodeSystem/observation-category";
        assert!(find(&library, set, Some(system), "laboratory").unwrap().is_some());
        assert!(find(&library, set, None, "laboratory").unwrap().is_some());
        assert_eq!(find(&library, set, Some("urn:other"), "laboratory"), Ok(None));
        assert_eq!(find(&library, set, Some(system), "nope"), Ok(None));
    }
}
