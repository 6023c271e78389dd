//! The database as commands use it: read beside a server, written to when no server holds it. Nothing is decided here.

use anyhow::Result;

use crate::clock::Clock;
use crate::config::Config;
use crate::pipeline::Pipeline;
use crate::profiles::Profiles;
use crate::store::{Settings, Store};
use crate::telemetry::Metrics;

/// A command reads little at a time.
const READERS: u32 = 2;

pub(super) fn open(config: &Config) -> Result<Store> {
    let settings = Settings {
        url: config.database.url.expose().to_owned(),
        base: format!("{}/fhir", config.public_url()),
        readers: READERS,
        queue_rows: config.database.lane_queue,
        seal_key: [0; 32],
        statement_limit: config.database.statement_limit(),
    };
    Ok(Store::open(&settings, Clock::default(), Metrics::new()?)?)
}

/// The road for what a command stores. With the embedded database the caller holds its lock.
pub(super) async fn pipeline(config: &Config, store: &Store) -> Result<Pipeline> {
    let profiles = Profiles::new(store.clone(), &config.validation);
    profiles.reload().await?;
    Ok(Pipeline::new(store.clone(), profiles, Metrics::new()?))
}
