//! `vigia demo`: the whole server with a ward of simulated patients, or a recording, in one directory. The
//! readings take the same way as those of real monitors, through the doors on this machine's own address; only
//! accounts and tokens are made without asking anybody.

mod feed;
mod ground;
mod replay;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::bedside::doors::{Doors, Form};
use super::bedside::http::Http;
use super::bedside::progress;
use super::bedside::ward::{self, Bed, Person};
use super::output;
use super::serve::on_signal;
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::telemetry;
use ground::Account;
use replay::Recording;

#[derive(Args, Debug)]
pub(super) struct Options {
    /// Patients of the ward.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=2000), conflicts_with = "replay")]
    patients: u16,
    /// The same seed makes the same course of all patients.
    #[arg(long, default_value_t = 1, conflicts_with = "replay")]
    seed: u64,
    /// Port of the pages, FHIR and device upload; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Port of the HL7 v2 listener (MLLP); 0 takes a free one.
    #[arg(long, default_value_t = 2575)]
    mllp_port: u16,
    /// Where everything is kept; a second run goes on with it. `demo` in the data directory when not given
    /// (`replay` for recordings).
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Play a recording instead: rows of patient,time,code,value,unit,status (code: LOINC; unit: UCUM).
    #[arg(long, value_name = "FILE.csv")]
    replay: Option<PathBuf>,
    /// How many times faster than it was recorded.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..), requires = "replay")]
    speed: u32,
    /// Give the demo's accounts new passwords and print them.
    #[arg(long)]
    new_passwords: bool,
    /// End after so many seconds instead of at Ctrl-C.
    #[arg(long = "for", value_name = "SECONDS")]
    duration: Option<u64>,
}

/// What the monitors will send.
enum Source {
    Simulator { seed: u64 },
    Recording { recording: Recording, speed: u32 },
}

pub(super) async fn run(config: Config, options: Options) -> Result<()> {
    let (people, source) = source(&options)?;
    let dir = options
        .data
        .clone()
        .unwrap_or_else(|| config.data_dir.join(if options.replay.is_some() { "replay" } else { "demo" }));
    let config = ground::config(config, &dir, options.port, options.mllp_port)?;
    let (log, file) = ground::log_file(&dir)?;
    telemetry::init_file(&config.log, file)?;
    let clock = Clock::default();
    let app = App::build(config, clock.clone())
        .await
        .context("the demo cannot start (see also --port, --mllp-port, --data)")?;
    let (address, channels) = (app.address()?, app.hl7_addresses()?);
    let (_, mllp) = channels.into_iter().next().context("no HL7 listener")?;
    let accounts = ground::accounts(app.state(), options.new_passwords).await?;
    let token = ground::example_token(app.state(), &clock, &dir)?;
    let http = Http::new(format!("http://{address}"), ground::monitor_token(app.state(), &clock)?)?;
    welcome(address, mllp, &dir, &log, &accounts, &token);

    let (stop, stop_server) = (CancellationToken::new(), CancellationToken::new());
    on_signal(stop.clone())?;
    let serving = async {
        let ended = app.run(stop_server.clone()).await;
        stop.cancel();
        ended
    };
    // Monitors first, the server after them.
    let feeding = async {
        let fed = feed(&http, mllp, people, source, options.duration, &clock, &stop).await;
        stop_server.cancel();
        fed
    };
    let (served, fed) = tokio::join!(serving, feeding);
    served?;
    fed
}

fn source(options: &Options) -> Result<(Vec<Person>, Source)> {
    let Some(path) = &options.replay else {
        let people = (0..usize::from(options.patients)).map(Person::invented).collect();
        return Ok((people, Source::Simulator { seed: options.seed }));
    };
    let recording = feed::load(path)?;
    let people = recording.patients.iter().enumerate().map(|(at, name)| Person::recorded(at, name)).collect();
    Ok((people, Source::Recording { recording, speed: options.speed }))
}

async fn feed(
    http: &Http,
    mllp: SocketAddr,
    people: Vec<Person>,
    source: Source,
    duration: Option<u64>,
    clock: &Clock,
    stop: &CancellationToken,
) -> Result<()> {
    let since = clock.now();
    let bar = progress::bar(people.len(), "setting up the ward {wide_bar} {pos}/{len} patients");
    let admitted = stop.run_until_cancelled(ward::admit(http, people, since, &bar)).await;
    bar.finish_and_clear();
    let Some(beds) = admitted.transpose()? else { return Ok(()) };
    let beds: Vec<Arc<Bed>> = beds.into_iter().map(Arc::new).collect();
    output::line(format!("{} patients, their monitors are on. Ctrl-C ends.", beds.len()));
    let doors = Doors::open(http, &[Form::Device, Form::Fhir, Form::Hl7(mllp)], clock);
    let over = async {
        let end = async {
            match duration {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        stop.run_until_cancelled(end).await;
        stop.cancel();
    };
    let monitors = async {
        match source {
            Source::Simulator { seed } => {
                tokio::join!(feed::simulate(&beds, seed, &doors, clock, stop), progress::tell(http, since, stop));
            }
            Source::Recording { recording, speed } => {
                feed::play(recording, speed, &beds, &doors, clock, stop).await;
                if !stop.is_cancelled() {
                    output::line("The recording is over; the server goes on until Ctrl-C.");
                }
                // Nothing is sent any more: a status line would turn without an end.
                stop.cancelled().await;
            }
        }
    };
    tokio::join!(monitors, over);
    doors.close().await;
    let alerts = progress::alerts(http, since).await;
    output::line(progress::summary(http, alerts));
    Ok(())
}

fn welcome(address: SocketAddr, mllp: SocketAddr, dir: &Path, log: &Path, accounts: &[Account], token: &Path) {
    let (dir, log, token) = (dir.display(), log.display(), token.display());
    output::line("Vigía, a demonstration: everything about these patients is made up or was recorded long ago.\n");
    output::line(format!("  ward page   http://{address}/"));
    output::line(format!("  FHIR        http://{address}/fhir      API  http://{address}/docs"));
    output::line(format!("  HL7 v2      {mllp} (MLLP)"));
    output::line(format!("  data        {dir}      log  {log}\n"));
    for Account { username, role, password } in accounts {
        let secret = password.as_deref().unwrap_or("(password as before)");
        output::line(format!("  {role:<14} {username:<10} {secret}"));
    }
    if accounts.iter().any(|account| account.password.is_some()) {
        output::line("  These passwords are shown once. Lost: vigia demo --new-passwords");
    } else {
        output::line("  New ones: vigia demo --new-passwords");
    }
    output::line(format!(
        "\n  curl -H \"Authorization: Bearer $(cat {token})\" \"http://{address}/fhir/DetectedIssue?status=preliminary\"\n"
    ));
}
