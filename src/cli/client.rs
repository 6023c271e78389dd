//! `vigia client`: bearer tokens for machines.

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use secrecy::ExposeSecret;

use super::output;
use crate::auth::access::{Access, Principal};
use crate::auth::token::TokenKeys;
use crate::clock::Clock;
use crate::config::Config;

/// Ten years.
const MAX_HOURS: i64 = 87_600;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print a bearer token for a machine: a device, a gateway, an EMR.
    Token {
        /// Who it is for; shown in logs and audits.
        #[arg(long, value_parser = super::name)]
        client: String,
        /// SMART v2 scopes, separated by spaces: "system/Observation.c system/Patient.rs".
        #[arg(long, value_parser = super::name)]
        scope: String,
        /// The one patient that patient/ scopes are about (a logical id).
        #[arg(long)]
        patient: Option<String>,
        /// How long it lasts, in hours; ten years at most.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..=MAX_HOURS))]
        hours: i64,
    },
}

pub(super) fn run(config: &Config, command: Command) -> Result<()> {
    let Command::Token { client, scope, patient, hours } = command;
    check(&client, &scope, patient.clone())?;
    let url = config.public_url();
    let pem =
        config.secrets.signing_key().context("a token needs the signing key of the server; make one: vigia keygen")?;
    let keys = TokenKeys::from_pem(pem.expose_secret(), &url, &format!("{url}/fhir"))?;
    let claims = keys.claims(&client, &scope, patient, Clock::default().now_seconds(), hours.saturating_mul(3600));
    output::line(keys.mint(&claims)?);
    Ok(())
}

/// Refuses what the server would refuse, or what would open no door at all.
fn check(client: &str, scope: &str, patient: Option<String>) -> Result<()> {
    Access::from_scopes(Principal::Client { id: client.to_owned() }, scope, patient).context("--scope or --patient")?;
    let mut types = 0;
    for scope in scope.split_ascii_whitespace() {
        // Those without a type say something about the login (`openid`, `launch/patient`).
        let Some((name, _)) = scope.split_once('/').and_then(|(_, rest)| rest.split_once('.')) else { continue };
        if name != "*" && fhir_r4::resource_type_index(name).is_none() {
            bail!("--scope: {scope} names no resource type of FHIR R4");
        }
        types += 1;
    }
    ensure!(types > 0, "--scope names no resource type: \"system/Observation.c\" does");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_open_some_door() {
        for (scope, patient, good) in [
            ("system/Observation.c", None, true),
            ("system/Observation.c  system/*.rs openid", None, true),
            ("patient/Observation.rs", Some("p1"), true),
            ("patient/Observation.rs", None, false),
            ("patient/Observation.rs", Some("no id"), false),
            ("openid launch/patient", None, false),
            ("system/Observations.c", None, false),
            ("system/Observation.c system/Foo.rs", None, false),
            ("system/observation.c", None, false),
            ("system/Observation.x", None, false),
            ("user/Observation.rs", None, false),
            ("everything", None, false),
        ] {
            let said = check("monitor-7", scope, patient.map(str::to_owned));
            assert_eq!(said.is_ok(), good, "{scope}: {said:?}");
            assert!(said.err().is_none_or(|error| format!("{error:#}").contains("--scope")), "{scope}");
        }
    }
}
