//! What the demonstration stands on: its directory, keys, configuration, accounts and tokens. Everything is made
//! once and found again by the next run.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::super::keygen::write_keys;
use super::ward::{AUTHORITY, MRN};
use crate::api::State;
use crate::auth::access::Role;
use crate::auth::password;
use crate::clock::Clock;
use crate::config::hl7::Channel;
use crate::config::{Config, DatabaseUrl, Secrets};

const ACCOUNTS: [(&str, &str, Role); 2] =
    [("admin", "Demo Administrator", Role::Administrator), ("clinician", "Demo Clinician", Role::Clinician)];
/// A log that was larger begins anew.
const LARGEST_LOG: u64 = 16 << 20;
/// What the token of the examples may do, and for how long.
const EXAMPLE_SCOPES: &str = "system/*.cruds";
const EXAMPLE_LIFETIME_S: i64 = 30 * 24 * 3600;
/// The monitors' own rights; their token never leaves this process.
const MONITOR_SCOPES: &str = "system/Patient.crs system/Encounter.crs system/Device.crs system/Location.crs system/Organization.crs \
                              system/Observation.c system/DetectedIssue.rs";
const MONITOR_LIFETIME_S: i64 = 10 * 365 * 24 * 3600;

/// The configuration of the demonstration: everything in `dir`, on this machine's own address only.
pub(super) fn config(mut config: Config, dir: &Path, port: u16, mllp_port: u16) -> Result<Config> {
    // Readings are nobody else's business, even when they are made up.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make {}", dir.display()))?;
    let (signing, seal) = (dir.join("signing-key.pem"), dir.join("seal-key"));
    if !(signing.exists() && seal.exists()) {
        write_keys(dir, true)?;
    }
    dir.clone_into(&mut config.data_dir);
    config.database.url = DatabaseUrl::new(format!("sqlite:{}", dir.join("vigia.db").display()));
    config.secrets = Secrets { signing_key_file: Some(signing), seal_key_file: Some(seal), ..Secrets::default() };
    config.server.bind = SocketAddr::from(([127, 0, 0, 1], port));
    config.server.public_url = None;
    config.hl7.channel = vec![Channel {
        bind: Some(SocketAddr::from(([127, 0, 0, 1], mllp_port))),
        assigning_authorities: [(AUTHORITY.to_owned(), MRN.to_owned())].into(),
        ..Channel::default()
    }];
    config.alert.enabled = true;
    Ok(config)
}

/// The log, beside the data: the terminal belongs to what the demonstration says. Appended to, since another
/// demonstration may run on the same directory and is only found out later.
pub(super) fn log_file(dir: &Path) -> Result<(PathBuf, File)> {
    let path = dir.join("vigia.log");
    let open = || {
        let file = OpenOptions::new().append(true).create(true).open(&path)?;
        if file.metadata()?.len() > LARGEST_LOG {
            file.set_len(0)?;
        }
        Ok(file)
    };
    let file = open().map_err(|error: std::io::Error| anyhow::anyhow!("cannot write {}: {error}", path.display()))?;
    Ok((path, file))
}

/// An account, with its password when this run has made one.
pub(super) struct Account {
    pub(super) username: &'static str,
    pub(super) role: &'static str,
    pub(super) password: Option<String>,
}

/// The accounts, made when they are not there. `anew`: with new passwords when they are.
pub(super) async fn accounts(state: &State, anew: bool) -> Result<Vec<Account>> {
    let mut all = Vec::new();
    for (username, name, role) in ACCOUNTS {
        let secret = password::generate();
        let made = state.sessions.create_account(username, name, role, &secret).await?
            || (anew && state.sessions.reset_password(username, &secret).await?);
        all.push(Account { username, role: role.name(), password: made.then_some(secret) });
    }
    Ok(all)
}

/// The token of the simulated monitors.
pub(super) fn monitor_token(state: &State, clock: &Clock) -> Result<String> {
    let keys = state.verifier.keys();
    keys.mint(&keys.claims("demo-monitors", MONITOR_SCOPES, None, clock.now_seconds(), MONITOR_LIFETIME_S))
}

/// A token for trying the server out, in a file that only its owner can read.
pub(super) fn example_token(state: &State, clock: &Clock, dir: &Path) -> Result<PathBuf> {
    let keys = state.verifier.keys();
    let token = keys.mint(&keys.claims("demo", EXAMPLE_SCOPES, None, clock.now_seconds(), EXAMPLE_LIFETIME_S))?;
    let path = dir.join("token");
    let written =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).and_then(|mut file| {
            file.set_permissions(Permissions::from_mode(0o600))?;
            file.write_all(token.as_bytes())
        });
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
