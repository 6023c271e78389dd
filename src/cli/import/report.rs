//! What became of it all: counted by kind and outcome, rejected rows written down as they were, and where it is. Nothing
//! is sent or read here.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::entry::{Batch, Entry, Outcome, Verdict};
use super::table::Header;
use crate::cli::output;
use crate::normalize::codes;

/// More kinds than these are counted together.
const KINDS: usize = 500;
const OTHER: &str = "(other)";
/// So many rejected rows are told of as they come.
const TOLD: u64 = 10;

type Counts = [u64; Outcome::ALL.len()];

pub(super) struct Report {
    files: Vec<PathBuf>,
    counts: BTreeMap<String, Counts>,
    all: Counts,
    rejected: Option<Rejected>,
    /// The last line that is answered for.
    last: Option<(usize, u64)>,
    pub(super) bar: ProgressBar,
}

/// The file of what was rejected.
struct Rejected {
    path: PathBuf,
    out: BufWriter<File>,
    /// All files are tables with this header; else it is a file of JSON lines.
    header: Option<Header>,
}

impl Report {
    /// `header`: of all files, when they are tables with one header.
    pub(super) fn new(files: &[PathBuf], rejected: Option<&Path>, header: Option<Header>) -> Result<Self> {
        let open = |path: &Path| -> Result<Rejected> {
            let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            let mut out = BufWriter::new(file);
            if let Some(header) = &header {
                out.write_all(&header.rejected(&header.own, 0, "reason")?)?;
            }
            Ok(Rejected { path: path.to_owned(), out, header: None })
        };
        let mut rejected = rejected.map(open).transpose()?;
        if let Some(rejected) = &mut rejected {
            rejected.header = header;
        }
        let (counts, all) = (BTreeMap::new(), Counts::default());
        Ok(Self { files: files.to_vec(), counts, all, rejected, last: None, bar: bar() })
    }

    pub(super) fn take(&mut self, batch: &Batch, verdicts: &[Verdict]) -> Result<()> {
        for (entry, verdict) in batch.entries.iter().zip(verdicts) {
            self.count(&entry.kind, verdict.outcome);
            if verdict.outcome == Outcome::Rejected {
                self.reject(batch.file, entry, &verdict.reason)?;
            }
            self.last = Some((batch.file, entry.line));
        }
        let told = [Outcome::Would, Outcome::Created, Outcome::Duplicate, Outcome::Held, Outcome::Rejected];
        let told = told.into_iter().filter(|outcome| self.of(*outcome) > 0);
        let told: Vec<String> = told.map(|outcome| format!("{} {}", self.of(outcome), outcome.name())).collect();
        self.bar.set_message(told.join(", "));
        Ok(())
    }

    fn count(&mut self, kind: &str, outcome: Outcome) {
        let at = Outcome::ALL.iter().position(|own| *own == outcome).unwrap_or_default();
        let short: String = kind.chars().filter(|letter| !letter.is_control()).take(60).collect();
        let name = if self.counts.len() < KINDS || self.counts.contains_key(&short) { short } else { OTHER.to_owned() };
        let counts = self.counts.entry(name).or_default();
        for counts in [counts, &mut self.all] {
            counts.get_mut(at).into_iter().for_each(|count| *count += 1);
        }
    }

    pub(super) fn of(&self, outcome: Outcome) -> u64 {
        let at = Outcome::ALL.iter().position(|own| *own == outcome).unwrap_or_default();
        self.all.get(at).copied().unwrap_or_default()
    }

    fn reject(&mut self, file: usize, entry: &Entry, reason: &str) -> Result<()> {
        let name = self.name(file);
        let (line, told) = (entry.line, self.of(Outcome::Rejected));
        if told <= TOLD {
            let rest = if told == TOLD { " (others are not shown here)" } else { "" };
            self.bar.suspend(|| output::note(format!("{name}: line {line}: {reason}{rest}")));
        }
        let Some(rejected) = &mut self.rejected else { return Ok(()) };
        let row = if let Some(header) = &rejected.header {
            header.rejected(&entry.original, line, reason)?
        } else {
            let text = || Value::from(String::from_utf8_lossy(&entry.original).into_owned());
            let original: Value = serde_json::from_slice(&entry.original).unwrap_or_else(|_| text());
            let row = json!({"file": name, "line": line, "reason": reason, "rejected": original});
            format!("{row}\n").into_bytes()
        };
        rejected.out.write_all(&row).with_context(|| format!("cannot write {}", rejected.path.display()))
    }

    fn name(&self, file: usize) -> String {
        self.files.get(file).map(|path| path.display().to_string()).unwrap_or_default()
    }

    /// Where it is: everything up to this line is answered for.
    pub(super) fn place(&self) -> Option<String> {
        self.last.map(|(file, line)| format!("{}, line {line}", self.name(file)))
    }

    /// The table, one line a kind.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.bar.finish_and_clear();
        if let Some(rejected) = &mut self.rejected {
            rejected.out.flush().with_context(|| format!("cannot write {}", rejected.path.display()))?;
        }
        let columns: Vec<(usize, Outcome)> =
            Outcome::ALL.into_iter().enumerate().filter(|(at, _)| self.all.get(*at).is_some_and(|n| *n > 0)).collect();
        let width = self.counts.keys().map(|kind| label(kind).chars().count()).max().unwrap_or(0).max(4);
        let head: Vec<String> = columns.iter().map(|(_, outcome)| format!("{:>13}", outcome.name())).collect();
        output::line(format!("{:<width$} {}", "kind", head.join(" ")));
        let line = |name: &str, counts: &Counts| {
            let number = |at: usize| format!("{:>13}", counts.get(at).copied().unwrap_or_default());
            let numbers: Vec<String> = columns.iter().map(|(at, _)| number(*at)).collect();
            output::line(format!("{name:<width$} {}", numbers.join(" ")));
        };
        for (kind, counts) in &self.counts {
            line(&label(kind), counts);
        }
        line("all", &self.all);
        if let Some(rejected) = self.rejected.as_ref().filter(|_| self.of(Outcome::Rejected) > 0) {
            output::line(format!("what was rejected is in {}", rejected.path.display()));
        }
        Ok(())
    }
}

/// A kind as people know it.
fn label(kind: &str) -> String {
    match codes::display_of(kind) {
        Some(display) => format!("{kind} {display}"),
        None if kind.is_empty() => "(unknown)".to_owned(),
        None => kind.to_owned(),
    }
}

/// On the terminal; nothing elsewhere.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}, {eta} left, {msg}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
