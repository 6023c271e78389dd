//! The MLLP listener: one task a connection, one message at a time on each, so answers come in order and a
//! sender that is too fast waits (nothing is read meanwhile). A positive answer is written after the commit.

use std::sync::Arc;
use std::time::Duration;

use fhir_r4::Issue;
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::frame::{Broken, Codec};
use super::{Channel, Refusal, ack};
use crate::auth::access::Access;
use crate::ingest::device::Rejected;
use crate::pipeline::Pipeline;
use crate::telemetry::Metrics;

/// What a listener needs.
pub struct Listener {
    pub pipeline: Pipeline,
    pub metrics: Metrics,
    pub channel: Channel,
    pub max_connections: usize,
    pub idle: Duration,
}

impl Listener {
    /// Accepts until cancelled, then lets the messages in hand be answered.
    pub async fn run(self, socket: TcpListener, cancelled: CancellationToken) {
        let places = Arc::new(Semaphore::new(self.max_connections));
        let (listener, connections) = (Arc::new(self), TaskTracker::new());
        loop {
            // A connection beyond the limit waits in the system's queue.
            let Ok(place) = places.clone().acquire_owned().await else { break };
            let stream = tokio::select! {
                accepted = socket.accept() => accepted,
                () = cancelled.cancelled() => break,
            };
            let Ok((stream, peer)) = stream else { continue };
            let (listener, cancelled) = (listener.clone(), cancelled.clone());
            connections.spawn(async move {
                tracing::debug!(%peer, channel = %listener.channel.name, "connected");
                listener.serve(stream, cancelled).await;
                drop(place);
            });
        }
        connections.close();
        connections.wait().await;
    }

    async fn serve(&self, stream: TcpStream, cancelled: CancellationToken) {
        let mut framed = Framed::new(stream, Codec::new(self.channel.max_frame));
        loop {
            let next = tokio::select! {
                next = tokio::time::timeout(self.idle, framed.next()) => next,
                () = cancelled.cancelled() => return,
            };
            let answers = match next {
                Ok(Some(Ok(frame))) if frame.ended => self.receive(&frame.message).await,
                Ok(Some(Ok(frame))) => self.refuse(&super::unended(&frame.message)),
                Ok(Some(Err(broken))) => {
                    if let Some(answer) = self.broken(&broken) {
                        let _ = framed.send(answer).await;
                    }
                    return;
                }
                Ok(None) | Err(_) => return,
            };
            for answer in answers {
                if framed.send(answer).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Why the connection cannot go on, told before it is closed.
    fn broken(&self, broken: &Broken) -> Option<Vec<u8>> {
        let why = match broken {
            Broken::TooLarge => "the message is longer than this channel takes",
            Broken::NotMllp => "this is no MLLP",
            Broken::Io(_) => return None,
        };
        self.metrics.hl7_message("AR");
        let issue = Issue::error("too-long", "MSH[1]", why);
        Some(ack::reject(issue, &self.channel, self.pipeline.store().clock().now()))
    }

    fn refuse(&self, refusal: &Refusal) -> Vec<Vec<u8>> {
        self.metrics.hl7_message(if refusal.rejected { "AR" } else { "AE" });
        ack::refuse(refusal, &self.channel, self.pipeline.store().clock().now())
    }

    /// One message to its answers.
    async fn receive(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let now = || self.pipeline.store().clock().now();
        let received = match super::read(bytes, &self.channel) {
            Ok(received) => received,
            Err(refusal) => return self.refuse(&refusal),
        };
        let (mut drafts, mut issues) = (Vec::new(), Vec::new());
        for item in received.mapped.items {
            match item {
                Ok(draft) => drafts.push(draft),
                Err(rejected) => issues.extend(placed(rejected)),
            }
        }
        match self.pipeline.accept(&Access::system("hl7 listener"), "mllp", drafts, false).await {
            Ok(receipts) => {
                for receipt in receipts {
                    if let Err(found) = receipt.outcome {
                        issues.extend(placed(Rejected { place: receipt.place, issues: found }));
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, "message not stored");
                issues.extend(error.issues());
            }
        }
        let verdict = ack::Verdict::of(&issues);
        self.metrics.hl7_message(if verdict == ack::Verdict::Accepted { "AA" } else { "AE" });
        ack::answer(&received.header, verdict, &issues, &self.channel, now())
    }
}

/// Problems of the Observation that a result became are told at the result.
fn placed(rejected: Rejected) -> Vec<Issue> {
    let Rejected { place, issues } = rejected;
    let place_of = |issue: &Issue| {
        if issue.expression.starts_with("Observation") { place.clone() } else { issue.expression.clone() }
    };
    issues.into_iter().map(|issue| Issue { expression: place_of(&issue), ..issue }).collect()
}
