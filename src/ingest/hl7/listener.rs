//! The MLLP listener: one task a connection, one message at a time on each, so answers come in order and a
//! sender that is too fast waits (nothing is read meanwhile). A positive answer is written after the commit.

use std::net::SocketAddr;
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
use super::receive::{Origin, Receiver};
use super::{Channel, ack};
use crate::auth::access::Access;
use crate::store::Verdict;

/// What a listener needs.
pub struct Listener {
    pub receiver: Receiver,
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
                listener.serve(stream, peer, cancelled).await;
                drop(place);
            });
        }
        connections.close();
        connections.wait().await;
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr, cancelled: CancellationToken) {
        let mut framed = Framed::new(stream, Codec::new(self.channel.max_frame));
        let access = Access::system("hl7 listener");
        let origin = Origin { channel: &self.channel, peer: peer.to_string(), replays: None };
        loop {
            let next = tokio::select! {
                next = tokio::time::timeout(self.idle, framed.next()) => next,
                () = cancelled.cancelled() => return,
            };
            let received = match next {
                Ok(Some(Ok(frame))) => {
                    let refused = (!frame.ended).then(|| super::unended(&frame.message));
                    self.receiver.take(&access, &frame.message, refused, &origin).await
                }
                Ok(Some(Err(broken))) => {
                    if let Some(answer) = self.broken(&broken) {
                        let _ = framed.send(answer).await;
                    }
                    return;
                }
                Ok(None) | Err(_) => return,
            };
            for answer in received.answers(&self.channel, self.now()) {
                if framed.send(answer).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Why the connection cannot go on, told before it is closed. What has no end is not kept.
    fn broken(&self, broken: &Broken) -> Option<Vec<u8>> {
        let why = match broken {
            Broken::TooLarge => "the message is longer than this channel takes",
            Broken::NotMllp => "this is no MLLP",
            Broken::Io(_) => return None,
        };
        self.receiver.metrics.hl7_message(Verdict::Rejected.code());
        let issue = Issue::error("too-long", "MSH[1]", why);
        ack::answer(None, Verdict::Rejected, &[issue], &self.channel, self.now()).pop()
    }

    fn now(&self) -> i64 {
        self.receiver.pipeline.store().clock().now()
    }
}
