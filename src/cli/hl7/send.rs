//! `vigia hl7 send`: one message at a time, the next one after the answer; an answer counts for the message whose
//! control id it names and for no other.

use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::file::{self, Found};
use crate::cli::output;
use crate::ingest::hl7::wire::{self, Reader};
use crate::ingest::hl7::{batch, message, tls};

/// More than any answer.
const LONGEST: usize = 16 << 20;

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

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// What was answered.
enum Answer {
    Accepted,
    /// Nothing was to be answered.
    Silence,
    Refused(String),
}

pub(super) async fn run(options: Options) -> Result<()> {
    let messages = file::read(&options.files)?;
    let mut line = Line::open(&options).await?;
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
        match line.exchange(&found).await.with_context(|| found.name.clone())? {
            Answer::Accepted => {}
            Answer::Silence => silent += 1,
            Answer::Refused(why) => {
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

struct Line {
    reader: Reader<ReadHalf<Box<dyn Stream>>>,
    writer: WriteHalf<Box<dyn Stream>>,
    patience: Duration,
}

impl Line {
    async fn open(options: &Options) -> Result<Self> {
        let address = options.to.to_socket_addrs().ok().and_then(|mut found| found.next());
        let address = address.with_context(|| format!("--to: {} is no address", options.to))?;
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot reach {}", options.to))?;
        stream.set_nodelay(true)?;
        let patience = Duration::from_secs(options.timeout);
        let stream: Box<dyn Stream> = if options.tls {
            let own = options.cert.as_deref().zip(options.key.as_deref());
            let host = options.to.rsplit_once(':').map_or(options.to.as_str(), |(host, _)| host);
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let secured = tls::connect(stream, host, options.ca.as_deref(), own);
            Box::new(timeout(patience, secured).await.context("no handshake in time")??)
        } else {
            Box::new(stream)
        };
        let (from, writer) = tokio::io::split(stream);
        Ok(Self { reader: Reader::new(from, LONGEST, patience), writer, patience })
    }

    async fn exchange(&mut self, found: &Found) -> Result<Answer> {
        let asked = Asked::of(&found.bytes);
        if !wire::write(&mut self.writer, found.bytes.clone(), self.patience).await {
            bail!("the connection broke");
        }
        if asked.silence {
            return Ok(Answer::Silence);
        }
        let answered = async {
            loop {
                let Ok(Some(frame)) = self.reader.next().await else { bail!("the connection ended without an answer") };
                if let Some(answer) = asked.answered(&String::from_utf8_lossy(&frame.message)) {
                    return Ok(answer);
                }
                // One that comes late belongs to an earlier message.
            }
        };
        timeout(self.patience, answered).await.context("no answer in time")?
    }
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

    /// None: this is no answer to that message.
    fn answered(&self, text: &str) -> Option<Answer> {
        let mut refused = Vec::new();
        let mut own = false;
        for line in text.split(['\r', '\n']) {
            let mut fields = line.get(4..).unwrap_or_default().split('|');
            match line.get(..3) {
                Some("MSA") => {
                    let (code, control) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
                    if self.control.as_ref().is_some_and(|own| own != control && !control.is_empty()) {
                        return None;
                    }
                    own = true;
                    if !matches!(code, "AA" | "CA") {
                        refused.push(format!("{code} {control}"));
                    }
                }
                // The errors of a message that is not accepted.
                Some("ERR") if !refused.is_empty() => refused.push(line.to_owned()),
                _ => {}
            }
        }
        let fine = if refused.is_empty() { Answer::Accepted } else { Answer::Refused(refused.join("\n  ")) };
        (own || self.control.is_none()).then_some(fine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_its_own_message() {
        let asked = Asked::of(b"MSH|^~\\&|A|F|||||ORU^R01|42|P|2.6");
        let told = |text: &str| match asked.answered(text) {
            None => "of another".to_owned(),
            Some(Answer::Refused(why)) => why,
            Some(_) => "accepted".to_owned(),
        };
        let table = [
            ("MSH|^~\\&\rMSA|AA|42\r", "accepted"),
            ("MSH|^~\\&\rMSA|CA|42\r", "accepted"),
            ("MSH|^~\\&\rMSA|AA|41\r", "of another"),
            ("MSH|^~\\&\rMSA|AE|42\rERR||PID^1\r", "AE 42\n  ERR||PID^1"),
            ("MSH|^~\\&\rMSA|AR|\r", "AR "),
            ("MSH|^~\\&|||||||ORU^R01\r", "of another"),
        ];
        for (text, want) in table {
            assert_eq!(told(text), want, "{text}");
        }
        assert!(Asked::of(b"MSH|^~\\&|A|F|||||ORU^R01|42|P|2.6|||NE|NE").silence);
        assert!(Asked::of(b"BHS|^~\\&\rMSH|^~\\&|A|F|||||ORU^R01|42|P|2.6|||NE|NE").control.is_none());
    }
}
