//! `vigia hl7`: messages sent, listened to, looked at and replayed from the command line.

mod file;
mod listen;
mod replay;
mod send;
mod validate;

use anyhow::Result;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};

use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Send messages over MLLP, one after the other, and show those that are not accepted.
    Send(send::Options),
    /// Accept whatever comes over MLLP and write it to a folder: to see what a sender sends.
    Listen(listen::Options),
    /// Read and map messages without a server, and say what is wrong and where.
    Validate(validate::Options),
    /// Have the server take once more what it keeps and somebody has to look at.
    Replay(replay::Options),
}

pub(super) async fn run(load: impl Fn() -> Result<Config>, command: Command) -> Result<()> {
    match command {
        Command::Send(options) => send::run(options).await,
        Command::Listen(options) => listen::run(options).await,
        Command::Validate(options) => validate::run(&load()?, &options),
        Command::Replay(options) => replay::run(&load()?, options).await,
    }
}

/// On the terminal; nothing elsewhere.
fn bar(length: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(length).unwrap_or_default());
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} messages, {per_sec}, {eta} left {msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
