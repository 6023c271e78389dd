//! `alert-transition`: every change of level of an episode, the oldest first, so that one version tells the whole
//! story and corrected history can be held against it. At most [`CAP`]: of a longer story the middle is left out.

use serde_json::{Map, Value, json};

use super::super::rule::Level;
use super::super::window::{Kind, level_told};
use super::{is_ours, time};
use crate::fhir::OURS;

const CAP: usize = 100;
const NAME: &str = "alert-transition";

/// One change of level as an episode tells it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// µs UTC
    pub at: i64,
    pub kind: Kind,
    /// The level after it; of a resolve the one that is over.
    pub level: Level,
}

/// Adds a change.
pub(super) fn tell(issue: &mut Map<String, Value>, parts: &[Value]) {
    let list = issue.entry("extension").or_insert_with(|| json!([]));
    let Some(list) = list.as_array_mut() else { return };
    let own = list.iter().filter(|extension| is_ours(extension, NAME)).count();
    if own >= CAP {
        let middle = list.iter().enumerate().filter(|(_, e)| is_ours(e, NAME)).nth(CAP / 2).map(|(at, _)| at);
        middle.map(|at| list.remove(at));
    }
    list.push(json!({"url": format!("{OURS}/StructureDefinition/{NAME}"), "extension": parts}));
}

/// How many are told.
pub(super) fn count(issue: &Map<String, Value>) -> usize {
    let list = issue.get("extension").and_then(Value::as_array);
    list.into_iter().flatten().filter(|extension| is_ours(extension, NAME)).count()
}

/// How many of them raised it.
pub(super) fn raises(issue: &Map<String, Value>) -> usize {
    let list = issue.get("extension").and_then(Value::as_array).into_iter().flatten();
    list.filter(|e| is_ours(e, NAME)).filter_map(step).filter(|step| step.kind == Kind::Raise).count()
}

/// Takes back those from an instant on.
pub(super) fn forget_from(issue: &mut Map<String, Value>, from: i64) {
    if let Some(list) = issue.get_mut("extension").and_then(Value::as_array_mut) {
        list.retain(|extension| !is_ours(extension, NAME) || step(extension).is_some_and(|step| step.at < from));
    }
}

/// All that are told.
pub(super) fn steps(issue: &Value) -> Vec<Step> {
    let list = issue.get("extension").and_then(Value::as_array);
    list.into_iter().flatten().filter(|extension| is_ours(extension, NAME)).filter_map(step).collect()
}

fn step(extension: &Value) -> Option<Step> {
    let parts = extension.get("extension")?.as_array()?;
    let part = |name: &str| parts.iter().find(|part| part.get("url").and_then(Value::as_str) == Some(name));
    let code = |name: &str| part(name)?.get("valueCode")?.as_str();
    let at = time::range(part("at")?.get("valueInstant")?.as_str()?)?.start;
    // A technical alert has no degrees.
    let level = level_told(code("level")?).unwrap_or(Level::Warning);
    Some(Step { at, kind: Kind::from_code(code("kind")?)?, level })
}
