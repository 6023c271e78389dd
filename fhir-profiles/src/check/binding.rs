//! Required bindings of coded datatypes. Value sets that could not be listed are not in the tables
//! and bind nothing here.

use super::value::{Object, codings, text};
use crate::tables::{Rule, ValueSet};

/// What is wrong with a coded value, and below which child if not the value itself.
pub(super) fn problem(set: &ValueSet, kind: Rule, object: &Object) -> Option<(Option<&'static str>, String)> {
    let is_in = |(system, code): (Option<&str>, Option<&str>)| match (system, code) {
        (Some(system), Some(code)) => set.has(system, code),
        _ => false,
    };
    let (good, place) = match kind {
        Rule::CodeableConcept => (codings(object).any(is_in), None),
        Rule::Coding => (is_in((text(object, "system"), text(object, "code"))), None),
        // A quantity without a code has nothing that could be in the set; profiles ask for the code.
        Rule::Quantity => {
            (text(object, "code").is_none_or(|code| is_in((text(object, "system"), Some(code)))), Some("code"))
        }
        _ => (true, None),
    };
    // A concept that says why it has no code is taken at its word.
    let excused = object.contains_key("extension");
    (!good && !excused).then(|| (place, format!("no code of the value set {}", set.name())))
}
