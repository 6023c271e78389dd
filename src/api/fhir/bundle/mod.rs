//! `POST /fhir`: batch (every entry for itself) and transaction (all or nothing, links between entries resolved).

mod answer;
mod batch;
mod entry;
mod limits;
mod look;
mod transaction;
mod wrong;

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, web};
use fhir_r4::{Issue, Severity};
use serde_json::Value;

use super::write::answer::Asked;
use crate::api::caller::Caller;
use crate::api::reply::{Answer, resource};
use crate::api::{Shared, body};
use crate::error::Error;
use crate::fhir::bundle::requests;

/// A batch or a transaction.
#[utoipa::path(post, path = "/fhir", tag = "fhir", request_body(content = Object, content_type = "application/fhir+json"),
    params(("Prefer" = Option<String>, Header, description = "return=representation puts what was stored into the entries, return=OperationOutcome what came of it")),
    responses((status = 200, content_type = "application/fhir+json", description = "batch-response or transaction-response"),
              (status = 400, description = "No valid Bundle, or an entry of a transaction that cannot be carried out; the outcome names it")))]
pub(crate) async fn process(state: Shared, caller: Caller, request: HttpRequest, payload: web::Payload) -> Answer {
    let asked = Asked::of(&request)?;
    let bundle = body::resource(&request, payload, state.settings.max_body_bytes).await?;
    if bundle.get("resourceType").and_then(Value::as_str) != Some("Bundle") {
        return Err(Error::invalid("invalid", "resourceType", "this address takes a Bundle"));
    }
    let kind = bundle.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let faults = faults(fhir_r4::check_bundle_shell(&bundle), kind == "batch")?;
    let entries = requests(bundle);
    if entries.len() > state.settings.max_bundle_entries {
        let text = format!("a Bundle may have {} entries here", state.settings.max_bundle_entries);
        return Err(Error::invalid("too-long", "Bundle.entry", text));
    }
    let answer = match kind.as_str() {
        "batch" => batch::run(&state, &caller, entries, faults, asked).await?,
        "transaction" => transaction::run(&state, &caller, entries, asked).await?,
        _ => return Err(Error::invalid("value", "Bundle.type", "this address takes a batch or a transaction")),
    };
    resource(&request, HttpResponse::Ok(), answer)
}

/// What is wrong with the Bundle around its resources. In a batch the fault of an entry is that entry's alone.
fn faults(issues: Vec<Issue>, alone: bool) -> Result<HashMap<usize, Vec<Issue>>, Error> {
    let mut faults: HashMap<usize, Vec<Issue>> = HashMap::new();
    let (mut whole, mut failed) = (Vec::new(), false);
    for issue in issues {
        let wrong = issue.severity == Severity::Error;
        if let Some(at) = entry_of(&issue).filter(|_| alone && wrong) {
            faults.entry(at).or_default().push(issue);
        } else {
            failed |= wrong;
            whole.push(issue);
        }
    }
    if failed { Err(Error::from(whole)) } else { Ok(faults) }
}

/// The entry that an issue lies in.
fn entry_of(issue: &Issue) -> Option<usize> {
    issue.expression.strip_prefix("Bundle.entry[")?.split_once("].")?.0.parse().ok()
}
