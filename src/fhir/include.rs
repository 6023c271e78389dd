//! `_include` and `_revinclude` as they were asked for: read, and judged against the declared parameters.

use fhir_r4::{Issue, SearchKind};

use super::params::Param;
use super::registry::Params;

/// What is to be answered beside the matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Include {
    /// What refers to the matches, not what they refer to.
    pub reverse: bool,
    /// Of what was included too, not of the matches alone.
    pub iterate: bool,
    /// The type that holds the references; none is every type.
    pub source: Option<&'static str>,
    /// The parameter that finds them; none is every one.
    pub param: Option<&'static str>,
    /// Only references to this type.
    pub target: Option<&'static str>,
}

/// Whether a parameter of this name says what to include.
pub fn is_one(name: &str) -> bool {
    matches!(name.split(':').next(), Some("_include" | "_revinclude"))
}

/// Reads `name=value`; the name is one that `is_one` knows.
pub fn parse(params: &Params, name: &str, value: &str) -> Result<Include, Issue> {
    let wrong = |code, text: &str| Issue::error(code, format!("http.{name}"), text);
    let (bare, modifier) = name.split_once(':').map_or((name, None), |(bare, modifier)| (bare, Some(modifier)));
    let iterate = match modifier {
        None => false,
        Some("iterate") => true,
        Some(_) => return Err(wrong("not-supported", "the one modifier here is :iterate")),
    };
    let mut include = Include { reverse: bare == "_revinclude", iterate, source: None, param: None, target: None };
    if value == "*" {
        return Ok(include);
    }
    let mut parts = value.split(':');
    let (source, param, target) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let source = kind(source).ok_or_else(|| wrong("value", "it begins with no resource type of R4"))?;
    include.source = Some(source);
    match param {
        None | Some("") => return Err(wrong("value", "a search parameter is missing: Type:parameter, or Type:*")),
        Some("*") => {}
        Some(name) => {
            if params.is_waiting(source, name) {
                return Err(wrong("incomplete", "it can be followed as soon as $reindex has gone over what is stored"));
            }
            let param = params.find(source, name).filter(|param| param.kind == SearchKind::Reference);
            let param = param.ok_or_else(|| wrong("not-supported", "the type has no such reference parameter"))?;
            include.param = Some(param.name);
        }
    }
    if let Some(target) = target {
        let known =
            kind(target).filter(|target| include.params_of(params, source).any(|param| leads_to(param, target)));
        include.target = Some(known.ok_or_else(|| wrong("value", "the parameter refers to no such type"))?);
    }
    if parts.next().is_some() { Err(wrong("value", "it has too many parts")) } else { Ok(include) }
}

impl Include {
    /// The parameters of this type whose references are followed; none when the type is not asked for.
    pub fn params_of(&self, params: &Params, kind: &str) -> impl Iterator<Item = &'static Param> + use<> {
        let asked = self.source.is_none_or(|source| source == kind);
        let all: Vec<_> = if asked { params.of(kind).collect() } else { vec![] };
        let name = self.param;
        all.into_iter()
            .filter(|p| p.kind == SearchKind::Reference)
            .filter(move |p| name.is_none_or(|name| name == p.name))
    }

    /// Whether what a parameter of this name finds at this type is asked for.
    pub fn takes(&self, param: &Param, target: &str) -> bool {
        self.target.is_none_or(|wanted| wanted == target) && leads_to(param, target)
    }
}

/// Whether the parameter finds references to this type. `patient` never means a Group.
pub fn leads_to(param: &Param, target: &str) -> bool {
    if param.name == "patient" {
        target == "Patient"
    } else {
        param.target.is_empty() || param.target.contains(&target)
    }
}

/// What a search of this type may include, as the capability statement lists it.
pub fn of(params: &Params, kind: &str) -> Vec<String> {
    let references = params.of(kind).filter(|param| param.kind == SearchKind::Reference);
    let named = references.map(|param| format!("{kind}:{}", param.name));
    ["*".to_owned(), format!("{kind}:*")].into_iter().chain(named).collect()
}

/// What may be included because it refers to this type.
pub fn reverse_of(params: &Params, kind: &str) -> Vec<String> {
    let mut all = vec!["*".to_owned()];
    for source in fhir_r4::resource_types() {
        let references = params.of(source).filter(|param| param.kind == SearchKind::Reference);
        all.extend(references.filter(|param| leads_to(param, kind)).map(|param| format!("{source}:{}", param.name)));
    }
    all
}

fn kind(text: &str) -> Option<&'static str> {
    fhir_r4::resource_type_index(text).and_then(|index| fhir_r4::resource_types().get(index)).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_the_search_page_describes() {
        let base = Include { reverse: false, iterate: false, source: None, param: None, target: None };
        let observation = Include { source: Some("Observation"), ..base };
        let table = [
            ("_include", "*", base),
            ("_revinclude", "*", Include { reverse: true, ..base }),
            ("_include", "Observation:*", observation),
            ("_include", "Observation:subject", Include { param: Some("subject"), ..observation }),
            (
                "_include:iterate",
                "Observation:subject:Patient",
                Include { iterate: true, param: Some("subject"), target: Some("Patient"), ..observation },
            ),
            (
                "_revinclude",
                "Observation:encounter",
                Include { reverse: true, param: Some("encounter"), ..observation },
            ),
        ];
        for (name, value, expected) in table {
            assert_eq!(parse(&Params::default(), name, value).unwrap(), expected, "{name}={value}");
        }
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for (name, value) in [
            ("_include", ""),
            ("_include", "Nope:subject"),
            ("_include", "Observation"),
            ("_include", "Observation:"),
            ("_include", "Observation:code"),
            ("_include", "Observation:nope"),
            ("_include", "Observation:subject:Nope"),
            ("_include", "Observation:subject:Encounter"),
            ("_include", "Observation:subject:Patient:x"),
            ("_include:nope", "Observation:subject"),
            ("_revinclude", "*:subject"),
        ] {
            assert_eq!(
                parse(&Params::default(), name, value).unwrap_err().expression,
                format!("http.{name}"),
                "{value}"
            );
        }
    }

    #[test]
    fn the_lists_are_what_can_be_parsed() {
        for kind in ["Observation", "Patient", "Location"] {
            for (name, all) in
                [("_include", of(&Params::default(), kind)), ("_revinclude", reverse_of(&Params::default(), kind))]
            {
                assert!(all.len() > 2, "{kind}");
                for value in all {
                    parse(&Params::default(), name, &value).unwrap();
                }
            }
        }
        assert!(reverse_of(&Params::default(), "Patient").contains(&"Observation:patient".to_owned()));
        assert!(!reverse_of(&Params::default(), "Location").contains(&"Observation:patient".to_owned()));
    }

    proptest! {
        #[test]
        fn no_text_panics(name in "_(rev)?include(:[a-z]{0,8})?", value in "[A-Za-z:*\u{e9}]{0,40}") {
            let _ = parse(&Params::default(), &name, &value);
        }
    }
}
