//! Required bindings of coded datatypes. Value sets that could not be listed are not in the tables
//! and bind nothing here.

use super::{
    value::{Object, codings, text},
    walk::Walk,
};
use crate::tables::{Rule, ValueSet};

pub(super) fn check<'v>(walk: &mut Walk<'v>, set: &'static ValueSet, kind: Rule, object: &'v Object) {
    let is_in = |(system, code): (Option<&str>, Option<&str>)| match (system, code) {
        (Some(system), Some(code)) => set.has(system, code),
        _ => false,
    };
    let good = match kind {
        Rule::CodeableConcept => codings(object).any(is_in),
        Rule::Coding => is_in((text(object, "system"), text(object, "code"))),
        // A quantity without a code has nothing that could be in the set; profiles ask for the code.
        Rule::Quantity => text(object, "code").is_none_or(|code| is_in((text(object, "system"), Some(code)))),
        _ => true,
    };
    // A concept that says why it has no code is taken at its word.
    if !good && !object.contains_key("extension") {
        walk.report("code-invalid", format!("no code of the value set {}", set.name()));
    }
}
