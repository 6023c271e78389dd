//! An expression as others may hold one: a number computed from a resource.

use std::sync::Arc;

use serde_json::Value;

use super::{Context, Expression, Fuel, Item};

/// Steps that one computation may take.
const STEPS: u64 = 20_000;

/// A `FHIRPath` expression that was read once. Two are the same when their texts are.
#[derive(Clone, Debug)]
pub struct NumberPath {
    text: String,
    expression: Arc<Expression>,
}

impl PartialEq for NumberPath {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl NumberPath {
    /// Reads an expression, or says what of it is not understood.
    pub fn read(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.to_owned(), expression: Arc::new(Expression::read(text)?) })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it is of this resource: the one number found, or 1 for true and 0 for false. None where it finds
    /// nothing, several things, anything else, or runs too long.
    pub fn of(&self, resource: &Value) -> Option<f64> {
        let object = resource.as_object()?;
        let context = Context { resource: object, root: object, definitions: None };
        let item = Item::resource(object)?;
        let found = self.expression.items(&item, &context, &Fuel::new(STEPS)).ok()?;
        let [one] = found.as_slice() else { return None };
        if let Some(is) = one.boolean() {
            return Some(if is { 1.0 } else { 0.0 });
        }
        one.number().and_then(|text| text.parse().ok()).filter(|number: &f64| number.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_one_number_or_a_truth() {
        let observation = serde_json::json!({"resourceType": "Observation", "status": "final",
            "valueQuantity": {"value": 36.5}, "component": [{"valueInteger": 3}, {"valueInteger": 4}]});
        for (text, expected) in [
            ("Observation.value.value", Some(36.5)),
            ("component.value.first()", Some(3.0)),
            ("component.count()", Some(2.0)),
            ("status = 'final'", Some(1.0)),
            ("status = 'amended'", Some(0.0)),
            ("status", None),
            ("component.value", None),
            ("method", None),
        ] {
            assert_eq!(NumberPath::read(text).unwrap().of(&observation), expected, "{text}");
        }
        assert!(NumberPath::read("status = ").is_err());
    }
}
