//! JSON Patch: the operations themselves are the crate's; here is what they may cost and how their failures read.

use json_patch::{PatchErrorKind, PatchOperation};
use serde_json::Value;

use super::{MAX_OPERATIONS, malformed, unfit};
use crate::error::Error;

/// How many values all `copy` operations together may make: copies of copies grow fast.
const MAX_COPIED: usize = 200_000;

/// How deep an operation may reach: no resource nests as deep, and what is nested without end ends the stack.
const MAX_DEPTH: usize = 64;

/// Reads the document; its numbers keep their digits.
pub(super) fn read(bytes: &[u8]) -> Result<json_patch::Patch, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("http.body", "the patch is not UTF-8"))?;
    let patch: json_patch::Patch = serde_json::from_str(text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        malformed("http.body", format!("this is no JSON Patch: a list of operations with op, path and value ({place})"))
    })?;
    if patch.is_empty() {
        return Err(malformed("http.body", "the patch has no operations"));
    }
    if patch.len() > MAX_OPERATIONS {
        return Err(malformed("http.body", format!("a patch has at most {MAX_OPERATIONS} operations")));
    }
    Ok(patch)
}

pub(super) fn apply(patch: &json_patch::Patch, mut resource: Value) -> Result<Value, Error> {
    let mut copied = 0;
    for (at, operation) in patch.iter().enumerate() {
        let place = format!("patch[{at}]");
        if operation.path().count() > MAX_DEPTH {
            return Err(malformed(place, "the path is deeper than any resource"));
        }
        let (from, makes) = match operation {
            PatchOperation::Copy(copy) => (Some(&copy.from), true),
            PatchOperation::Move(moved) => (Some(&moved.from), false),
            _ => (None, false),
        };
        if let Some(source) = from.and_then(|from| resource.pointer(from.as_str())) {
            copied += if makes { size(source) } else { 0 };
            if copied > MAX_COPIED || depth(source) > MAX_DEPTH {
                return Err(unfit(place, "the patch copies too much or moves too deep a value"));
            }
        }
        json_patch::patch_unsafe(&mut resource, std::slice::from_ref(operation))
            .map_err(|error| failure(&error.kind, place))?;
    }
    Ok(resource)
}

fn failure(kind: &PatchErrorKind, place: String) -> Error {
    match kind {
        PatchErrorKind::TestFailed => unfit(place, "the test does not hold"),
        PatchErrorKind::CannotMoveInsideItself => malformed(place, "a value cannot be moved into itself"),
        PatchErrorKind::InvalidFromPointer => unfit(place, "from points to nothing"),
        _ => unfit(place, "path points to nothing that can be changed so"),
    }
}

/// How many values it is made of.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(members) => members.values().map(size).sum(),
        _ => 0,
    }
}

fn depth(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
