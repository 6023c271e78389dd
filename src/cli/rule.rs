//! `vigia rule`: rules as people write them. A file is the short form (TOML) or a PlanDefinition (JSON).

pub(super) mod list;
mod trial;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Subcommand;
use serde_json::Value;

use super::{database, output};
use crate::alert::rule::{Rule, compile, toml};
use crate::app;
use crate::auth::access::Access;
use crate::config::Config;
use crate::pipeline::Intent;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Look for everything that the server would refuse in rules, and say where it stands.
    Lint {
        /// Short form (TOML) or PlanDefinition (JSON).
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Run the cases that rules carry, and show where they end differently.
    Test {
        /// Short form (TOML) or PlanDefinition (JSON).
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Store a rule, under its own id. With the embedded database the server must not be running.
    Import {
        /// Short form (TOML) or PlanDefinition (JSON).
        file: PathBuf,
    },
    /// Print a rule in the short form.
    Export {
        /// A file, or the id of a rule that is stored or shipped.
        rule: String,
    },
    /// The rules that are shipped.
    List {
        /// As the tables of the manual: limits and sources.
        #[arg(long)]
        markdown: bool,
    },
    /// The JSON Schema of the short form.
    Schema,
}

pub(super) async fn run(load: impl Fn() -> Result<Config>, command: Command) -> Result<()> {
    match command {
        Command::Lint { files } => each(&files, "refused", |file| lint(file).map(|_| ())),
        Command::Test { files } => each(&files, "end differently", test),
        Command::Import { file } => import(&load()?, &file).await,
        Command::Export { rule } => export(load, &rule).await,
        Command::List { markdown } => {
            list::print(markdown);
            Ok(())
        }
        Command::Schema => {
            output::line(format!("{:#}", toml::schema()));
            Ok(())
        }
    }
}

/// Every file, whatever became of those before it.
fn each(files: &[PathBuf], what: &str, work: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let mut bad = 0;
    for file in files {
        match work(file) {
            Ok(()) => output::line(format!("{}: good", file.display())),
            Err(problems) => {
                bad += 1;
                output::line(format!("{problems:#}"));
            }
        }
    }
    ensure!(bad == 0, "{bad} of {} rules {what}", files.len());
    Ok(())
}

fn read(file: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(&text).with_context(|| file.display().to_string());
    }
    toml::import(&text).map_err(|fault| anyhow!("{}: {fault}", file.display()))
}

/// The plan and its rule, or all that is wrong, a line each.
pub(super) fn lint(file: &Path) -> Result<(Value, Rule)> {
    let plan = read(file)?;
    let mut issues = fhir_r4::check(plan.clone()).err().unwrap_or_default();
    let compiled = compile(&plan);
    issues.extend(compiled.as_ref().err().into_iter().flatten().cloned());
    match compiled {
        Ok(rule) if issues.is_empty() => Ok((plan, rule)),
        _ => {
            let line =
                |issue: &fhir_r4::Issue| format!("{}: {}: {}", file.display(), issue.expression, issue.diagnostics);
            bail!("{}", issues.iter().map(line).collect::<Vec<_>>().join("\n"))
        }
    }
}

fn test(file: &Path) -> Result<()> {
    let (plan, rule) = lint(file)?;
    let cases = trial::cases(&plan);
    if cases.is_empty() {
        bail!("{}: no [[case]]", file.display());
    }
    let wrong: Vec<String> =
        cases.iter().filter_map(|case| Some(format!("{}: {}", file.display(), case.difference(&rule)?))).collect();
    if wrong.is_empty() { Ok(()) } else { bail!("{}", wrong.join("\n")) }
}

async fn import(config: &Config, file: &Path) -> Result<()> {
    let (plan, rule) = lint(file)?;
    if rule.id.is_empty() {
        bail!("{}: id: a rule is stored under its id", file.display());
    }
    let _lock = app::lock(config.database.url.expose())?;
    let store = database::open(config)?;
    let pipeline = database::pipeline(config, &store).await?;
    let checked = pipeline.profiles().check(plan).await.map_err(|issues| {
        let first = issues.first().map(|issue| format!("{}: {}", issue.expression, issue.diagnostics));
        anyhow!("{}: {}", file.display(), first.unwrap_or_default())
    })?;
    let intent = Intent::Update { resource: checked, id: rule.id.clone(), expect: None };
    pipeline.write(&Access::system("rule"), intent).await?;
    store.close().await;
    output::line(format!("{} stored as PlanDefinition/{}", rule.canonical(), rule.id));
    Ok(())
}

async fn export(load: impl Fn() -> Result<Config>, name: &str) -> Result<()> {
    let file = Path::new(name);
    let plan = if file.is_file() {
        read(file)?
    } else {
        let store = database::open(&load()?)?;
        let stored = store.find(&Access::system("rule"), "PlanDefinition", name).await;
        let plan = match stored {
            Ok(stored) => Some(without_version(serde_json::from_slice(&stored.json()?)?)),
            Err(_) => list::shipped(name),
        };
        store.close().await;
        plan.with_context(|| format!("{name} is neither a file nor a rule"))?
    };
    output::line(toml::export(&plan).trim_end());
    Ok(())
}

/// Without what the store itself has written on it.
fn without_version(mut plan: Value) -> Value {
    if let Some(plan) = plan.as_object_mut() {
        let meta = plan.get_mut("meta").and_then(Value::as_object_mut);
        let left = meta.map(|meta| {
            meta.retain(|name, _| name != "versionId" && name != "lastUpdated");
            meta.len()
        });
        if left == Some(0) {
            plan.shift_remove("meta");
        }
    }
    plan
}
