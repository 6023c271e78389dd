//! The components of an Observation (the two pressures of a blood pressure, the parts of a score) as they are
//! searched by: what each is, and its value.

use serde_json::Value;

use crate::fhir::reading::{Amount, Code, amount, codings, list, said, str_of};

#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    pub codings: Vec<Code>,
    /// Stands for the concept when it has no coding.
    pub text: String,
    pub amount: Option<Amount>,
    /// The codings of a `valueCodeableConcept`.
    pub value: Vec<Code>,
}

pub fn components(observation: &Value) -> Vec<Component> {
    let one = |component: &Value| {
        let code = component.get("code");
        let amount = component.get("valueQuantity").and_then(amount);
        Component {
            codings: said(codings(code), amount.as_ref()),
            text: code.and_then(|code| str_of(code, "text")).unwrap_or_default().to_owned(),
            amount,
            value: codings(component.get("valueCodeableConcept")),
        }
    };
    list(observation.get("component")).map(one).collect()
}
