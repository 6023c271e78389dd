//! How it goes, on one line of the terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::http::Http;
use crate::fhir::time;

/// How often the line is written.
const TELL: Duration = Duration::from_secs(2);

/// A progress bar on the terminal; nothing elsewhere.
pub(in crate::cli) fn bar(length: usize, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(length).unwrap_or_default());
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Writes how it goes on one line of the terminal, until stopped.
pub(in crate::cli) async fn tell(http: &Http, since: i64, stop: &CancellationToken) {
    let line = ProgressBar::new_spinner();
    let mut tick = interval(TELL);
    while !line.is_hidden() && next(&mut tick, stop).await {
        let alerts = alerts(http, since).await;
        line.set_message(summary(http, alerts));
        line.tick();
    }
    line.finish_and_clear();
}

pub(in crate::cli) fn summary(http: &Http, alerts: Option<u64>) -> String {
    let alerts = alerts.map(|count| format!(", {count} alerts")).unwrap_or_default();
    format!("{}{alerts}", http.tally.text())
}

/// Alerts that were raised, changed or resolved since then, as the FHIR door counts them.
pub(in crate::cli) async fn alerts(http: &Http, since: i64) -> Option<u64> {
    let path = format!("/fhir/DetectedIssue?_lastUpdated=ge{}&_total=accurate&_count=1", time::instant(since));
    http.get(&path).await.ok()?.body.get("total").and_then(Value::as_u64)
}

/// The next tick; false when it is time to stop.
pub(in crate::cli) async fn next(tick: &mut tokio::time::Interval, stop: &CancellationToken) -> bool {
    stop.run_until_cancelled(tick.tick()).await.is_some()
}
