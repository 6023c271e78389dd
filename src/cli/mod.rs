//! The command line: one file a subcommand.

mod backtest;
mod bedside;
mod check_config;
mod client;
mod database;
mod demo;
mod device;
mod hl7;
mod import;
mod keygen;
mod notify;
mod output;
mod own_token;
mod package;
mod rule;
mod secret_file;
mod serve;
mod simulate;
mod user;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::config::Config;

/// Vigía watches patients and speaks FHIR.
///
/// Medical devices, gateways and hospital integration engines push readings in (HTTP, FHIR R4, HL7 v2 over
/// MLLP); every reading becomes a FHIR Observation, is watched by clinical rules, raises DetectedIssue alerts
/// within milliseconds, and is seen live on the ward page.
///
/// Try it:      vigia demo
/// In earnest:  vigia keygen >> vigia.toml, then vigia serve
///
/// Settings: built-in defaults, then vigia.toml, then variables like `VIGIA__SERVER__BIND`.
/// `vigia check-config` shows what is in force.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
pub struct Arguments {
    /// The settings file; vigia.toml in this directory when it is there.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve: the production entry. Refuses to start with missing or demo secrets, and says which.
    Serve,
    /// A ward of simulated patients on this machine, fed through the real doors.
    Demo(demo::Options),
    /// Invented patients with monitors that send to a server: to try it out, to load it, to train.
    #[command(verbatim_doc_comment)]
    Simulate(simulate::Options),
    /// Show the settings in force, secrets redacted, and what stands against production use.
    CheckConfig,
    /// Make the secrets that `serve` needs.
    Keygen(keygen::Options),
    /// People who sign in.
    #[command(subcommand)]
    User(user::Command),
    /// Profiles and value sets from FHIR packages.
    #[command(subcommand)]
    Package(package::Command),
    /// Those who are told of alerts outside this server.
    #[command(subcommand)]
    Notify(notify::Command),
    /// Clinical rules: check, try, store and print them.
    #[command(subcommand)]
    Rule(rule::Command),
    /// Try rules on recordings: what they would have raised, and what another version of them would have.
    #[command(verbatim_doc_comment)]
    Backtest(backtest::Options),
    /// HL7 v2 messages: send, listen, validate, replay.
    #[command(subcommand)]
    Hl7(hl7::Command),
    /// Bring files into a running server: CSV, NDJSON, FHIR, Apple Health.
    Import(import::Options),
    /// Devices, and what they prove themselves by.
    #[command(subcommand)]
    Device(device::Command),
    /// Walk the audit trail: whether every entry is as it was recorded. Ends with 1 when one is not.
    Verify(verify::Options),
    /// Apps and services that are registered, and bearer tokens for machines.
    #[command(subcommand)]
    Client(client::Command),
}

/// Runs a command to its end.
pub fn run(arguments: Arguments) -> ExitCode {
    match dispatch(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            // Nothing went wrong, but not everything was taken.
            if error.is::<import::NotAll>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn dispatch(arguments: Arguments) -> Result<()> {
    let Arguments { config, command } = arguments;
    let load = || Config::load(config.as_deref());
    match command {
        Command::Serve => on_runtime(serve::run(load()?)),
        Command::Demo(options) => on_runtime(demo::run(load()?, options)),
        Command::Simulate(options) => on_runtime(simulate::run(load, options)),
        Command::CheckConfig => check_config::run(&load()?),
        Command::Keygen(options) => keygen::run(&load()?, &options),
        Command::User(command) => on_runtime(user::run(load()?, command)),
        Command::Package(command) => on_runtime(package::run(load()?, command)),
        Command::Notify(command) => on_runtime(notify::run(load()?, command)),
        Command::Rule(command) => on_runtime(rule::run(load, command)),
        Command::Backtest(options) => on_runtime(backtest::run(load, options)),
        Command::Hl7(command) => on_runtime(hl7::run(load, command)),
        Command::Import(options) => on_runtime(import::run(load, options)),
        Command::Device(command) => on_runtime(device::run(load()?, command)),
        Command::Verify(options) => on_runtime(verify::run(load()?, options)),
        Command::Client(command) => on_runtime(client::run(load()?, command)),
    }
}

/// An argument that names somebody.
fn name(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("it is empty"),
        text if text.chars().any(char::is_control) => Err("it has control characters"),
        text => Ok(text.to_owned()),
    }
}

fn on_runtime(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no async runtime")?.block_on(work)
}
