//! What the alert engine needs to find in the store: the Device that signs its alerts, the default rules as
//! `PlanDefinitions`, and the `SearchParameters` that "all open critical alerts" needs beside those of R4. Written
//! once; what a hospital has changed since is left as it is.

use serde_json::{Value, json};

use super::rule::default_plans;
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::OURS;
use crate::pipeline::{Intent, Pipeline};

/// Who signs the alerts.
pub const AUTHOR: &str = "Device/vigia-rule-engine";

fn author() -> Value {
    json!({
        "resourceType": "Device",
        "id": "vigia-rule-engine",
        "identifier": [{"system": "urn:vigia:device", "value": "rule-engine"}],
        "status": "active",
        "deviceName": [{"name": "Vigía rule engine", "type": "user-friendly-name"}],
        "version": [{"value": env!("CARGO_PKG_VERSION")}]
    })
}

/// What alerts are searched by: code, type, expression, description. `status` and `severity` are built in.
const SEARCHED: [(&str, &str, &str, &str); 6] = [
    ("lifecycle-state", "token", "alert-lifecycle-state", "Where the alert stands: raised, acknowledged, resolved …"),
    ("level", "token", "alert-level", "How far from normal it is: warning, critical, technical"),
    ("priority", "token", "alert-priority", "Its priority: high, medium, low"),
    ("alert-type", "token", "alert-type", "What it is about: physiological, technical"),
    ("encounter", "reference", "alert-encounter", "The Encounter in which it was raised"),
    ("rule", "uri", "", "The rule that raised it, as canonical|version"),
];
/// The type that they are of.
pub const ALERT: &str = "DetectedIssue";
const NOTICE: &str = "Communication";

/// What somebody was told of an alert: by the alert.
fn about() -> Value {
    let id = format!("{NOTICE}-about");
    json!({
        "resourceType": "SearchParameter",
        "id": id,
        "url": format!("{OURS}/SearchParameter/{id}"),
        "name": id,
        "status": "active",
        "description": "What it is about, as the alert that somebody was told of",
        "code": "about",
        "base": [NOTICE],
        "type": "reference",
        "expression": format!("{NOTICE}.about"),
        "target": [ALERT]
    })
}

fn search_parameters() -> impl Iterator<Item = Value> {
    SEARCHED.iter().map(|(code, kind, extension, description)| {
        let cast = if *kind == "reference" { "Reference" } else { "code" };
        let expression = match *extension {
            "" => format!("{ALERT}.reference"),
            name => format!("{ALERT}.extension.where(url='{OURS}/StructureDefinition/{name}').value.as({cast})"),
        };
        let id = format!("{ALERT}-{code}");
        let mut definition = json!({
            "resourceType": "SearchParameter",
            "id": id,
            "url": format!("{OURS}/SearchParameter/{id}"),
            "name": id,
            "status": "active",
            "description": description,
            "code": code,
            "base": [ALERT],
            "type": kind,
            "expression": expression
        });
        if let Some(members) = definition.as_object_mut().filter(|_| *kind == "reference") {
            members.insert("target".to_owned(), json!(["Encounter"]));
        }
        definition
    })
}

/// Writes what is not there yet.
pub async fn seed(pipeline: &Pipeline) -> Result<(), Error> {
    let access = Access::system("seed");
    let mut wanted = vec![author()];
    wanted.extend(default_plans());
    wanted.extend(search_parameters());
    wanted.push(about());
    for resource in wanted {
        let checked = fhir_r4::check(resource).map_err(|issues| {
            Error::internal(format!("a resource of our own making is not valid: {:?}", issues.first()))
        })?;
        let id = checked.value().get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = checked.resource_type();
        match pipeline.store().find(&access, kind, &id).await {
            Err(Error::NotFound { .. }) => {
                pipeline.write(&access, Intent::Update { resource: checked, id, expect: None }).await?;
            }
            Ok(_) | Err(Error::Gone { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    pipeline.store().index_waiting(&access, NOTICE).await?;
    pipeline.store().index_waiting(&access, ALERT).await
}
