//! `vigia hl7 send`: one message at a time, the next one after the answer; an answer counts for the message whose
//! control id it names and for no other.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use tokio::time::{MissedTickBehavior, interval};

use super::file;
use crate::cli::output;
use crate::hl7::client::{Answer, Line, Secure};
use crate::ingest::hl7::{batch, message};

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Messages, frames or batches.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Where they are sent.
    #[arg(long, value_name = "HOST:PORT")]
    to: String,
    /// Speak TLS.
    #[arg(long)]
    tls: bool,
    /// The authority of the server's certificate, PEM; that of the system unless named.
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca: Option<PathBuf>,
    /// Our own certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "tls", requires = "key")]
    cert: Option<PathBuf>,
    /// Its key, PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Messages a second at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// How long an answer may take, in seconds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
}

pub(super) async fn run(options: Options) -> Result<()> {
    let messages = file::read(&options.files)?;
    ensure!(options.to.contains(':'), "--to: {} is no address, HOST:PORT", options.to);
    let own = options.cert.clone().zip(options.key.clone());
    let secure = options.tls.then(|| Secure { authorities: options.ca.clone(), own });
    let mut line = Line::open(&options.to, secure.as_ref(), Duration::from_secs(options.timeout)).await?;
    let mut pace = options.rate.map(|rate| interval(Duration::from_secs(1) / rate));
    if let Some(pace) = &mut pace {
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    let (bar, count) = (super::bar(messages.len()), messages.len());
    let (mut silent, mut refused) = (0, 0);
    for found in messages {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        let asked = Asked::of(&found.bytes);
        if asked.silence {
            line.send(found.bytes).await.with_context(|| found.name)?;
            silent += 1;
        } else {
            let answer = line.exchange(found.bytes, asked.control.as_deref()).await;
            if let Answer::Refused(_, why) = answer.with_context(|| found.name.clone())? {
                refused += 1;
                bar.suspend(|| output::line(format!("{}: {why}", found.name)));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let accepted = count - refused - silent;
    output::line(format!("{count} sent, {accepted} accepted, {refused} refused, {silent} without an answer"));
    ensure!(refused == 0, "not everything was accepted");
    Ok(())
}

/// What is to be answered to a message.
struct Asked {
    /// MSH-10; none of a batch, and of what cannot be read.
    control: Option<String>,
    silence: bool,
}

impl Asked {
    fn of(bytes: &[u8]) -> Self {
        let parsed = if batch::split(bytes).is_some() { None } else { message::parse(bytes).ok() };
        let Some(parsed) = parsed else { return Self { control: None, silence: false } };
        let header = parsed.header();
        let silence = [&header.accept_ack, &header.application_ack].iter().all(|mode| mode.as_str() == "NE");
        Self { control: Some(header.control_id.clone()), silence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_what_it_is_answered_with() {
        assert_eq!(Asked::of(b"MSH|^~\\&|A|F|||||ORU^R01|42|P|2.6").control.as_deref(), Some("42"));
        assert!(Asked::of(b"MSH|^~\\&|A|F|||||ORU^R01|42|P|2.6|||NE|NE").silence);
        assert!(Asked::of(b"BHS|^~\\&\rMSH|^~\\&|A|F|||||ORU^R01|42|P|2.6|||NE|NE").control.is_none());
    }
}
