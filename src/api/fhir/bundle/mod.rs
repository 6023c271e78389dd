//! `POST /fhir`: batch (every entry for itself) and transaction (all or nothing, links between entries resolved).

mod answer;
mod batch;
mod entry;
mod look;
mod transaction;

use actix_web::{HttpRequest, HttpResponse, web};
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
    let issues = fhir_r4::check_bundle_shell(&bundle);
    if issues.iter().any(|issue| issue.severity == fhir_r4::Severity::Error) {
        return Err(Error::from(issues));
    }
    let kind = bundle.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let entries = requests(bundle);
    if entries.len() > state.settings.max_bundle_entries {
        let text = format!("a Bundle may have {} entries here", state.settings.max_bundle_entries);
        return Err(Error::invalid("too-long", "Bundle.entry", text));
    }
    let answer = match kind.as_str() {
        "batch" => batch::run(&state, &caller, entries, asked).await?,
        "transaction" => transaction::run(&state, &caller, entries, asked).await?,
        _ => return Err(Error::invalid("value", "Bundle.type", "this address takes a batch or a transaction")),
    };
    resource(&request, HttpResponse::Ok(), answer)
}
