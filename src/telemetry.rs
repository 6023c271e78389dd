//! What the server tells about itself: log lines and metrics. Labels and fields hold kinds
//! and outcomes, never a patient's id, name or value. There is no global registry: whoever
//! measures is handed a `Metrics`, which is cheap to clone.

use crate::config::{Log, LogFormat};
use anyhow::{Context, Result};
use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};
use std::io::IsTerminal;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry as Subscriber, fmt};

/// Starts the log on standard error; standard output stays free for what commands print.
pub fn init(log: &Log) -> Result<()> {
    start(log, std::io::stderr, std::io::stderr().is_terminal())
}

/// Starts the log in a file of its own, for commands that write on the terminal.
pub fn init_file(log: &Log, file: std::fs::File) -> Result<()> {
    start(log, Arc::new(file), false)
}

fn start(log: &Log, to: impl for<'a> MakeWriter<'a> + Send + Sync + 'static, colours: bool) -> Result<()> {
    let filter = EnvFilter::try_new(&log.filter).context("log.filter (VIGIA__LOG__FILTER) is no filter")?;
    let lines = fmt::layer::<Subscriber>().with_writer(to);
    let lines = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Pretty => lines.with_ansi(colours).with_target(false).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).try_init().context("the log is started already")
}

/// From 100 µs to 10 s: everything from a commit to a request that waits for a lane.
const SECONDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// From ten seconds to four hours: how long an alarm waits for a person.
const ANSWERS: [f64; 10] = [10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0];
/// From a tenth of a second to an hour.
const DELIVERY: [f64; 10] = [0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0];
const ROWS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

/// A handle to all metrics of one server.
#[derive(Clone)]
pub struct Metrics(Arc<Series>);

/// The metrics, each for the room that feeds it.
pub struct Series {
    registry: Registry,
    /// From the receipt of a reading to its commit.
    pub ingest_to_commit_seconds: Histogram,
    /// From a reading's commit to the commit of the alert that it causes.
    pub commit_to_alert_seconds: Histogram,
    /// From a commit to its event on a live stream.
    pub commit_to_live_seconds: Histogram,
    /// From the raise of an alert to the first answer of a person.
    pub alert_answer_seconds: Histogram,
    /// Open live streams.
    pub live_clients: IntGauge,
    /// Open MLLP connections.
    pub hl7_connections: IntGauge,
    /// HL7 v2 messages that somebody has to look at.
    pub hl7_open_messages: IntGauge,
    /// From the receipt of an HL7 v2 message to its answer.
    pub hl7_answer_seconds: Histogram,
    http_request_seconds: HistogramVec,
    alert_behind_seconds: Gauge,
    lane_queue_depth: IntGauge,
    lane_batch_rows: Histogram,
    readings_total: IntCounterVec,
    alerts_total: IntCounterVec,
    alerts_raised_total: IntCounterVec,
    hl7_messages_total: IntCounterVec,
    hl7_sent_total: IntCounterVec,
    mqtt_bridged_total: IntCounterVec,
    hl7_behind_seconds: GaugeVec,
    notifications_total: IntCounterVec,
    notify_seconds: Histogram,
    notices_waiting: IntGauge,
}

impl Deref for Metrics {
    type Target = Series;

    fn deref(&self) -> &Series {
        &self.0
    }
}

impl Metrics {
    pub fn new() -> Result<Self> {
        let registry = Registry::new();
        let series = Series {
            ingest_to_commit_seconds: seconds(
                &registry,
                "ingest_to_commit",
                "From the receipt of a reading to its commit",
            )?,
            commit_to_alert_seconds: seconds(
                &registry,
                "commit_to_alert",
                "From a commit to the alert that it causes",
            )?,
            commit_to_live_seconds: seconds(
                &registry,
                "commit_to_live",
                "From a commit to its event on a live stream",
            )?,
            alert_answer_seconds: add(
                &registry,
                Histogram::with_opts(
                    HistogramOpts::new("vigia_alert_answer_seconds", "From the raise of an alert to its first answer")
                        .buckets(ANSWERS.into()),
                )?,
            )?,
            live_clients: add(&registry, IntGauge::new("vigia_live_clients", "Open live streams")?)?,
            hl7_connections: add(&registry, IntGauge::new("vigia_hl7_connections", "Open MLLP connections")?)?,
            hl7_open_messages: add(
                &registry,
                IntGauge::new("vigia_hl7_open_messages", "HL7 v2 messages that somebody has to look at")?,
            )?,
            hl7_answer_seconds: seconds(
                &registry,
                "hl7_answer",
                "From the receipt of an HL7 v2 message to its answer",
            )?,
            http_request_seconds: add(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new("vigia_http_request_seconds", "From a request to its response's head")
                        .buckets(SECONDS.into()),
                    &["route", "method", "status"],
                )?,
            )?,
            alert_behind_seconds: add(
                &registry,
                Gauge::new(
                    "vigia_alert_behind_seconds",
                    "Age of the oldest entry that this node has yet to judge; -1 while it does not watch",
                )?,
            )?,
            lane_queue_depth: add(
                &registry,
                IntGauge::new("vigia_lane_queue_depth", "Rows that wait for the write lane")?,
            )?,
            lane_batch_rows: add(
                &registry,
                Histogram::with_opts(
                    HistogramOpts::new("vigia_lane_batch_rows", "Rows committed together").buckets(ROWS.into()),
                )?,
            )?,
            readings_total: counter(&registry, "readings_total", "Readings by door and outcome", &["door", "outcome"])?,
            alerts_total: counter(&registry, "alerts_total", "Alert events by severity", &["severity", "event"])?,
            alerts_raised_total: counter(&registry, "alerts_raised_total", "Alerts by rule", &["rule", "severity"])?,
            hl7_messages_total: counter(&registry, "hl7_messages_total", "HL7 v2 messages by their answer", &["ack"])?,
            mqtt_bridged_total: counter(
                &registry,
                "mqtt_bridged_total",
                "Messages from MQTT brokers by what became of them",
                &["broker", "outcome"],
            )?,
            hl7_sent_total: counter(
                &registry,
                "hl7_sent_total",
                "HL7 v2 messages to destinations by what became of them",
                &["destination", "outcome"],
            )?,
            hl7_behind_seconds: add(
                &registry,
                GaugeVec::new(
                    Opts::new("vigia_hl7_behind_seconds", "How far a destination is behind what is stored"),
                    &["destination"],
                )?,
            )?,
            notifications_total: counter(
                &registry,
                "notifications_total",
                "Notices of alerts by channel and outcome",
                &["channel", "outcome"],
            )?,
            notify_seconds: add(
                &registry,
                Histogram::with_opts(
                    HistogramOpts::new("vigia_notify_seconds", "From the plan of a notice to its delivery")
                        .buckets(DELIVERY.into()),
                )?,
            )?,
            notices_waiting: add(
                &registry,
                IntGauge::new("vigia_notices_waiting", "Notices of alerts that are not delivered yet")?,
            )?,
            registry,
        };
        Ok(Self(Arc::new(series)))
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> Result<String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8(text)?)
    }

    /// The media type of `render`.
    pub const CONTENT_TYPE: &'static str = prometheus::TEXT_FORMAT;
}

impl Series {
    /// A request is answered. `route` is the pattern (`/fhir/{type}/{id}`), never the address.
    pub fn request(&self, route: &str, method: &str, status: u16, took: Duration) {
        let class = match status {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        self.http_request_seconds.with_label_values(&[route, method, class]).observe(took.as_secs_f64());
    }

    /// How old what is judged next is; none: this node does not watch.
    pub fn alert_behind(&self, behind: Option<Duration>) {
        self.alert_behind_seconds.set(behind.map_or(-1.0, |behind| behind.as_secs_f64()));
    }

    /// So many rows wait for the write lane.
    pub fn lane_depth(&self, rows: usize) {
        self.lane_queue_depth.set(i64::try_from(rows).unwrap_or(i64::MAX));
    }

    /// A write lane has committed so many rows together.
    pub fn lane_batch(&self, rows: u32) {
        self.lane_batch_rows.observe(f64::from(rows));
    }

    /// So many readings came by this door (`device`, `fhir`, `hl7`) to this end (`created`,
    /// `duplicate`, `rejected`).
    pub fn readings(&self, door: &'static str, outcome: &'static str, count: u64) {
        self.readings_total.with_label_values(&[door, outcome]).inc_by(count);
    }

    /// What happened to an alert: `raise`, `escalate`, `deescalate`, `resolve`.
    pub fn alert(&self, severity: &'static str, event: &'static str) {
        self.alerts_total.with_label_values(&[severity, event]).inc();
    }

    /// A rule raised an alert, as it came by on the log: on every node.
    pub fn alert_raised(&self, rule: &str, severity: &'static str) {
        self.alerts_raised_total.with_label_values(&[rule, severity]).inc();
    }

    /// A message of this broker was `stored` or `refused`.
    pub fn bridged(&self, broker: &str, outcome: &'static str) {
        self.mqtt_bridged_total.with_label_values(&[broker, outcome]).inc();
    }

    /// A notice came by this channel (`webhook`, `email`) to this end: `delivered`, `failed` (and tried again),
    /// `stopped`, `quiet`; `nobody` when a step of an escalation reached nobody by itself.
    pub fn notification(&self, channel: &'static str, outcome: &'static str) {
        self.notifications_total.with_label_values(&[channel, outcome]).inc();
    }

    /// A notice was delivered so long (µs) after it was planned.
    pub fn notified(&self, after: i64) {
        self.notify_seconds.observe(Duration::from_micros(u64::try_from(after).unwrap_or(0)).as_secs_f64());
    }

    /// So many notices are not delivered yet.
    pub fn notices_waiting(&self, count: usize) {
        self.notices_waiting.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A message to a destination came to this end: `accepted`, `refused` (AE, CE, AR, CR), `failed` (not answered).
    pub fn hl7_sent(&self, destination: &str, outcome: &'static str) {
        self.hl7_sent_total.with_label_values(&[destination, outcome]).inc();
    }

    /// How far a destination is behind what is stored.
    pub fn hl7_behind(&self, destination: &str, behind: Duration) {
        self.hl7_behind_seconds.with_label_values(&[destination]).set(behind.as_secs_f64());
    }

    /// An HL7 v2 message was answered by `AA`, `AE`, `AR` …
    pub fn hl7_message(&self, ack: &'static str) {
        self.hl7_messages_total.with_label_values(&[ack]).inc();
    }
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn seconds(registry: &Registry, name: &str, help: &str) -> Result<Histogram> {
    let options = HistogramOpts::new(format!("vigia_{name}_seconds"), help).buckets(SECONDS.into());
    add(registry, Histogram::with_opts(options)?)
}

fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
    add(registry, IntCounterVec::new(Opts::new(format!("vigia_{name}"), help), labels)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_rendered() {
        let metrics = Metrics::new().unwrap();
        let clone = metrics.clone();
        clone.request("/fhir/{type}", "POST", 201, Duration::from_millis(2));
        clone.lane_depth(7);
        clone.alert_behind(Some(Duration::from_millis(1500)));
        clone.lane_batch(100);
        clone.readings("device", "created", 3);
        clone.alert("high", "raised");
        clone.hl7_message("AA");
        clone.live_clients.inc();
        clone.ingest_to_commit_seconds.observe(0.001);
        let text = metrics.render().unwrap();
        for line in [
            "vigia_http_request_seconds_count{method=\"POST\",route=\"/fhir/{type}\",status=\"2xx\"} 1",
            "vigia_lane_queue_depth 7",
            "vigia_alert_behind_seconds 1.5",
            "vigia_lane_batch_rows_sum 100",
            "vigia_readings_total{door=\"device\",outcome=\"created\"} 3",
            "vigia_alerts_total{event=\"raised\",severity=\"high\"} 1",
            "vigia_hl7_messages_total{ack=\"AA\"} 1",
            "vigia_live_clients 1",
            "vigia_ingest_to_commit_seconds_bucket{le=\"0.001\"} 1",
            "vigia_commit_to_alert_seconds_count 0",
            "vigia_commit_to_live_seconds_count 0",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }

    #[test]
    fn two_servers_in_one_process_count_apart() {
        let (one, other) = (Metrics::new().unwrap(), Metrics::new().unwrap());
        one.hl7_message("AE");
        assert!(!other.render().unwrap().contains("AE"));
    }

    #[test]
    fn a_wrong_filter_is_an_error_that_names_its_key() {
        let log = Log { filter: "vigia=loud=er".into(), ..Log::default() };
        assert!(init(&log).unwrap_err().to_string().contains("VIGIA__LOG__FILTER"));
    }
}
