//! What the rules concluded, as it is committed: a version of a resource, and the deed that made it, so that it can be
//! done again on what stands when somebody else changed the resource meanwhile.

use std::sync::Arc;

use serde_json::Value;

/// The version of a DetectedIssue, or of the Observation of a score, to be committed.
pub(in crate::alert) struct Conclusion {
    pub id: String,
    pub resource: Value,
    /// The version that it follows; none for a new episode.
    pub expect: Option<i32>,
    /// When the reading was committed that led to it, µs UTC; none when time alone did.
    pub cause_committed: Option<i64>,
    /// Of an alert.
    pub severity: Option<&'static str>,
    pub event: &'static str,
    pub deed: Deed,
}

/// What is made of the version that stands (null: of none).
pub(in crate::alert) type Deed = Arc<dyn Fn(&Value) -> Outcome + Send + Sync>;

pub(in crate::alert) enum Outcome {
    /// Its next version.
    Next(Value),
    /// Another resource.
    New(Value),
    Nothing,
}

/// The same conclusions, those about the resource of this id made anew from the version that stands; and the version
/// that stands when they are committed.
pub(super) fn follow(
    conclusions: Vec<Conclusion>,
    id: &str,
    mut standing: Option<(Value, i32)>,
) -> (Vec<Conclusion>, Option<(Value, i32)>) {
    let mut all = Vec::with_capacity(conclusions.len());
    for mut conclusion in conclusions {
        if conclusion.id == id {
            let outcome = (conclusion.deed)(standing.as_ref().map_or(&Value::Null, |(resource, _)| resource));
            let expect = standing.as_ref().map(|(_, version)| *version);
            (conclusion.resource, conclusion.expect) = match outcome {
                Outcome::Next(resource) => (resource, expect),
                Outcome::New(resource) => (resource, None),
                Outcome::Nothing => continue,
            };
            if let Some(own) = conclusion.resource.get("id").and_then(Value::as_str) {
                own.clone_into(&mut conclusion.id);
            }
            conclusion.severity = conclusion.severity.map(|_| severity(&conclusion.resource));
            standing = Some((conclusion.resource.clone(), conclusion.expect.map_or(1, |version| version + 1)));
        }
        all.push(conclusion);
    }
    (all, standing)
}

pub(super) fn severity(resource: &Value) -> &'static str {
    match resource.get("severity").and_then(Value::as_str) {
        Some("high") => "high",
        Some("moderate") => "moderate",
        _ => "low",
    }
}
