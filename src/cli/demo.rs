//! `vigia demo`: a ward of simulated patients.

use anyhow::Result;
use clap::Args;

use crate::config::Config;

#[derive(Args, Debug)]
pub(super) struct Options {}

pub(super) async fn run(_config: Config, _options: Options) -> Result<()> {
    Ok(())
}
