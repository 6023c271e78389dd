//! What the entries of a Bundle are answered with.

use actix_web::http::StatusCode;
use fhir_r4::Issue;
use serde_json::{Value, json};

use super::limits;
use crate::api::State;
use crate::api::fhir::write::answer::{Asked, location, told, with_version};
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::bundle::Writer;
use crate::fhir::time;
use crate::store::{Outcome, Written};

/// An entry that was carried out.
pub(super) struct Done {
    pub kind: &'static str,
    pub deleted: bool,
    pub written: Written,
    /// What was stored, where the caller asked to see it.
    pub content: Option<Value>,
    /// What is odd about it, though it was taken.
    pub warnings: Vec<Issue>,
}

/// `404 Not Found`
pub(super) fn status(code: u16) -> String {
    match StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason()) {
        Some(reason) => format!("{code} {reason}"),
        None => code.to_string(),
    }
}

pub(super) async fn done(
    state: &State,
    access: &Access,
    writer: &mut Writer,
    done: Done,
    asked: Asked,
) -> Result<(), Error> {
    let Done { kind, deleted, written, content, warnings } = done;
    let code = match written.outcome {
        _ if deleted => 204,
        Outcome::Created => 201,
        Outcome::Updated | Outcome::Known | Outcome::Absent => 200,
    };
    let mut response = json!({"status": status(code)});
    if let Some(members) = response.as_object_mut() {
        if !deleted {
            members.insert("location".into(), location(state, kind, &written).into());
        }
        if written.outcome != Outcome::Absent {
            members.insert("etag".into(), format!("W/\"{}\"", written.version).into());
            members.insert("lastModified".into(), time::instant(written.updated).into());
        }
        if asked == Asked::Outcome {
            members.insert("outcome".into(), told(kind, &written, &warnings));
        }
    }
    let shown = match content {
        _ if asked != Asked::Representation || deleted => None,
        // It is written; that it is not shown as well harms nobody.
        _ if !limits::has_room(writer.length(), 0) => None,
        Some(content) => Some(with_version(content, &written)),
        // What was there already is shown as it is there.
        None => Some(state.store.find(access, kind, &written.id).await?.json()?),
    };
    let full_url = shown.as_ref().map(|_| format!("{}/{kind}/{}", state.fhir_base(), written.id));
    writer.entry(full_url.as_deref(), shown.as_deref(), &[("response", response)]);
    Ok(())
}

pub(super) fn failed(writer: &mut Writer, error: &Error) {
    let response = json!({"status": status(error.view().status), "outcome": error.outcome()});
    writer.entry(None, None, &[("response", response)]);
}
