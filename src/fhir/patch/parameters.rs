//! The `Parameters` resource that a `FHIRPath` Patch travels in, read into operations.

use serde_json::Value;

use super::path::{self, Path, Step};
use super::{MAX_OPERATIONS, malformed};
use crate::error::Error;

#[derive(Clone, Debug)]
pub struct Operation {
    /// Where it stands in what was sent.
    pub(super) place: String,
    pub(super) path: Path,
    pub(super) work: Work,
}

#[derive(Clone, Debug)]
pub(super) enum Work {
    Add { name: String, value: Given },
    Insert { index: usize, value: Given },
    Delete,
    Replace { value: Given },
    Move { source: usize, destination: usize },
}

/// A value as a parameter gives it.
#[derive(Clone, Debug)]
pub(super) enum Given {
    /// `suffix`: the type, as in `valueQuantity`. `beside`: what a primitive has beside its value.
    Typed {
        suffix: String,
        value: Value,
        beside: Value,
    },
    Resource(Value),
    /// An element without a type of its own: its members.
    Parts(Vec<(String, Self)>),
}

/// Reads a `Parameters` that has passed the check.
pub(super) fn read(parameters: &Value) -> Result<Vec<Operation>, Error> {
    let all = parameters.get("parameter").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if all.is_empty() {
        return Err(malformed("Parameters.parameter", "the patch has no operations"));
    }
    if all.len() > MAX_OPERATIONS {
        return Err(malformed("Parameters.parameter", format!("a patch has at most {MAX_OPERATIONS} operations")));
    }
    all.iter().enumerate().map(|(at, operation)| one(operation, format!("Parameters.parameter[{at}]"))).collect()
}

fn one(operation: &Value, place: String) -> Result<Operation, Error> {
    if operation.get("name").and_then(Value::as_str) != Some("operation") {
        return Err(malformed(place, "a patch is made of parameters of the name operation"));
    }
    let part = |name: &str| parts(operation).iter().find(|part| part.get("name").is_some_and(|own| own == name));
    let missing = |name: &str| malformed(place.clone(), format!("this operation needs the part {name}"));
    let text = |name: &str, members: &[&str]| {
        let found = part(name).and_then(|part| members.iter().find_map(|member| part.get(member)?.as_str()));
        found.ok_or_else(|| missing(name))
    };
    let number = |name: &str| {
        let found = part(name)
            .and_then(|part| ["valueInteger", "valueUnsignedInt", "valuePositiveInt"].iter().find_map(|m| part.get(m)));
        found.and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).ok_or_else(|| missing(name))
    };
    let value = || part("value").and_then(given).ok_or_else(|| missing("value"));
    let strings = ["valueString", "valueCode"];
    let work = match text("type", &["valueCode", "valueString"])? {
        "add" => Work::Add { name: text("name", &strings)?.to_owned(), value: value()? },
        "insert" => Work::Insert { index: number("index")?, value: value()? },
        "delete" => Work::Delete,
        "replace" => Work::Replace { value: value()? },
        "move" => Work::Move { source: number("source")?, destination: number("destination")? },
        _ => return Err(malformed(place, "the type is add, insert, delete, replace or move")),
    };
    let path = path::parse(text("path", &strings)?).map_err(|why| malformed(place.clone(), why))?;
    if matches!(work, Work::Insert { .. } | Work::Move { .. }) && !matches!(path.steps.last(), Some(Step::Child(_))) {
        return Err(malformed(place, "the path of insert and move is that of a list"));
    }
    Ok(Operation { place, path, work })
}

fn parts(parameter: &Value) -> &[Value] {
    parameter.get("part").and_then(Value::as_array).map_or(&[][..], Vec::as_slice)
}

/// The value of a part: typed, a resource, or parts again.
fn given(part: &Value) -> Option<Given> {
    let members = part.as_object()?;
    let suffix = members.keys().find_map(|name| name.trim_start_matches('_').strip_prefix("value"));
    if let Some(suffix) = suffix {
        let member = |name: String| members.get(&name).cloned().unwrap_or_default();
        let (value, beside) = (member(format!("value{suffix}")), member(format!("_value{suffix}")));
        return Some(Given::Typed { suffix: suffix.to_owned(), value, beside });
    }
    if let Some(resource) = members.get("resource") {
        return Some(Given::Resource(resource.clone()));
    }
    let own = parts(part);
    let named = own.iter().map(|part| Some((part.get("name")?.as_str()?.to_owned(), given(part)?)));
    if own.is_empty() { None } else { named.collect::<Option<Vec<_>>>().map(Given::Parts) }
}
