//! Composite search parameters: which values of one element belong together. R4's definitions name their parts
//! by URL and path; here they stand as a table, since few shapes serve all of them.

use super::expression::{self, Selector};

/// How the values of a composite parameter are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The element is the resource itself: the parts are parameters of it, each searched by itself.
    Whole,
    /// The parts of one `Observation.component`.
    Component,
    /// Either of the two.
    Combo,
    /// Rows of their own, one a pair.
    Pair,
}

/// One value of a composite parameter.
#[derive(Debug)]
pub struct Part {
    /// The parameter of the same resource type that says how the value is written.
    pub param: &'static str,
    /// The ways from the element (or from the resource) to the value.
    pub selectors: Vec<Selector>,
    pub from_resource: bool,
}

type Row = (&'static str, &'static str, Shape, &'static [(&'static str, &'static str)]);

const VALUE_RANGE: &str = "value.as(Quantity) | value.as(Range)";

/// Resource type (`*`: any), parameter, shape, parts.
#[rustfmt::skip]
const TABLE: [Row; 16] = [
    ("*", "context-type-quantity", Shape::Pair, &[("context-type", "code"), ("context-quantity", VALUE_RANGE)]),
    ("*", "context-type-value", Shape::Pair, &[("context-type", "code"), ("context", "value.as(CodeableConcept)")]),
    ("DocumentReference", "relationship", Shape::Pair, &[("relation", "code"), ("relatesto", "target")]),
    ("Group", "characteristic-value", Shape::Pair, &[("characteristic", "code"), ("value", "value.as(CodeableConcept) | value.as(boolean)")]),
    ("MolecularSequence", "chromosome-variant-coordinate", Shape::Pair, &[("chromosome", "%resource.referenceSeq.chromosome"), ("variant-start", "start"), ("variant-end", "end")]),
    ("MolecularSequence", "chromosome-window-coordinate", Shape::Pair, &[("chromosome", "chromosome"), ("window-start", "windowStart"), ("window-end", "windowEnd")]),
    ("MolecularSequence", "referenceseqid-variant-coordinate", Shape::Pair, &[("referenceseqid", "%resource.referenceSeq.referenceSeqId"), ("variant-start", "start"), ("variant-end", "end")]),
    ("MolecularSequence", "referenceseqid-window-coordinate", Shape::Pair, &[("referenceseqid", "referenceSeqId"), ("window-start", "windowStart"), ("window-end", "windowEnd")]),
    ("Observation", "code-value-concept", Shape::Whole, &[("code", ""), ("value-concept", "")]),
    ("Observation", "code-value-date", Shape::Whole, &[("code", ""), ("value-date", "")]),
    ("Observation", "code-value-quantity", Shape::Whole, &[("code", ""), ("value-quantity", "")]),
    ("Observation", "code-value-string", Shape::Whole, &[("code", ""), ("value-string", "")]),
    ("Observation", "component-code-value-concept", Shape::Component, &[("component-code", ""), ("component-value-concept", "")]),
    ("Observation", "component-code-value-quantity", Shape::Component, &[("component-code", ""), ("component-value-quantity", "")]),
    ("Observation", "combo-code-value-concept", Shape::Combo, &[("combo-code", ""), ("combo-value-concept", "")]),
    ("Observation", "combo-code-value-quantity", Shape::Combo, &[("combo-code", ""), ("combo-value-quantity", "")]),
];

/// The shape and the parts of a composite parameter; none when it is not in the table.
pub fn of(resource_type: &str, name: &str) -> Option<(Shape, Vec<Part>)> {
    let (.., shape, parts) =
        TABLE.iter().find(|(kind, n, ..)| *n == name && (*kind == "*" || *kind == resource_type))?;
    let parts = parts.iter().map(|(param, path)| part(param, path)).collect::<Option<Vec<_>>>()?;
    Some((*shape, parts))
}

fn part(param: &'static str, path: &str) -> Option<Part> {
    let (from_resource, path) = match path.strip_prefix("%resource.") {
        Some(path) => (true, path),
        None => (false, path),
    };
    let selectors = if path.is_empty() { vec![] } else { expression::compile_below(path).ok()? };
    Some(Part { param, selectors, from_resource })
}
