//! `DetectedIssue.evidence`: which readings speak for the alert. One entry per Observation version, with all that
//! it stands for as its codes: onset, trigger (the reading that raised), change (one that changed the level),
//! peak, latest. At most [`CAP`] entries: the oldest mere changes go first, so the beginning, the peak and the
//! latest reading are always there.

use serde_json::{Value, json};

use super::super::rule::Rule;
use super::super::window::{Kind, Sample};
use super::{Change, Episode, is_ours, member, sample, system};
use crate::fhir::{OURS, reading, time};

const CAP: usize = 20;

/// The evidence of a raise.
pub(super) fn first(episode: &Episode) -> Value {
    let Change { rule, transition, .. } = episode.change;
    let mut list = Vec::new();
    add(&mut list, rule, "onset", episode.onset, &transition.onset);
    Value::Array(update(list, &episode.change))
}

/// The evidence of the next version.
pub(super) fn next(previous: Option<&Value>, change: &Change) -> Value {
    Value::Array(update(previous.and_then(Value::as_array).cloned().unwrap_or_default(), change))
}

/// The evidence without our own readings from an instant on.
pub(super) fn before(evidence: Option<&Value>, from: i64) -> Value {
    let kept = |entry: &&Value| !is_ours_entry(entry) || at(entry).is_some_and(|at| at < from);
    evidence.and_then(Value::as_array).into_iter().flatten().filter(kept).cloned().collect()
}

/// When the reading of an entry was measured.
fn at(entry: &Value) -> Option<i64> {
    let parts = member(entry.get("extension")?, "alert-reading")?.get("extension")?.as_array()?;
    let at = parts.iter().find_map(|part| part.get("valueInstant")?.as_str())?;
    Some(time::range(at)?.start)
}

/// The value of the peak, if there is one.
pub(super) fn peak(evidence: Option<&Value>) -> Option<f64> {
    peak_quantity(evidence)?.get("value")?.as_f64()
}

/// The same as the Quantity that stands there.
pub(super) fn peak_quantity(evidence: Option<&Value>) -> Option<&Value> {
    let entry = evidence?.as_array()?.iter().find(|entry| has_role(entry, "peak"))?;
    let parts = member(entry.get("extension")?, "alert-reading")?.get("extension")?.as_array()?;
    parts.iter().find_map(|part| part.get("valueQuantity"))
}

fn update(mut list: Vec<Value>, change: &Change) -> Vec<Value> {
    let Change { rule, transition, observation, .. } = *change;
    let role = if transition.kind == Kind::Raise { "trigger" } else { "change" };
    drop_role(&mut list, "latest");
    add(&mut list, rule, role, observation, &transition.sample);
    add(&mut list, rule, "latest", observation, &transition.sample);
    if let (Some(side), Some(reference), Some(new)) = (transition.cause.side(), change.peak, transition.peak) {
        // After a restart the window may have forgotten the true peak: the resource has not.
        let stored = list.iter().position(|entry| has_role(entry, "peak")).and_then(|_| peak_of(&list));
        if stored.is_none_or(|old| side.worse(new.value, old)) {
            drop_role(&mut list, "peak");
            add(&mut list, rule, "peak", reference, &new);
        }
    }
    list.retain(|entry| !is_ours_entry(entry) || !roles(entry).is_empty());
    while list.len() > CAP {
        let Some(oldest) = list.iter().position(|entry| roles(entry) == ["change"]) else { break };
        list.remove(oldest);
    }
    list
}

fn peak_of(list: &[Value]) -> Option<f64> {
    peak(Some(&Value::Array(list.to_vec())))
}

/// Gives the entry of this Observation version one more role; makes the entry if there is none.
fn add(list: &mut Vec<Value>, rule: &Rule, role: &str, reference: &str, reading: &Sample) {
    let code = json!({"coding": [{"system": system("alert-evidence"), "code": role}]});
    let same = |entry: &&mut Value| entry.pointer("/detail/0/reference").and_then(Value::as_str) == Some(reference);
    let Some(entry) = list.iter_mut().find(same) else {
        list.push(json!({
            "extension": [
                {"url": format!("{OURS}/StructureDefinition/alert-reading"), "extension": sample(rule, reading)}
            ],
            "code": [code],
            "detail": [{"reference": reference}]
        }));
        return;
    };
    if has_role(entry, role) {
        return;
    }
    if let Some(codes) = entry.get_mut("code").and_then(Value::as_array_mut) {
        codes.push(code);
    } else if let Some(entry) = entry.as_object_mut() {
        entry.insert("code".to_owned(), json!([code]));
    }
}

fn drop_role(list: &mut [Value], role: &str) {
    for codes in list.iter_mut().filter_map(|entry| entry.get_mut("code")?.as_array_mut()) {
        codes.retain(|concept| role_of(concept).as_deref() != Some(role));
    }
}

fn role_of(concept: &Value) -> Option<String> {
    let ours = system("alert-evidence");
    reading::codings(Some(concept)).into_iter().find(|(system, _)| *system == ours).map(|(_, code)| code)
}

fn roles(entry: &Value) -> Vec<String> {
    entry.get("code").and_then(Value::as_array).into_iter().flatten().filter_map(role_of).collect()
}

fn has_role(entry: &Value, role: &str) -> bool {
    roles(entry).iter().any(|own| own == role)
}

/// Entries that others added are none of our business.
fn is_ours_entry(entry: &Value) -> bool {
    entry
        .get("extension")
        .and_then(Value::as_array)
        .is_some_and(|list| list.iter().any(|e| is_ours(e, "alert-reading")))
}
