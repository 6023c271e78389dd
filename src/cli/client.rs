//! `vigia client`: bearer tokens for machines.

use anyhow::{Context, Result};
use clap::Subcommand;
use secrecy::ExposeSecret;

use super::output;
use crate::auth::token::TokenKeys;
use crate::clock::Clock;
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print a bearer token for a machine: a device, a gateway, an EMR.
    Token {
        /// Who it is for; shown in logs and audits.
        #[arg(long)]
        client: String,
        /// SMART v2 scopes, separated by spaces: "system/Observation.c system/Patient.rs".
        #[arg(long)]
        scope: String,
        /// The one patient that patient/ scopes are about (a logical id).
        #[arg(long)]
        patient: Option<String>,
        /// How long it lasts, in hours.
        #[arg(long, default_value_t = 1)]
        hours: i64,
    },
}

pub(super) fn run(config: &Config, command: Command) -> Result<()> {
    let Command::Token { client, scope, patient, hours } = command;
    let url = config.public_url();
    let pem =
        config.secrets.signing_key().context("a token needs the signing key of the server; make one: vigia keygen")?;
    let keys = TokenKeys::from_pem(pem.expose_secret(), &url, &format!("{url}/fhir"))?;
    let claims = keys.claims(&client, &scope, patient, Clock::default().now_seconds(), hours.saturating_mul(3600));
    output::line(keys.mint(&claims)?);
    Ok(())
}
