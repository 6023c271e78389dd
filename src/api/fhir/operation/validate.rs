//! `$validate`: what would become of a resource, told without storing anything. The answer is an
//! `OperationOutcome` with everything that can be said: errors, warnings, and what could not be checked.

use fhir_r4::Issue;
use serde_json::Value;

use super::{Call, value_of};
use crate::auth::access::Action;
use crate::error::{Error, outcome_of};
use crate::fhir::reference;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Create,
    Update,
    Delete,
    Profile,
}

pub(super) async fn run(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    let kind = call.kind.ok_or(Error::UnknownEndpoint)?;
    let asked = Asked::read(call, kind)?;
    if asked.mode == Some(Mode::Delete) {
        return deletable(call, kind).await;
    }
    let mut kept = Vec::new();
    let given = match (asked.resource, &call.id) {
        (Some(given), _) => {
            call.access.check(Action::Create, kind).or_else(|_| call.access.check(Action::Read, kind))?;
            given
        }
        (None, Some(id)) => {
            let stored = call.state.store.find(call.access, kind, id).await?;
            kept = call.state.store.oddities(call.access, kind, id).await?;
            serde_json::from_slice(&stored.json()?).map_err(Error::internal)?
        }
        (None, None) => {
            return Err(Error::invalid("required", "Parameters.parameter", "there is no resource to validate"));
        }
    };
    if asked.mode == Some(Mode::Profile) && asked.profiles.is_empty() {
        return Err(Error::invalid("required", "http.profile", "this mode needs the parameter profile"));
    }
    let mut issues = address(&given, kind, call.id.as_deref(), asked.mode);
    issues.extend(call.state.pipeline.profiles().validate(given, asked.profiles).await);
    // What was odd when it was taken, if that is not found any more.
    kept.retain(|old| !issues.contains(old));
    issues.extend(kept);
    Ok(answer(issues))
}

struct Asked {
    mode: Option<Mode>,
    profiles: Vec<String>,
    resource: Option<Value>,
}

impl Asked {
    /// From the address, and from a `Parameters` or a resource as it is.
    fn read(call: &Call<'_>, kind: &str) -> Result<Self, Error> {
        let is_parameters = call.body.as_ref().is_some_and(|body| body["resourceType"] == "Parameters");
        let inside = call.parameters("resource").next();
        let bare = !is_parameters || kind == "Parameters" && inside.is_none();
        let mut asked = Self { mode: None, profiles: Vec::new(), resource: None };
        let mut said: Vec<(String, String)> = form_urlencoded::parse(call.query.as_bytes()).into_owned().collect();
        if bare {
            asked.resource.clone_from(&call.body);
        } else {
            asked.resource = inside.and_then(|parameter| parameter.get("resource")).cloned();
            for name in ["mode", "profile"] {
                let values = call.parameters(name).filter_map(value_of).filter_map(Value::as_str);
                said.extend(values.map(|value| (name.to_owned(), value.to_owned())));
            }
        }
        for (name, value) in said {
            match name.as_str() {
                "mode" => asked.mode = Some(mode(&value)?),
                "profile" => asked.profiles.push(value),
                _ => {}
            }
        }
        Ok(asked)
    }
}

fn mode(text: &str) -> Result<Mode, Error> {
    match text {
        "create" => Ok(Mode::Create),
        "update" => Ok(Mode::Update),
        "delete" => Ok(Mode::Delete),
        "profile" => Ok(Mode::Profile),
        _ => Err(Error::invalid("value", "http.mode", "mode is create, update, delete or profile")),
    }
}

/// Whether the resource could be sent to this address.
fn address(given: &Value, kind: &str, id: Option<&str>, mode: Option<Mode>) -> Vec<Issue> {
    let mut issues = Vec::new();
    if given.get("resourceType").and_then(Value::as_str) != Some(kind) {
        let text = format!("this address is that of {kind}, the resource is another");
        issues.push(Issue::error("invalid", "resourceType", text));
    }
    let own = given.get("id").and_then(Value::as_str);
    if mode == Some(Mode::Update) {
        if own.is_none_or(|own| id.is_some_and(|id| id != own)) {
            let text = "an update must carry the id of its address";
            issues.push(Issue::error("value", format!("{kind}.id"), text));
        }
    } else if let (Some(id), Some(own)) = (id, own)
        && (id != own || !reference::is_id(id))
    {
        issues.push(Issue::error("value", format!("{kind}.id"), "the id in the body is not that of the address"));
    }
    issues
}

/// Whether the resource is there and the caller may delete it.
async fn deletable(call: &Call<'_>, kind: &'static str) -> Result<Vec<u8>, Error> {
    let Some(id) = &call.id else {
        return Err(Error::invalid("value", "http.mode", "delete is validated at the address of a resource"));
    };
    call.access.check(Action::Delete, kind)?;
    call.state.store.find(call.access, kind, id).await?;
    Ok(answer(Vec::new()))
}

fn answer(mut issues: Vec<Issue>) -> Vec<u8> {
    if issues.is_empty() {
        let text = "All OK".to_owned();
        issues.push(Issue {
            severity: fhir_r4::Severity::Information,
            code: "informational",
            expression: String::new(),
            diagnostics: text,
        });
    }
    outcome_of(&issues).to_string().into_bytes()
}
