//! `vigia device`: devices, and what they prove themselves by. Works on the database beside a running server, which
//! takes notice within a second.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde_json::{Value, json};

use super::{database, output, own_token};
use crate::app;
use crate::auth::access::Access;
use crate::auth::device::Devices;
use crate::auth::device::proof::Proof;
use crate::clock::new_id;
use crate::config::Config;
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::time;
use crate::pipeline::Intent;
use crate::store::{NOTHING, Store};

/// What is done here is done by whoever may read the secrets of the server.
const WHO: &str = "command-line";
const TOKEN_S: i64 = 60;
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Register a device and print its key, shown this once.
    Add {
        /// Its identifier: a serial number, or "system|value".
        #[arg(value_parser = super::name)]
        identifier: String,
        /// The name that others see.
        #[arg(long, value_parser = super::name)]
        name: Option<String>,
        /// Print a claim code instead, good once and for 15 minutes.
        #[arg(long)]
        claim: bool,
    },
    /// The devices and their credentials.
    List,
    /// A code for a registered device, good once and for 15 minutes.
    Claim {
        /// The Device's id.
        #[arg(value_parser = super::name)]
        device: String,
    },
    /// End the credentials of a device; within a second nothing is taken from it any more.
    Revoke {
        /// The Device's id.
        #[arg(value_parser = super::name)]
        device: String,
        /// This one alone.
        #[arg(long, value_parser = super::name)]
        credential: Option<String>,
    },
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    let store = database::open(&config)?;
    let devices = Devices::new(store.clone(), &config.device);
    match command {
        Command::Add { identifier, name, claim } => {
            let device = add(&config, &store, &identifier, name).await?;
            let proof = if claim { offer(&config, &devices, &device).await? } else { key(&devices, &device).await? };
            output::line(format!("{device}\t{proof}"));
        }
        Command::List => list(&store, &devices).await?,
        Command::Claim { device } => {
            let device = registered(&store, &device).await?;
            output::line(offer(&config, &devices, &device).await?);
        }
        Command::Revoke { device, credential } => {
            let device = registered(&store, &device).await?;
            let ended = devices.revoke(&device, credential.as_deref()).await?;
            if ended == 0 {
                bail!("{device} has no such credential that is still good");
            }
            output::line(format!("{device}\t{ended} ended"));
        }
    }
    store.close().await;
    Ok(())
}

async fn add(config: &Config, store: &Store, identifier: &str, name: Option<String>) -> Result<String> {
    let access = Access::system(WHO);
    let query = Query::new("Device", &[("identifier", identifier)], 1).map_err(Error::from)?;
    if store.search(&access, query).await?.hits.pop().is_some() {
        bail!("a device with the identifier {identifier} is registered already");
    }
    let token = match identifier.split_once('|') {
        Some((system, value)) => json!({"system": system, "value": value}),
        None => json!({"value": identifier}),
    };
    let mut device = json!({"resourceType": "Device", "identifier": [token], "status": "active"});
    if let (Some(name), Value::Object(members)) = (name, &mut device) {
        members.insert("deviceName".into(), json!([{"name": name, "type": "user-friendly-name"}]));
    }
    match app::lock(config.database.url.expose()) {
        Ok(_lock) => store_device(config, store, device).await,
        // The embedded database belongs to the server that runs: it stores the device.
        Err(_) => send_device(config, &device).await,
    }
}

async fn store_device(config: &Config, store: &Store, device: Value) -> Result<String> {
    let pipeline = database::pipeline(config, store).await?;
    let resource = pipeline.profiles().check(device).await.ok().context("the identifier is none of FHIR's")?;
    let intent = Intent::Revise { resource, id: new_id(), read: NOTHING };
    let written = pipeline.write(&Access::system(WHO), intent).await?;
    Ok(format!("Device/{}", written.id))
}

async fn send_device(config: &Config, device: &Value) -> Result<String> {
    let token = own_token::mint(config, WHO, "system/Device.c", TOKEN_S)?;
    let mut address = config.server.bind;
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let http = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    let request = http.post(format!("http://{address}/fhir/Device")).bearer_auth(token).json(device);
    let answer = request.send().await.with_context(|| format!("the server at {address} does not answer"))?;
    let taken = answer.error_for_status().context("the server refuses the device")?;
    let made: Value = taken.json().await?;
    let id = made.get("id").and_then(Value::as_str).context("the server does not say what it made")?;
    Ok(format!("Device/{id}"))
}

async fn key(devices: &Devices, device: &str) -> Result<String> {
    let issued = devices.issue(device, Proof::Secret, "", None, &Access::system(WHO)).await?;
    issued.secret.context("a key was made and not told")
}

async fn offer(config: &Config, devices: &Devices, device: &str) -> Result<String> {
    let code = devices.offer(device, &Access::system(WHO)).await?;
    Ok(format!("{}\t{}/bridge#code={}", code.code, config.public_url(), code.code))
}

async fn registered(store: &Store, id: &str) -> Result<String> {
    let id = id.strip_prefix("Device/").unwrap_or(id);
    let found = store.find(&Access::system(WHO), "Device", id).await.with_context(|| format!("Device/{id}"))?;
    Ok(format!("Device/{}", found.id))
}

async fn list(store: &Store, devices: &Devices) -> Result<()> {
    let all =
        store.search_all(&Access::system(WHO), Query::new("Device", &[], MAX_COUNT).map_err(Error::from)?).await?;
    for device in all {
        let value = device.value()?;
        let named = ["/deviceName/0/name", "/identifier/0/value"].iter().find_map(|at| value.pointer(at)?.as_str());
        let reference = format!("Device/{}", device.id);
        output::line(format!("{reference}\t{}", named.unwrap_or_default()));
        for one in devices.credentials(&reference).await? {
            let state = match (one.revoked, one.expires) {
                (Some(at), _) => format!("revoked {}", time::instant(at)),
                (None, Some(at)) => format!("until {}", time::instant(at)),
                (None, None) => "good".to_owned(),
            };
            output::line(format!("  {}\t{}\t{}\t{state}", one.id, one.kind, one.label));
        }
    }
    Ok(())
}
