//! `vigia notify`: those who are told of alerts.

use anyhow::{Result, anyhow, bail};
use clap::Subcommand;

use super::output;
use crate::clock::Clock;
use crate::config::Config;
use crate::deliver::notify::{Failure, Sender};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the recipients of the configuration.
    List,
    /// Send a recipient a message that says only that messages arrive.
    Test {
        /// Its name in `[[notify.recipient]]`.
        recipient: String,
    },
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    match command {
        Command::List => {
            for recipient in &config.notify.recipient {
                output::line(format!("{}\t{}", recipient.name, recipient.channel()));
            }
            Ok(())
        }
        Command::Test { recipient } => {
            let sender = Sender::new(config.notify.clone(), config.public_url()).map_err(|why| anyhow!(why))?;
            match sender.test(&recipient, Clock::default().now()).await {
                Ok(()) => output::line(format!("{recipient}: delivered")),
                Err(Failure::Later(why) | Failure::Never(why)) => bail!("{recipient}: {why}"),
            }
            Ok(())
        }
    }
}
