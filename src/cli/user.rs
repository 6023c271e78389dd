//! `vigia user`: people who sign in.

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;

use super::{database, output};
use crate::auth::access::{Access, Role};
use crate::auth::password;
use crate::auth::sessions::Sessions;
use crate::config::Config;
use crate::store::Store;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an account; its generated password is printed once.
    Add {
        #[arg(value_parser = super::name)]
        username: String,
        /// The name that others see.
        #[arg(long, value_parser = super::name)]
        name: String,
        /// administrator, auditor, clinician, nurse, physician, ward-lead, integration or patient
        #[arg(long, default_value = "clinician")]
        role: String,
        /// Who this is as a resource: Practitioner/…; of a patient, whose record it is: Patient/…
        #[arg(long, value_name = "REFERENCE")]
        resource: Option<String>,
    },
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    let Command::Add { username, name, role, resource } = command;
    let role = Role::parse(&role).filter(|role| *role != Role::Device);
    let role = role
        .context("--role is administrator, auditor, clinician, nurse, physician, ward-lead, integration or patient")?;
    ensure!(role != Role::Patient || resource.is_some(), "a patient needs --resource Patient/…");
    let store = database::open(&config)?;
    if let Some(resource) = &resource {
        is_there(&store, role, resource).await?;
    }
    let password = password::generate();
    let sessions = Sessions::new(store.clone(), &config.session);
    if !sessions.create_account(&username, &name, role, &password).await? {
        bail!("the user name {username} is taken");
    }
    if let (Some(resource), Some(account)) = (resource, store.find_account(&username).await?) {
        store.set_account_resource(&account.id, &resource).await?;
    }
    output::line(format!("{username}\t{password}"));
    Ok(())
}

/// A patient's account is a Patient's, any other one that of somebody who works here.
async fn is_there(store: &Store, role: Role, resource: &str) -> Result<()> {
    let kind = if role == Role::Patient { "Patient" } else { "Practitioner" };
    let id = resource.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/'));
    let id = id.with_context(|| format!("--resource is {kind}/… for this role"))?;
    store.find(&Access::system("user"), kind, id).await.with_context(|| format!("{resource} is not known"))?;
    Ok(())
}
