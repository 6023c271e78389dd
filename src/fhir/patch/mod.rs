//! Patches: a stored resource changed by what a caller names in it, as JSON Patch (RFC 6902) or as `FHIRPath` Patch
//! (R4 fhirpatch). Pure: a resource in, a resource out. The result is not checked here; whoever stores it does.

mod json;
mod node;
mod operation;
mod parameters;
mod path;
#[cfg(test)]
mod tests;

use fhir_r4::Issue;
use serde_json::Value;

use crate::error::Error;

/// More operations than this are no patch of one resource.
const MAX_OPERATIONS: usize = 1000;

/// A patch that has been read.
#[derive(Clone, Debug)]
pub enum Patch {
    Json(json_patch::Patch),
    Path(Vec<parameters::Operation>),
}

impl Patch {
    /// Reads a JSON Patch document.
    pub fn json(bytes: &[u8]) -> Result<Self, Error> {
        json::read(bytes).map(Self::Json)
    }

    /// Reads the `Parameters` of a `FHIRPath` Patch.
    pub fn parameters(resource: Value) -> Result<Self, Error> {
        let checked = fhir_r4::check(resource)?;
        if checked.resource_type() != "Parameters" {
            return Err(malformed("resourceType", "a FHIRPath Patch is a Parameters"));
        }
        parameters::read(checked.value()).map(Self::Path)
    }

    /// The resource after the patch. What it is and what it is called cannot be patched.
    pub fn apply(&self, resource: Value) -> Result<Value, Error> {
        let identity = |resource: &Value| (resource.get("resourceType").cloned(), resource.get("id").cloned());
        let before = identity(&resource);
        let mut patched = match self {
            Self::Json(patch) => json::apply(patch, resource)?,
            Self::Path(operations) => operation::apply(operations, resource)?,
        };
        if identity(&patched) != before {
            let place = before.0.as_ref().and_then(Value::as_str).unwrap_or("Resource");
            return Err(Error::unprocessable(
                "business-rule",
                format!("{place}.id"),
                "a patch cannot change what a resource is or what it is called",
            ));
        }
        prune(&mut patched);
        // What came in through a patch is read as strictly as what comes in by itself.
        fhir_r4::parse(patched.to_string().as_bytes(), fhir_r4::Format::Json).map_err(Error::Unprocessable)
    }
}

/// FHIR has no empty lists and objects: what a patch emptied is not there.
fn prune(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(prune);
            items.retain(|item| !is_empty(item));
        }
        Value::Object(members) => {
            members.values_mut().for_each(prune);
            members.retain(|_, member| !is_empty(member));
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// The patch itself is at fault.
fn malformed(place: impl Into<String>, text: impl Into<String>) -> Error {
    Error::invalid("invalid", place, text)
}

/// The patch is fine, and does not fit what stands.
fn unfit(place: impl Into<String>, text: impl Into<String>) -> Error {
    Error::Unprocessable(vec![Issue::error("processing", place, text)])
}
