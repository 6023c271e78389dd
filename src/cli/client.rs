//! `vigia client`: apps and services that are registered (SMART), and bearer tokens for machines.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::{database, output};
use crate::auth::access::{Access, Principal};
use crate::auth::smart::client::Clients;
use crate::auth::smart::registration::{GrantType, Method, Registration};
use crate::auth::token::TokenKeys;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::Error;

/// Ten years.
const MAX_HOURS: i64 = 87_600;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Register a SMART app or a service; its secret, where it has one, is printed once.
    Add(Box<Add>),
    /// Registered apps and services.
    List,
    /// Shut an app or a service out; all that it was granted ends.
    Remove { id: String },
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

#[derive(Args, Debug)]
pub(super) struct Add {
    /// What users are shown.
    #[arg(value_parser = super::name)]
    name: String,
    /// The client id; made when not given.
    #[arg(long)]
    id: Option<String>,
    /// Where it gets its answers; an app without any is a service.
    #[arg(long = "redirect", value_name = "URL")]
    redirects: Vec<String>,
    /// What it may ask for at most, separated by spaces.
    #[arg(long)]
    scope: String,
    /// It proves itself by a secret.
    #[arg(long, conflicts_with_all = ["jwks", "jwks_url"])]
    secret: bool,
    /// It proves itself by a key: a file with its public keys (JSON Web Key Set).
    #[arg(long, value_name = "FILE", conflicts_with = "jwks_url")]
    jwks: Option<PathBuf>,
    /// The same, where they are fetched from.
    #[arg(long, value_name = "URL")]
    jwks_url: Option<String>,
    /// Where it is launched from a patient's page.
    #[arg(long, value_name = "URL")]
    launch: Option<String>,
    /// Pages that may call from a browser: `https://app.example`
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// How long its access tokens are good, s.
    #[arg(long, default_value_t = 3600)]
    access_token_s: i64,
    /// How long what was granted offline is good, in days.
    #[arg(long, default_value_t = 90)]
    refresh_days: i64,
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    match command {
        Command::Token { client, scope, patient, hours } => token(&config, &client, &scope, patient, hours),
        Command::Add(add) => {
            let id = add.id.clone();
            let registration = registration(*add)?;
            let made =
                clients(&config)?.register(id, registration, "command line").await.map_err(|error| told(&error))?;
            let secret = made.secret.map(|secret| format!("\t{secret}")).unwrap_or_default();
            output::line(format!("{}{secret}", made.client.id));
            Ok(())
        }
        Command::List => {
            for client in clients(&config)?.all().await? {
                let state = if client.disabled.is_some() { "shut out" } else { "open" };
                let registration = client.registration;
                output::line(format!("{}\t{state}\t{}\t{}", client.id, registration.client_name, registration.scope));
            }
            Ok(())
        }
        Command::Remove { id } => {
            clients(&config)?.disable(&id).await.with_context(|| format!("{id} is not registered"))?;
            Ok(())
        }
    }
}

fn clients(config: &Config) -> Result<Clients> {
    Ok(Clients::new(database::open(config)?))
}

fn registration(add: Add) -> Result<Registration> {
    let asymmetric = add.jwks.is_some() || add.jwks_url.is_some();
    let jwks = add.jwks.map(|path| {
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str::<Value>(&text).with_context(|| format!("{} is no JSON", path.display()))
    });
    let interactive = !add.redirects.is_empty();
    Ok(Registration {
        client_name: add.name,
        grant_types: if interactive {
            vec![GrantType::AuthorizationCode, GrantType::RefreshToken]
        } else {
            vec![GrantType::ClientCredentials]
        },
        redirect_uris: add.redirects,
        token_endpoint_auth_method: match (add.secret, asymmetric) {
            (true, _) => Method::ClientSecretBasic,
            (false, true) => Method::PrivateKeyJwt,
            (false, false) => Method::None,
        },
        scope: add.scope,
        jwks: jwks.transpose()?,
        jwks_uri: add.jwks_url,
        initiate_login_uri: add.launch,
        origins: add.origins,
        access_token_s: add.access_token_s,
        refresh_token_s: add.refresh_days.saturating_mul(86_400),
    })
}

/// What is wrong with a registration, by its members.
fn told(error: &Error) -> anyhow::Error {
    let issues: Vec<String> =
        error.issues().into_iter().map(|i| format!("{}: {}", i.expression, i.diagnostics)).collect();
    anyhow::anyhow!("{}", issues.join("; "))
}

fn token(config: &Config, client: &str, scope: &str, patient: Option<String>, hours: i64) -> Result<()> {
    check(client, scope, patient.clone())?;
    let url = config.public_url();
    let pem =
        config.secrets.signing_key().context("a token needs the signing key of the server; make one: vigia keygen")?;
    let keys = TokenKeys::from_pem(pem.expose_secret(), &url, &format!("{url}/fhir"))?;
    let claims = keys.claims(client, scope, patient, Clock::default().now_seconds(), hours.saturating_mul(3600));
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
