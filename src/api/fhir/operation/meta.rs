//! `$meta`, `$meta-add`, `$meta-delete`: the profiles, tags and labels of one resource. A change is a new version
//! like any other, so that history says who labelled what and when.

use serde_json::{Value, json};

use super::{Call, value_of};
use crate::auth::access::Action;
use crate::error::Error;
use crate::fhir::reading::Code;
use crate::pipeline::Intent;
use crate::store::Labels;

/// The members of `Meta` that are sets.
const SETS: [&str; 3] = ["profile", "security", "tag"];

/// The meta of the version that stands; of a type or the whole server the labels that are in use.
pub(super) async fn read(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    if call.id.is_none() {
        let labels = call.state.store.labels(call.access, call.kind).await?;
        return Ok(answer(Some(&in_use(&labels))));
    }
    let (standing, _) = standing(call).await?;
    Ok(answer(standing.get("meta")))
}

/// Adds what is not there yet.
pub(super) async fn add(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    change(call, |own, given| {
        for item in given {
            if !own.iter().any(|held| same(held, item)) {
                own.push(item.clone());
            }
        }
    })
    .await
}

/// Takes away what is there.
pub(super) async fn delete(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    change(call, |own, given| own.retain(|held| !given.iter().any(|item| same(held, item)))).await
}

/// A label is its system and code; a profile is its text.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_str(), b.as_str()) {
        (None, None) => a.get("system") == b.get("system") && a.get("code") == b.get("code"),
        texts => texts.0 == texts.1,
    }
}

async fn change(call: &Call<'_>, work: impl Fn(&mut Vec<Value>, &[Value])) -> Result<Vec<u8>, Error> {
    let kind = call.kind.ok_or(Error::UnknownEndpoint)?;
    call.access.check(Action::Update, kind)?;
    let given = call.parameters("meta").find_map(value_of).cloned();
    let given = given
        .ok_or_else(|| Error::invalid("required", "Parameters.parameter", "this operation needs the parameter meta"))?;
    let (mut standing, version) = standing(call).await?;
    let mut changed = false;
    let meta = standing.as_object_mut().map(|all| all.entry("meta").or_insert_with(|| json!({})));
    if let Some(meta) = meta.and_then(Value::as_object_mut) {
        for set in SETS {
            let before = meta.get(set).and_then(Value::as_array).cloned().unwrap_or_default();
            let mut own = before.clone();
            work(&mut own, given.get(set).and_then(Value::as_array).map_or(&[], Vec::as_slice));
            if own == before {
                continue;
            }
            changed = true;
            if own.is_empty() {
                meta.remove(set)
            } else {
                meta.insert(set.to_owned(), own.into())
            };
        }
    }
    // What is as it shall be already gets no new version.
    if changed {
        let checked = call.state.pipeline.profiles().check(standing).await?;
        let id = call.id.clone().unwrap_or_default();
        call.state.pipeline.write(call.access, Intent::Update { resource: checked, id, expect: Some(version) }).await?;
    }
    read(call).await
}

fn in_use(labels: &Labels) -> Value {
    let coding = |(system, code): &Code| match system.as_str() {
        "" => json!({"code": code}),
        system => json!({"system": system, "code": code}),
    };
    let sets = [
        ("profile", labels.profile.iter().map(|url| url.as_str().into()).collect()),
        ("security", labels.security.iter().map(coding).collect()),
        ("tag", labels.tag.iter().map(coding).collect::<Vec<Value>>()),
    ];
    sets.into_iter().filter(|(_, set)| !set.is_empty()).map(|(name, set)| (name.to_owned(), set)).collect()
}

async fn standing(call: &Call<'_>) -> Result<(Value, i32), Error> {
    let (Some(kind), Some(id)) = (call.kind, &call.id) else { return Err(Error::UnknownEndpoint) };
    let stored = call.state.store.find(call.access, kind, id).await?;
    Ok((serde_json::from_slice(&stored.json()?).map_err(Error::internal)?, stored.version))
}

fn answer(meta: Option<&Value>) -> Vec<u8> {
    let answer = json!({"resourceType": "Parameters", "parameter": [{"name": "return", "valueMeta": meta}]});
    answer.to_string().into_bytes()
}
