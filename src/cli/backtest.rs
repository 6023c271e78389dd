//! `vigia backtest`: rules tried on recordings. Nothing is stored.

mod recording;
mod table;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::{database, rule};
use crate::alert::backtest::{self, Concluded, Record, Report};
use crate::alert::rule::{Rule, RuleSet, compile, default_plans};
use crate::auth::access::Access;
use crate::config::Config;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// A rule: a file (TOML or PlanDefinition), or the id of one that is shipped; `default`: all active ones that are
    /// shipped. May stand more than once.
    #[arg(long = "rule", required = true, value_name = "FILE|ID|default")]
    rules: Vec<String>,
    /// Recordings: CSV (patient,time,code,value,unit,status) or Observations a line (.ndjson).
    #[arg(long = "data", required = true, value_name = "FILE")]
    data: Vec<PathBuf>,
    /// What the rules are held against: `active` (those of the database with the same url), `shipped`, or a file.
    #[arg(long, value_name = "active|shipped|FILE")]
    compare: Option<String>,
    /// Judge every reading by itself: without n-of-m, durations and hysteresis.
    #[arg(long)]
    single: bool,
    /// Take everybody for alert (consciousness) at each instant with a reading: for recordings that do not chart it.
    #[arg(long)]
    assume_alert: bool,
    /// Write every change of level to this CSV file.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Write every score to this CSV file.
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

pub(super) async fn run(load: impl Fn() -> Result<Config>, options: Options) -> Result<()> {
    let rules = options.rules.iter().map(|name| named(name)).collect::<Result<Vec<_>>>()?.concat();
    let others = match &options.compare {
        Some(name) => Some(others(&load, name, &rules).await?),
        None => None,
    };
    let single = |rule: Rule| if options.single { rule.undamped() } else { rule };
    let rules = RuleSet::trial(rules.into_iter().map(single));
    let others = others.map(RuleSet::trial);
    let records = recording::read(&options.data, options.assume_alert)?;
    let mut writers = table::Writers::open(options.events.as_deref(), options.scores.as_deref())?;
    let mut report = Report::default();
    let bar = bar(records.len());
    for record in records.values() {
        let end = end(record);
        let concluded = backtest::run(&rules, record, end);
        let compared: Option<Concluded> = others.as_ref().map(|others| backtest::run(others, record, end));
        writers.write(record, &concluded)?;
        report.add(&concluded, compared.as_ref(), end);
        bar.inc(1);
    }
    bar.finish_and_clear();
    writers.finish()?;
    match options.format {
        Format::Table => table::print(&report),
        Format::Json => table::print_json(&report),
        Format::Csv => table::print_csv(&report)?,
    }
    Ok(())
}

/// What is known of a patient ends with its last reading.
fn end(record: &Record) -> i64 {
    record
        .readings
        .iter()
        .map(|recorded| recorded.reading.effective.map_or(recorded.updated, |(at, _)| at))
        .max()
        .unwrap_or(0)
}

/// On the terminal; nothing elsewhere.
fn bar(length: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(length).unwrap_or_default());
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} patients, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn named(name: &str) -> Result<Vec<Rule>> {
    let path = Path::new(name);
    if path.is_file() {
        return Ok(vec![rule::lint(path)?.1]);
    }
    if name == "default" {
        let all = default_plans().iter().filter_map(|plan| compile(plan).ok()).filter(|rule| rule.active).collect();
        return Ok(all);
    }
    let plan = rule::list::shipped(name).with_context(|| format!("{name} is neither a file nor a shipped rule"))?;
    match compile(&plan) {
        Ok(rule) => Ok(vec![rule]),
        Err(_) => bail!("{name} does not compile"),
    }
}

/// The rules that these are held against: those with the same urls.
async fn others(load: &impl Fn() -> Result<Config>, name: &str, rules: &[Rule]) -> Result<Vec<Rule>> {
    let all = match name {
        "shipped" => default_plans().iter().filter_map(|plan| compile(plan).ok()).collect(),
        "active" => active(&load()?).await?,
        file => return named(file),
    };
    let urls: BTreeSet<&str> = rules.iter().map(|rule| rule.url.as_str()).collect();
    Ok(all.into_iter().filter(|rule: &Rule| urls.contains(rule.url.as_str())).collect())
}

async fn active(config: &Config) -> Result<Vec<Rule>> {
    let store = database::open(config)?;
    let set = crate::alert::engine::load_rules(&store, &Access::system("backtest"), &RuleSet::default()).await;
    store.close().await;
    Ok(set?.rules().iter().map(|rule| rule.as_ref().clone()).collect())
}
