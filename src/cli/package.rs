//! `vigia package`: definitions from FHIR packages.

use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde_json::Value;

use super::{database, output};
use crate::app;
use crate::auth::access::Access;
use crate::config::Config;
use crate::error::Error;
use crate::pipeline::{Intent, Pipeline};
use crate::profiles::package;

/// Resources stored in one transaction.
const CHUNK: usize = 100;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Store the profiles, value sets and code systems of a package; resources that claim such a profile are
    /// held to it from then on. With the embedded database the server must not be running.
    Load {
        /// A package (.tgz), or the name of one that is shipped: us-core-6.1.0, us-core-8.0.0
        package: String,
    },
    /// The packages that are shipped.
    List,
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    match command {
        Command::List => {
            package::names().for_each(output::line);
            Ok(())
        }
        Command::Load { package } => load(&config, &package).await,
    }
}

async fn load(config: &Config, name: &str) -> Result<()> {
    let resources = if let Some(bytes) = package::shipped(name) {
        package::read(bytes)?
    } else {
        let file = Path::new(name);
        package::read(&std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?)?
    };
    if resources.is_empty() {
        bail!("the package holds no profile, value set or code system");
    }
    let _lock = app::lock(config.database.url.expose())?;
    let store = database::open(config)?;
    let pipeline = database::pipeline(config, &store).await?;
    let (stored, refused) = store_all(&pipeline, resources).await?;
    store.close().await;
    output::line(format!("{stored} definitions stored"));
    if refused > 0 {
        bail!("{refused} definitions are not valid FHIR R4 or cannot be applied, and were left out");
    }
    Ok(())
}

/// How many were stored, and how many refused.
async fn store_all(pipeline: &Pipeline, resources: Vec<Value>) -> Result<(usize, usize)> {
    let access = Access::system("package");
    let (mut stored, mut refused, mut ready) = (0, 0, Vec::new());
    for resource in resources.clone() {
        let url = resource.get("url").and_then(Value::as_str).unwrap_or("?").to_owned();
        match pipeline.profiles().check_among(resource, &resources).await {
            Ok(checked) => {
                for warning in checked.warnings().iter().filter(|w| w.code == "not-supported") {
                    output::note(format!("{url}: {}", warning.diagnostics));
                }
                let id = id(pipeline, &access, checked.resource_type(), checked.value()).await?;
                ready.push(Intent::Update { resource: checked, id, expect: None });
            }
            Err(issues) => {
                refused += 1;
                let first = issues.first().map(|i| format!("{} {}", i.expression, i.diagnostics)).unwrap_or_default();
                output::note(format!("{url}: {first}"));
            }
        }
        if ready.len() == CHUNK {
            stored += pipeline.transaction(&access, std::mem::take(&mut ready)).await?.len();
        }
    }
    if !ready.is_empty() {
        stored += pipeline.transaction(&access, ready).await?.len();
    }
    Ok((stored, refused))
}

async fn id(pipeline: &Pipeline, access: &Access, kind: &'static str, resource: &Value) -> Result<String> {
    let own = resource.get("id").and_then(Value::as_str).context("a definition has no id")?;
    let standing = match pipeline.store().find(access, kind, own).await {
        Ok(stored) => Some(serde_json::from_slice(&stored.json()?)?),
        Err(Error::NotFound { .. } | Error::Gone { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(package::id_beside(resource, standing.as_ref()))
}
