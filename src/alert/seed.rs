//! What the alert engine needs to find in the store: the Device that signs its alerts, and the default rules as
//! `PlanDefinitions`. Written once; what a hospital has changed since is left as it is.

use serde_json::{Value, json};

use super::rule::default_plans;
use crate::auth::access::Access;
use crate::error::Error;
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

/// Writes what is not there yet.
pub async fn seed(pipeline: &Pipeline) -> Result<(), Error> {
    let access = Access::system("seed");
    let mut wanted = vec![author()];
    wanted.extend(default_plans());
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
    Ok(())
}
