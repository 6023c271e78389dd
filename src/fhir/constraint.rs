//! A search parameter as a condition of one resource in hand: whether it has one of these codes. What a scope
//! (`?category=vital-signs`) is enforced by where there is no index to ask. Only tokens, without modifiers and chains:
//! what is not told here exactly as a search would find it is refused, never guessed.

use fhir_r4::SearchKind;
use serde_json::Value;

use super::index::{self, Entry};
use super::params::{self, Param};
use super::query::{Operand, Query};

/// Why this cannot be a condition; `values` is one or several with commas between, as in a search.
pub fn refusal(kind: &str, name: &str, values: &str) -> Option<&'static str> {
    let Some(param) = params::find(kind, name) else { return Some("its parameter is not known to this server") };
    if param.kind != SearchKind::Token || name.starts_with('_') {
        return Some("constraints are enforced for parameters of codes (tokens) only");
    }
    if wanted(kind, name, values).is_none() { Some("its value cannot be read") } else { None }
}

/// Whether the resource has one of the values.
pub fn holds(kind: &str, resource: &Value, name: &str, values: &str) -> bool {
    let (Some(param), Some(wanted)) = (params::find(kind, name), wanted(kind, name, values)) else { return false };
    let own = index::values(param, resource);
    own.iter().any(|entry| wanted.iter().any(|(system, code)| fits(param, entry, system.as_deref(), code.as_deref())))
}

fn fits(param: &Param, entry: &Entry, system: Option<&str>, code: Option<&str>) -> bool {
    let Entry::Token { system: own, code: value } = entry else { return false };
    // A `code` element says its system by its definition alone.
    let implied = || own.is_empty() && param.systems.iter().any(|known| Some(*known) == system);
    code.is_none_or(|code| code == value) && (system.is_none_or(|system| system == own) || implied())
}

type Token = (Option<String>, Option<String>);

/// None: something else than codes is asked.
fn wanted(kind: &str, name: &str, values: &str) -> Option<Vec<Token>> {
    let query = Query::new(kind, &[(name, values)], 1).ok()?;
    let [filter] = query.filters.as_slice() else { return None };
    if filter.negated || filter.operands.is_empty() {
        return None;
    }
    let token = |operand: &Operand| match operand {
        Operand::Token { system, code } => Some((system.clone(), code.clone())),
        _ => None,
    };
    filter.operands.iter().map(token).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn codes_are_told_as_a_search_finds_them() {
        let category = "http://terminology.hl7.org/CodeSystem/observation-category";
        let reading = json!({"resourceType": "Observation", "status": "final",
            "category": [{"coding": [{"system": category, "code": "vital-signs"}]}],
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}});
        for (name, values, fits) in [
            ("category", "vital-signs", true),
            ("category", "laboratory,vital-signs", true),
            ("category", "laboratory", false),
            ("category", &format!("{category}|vital-signs"), true),
            ("category", "http://other|vital-signs", false),
            ("category", "|vital-signs", false),
            ("code", "http://loinc.org|8867-4", true),
            ("code", "http://loinc.org|", true),
            ("code", "http://loinc.org|8867-5", false),
            ("status", "final", true),
            ("status", "http://hl7.org/fhir/observation-status|final", true),
            ("status", "amended", false),
        ] {
            assert_eq!(refusal("Observation", name, values), None, "{name}={values}");
            assert_eq!(holds("Observation", &reading, name, values), fits, "{name}={values}");
        }
        for (name, values) in [
            ("category:not", "a"),
            ("date", "2026"),
            ("subject", "Patient/1"),
            ("subject.name", "x"),
            ("_security", "R"),
            ("nonsense", "x"),
            ("category", ""),
            ("code-value-quantity", "8867-4$gt100"),
        ] {
            assert!(refusal("Observation", name, values).is_some(), "{name}={values}");
            assert!(!holds("Observation", &reading, name, values), "{name}={values}");
        }
    }
}
