//! Checking a resource against the definitions. [`check`] is the only way to a [`Checked`].
//! All problems are told at once, each with its place; no message repeats a value.

#[cfg(test)]
mod agreement;
mod binding;
pub(crate) mod calendar;
mod computed;
mod held;
mod invariant;
mod path;
mod primitive;
mod profile;
mod reference;
mod value;
mod walk;
mod xhtml;

use serde_json::Value;

use crate::{Definitions, Issue, Severity, tables::TABLES};
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

    /// The same with something more to tell.
    #[must_use]
    pub fn with_warning(mut self, warning: Issue) -> Self {
        self.warnings.push(warning);
        self
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

/// Checks a resource with everything in it against what is embedded; the resources of a Bundle too.
pub fn check(resource: Value) -> Result<Checked, Vec<Issue>> {
    let issues = walk(&resource, None);
    done(resource, issues)
}

impl Definitions {
    /// Like [`check`], and against the profiles that each resource claims. A problem with a profile that
    /// is taken leniently is among the [`Checked::warnings`].
    pub fn check(&self, resource: Value) -> Result<Checked, Vec<Issue>> {
        let issues = walk(&resource, Some(self));
        done(resource, issues)
    }

    /// Everything that can be said of a resource, warnings and what was not checked included. It is held to these
    /// profiles too; one that is not known is a problem.
    pub fn validate(&self, resource: &Value, profiles: &[&str]) -> Vec<Issue> {
        let mut walk = Walk::new(false, Some(self));
        walk.is_thorough = true;
        walk.root_with(resource, profiles);
        walk.finish()
    }
}

fn walk(resource: &Value, definitions: Option<&Definitions>) -> Vec<Issue> {
    let mut walk = Walk::new(false, definitions);
    walk.root(resource);
    walk.finish()
}

fn done(resource: Value, issues: Vec<Issue>) -> Result<Checked, Vec<Issue>> {
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
    let mut walk = Walk::new(true, None);
    walk.root(bundle);
    if bundle.get("resourceType").and_then(Value::as_str).is_some_and(|name| name != "Bundle") {
        walk.report("structure", "a Bundle is expected here");
    }
    walk.finish()
}
