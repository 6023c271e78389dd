//! `vigia hl7 validate`: messages read and mapped as the server would, without one. What depends on what is stored
//! (whose patient it is) is not asked.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use fhir_r4::{Issue, Severity};

use super::file;
use crate::cli::output;
use crate::config::Config;
use crate::ingest::hl7::{self, Channel, batch};

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Messages, frames or batches.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How the sender speaks: a channel of the settings; the first one unless named.
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
}

pub(super) fn run(config: &Config, options: &Options) -> Result<()> {
    let channels = hl7::channels(&config.hl7)?;
    let wanted = |channel: &&Channel| options.channel.as_ref().is_none_or(|name| *name == channel.name);
    let channel = channels.iter().find(wanted).context("--channel: there is no channel of this name")?;
    let (mut all, mut bad) = (0, 0);
    for found in file::read(&options.files)? {
        for (number, told) in (1..).zip(told(&found.bytes, channel)) {
            all += 1;
            bad += usize::from(told.problems.iter().any(|problem| problem.severity == Severity::Error));
            let part = if told.of_batch { format!(" message {number}") } else { String::new() };
            output::line(format!("{}{part}: {}", found.name, told.what));
            for problem in told.problems {
                output::line(format!("  {}: {}", problem.expression, problem.diagnostics));
            }
        }
    }
    ensure!(bad == 0, "{bad} of {all} messages would not be accepted");
    Ok(())
}

struct Told {
    of_batch: bool,
    what: String,
    problems: Vec<Issue>,
}

fn told(bytes: &[u8], channel: &Channel) -> Vec<Told> {
    match batch::split(bytes) {
        None => vec![one(bytes, channel, false)],
        Some(Err(refusal)) => vec![Told { of_batch: false, what: "refused".to_owned(), problems: vec![refusal.issue] }],
        Some(Ok(batch)) => {
            batch.messages().map(|range| one(bytes.get(range).unwrap_or_default(), channel, true)).collect()
        }
    }
}

fn one(bytes: &[u8], channel: &Channel, of_batch: bool) -> Told {
    match hl7::read(bytes, channel) {
        Err(refusal) => Told { of_batch, what: "refused".to_owned(), problems: vec![refusal.issue] },
        Ok(read) => {
            let hl7::Received { header, mapped } = read;
            let (kind, event) = &header.kind;
            let readings = mapped.items.iter().filter(|item| item.is_ok()).count();
            let what = format!(
                "{kind}^{event} {}: {readings} readings, {} resources, {} segments used, {} not",
                header.control_id,
                mapped.said.len(),
                mapped.used,
                mapped.unused
            );
            let rejected = mapped.items.into_iter().filter_map(Result::err).flat_map(|rejected| rejected.issues);
            Told { of_batch, what, problems: rejected.chain(mapped.notes).collect() }
        }
    }
}
