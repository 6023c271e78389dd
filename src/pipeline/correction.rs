//! A later word on a reading that is here: a correction, a deletion, or a final result after a preliminary one. It is
//! said by the same patient, code and time; where that does not name one reading, nothing is guessed and the new one
//! stands for itself.

use serde_json::Value;

use super::Pipeline;
use super::said::same;
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::query::Query;
use crate::fhir::reading;
use crate::store::{Change, Stored, Verb};

/// What a later word comes to.
pub(super) enum Later {
    Change(Change),
    /// The same word is here already, under this id.
    Same(String),
    /// A newer word is here; this one changes nothing.
    Older,
}

impl Pipeline {
    /// The change of the reading that is meant, where there is one.
    pub(super) async fn corrected(&self, change: Change) -> Result<Later, Error> {
        let Some(said) = &change.resource else { return Ok(Later::Change(change)) };
        let Some(standing) = self.meant(said).await? else { return Ok(Later::Change(change)) };
        let before = standing.value()?;
        let (was, is) = (status(&before), status(said));
        if is_early(is) && !is_early(was) {
            return Ok(Later::Older);
        }
        if same(&before, said) || (is == "entered-in-error" && was == is) {
            return Ok(Later::Same(standing.id));
        }
        let resource = if is == "entered-in-error" { withdrawn(before) } else { said.clone() };
        let verb = Verb::Update { expect: Some(standing.version), or_create: false };
        Ok(Later::Change(Change { verb, id: standing.id, resource: Some(resource), ..change }))
    }

    async fn meant(&self, said: &Value) -> Result<Option<Stored>, Error> {
        let patient = said.pointer("/subject/reference").and_then(Value::as_str);
        let time = said.get("effectiveDateTime").and_then(Value::as_str);
        let code = reading::codings(said.get("code")).into_iter().next();
        let (Some(patient), Some(time), Some((system, code))) = (patient, time, code) else { return Ok(None) };
        let token = format!("{system}|{code}");
        if token.contains([',', '$', '\\']) {
            return Ok(None);
        }
        let query = Query::new("Observation", &[("patient", patient), ("code", &token), ("date", time)], 5)?;
        let mut fit = Vec::new();
        for hit in self.store.search(&Access::system("corrections"), query).await?.hits {
            let value = hit.value()?;
            let same = value.get("effectiveDateTime").and_then(Value::as_str) == Some(time)
                && value.get("device") == said.get("device")
                && status(&value) != "entered-in-error";
            if same {
                fit.push(hit);
            }
        }
        Ok(fit.pop().filter(|_| fit.is_empty()))
    }
}

fn status(observation: &Value) -> &str {
    reading::str_of(observation, "status").unwrap_or_default()
}

/// Not yet the last word of its sender.
fn is_early(status: &str) -> bool {
    matches!(status, "registered" | "preliminary")
}

/// What was measured by mistake stays to be seen, as what it is.
fn withdrawn(mut before: Value) -> Value {
    if let Value::Object(members) = &mut before {
        members.insert("status".into(), "entered-in-error".into());
    }
    before
}
