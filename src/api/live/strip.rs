//! The waveforms of one patient as they come in, as server-sent events.

use std::sync::atomic::Ordering;

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, interval, interval_at};

use super::{Counted, RECHECK};
use crate::api::caller::{SignedIn, session_token};
use crate::api::reply::{Answer, NO_STORE};
use crate::api::{Shared, State};
use crate::auth::access::Action;
use crate::error::Error;

/// How often a stream looks whether the server is about to stop; then also says that it is alive.
const BEAT: std::time::Duration = std::time::Duration::from_secs(1);

/// The waveforms of one patient as they come in at this node, before they are stored: events `wave` with the time of the
/// first sample (`start`, µs), the `period` (ms), and of each lead its samples. Who is too slow misses some.
#[utoipa::path(get, path = "/live/patients/{id}/waves", tag = "live", params(("id" = String, Path)),
    responses((status = 200, content_type = "text/event-stream", description = "Server-sent events"),
              (status = 401, description = "Nobody is signed in"), (status = 404, description = "No such patient"),
              (status = 429, description = "Too many open streams")))]
pub(crate) async fn waves(state: Shared, request: HttpRequest, SignedIn(person): SignedIn, id: Path<String>) -> Answer {
    let patient = format!("Patient/{id}");
    if !person.access.check(Action::Search, "Observation")?.covers(Some(&patient)) {
        return Err(Error::not_found("Patient", id.as_str()));
    }
    state.store.find(&person.access, "Patient", &id).await?;
    let clients = state.metrics.live_clients.get();
    if usize::try_from(clients).is_ok_and(|n| n >= state.settings.max_live_clients) {
        return Err(Error::TooMany { retry_after_s: 5 });
    }
    let open = Open {
        events: state.strips.watch(&patient),
        _counted: Counted::new(state.metrics.clone()),
        token: session_token(&request).unwrap_or_default(),
        recheck: interval_at(Instant::now() + RECHECK, RECHECK),
        beat: interval(BEAT),
        state,
    };
    let body =
        stream::unfold(open, |mut open| async move { open.next().await.map(|frame| (Ok::<_, Error>(frame), open)) });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(NO_STORE)
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(body))
}

struct Open {
    events: Receiver<Bytes>,
    _counted: Counted,
    token: String,
    recheck: Interval,
    beat: Interval,
    state: Shared,
}

impl Open {
    /// None ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Ok(frame) => return Some(frame),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
                _ = self.beat.tick() => {
                    if is_stopping(&self.state) {
                        return None;
                    }
                    return Some(Bytes::from_static(b": alive\n\n"));
                }
                _ = self.recheck.tick() => {
                    self.state.sessions.find(&self.token).await.ok()?;
                }
            }
        }
    }
}

fn is_stopping(state: &State) -> bool {
    state.settings.stopping.load(Ordering::Relaxed)
}
