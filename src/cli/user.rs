//! `vigia user`: people who sign in.

use anyhow::{Context, Result, bail};
use clap::Subcommand;

use super::{database, output};
use crate::auth::access::Role;
use crate::auth::password;
use crate::auth::sessions::Sessions;
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an account; its generated password is printed once.
    Add {
        #[arg(value_parser = super::name)]
        username: String,
        /// The name that others see.
        #[arg(long, value_parser = super::name)]
        name: String,
        /// administrator or clinician
        #[arg(long, default_value = "clinician")]
        role: String,
    },
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    let Command::Add { username, name, role } = command;
    let role = Role::parse(&role).context("--role is administrator or clinician")?;
    let store = database::open(&config)?;
    let password = password::generate();
    if !Sessions::new(store, config.session.lifetime_s).create_account(&username, &name, role, &password).await? {
        bail!("the user name {username} is taken");
    }
    output::line(format!("{username}\t{password}"));
    Ok(())
}
