//! `vigia serve`: the production entry.

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::telemetry;

pub(super) async fn run(config: Config) -> Result<()> {
    let problems = config.production_problems();
    if !problems.is_empty() {
        bail!("not started:\n  - {}", problems.join("\n  - "));
    }
    telemetry::init(&config.log)?;
    let app = App::build(config, Clock::default()).await?;
    tracing::info!(http = %app.address()?, hl7 = ?app.hl7_addresses()?, "serving");
    let stop = CancellationToken::new();
    on_signal(stop.clone())?;
    app.run(stop).await
}

/// Cancels at SIGINT or SIGTERM; a second one ends the process at once.
pub(super) fn on_signal(stop: CancellationToken) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("no signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("no signals")?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stop.is_cancelled() {
                std::process::exit(130);
            }
            stop.cancel();
        }
    });
    Ok(())
}
