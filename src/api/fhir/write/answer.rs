//! What a write is answered with: the status and headers that R4 gives it, and the body that `Prefer` asks for.

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use fhir_r4::{Issue, Severity};
use serde_json::Value;

use crate::api::State;
use crate::api::reply::{Answer, format, resource, version_headers};
use crate::auth::access::Access;
use crate::error::{Error, outcome_of};
use crate::fhir::time;
use crate::pipeline::Done;
use crate::store::{Outcome, Written};

/// `Prefer: return=…`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api::fhir) enum Asked {
    Minimal,
    Representation,
    Outcome,
    /// Nothing, or what is not known: the server's own choice.
    Nothing,
}

impl Asked {
    /// What the caller wants, in a format that can be written: found out before anything is stored.
    pub(in crate::api::fhir) fn of(request: &HttpRequest) -> Result<Self, Error> {
        format(request)?;
        Ok(Self::read(request.headers()))
    }

    fn read(headers: &HeaderMap) -> Self {
        let texts = headers.get_all("Prefer").filter_map(|value| value.to_str().ok());
        let mut parts = texts.flat_map(|text| text.split([';', ','])).map(str::trim);
        match parts.find_map(|part| part.strip_prefix("return=")).map(|value| value.trim_matches('"')) {
            Some("minimal") => Self::Minimal,
            Some("representation") => Self::Representation,
            Some("OperationOutcome") => Self::Outcome,
            _ => Self::Nothing,
        }
    }

    /// Whether the answer to a single write holds the resource: unless something else is asked for.
    pub(super) fn content(self) -> bool {
        matches!(self, Self::Representation | Self::Nothing)
    }
}

pub(super) async fn answer(
    state: &State,
    caller: &Access,
    request: &HttpRequest,
    kind: &'static str,
    done: Done,
    asked: Asked,
) -> Answer {
    let Done { written, content, warnings } = done;
    let mut response = if written.outcome == Outcome::Created { HttpResponse::Created() } else { HttpResponse::Ok() };
    response.insert_header((header::LOCATION, location(state, kind, &written)));
    version_headers(&mut response, written.version, written.updated);
    match content {
        Some(content) => resource(request, response, with_version(content, &written)),
        // What was there already is shown as it is there.
        None if asked.content() => {
            resource(request, response, state.store.find(caller, kind, &written.id).await?.json()?)
        }
        None if asked == Asked::Outcome => outcome(request, response, &told(kind, &written, &warnings)),
        None => Ok(response.finish()),
    }
}

/// A deletion, or that there was nothing to delete.
pub(super) fn deleted(request: &HttpRequest, kind: &str, written: &Written, asked: Asked) -> Answer {
    let mut response = if asked == Asked::Outcome { HttpResponse::Ok() } else { HttpResponse::NoContent() };
    if written.outcome != Outcome::Absent {
        version_headers(&mut response, written.version, written.updated);
    }
    if asked == Asked::Outcome { outcome(request, response, &told(kind, written, &[])) } else { Ok(response.finish()) }
}

fn outcome(request: &HttpRequest, response: HttpResponseBuilder, outcome: &Value) -> Answer {
    resource(request, response, outcome.to_string().into_bytes())
}

/// The version's address.
pub(in crate::api::fhir) fn location(state: &State, kind: &str, written: &Written) -> String {
    format!("{}/{kind}/{}/_history/{}", state.fhir_base(), written.id, written.version)
}

/// A success in words, and what was odd. Warnings are not stored: `$validate` of what stands tells them again.
pub(in crate::api::fhir) fn told(kind: &str, written: &Written, warnings: &[Issue]) -> Value {
    let diagnostics = match written.outcome {
        Outcome::Absent => format!("there is no such {kind}"),
        _ => format!("{kind}/{} stands at version {}", written.id, written.version),
    };
    let code = "informational";
    let mut issues = vec![Issue { severity: Severity::Information, code, expression: String::new(), diagnostics }];
    issues.extend_from_slice(warnings);
    outcome_of(&issues)
}

/// What was sent, with the id and the version that it got.
pub(in crate::api::fhir) fn with_version(mut content: Value, written: &Written) -> Vec<u8> {
    if let Some(members) = content.as_object_mut() {
        let mut meta = members.get("meta").and_then(Value::as_object).cloned().unwrap_or_default();
        meta.insert("versionId".into(), written.version.to_string().into());
        meta.insert("lastUpdated".into(), time::instant(written.updated).into());
        members.insert("id".into(), written.id.clone().into());
        members.insert("meta".into(), Value::Object(meta));
    }
    content.to_string().into_bytes()
}
