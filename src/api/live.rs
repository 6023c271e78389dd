//! The live feed as server-sent events, and the series behind a trend.

pub(crate) mod strip;

use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use utoipa::{IntoParams, ToSchema};

use super::Shared;
use super::caller::{Caller, SignedIn, session_token};
use super::reply::{Answer, NO_STORE, at};
use crate::auth::access::{Access, Action, Reach};
use crate::auth::sessions::Sessions;
use crate::deliver::live::Stream;
use crate::error::Error;
use crate::fhir::query::Query;
use crate::fhir::reading::Reading;
use crate::fhir::time;
use crate::telemetry::Metrics;

/// How often a stream looks whether its session still stands.
const RECHECK: Duration = Duration::from_secs(30);
/// Points of a trend at most.
const MAX_POINTS: usize = 5000;
/// LOINC: systolic, diastolic and mean pressure, and the panel that they are measured in.
const PRESSURES: [&str; 3] = ["8480-6", "8462-4", "8478-0"];
const PANEL: &str = "85354-9";

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(at("", "GET").route(web::get().to(events)))
        .service(at("/series", "GET").route(web::get().to(series)))
        .service(at("/patients/{id}/waves", "GET").route(web::get().to(strip::waves)));
}

/// Who may see the ward may see all of it.
fn whole_ward(access: &Access) -> Result<(), Error> {
    for kind in ["Patient", "Observation", "DetectedIssue"] {
        if *access.check(Action::Search, kind)?.reach() != Reach::All {
            return Err(Error::Forbidden(
                "The live feed shows a whole ward; this caller may see one patient.".to_owned(),
            ));
        }
    }
    Ok(())
}

/// The ward as a stream of events: `snapshot`, then `v` (values, once a second), `alarm` (at once), `patient`,
/// and `hb` every five seconds. Resumable by `Last-Event-ID`.
#[utoipa::path(get, path = "/live", tag = "live", params(("Last-Event-ID" = Option<u64>, Header, description = "The last event seen")),
    responses((status = 200, content_type = "text/event-stream", description = "Server-sent events"),
              (status = 401, description = "Nobody is signed in"), (status = 429, description = "Too many open streams")))]
pub(crate) async fn events(state: Shared, request: HttpRequest, SignedIn(person): SignedIn) -> Answer {
    whole_ward(&person.access)?;
    if state.settings.stopping.load(std::sync::atomic::Ordering::Relaxed) {
        return Err(Error::Unavailable("The server is shutting down."));
    }
    let clients = state.metrics.live_clients.get();
    if usize::try_from(clients).is_ok_and(|n| n >= state.settings.max_live_clients) {
        return Err(Error::TooMany { retry_after_s: 5 });
    }
    let after = request.headers().get("Last-Event-ID").and_then(|v| v.to_str().ok()?.parse().ok());
    let open = Open {
        stream: state.live.open(after),
        _counted: Counted::new(state.metrics.clone()),
        sessions: state.sessions.clone(),
        token: session_token(&request).unwrap_or_default(),
        recheck: tokio::time::interval_at(tokio::time::Instant::now() + RECHECK, RECHECK),
    };
    let body =
        stream::unfold(open, |mut open| async move { open.next().await.map(|frame| (Ok::<_, Error>(frame), open)) });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(NO_STORE)
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(body))
}

/// One open stream.
struct Open {
    stream: Stream,
    _counted: Counted,
    sessions: Sessions,
    token: String,
    recheck: tokio::time::Interval,
}

impl Open {
    /// None ends the stream: the session is over, or the page is too far behind and shall begin anew.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.stream.first.is_empty() {
            return Some(self.stream.first.remove(0));
        }
        loop {
            tokio::select! {
                event = self.stream.events.recv() => match event {
                    Ok(event) if event.frame.is_empty() => return None,
                    Ok(event) if event.id <= self.stream.seen => {}
                    Ok(event) => return Some(event.frame),
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
                },
                _ = self.recheck.tick() => {
                    if self.sessions.find(&self.token).await.is_err() {
                        return None;
                    }
                }
            }
        }
    }
}

/// Counts a stream as long as it lasts.
struct Counted(Metrics);

impl Counted {
    fn new(metrics: Metrics) -> Self {
        metrics.live_clients.inc();
        Self(metrics)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.live_clients.dec();
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeriesQuery {
    /// Logical id of the patient.
    patient: String,
    /// LOINC code.
    code: String,
    /// How far back, at most 720.
    #[serde(default = "one")]
    hours: u32,
}

fn one() -> u32 {
    1
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Series {
    /// Milliseconds since 1970 and the value; a pressure has its systolic, then its diastolic part.
    #[schema(value_type = Vec<Vec<f64>>)]
    points: Vec<Value>,
}

/// The points of one series, oldest first.
#[utoipa::path(get, path = "/live/series", tag = "live", params(SeriesQuery), responses((status = 200, body = Series)))]
pub(crate) async fn series(state: Shared, caller: Caller, asked: web::Query<SeriesQuery>) -> Answer {
    let from = state.store.clock().now() - i64::from(asked.hours.clamp(1, 720)) * 3600 * time::SECOND;
    let since = format!("ge{}", time::instant(from));
    // The parts of a pressure lie in its panel.
    let codes =
        if PRESSURES.contains(&asked.code.as_str()) { format!("{},{PANEL}", asked.code) } else { asked.code.clone() };
    let conditions = [("patient", asked.patient.as_str()), ("code", &codes), ("date", &since)];
    let found = state.store.search(&caller, Query::new("Observation", &conditions, MAX_POINTS)?).await?.hits;
    let mut points = Vec::with_capacity(found.len());
    for observation in &found {
        points.extend(point(&Reading::of(&observation.value()?), &asked.code));
    }
    points.sort_by_key(|(at, _)| *at);
    let points = points.into_iter().map(|(_, point): (i64, Value)| point).collect();
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(Series { points }))
}

/// All values of a reading of this code, or the one part that has it.
fn point(reading: &Reading, code: &str) -> Option<(i64, Value)> {
    if !reading.status.counts() {
        return None;
    }
    let at = reading.effective?.0;
    let whole = reading.codings.iter().any(|(_, own)| own == code);
    let parts = reading.amounts().filter(|(codings, _)| whole || codings.iter().any(|(_, own)| own == code));
    let values: Vec<Value> = parts.map(|(_, amount)| amount.value.into()).collect();
    (!values.is_empty()).then(|| (at, std::iter::once(Value::from(at / 1000)).chain(values).collect()))
}
