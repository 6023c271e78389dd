//! `/device/v1/waves`: a WebSocket for waveforms while they are measured. What they mean is said in `ingest::device::wave`;
//! here frames are read, readings stored, and told of when they are.

use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::http::header::AUTHORIZATION;
use actix_web::{HttpRequest, rt, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Session};
use fhir_r4::Issue;
use serde_json::{Value, json};
use tokio::time::{Instant, interval, sleep};

use crate::api::caller::Caller;
use crate::api::reply::Answer;
use crate::api::{Shared, State};
use crate::auth::access::{Access, Action};
use crate::error::{Error, outcome_of};
use crate::ingest::device::wave::{CHUNK, Chunk, Frame, Stream};
use crate::normalize::draft::Subject;

/// Bytes of a message at most.
const LARGEST: usize = 64 * 1024;
const TICK: Duration = Duration::from_secs(1);
/// What has come and is not a reading yet is one when nothing follows for so long.
const PAUSE: Duration = Duration::from_secs(3);
/// Who is silent is asked whether he is there, and not waited for for ever.
const ASK: Duration = Duration::from_secs(20);
const SILENT: Duration = Duration::from_mins(1);
/// How long it is tried to store a reading while the server has too much to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waveforms as they are measured, over a WebSocket (RFC 6455): first a text message that says what is sent, then binary
/// frames of samples; what is stored is acknowledged by the number of its last frame. See docs/waves.md.
#[utoipa::path(get, path = "/device/v1/waves", tag = "device",
    responses((status = 101, description = "Speak WebSocket from here on"), (status = 400, description = "This is no handshake of a WebSocket"),
              (status = 401, description = "A bearer token or the key of a device is needed")))]
pub(crate) async fn waves(state: Shared, caller: Caller, request: HttpRequest, payload: web::Payload) -> Answer {
    caller.check(Action::Create, "Observation")?;
    // A foreign page may open this address with somebody's cookie, and with nothing else.
    if !request.headers().contains_key(AUTHORIZATION) {
        return Err(Error::Unauthenticated(Some("a bearer token is needed here")));
    }
    if state.settings.stopping.load(Ordering::Relaxed) {
        return Err(Error::Unavailable("The server is shutting down."));
    }
    let handshake = actix_ws::handle(&request, payload);
    let (answer, session, messages) =
        handshake.map_err(|_| Error::invalid("structure", "http.upgrade", "this is no handshake of a WebSocket"))?;
    let messages = messages.max_frame_size(LARGEST).aggregate_continuations().max_continuation_size(LARGEST);
    let door = Door { state, access: caller.0, session, stream: None, watched: None };
    rt::spawn(door.serve(messages));
    Ok(answer)
}

/// One connection.
struct Door {
    state: Shared,
    access: Access,
    session: Session,
    /// What is sent, once that was said.
    stream: Option<Stream>,
    /// The patient of these ten seconds, for those who watch.
    watched: Option<(i64, Option<String>)>,
}

/// Why a connection ends, told to the other side; none: it has gone itself.
type End = Option<CloseReason>;

fn end<T>(code: CloseCode, why: impl Into<String>) -> Result<T, End> {
    Err(Some(CloseReason { code, description: Some(why.into()) }))
}

impl Door {
    async fn serve(mut self, mut messages: AggregatedMessageStream) {
        let (mut tick, mut heard) = (interval(TICK), Instant::now());
        let ended = loop {
            let outcome = tokio::select! {
                message = messages.recv() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(message)) => self.message(message).await,
                        Some(Err(_)) => end(CloseCode::Protocol, "this is no WebSocket message that is taken here"),
                        None => Err(None),
                    }
                }
                _ = tick.tick() => self.look_after(heard.elapsed()).await,
            };
            if let Err(ended) = outcome {
                break ended;
            }
        };
        // What has come is not thrown away because its sender went.
        let left = self.stream.as_mut().and_then(Stream::rest);
        if let Some(chunk) = left
            && self.state.devices.still(&self.access).await.is_ok()
        {
            let _ = self.store(chunk).await;
        }
        // The other side may have gone.
        let _ = self.session.close(ended).await;
    }

    async fn message(&mut self, message: AggregatedMessage) -> Result<(), End> {
        match (message, &mut self.stream) {
            (AggregatedMessage::Text(header), None) => {
                let sender = self.access.principal().to_string();
                match Stream::open(header.as_bytes(), &sender, self.access.device()) {
                    Ok(stream) => self.stream = Some(stream),
                    Err(issues) => return self.refuse(&issues).await,
                }
                self.say(&json!({"ready": true})).await
            }
            (AggregatedMessage::Binary(bytes), Some(stream)) => match stream.take(&bytes) {
                Ok((frame, complete)) => {
                    self.show(&frame).await;
                    match complete {
                        Some(chunk) => self.store(chunk).await,
                        None => Ok(()),
                    }
                }
                Err(issue) => self.refuse(&[issue]).await,
            },
            (AggregatedMessage::Ping(bytes), _) => self.session.pong(&bytes).await.map_err(|_| None),
            (AggregatedMessage::Pong(_), _) => Ok(()),
            (AggregatedMessage::Close(_), _) => Err(None),
            (AggregatedMessage::Text(_), Some(_)) => end(CloseCode::Policy, "what is sent is said once"),
            (AggregatedMessage::Binary(_), None) => end(CloseCode::Policy, "what is sent is said first"),
        }
    }

    /// Told whole, and in short with the end of the connection.
    async fn refuse(&mut self, issues: &[Issue]) -> Result<(), End> {
        let _ = self.say(&json!({"refused": outcome_of(issues)})).await;
        let first = issues.first().map(|issue| format!("{}: {}", issue.expression, issue.diagnostics));
        // The reason of an end has 123 bytes at most.
        end(CloseCode::Invalid, first.unwrap_or_default().chars().take(60).collect::<String>())
    }

    /// Once a second.
    async fn look_after(&mut self, silent: Duration) -> Result<(), End> {
        if self.state.settings.stopping.load(Ordering::Relaxed) {
            return end(CloseCode::Away, "the server is shutting down");
        }
        if self.state.devices.still(&self.access).await.is_err() {
            return end(CloseCode::Policy, "the credential is not good any more");
        }
        if silent > SILENT {
            return end(CloseCode::Away, "nothing has come for a minute");
        }
        if silent > ASK {
            self.session.ping(b"").await.map_err(|_| None)?;
        }
        match self.stream.as_mut().filter(|_| silent > PAUSE).and_then(Stream::rest) {
            Some(chunk) => self.store(chunk).await,
            None => Ok(()),
        }
    }

    /// Stores a reading and tells what became of it. While the server has too much to do nothing more is read.
    async fn store(&mut self, chunk: Chunk) -> Result<(), End> {
        let Chunk { draft, last } = chunk;
        let until = Instant::now() + PATIENCE;
        let receipts = loop {
            let taken = match self.state.devices.allow(&self.access, 1) {
                Ok(()) => self.state.pipeline.accept(&self.access, "waves", vec![draft.clone()], false).await,
                Err(error) => Err(error),
            };
            match taken {
                Ok(receipts) => break receipts,
                Err(Error::TooMany { .. } | Error::Unavailable(_)) if Instant::now() < until => sleep(TICK).await,
                Err(error) => {
                    tracing::warn!(%error, "a waveform was not stored");
                    return end(CloseCode::Again, "it could not be stored; send again what was not acknowledged");
                }
            }
        };
        let told = match receipts.into_iter().next().map(|receipt| receipt.outcome) {
            Some(Ok(taken)) => {
                json!({"acknowledged": last, "outcome": taken.name(), "reference": taken.reference()})
            }
            Some(Err(issues)) => json!({"rejected": last, "reason": outcome_of(&issues)}),
            None => return end(CloseCode::Error, "it is not known what became of it"),
        };
        self.say(&told).await
    }

    /// Shows samples to those who watch the patient, before they are stored.
    async fn show(&mut self, frame: &Frame) {
        let Some(stream) = &self.stream else { return };
        let part = frame.starts.div_euclid(CHUNK);
        if self.watched.as_ref().is_none_or(|(of, _)| *of != part) {
            let patient = patient(&self.state, stream, &self.access, frame.starts).await;
            self.watched = Some((part, patient));
        }
        if let Some((_, Some(patient))) = &self.watched {
            self.state.strips.tell(patient, || stream.strip(frame));
        }
    }

    async fn say(&mut self, told: &Value) -> Result<(), End> {
        self.session.text(told.to_string()).await.map_err(|_| None)
    }
}

/// Whom the samples are shown of: whom the device was at, or whom somebody names who may write everybody's.
async fn patient(state: &State, stream: &Stream, access: &Access, at: i64) -> Option<String> {
    if let (Some(Subject::Reference(patient)), None) = (stream.subject(), access.device()) {
        let permit = access.check(Action::Create, "Observation").ok()?;
        return permit.covers(Some(patient)).then(|| patient.clone());
    }
    let named = match stream.device() {
        Some(Subject::Reference(device)) => Some(device.as_str()),
        _ => None,
    };
    state.pipeline.whom(access.device().or(named)?, at).await.ok().flatten()
}
