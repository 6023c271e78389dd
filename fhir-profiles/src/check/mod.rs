//! Checking a resource against the definitions. [`check`] is the only way to a [`Checked`].
//! All problems are told at once, each with its place; no message repeats a value.

mod binding;
pub(crate) mod calendar;
mod computed;
mod invariant;
mod path;
mod primitive;
mod profile;
mod reference;
mod value;
mod walk;
mod xhtml;

use serde_json::Value;

use crate::{Issue, Severity, tables::TABLES};
use walk::Walk;

/// A resource that has passed [`check`].
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    resource_type: &'static str,
    value: Value,
    warnings: Vec<Issue>,
}

impl Checked {
    pub fn resource_type(&self) -> &'static str {
        self.resource_type
    }

    pub fn value(&self) -> &Value {
        &self.value
    }

    pub fn into_value(self) -> Value {
        self.value
    }

    /// What is odd but no reason to refuse.
    pub fn warnings(&self) -> &[Issue] {
        &self.warnings
    }
}

/// Whether a text can be the `div` of a Narrative.
pub(crate) fn is_narrative(text: &str) -> bool {
    xhtml::check(text).is_ok()
}

/// Checks a resource with everything in it; the resources of a Bundle too.
pub fn check(resource: Value) -> Result<Checked, Vec<Issue>> {
    let mut walk = Walk::new(false);
    walk.root(&resource);
    let issues = walk.finish();
    let resource_type = resource.get("resourceType").and_then(Value::as_str).and_then(|name| TABLES.resource(name));
    match resource_type {
        Some((resource_type, _)) if issues.iter().all(|i| i.severity != Severity::Error) => {
            Ok(Checked { resource_type, value: resource, warnings: issues })
        }
        _ => Err(issues),
    }
}

/// Checks a Bundle apart from its `entry.resource`s, which a batch checks one by one.
pub fn check_bundle_shell(bundle: &Value) -> Vec<Issue> {
    let mut walk = Walk::new(true);
    walk.root(bundle);
    if bundle.get("resourceType").and_then(Value::as_str).is_some_and(|name| name != "Bundle") {
        walk.report("structure", "a Bundle is expected here");
    }
    walk.finish()
}
