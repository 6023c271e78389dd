//! `$reindex` and `$reindex-status`: indexing anew what stands, in the background, and how far it has come.

use serde_json::json;

use super::{Call, value_of};
use crate::error::Error;
use crate::fhir::time;
use crate::store::{Reindexing, Run};

/// Starts a run.
pub(super) async fn start(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    let begun = call.state.store.reindex(call.access, kinds(call)?).await?;
    text(&begun)
}

/// How far the last run has come.
pub(super) async fn status(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    let reindexing = call.state.store.reindexing(call.access).await?;
    text(&reindexing)
}

/// The types that are asked for; none: all.
fn kinds(call: &Call<'_>) -> Result<Vec<&'static str>, Error> {
    let Some(body) = &call.body else { return Ok(vec![]) };
    if body.get("resourceType").is_none_or(|kind| kind != "Parameters") {
        return Err(Error::invalid("structure", "Parameters", "$reindex takes a Parameters resource"));
    }
    let given = body.get("parameter").and_then(serde_json::Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut kinds = Vec::with_capacity(given.len().min(fhir_r4::resource_types().len()));
    for parameter in given {
        if parameter.get("name").is_none_or(|name| name != "type") {
            return Err(Error::invalid("not-supported", "Parameters.parameter.name", "$reindex knows only type"));
        }
        let index = value_of(parameter).and_then(|value| fhir_r4::resource_type_index(value.as_str()?));
        let kind = index.and_then(|index| fhir_r4::resource_types().get(index)).copied();
        let unknown = || Error::invalid("value", "Parameters.parameter.value", "this is no resource type of R4");
        kinds.push(kind.ok_or_else(unknown)?);
    }
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
}

fn text(reindexing: &Reindexing) -> Result<Vec<u8>, Error> {
    let state = match reindexing.run {
        Run::Never => "never",
        Run::Running => "running",
        Run::Completed => "completed",
        Run::Failed => "failed",
    };
    let mut parameters =
        vec![json!({"name": "state", "valueCode": state}), json!({"name": "done", "valueDecimal": reindexing.done})];
    parameters.extend(reindexing.total.map(|total| json!({"name": "total", "valueDecimal": total})));
    parameters.extend(reindexing.kinds.iter().map(|kind| json!({"name": "type", "valueCode": kind})));
    for (name, at) in [("started", reindexing.started), ("finished", reindexing.finished)] {
        parameters.extend(at.map(|at| json!({"name": name, "valueInstant": time::instant(at)})));
    }
    serde_json::to_vec(&json!({"resourceType": "Parameters", "parameter": parameters})).map_err(Error::internal)
}
