//! `vigia import`: files into a running server, through its doors. Files are read as they stream, several batches are on
//! their way at a time, and whatever is repeated is known to be there already.

mod apple;
mod bundle;
mod entry;
mod format;
mod input;
mod lines;
mod names;
mod report;
mod resources;
mod send;
mod server;
mod sink;
mod table;
mod xml;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use futures_util::{StreamExt, stream};
use indicatif::ProgressBar;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::entry::{Batch, Entry, Outcome, Verdict};
use self::format::Format;
use self::names::{Answer, Names};
use self::report::Report;
use self::resources::{Pass, Resources};
use self::server::{Server, Who};
use self::sink::{Sink, Stopped};
use self::table::Header;
use super::serve::on_signal;
use crate::clock::new_id;
use crate::config::Config;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// CSV, NDJSON, FHIR Bundles (JSON, XML), FHIR NDJSON, export.xml or the archive of Apple Health.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The server; that of the settings unless named.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The file with a bearer token or a device's key, on its first line; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    token_file: Option<PathBuf>,
    /// Somebody who signs in, instead.
    #[arg(long, value_name = "NAME", value_parser = super::name, requires = "password_file")]
    user: Option<String>,
    /// The file with the password, on its first line; `-` is standard input.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Whom readings are about that name nobody: an id, or "system|value" of an identifier.
    #[arg(long, value_name = "ID", value_parser = super::name)]
    patient: Option<String>,
    /// What the files are, where that is not seen from how they begin.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Read everything, tell what would be sent, and send nothing.
    #[arg(long)]
    dry_run: bool,
    /// Write what is rejected to this file, with line and reason.
    #[arg(long, value_name = "FILE")]
    rejected: Option<PathBuf>,
    /// Batches on their way at a time.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    parallel: u8,
}

/// Everything was answered for, and not everything was taken: an end of its own kind.
#[derive(Debug, Error)]
#[error("{0} rejected")]
pub(super) struct NotAll(u64);

/// A file and what it is.
#[derive(Clone, Debug)]
struct Input {
    path: PathBuf,
    format: Format,
}

/// What all passes have in common.
struct Import {
    inputs: Vec<Input>,
    /// As readings name it: `Patient/p1`, `system|value`.
    patient: Option<String>,
    /// None in a dry run.
    server: Option<Server>,
    parallel: usize,
    stop: CancellationToken,
    /// What batches of this run are called, and how many there were.
    run: String,
    batches: AtomicU64,
}

pub(super) async fn run(load: impl Fn() -> Result<Config>, options: Options) -> Result<()> {
    let patient = options.patient.as_deref().map(patient);
    let inputs = options.files.iter().map(|path| known(path, options.format)).collect::<Result<Vec<_>>>()?;
    if let Some(rejected) = &options.rejected {
        let same = |path: &PathBuf| path.canonicalize().ok() == rejected.canonicalize().ok() && rejected.exists();
        ensure!(!options.files.iter().any(same), "--rejected: this file is imported");
    }
    let by_name = patient.as_deref().is_none_or(|patient| patient.starts_with("Patient/"));
    let fhir = inputs.iter().any(|input| input.format.is_fhir());
    ensure!(by_name || !fhir, "--patient: resources take the id of a Patient, and no identifier");
    let mut report = Report::new(&options.files, options.rejected.as_deref(), one_header(&inputs)?)?;
    let stop = CancellationToken::new();
    on_signal(stop.clone())?;
    let server = if options.dry_run { None } else { Some(open(&load()?, &options, stop.clone()).await?) };
    let nobody = patient.is_none() && server.as_ref().is_some_and(|server| !server.is_device());
    if nobody && let Some(export) = inputs.iter().find(|input| input.format == Format::AppleHealth) {
        bail!("{} names nobody: say whose it is with --patient", export.path.display());
    }
    let (parallel, run, batches) = (options.parallel.into(), new_id(), AtomicU64::new(0));
    let import = Arc::new(Import { inputs, patient, server, parallel, stop, run, batches });
    let ended = all(&import, &mut report).await;
    report.finish()?;
    match ended {
        Err(error) if error.is::<Stopped>() => {
            let place = report
                .place()
                .map_or("nothing was sent yet".to_owned(), |place| format!("everything is answered for up to {place}"));
            bail!("interrupted: {place}; the same command goes on from there, what is stored is stored once")
        }
        Err(error) => match report.place() {
            Some(place) => Err(error.context(format!("not everything was read or sent (answered for: up to {place})"))),
            None => Err(error),
        },
        Ok(()) => match report.of(Outcome::Rejected) {
            0 => Ok(()),
            rejected => Err(NotAll(rejected).into()),
        },
    }
}

async fn open(config: &Config, options: &Options, stop: CancellationToken) -> Result<Server> {
    let who =
        Who { token: options.token_file.as_deref(), user: options.user.as_deref().zip(options.password_file.as_ref()) };
    Server::open(config, options.url.as_deref(), who, stop).await
}

fn patient(text: &str) -> String {
    if text.contains('|') || text.starts_with("Patient/") { text.to_owned() } else { format!("Patient/{text}") }
}

fn known(path: &Path, told: Option<Format>) -> Result<Input> {
    let found = input::with(path, &ProgressBar::hidden(), |head, _| Ok(format::of(head, path)))?;
    let format = told
        .or(found)
        .with_context(|| format!("{}: it is not seen what this is; say it with --format", path.display()))?;
    Ok(Input { path: path.to_owned(), format })
}

/// The header of all files, when all are tables and have the same.
fn one_header(inputs: &[Input]) -> Result<Option<Header>> {
    let mut one: Option<Header> = None;
    for input in inputs {
        if input.format != Format::Csv {
            return Ok(None);
        }
        let header = input::with(&input.path, &ProgressBar::hidden(), |head, _| Header::of(head))?;
        if one.as_ref().is_some_and(|one| one.own != header.own) {
            return Ok(None);
        }
        one = Some(header);
    }
    Ok(one)
}

/// Resources are read three times, to learn their names, for those that others refer to, and for the others; all else once.
async fn all(import: &Arc<Import>, report: &mut Report) -> Result<()> {
    if import.server.is_none() {
        pass(import, Pass::All, Names::default(), report).await?;
        return Ok(());
    }
    let mut names = Names::default();
    if import.inputs.iter().any(|input| input.format.is_fhir()) {
        let answers;
        (names, answers) = pass(import, Pass::Names, names, report).await?;
        names.settle(answers);
        (names, _) = pass(import, Pass::Registry, names, report).await?;
    }
    pass(import, Pass::Rest, names, report).await?;
    Ok(())
}

async fn pass(
    import: &Arc<Import>,
    pass: Pass,
    names: Names,
    report: &mut Report,
) -> Result<(Names, Vec<(String, Answer)>)> {
    let (to, mut from) = mpsc::channel::<Batch>(import.parallel);
    let (reader, bar) = (import.clone(), report.bar.clone());
    let reading = tokio::task::spawn_blocking(move || reader.read(pass, names, &to, &bar));
    let batches = stream::poll_fn(move |context| from.poll_recv(context));
    let mut sent = batches.map(|batch| import.send(pass, batch)).buffered(import.parallel);
    let (mut answers, mut refused, mut failed) = (Vec::new(), Vec::new(), None);
    while let Some(done) = sent.next().await {
        match done {
            Ok(Done::Told(told)) => answers.extend(told),
            Ok(Done::Sent(batch, verdicts)) => {
                report.take(&batch, &verdicts)?;
                if pass == Pass::Registry {
                    refused.extend(batch.entries.iter().zip(&verdicts).filter_map(refused_name));
                }
            }
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    drop(sent);
    let mut names = match (failed, reading.await.context("the reader ended before its time")?) {
        (Some(error), _) | (None, Err(error)) => return Err(error),
        (None, Ok(names)) => names,
    };
    for name in refused {
        names.refuse(name);
    }
    Ok((names, answers))
}

/// The name of somebody who was not taken.
fn refused_name((entry, verdict): (&Entry, &Verdict)) -> Option<String> {
    match &entry.what {
        entry::What::Resource(named) if verdict.outcome == Outcome::Rejected => Some(named.name.clone()),
        _ => None,
    }
}

enum Done {
    Told(Vec<(String, Answer)>),
    Sent(Batch, Vec<Verdict>),
}

impl Import {
    async fn send(&self, pass: Pass, batch: Batch) -> Result<Done> {
        let Some(server) = &self.server else {
            let verdict = |entry: &Entry| entry.settled().unwrap_or_else(|| Verdict::of(Outcome::Would));
            let verdicts = batch.entries.iter().map(verdict).collect();
            return Ok(Done::Sent(batch, verdicts));
        };
        if self.stop.is_cancelled() {
            return Err(Stopped.into());
        }
        let lines = || {
            let path = self.inputs.get(batch.file).map(|input| input.path.display().to_string()).unwrap_or_default();
            let line = |entry: Option<&Entry>| entry.map_or(0, |entry| entry.line);
            format!("{path}: lines {} to {}", line(batch.entries.first()), line(batch.entries.last()))
        };
        let named = |error: anyhow::Error| if error.is::<Stopped>() { error } else { error.context(lines()) };
        if pass == Pass::Names {
            return send::ask(server, &batch).await.map(Done::Told).map_err(named);
        }
        let key = format!("{}-{}", self.run, self.batches.fetch_add(1, Ordering::Relaxed));
        let verdicts = send::batch(server, &batch, &key, self.patient.as_deref()).await.map_err(named)?;
        Ok(Done::Sent(batch, verdicts))
    }

    /// All files that this pass is about, one after the other.
    fn read(&self, pass: Pass, mut names: Names, to: &mpsc::Sender<Batch>, bar: &ProgressBar) -> Result<Names> {
        let patient = self.patient.as_deref();
        for (file, input) in self.inputs.iter().enumerate() {
            if matches!(pass, Pass::Names | Pass::Registry) && !input.format.is_fhir() {
                continue;
            }
            let mut sink = Sink::new(to, &self.stop, file);
            input::with(&input.path, bar, |_, source| {
                if input.format.is_fhir() {
                    let mut resources = Resources { pass, names: &mut names, patient, sink };
                    return match input.format {
                        Format::FhirJson => bundle::read(source, &mut resources),
                        Format::FhirXml => xml::bundle(source, &mut resources),
                        Format::FhirResource => lines::resource(source, &mut resources),
                        _ => lines::resources(source, &mut resources),
                    };
                }
                match input.format {
                    Format::Csv => table::read(source, patient, &mut sink),
                    Format::AppleHealth => apple::read(source, patient, sink),
                    _ => lines::readings(source, patient, &mut sink),
                }
            })?;
        }
        Ok(names)
    }
}
