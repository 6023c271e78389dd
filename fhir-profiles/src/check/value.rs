//! Short ways into a JSON object.

use serde_json::{Map, Value};

pub(super) type Object = Map<String, Value>;

pub(super) fn text<'v>(object: &'v Object, name: &str) -> Option<&'v str> {
    object.get(name).and_then(Value::as_str)
}

pub(super) fn object<'v>(object: &'v Object, name: &str) -> Option<&'v Object> {
    object.get(name).and_then(Value::as_object)
}

pub(super) fn list<'v>(object: &'v Object, name: &str) -> &'v [Value] {
    object.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether an element is there: its value or, of a primitive, its extensions.
pub(super) fn has(object: &Object, name: &str) -> bool {
    object.keys().any(|key| key == name || key.strip_prefix('_') == Some(name))
}

/// The member that stands for a choice, `value` giving `valueQuantity`: its name and its value,
/// which is missing if only the extensions of a primitive are there.
pub(super) fn choice<'v>(object: &'v Object, name: &str) -> Option<(&'v str, Option<&'v Value>)> {
    object.iter().find_map(|(key, value)| {
        let bare = key.strip_prefix('_').unwrap_or(key);
        let kind = bare.strip_prefix(name)?;
        kind.starts_with(|c: char| c.is_ascii_uppercase()).then(|| (bare, (bare.len() == key.len()).then_some(value)))
    })
}

/// System and code of each coding of a `CodeableConcept`.
pub(super) fn codings(concept: &Object) -> impl Iterator<Item = (Option<&str>, Option<&str>)> {
    list(concept, "coding").iter().filter_map(Value::as_object).map(|c| (text(c, "system"), text(c, "code")))
}
