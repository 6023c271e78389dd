//! The MLLP listener of a channel: one task a connection, one message at a time on each, so answers come in order
//! and a sender that is too fast waits (nothing is read meanwhile). A positive answer is written after the commit.

use std::net::{SocketAddr, TcpListener as Socket};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use fhir_r4::Issue;
use futures_util::{SinkExt, StreamExt};
use ipnet::IpNet;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::frame::{Broken, Codec};
use super::receive::{Origin, Receiver};
use super::tls::Tls;
use super::{Channel, ack};
use crate::auth::access::Access;
use crate::config;
use crate::store::Verdict;

/// A handshake takes no longer.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A peer that has vanished is asked after this time whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// The listener of one channel, bound, not yet accepting.
pub struct Listener {
    receiver: Receiver,
    channel: Channel,
    tls: Option<Tls>,
    networks: Vec<IpNet>,
    max_connections: usize,
    idle: Duration,
    socket: Socket,
}

/// The listeners of all channels that have an address. The error names the key.
pub fn bind(settings: &config::Hl7, channels: &[Channel], receiver: &Receiver) -> Result<Vec<Listener>> {
    let numbered = settings.channel.iter().zip(channels).enumerate();
    let each = numbered.map(|(at, (settings, channel))| {
        Listener::bind(settings, channel, receiver).with_context(|| format!("hl7.channel[{at}]"))
    });
    each.filter_map(Result::transpose).collect()
}

/// Reads the certificates that the settings name, without opening anything.
pub fn check(settings: &config::Hl7) -> Result<()> {
    let numbered = settings.channel.iter().enumerate();
    for (at, tls) in numbered.filter_map(|(at, channel)| Some((at, channel.tls.as_ref()?))) {
        Tls::of(tls).with_context(|| format!("hl7.channel[{at}]"))?;
    }
    Ok(())
}

impl Listener {
    fn bind(settings: &config::hl7::Channel, channel: &Channel, receiver: &Receiver) -> Result<Option<Self>> {
        let Some(address) = settings.bind else { return Ok(None) };
        let tls = settings.tls.as_ref().map(Tls::of).transpose()?;
        let socket = Socket::bind(address).with_context(|| format!("bind: cannot listen on {address}"))?;
        socket.set_nonblocking(true)?;
        Ok(Some(Self {
            receiver: receiver.clone(),
            channel: channel.clone(),
            tls,
            networks: settings.networks.clone(),
            max_connections: settings.max_connections,
            idle: Duration::from_secs(settings.idle_timeout_s),
            socket,
        }))
    }

    /// The channel's name, and where it listens.
    pub fn address(&self) -> Result<(String, SocketAddr)> {
        Ok((self.channel.name.clone(), self.socket.local_addr()?))
    }

    /// Accepts until cancelled, then lets the messages in hand be answered.
    pub async fn run(self, cancelled: CancellationToken) -> Result<()> {
        let socket = TcpListener::from_std(self.socket.try_clone()?)?;
        let places = Arc::new(Semaphore::new(self.max_connections));
        let (listener, connections) = (Arc::new(self), TaskTracker::new());
        loop {
            // A connection beyond the limit waits in the system's queue.
            let place = tokio::select! {
                place = places.clone().acquire_owned() => place?,
                () = cancelled.cancelled() => break,
            };
            let stream = tokio::select! {
                accepted = socket.accept() => accepted,
                () = cancelled.cancelled() => break,
            };
            let Ok((stream, peer)) = stream else { continue };
            let (listener, cancelled) = (listener.clone(), cancelled.clone());
            connections.spawn(async move {
                listener.connected(stream, peer, cancelled).await;
                drop(place);
            });
        }
        connections.close();
        connections.wait().await;
        Ok(())
    }

    async fn connected(&self, stream: TcpStream, peer: SocketAddr, cancelled: CancellationToken) {
        let channel = self.channel.name.as_str();
        if !self.networks.is_empty() && !self.networks.iter().any(|net| net.contains(&peer.ip().to_canonical())) {
            tracing::warn!(%peer, channel, "connection refused: not from a network of this channel");
            return;
        }
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE));
        let Some(tls) = &self.tls else {
            tracing::debug!(%peer, channel, "connected");
            return self.serve(stream, peer.to_string(), cancelled).await;
        };
        match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok((stream, name))) => {
                let peer = name.map_or_else(|| peer.to_string(), |name| format!("{peer} {name}"));
                tracing::debug!(peer, channel, "connected");
                self.serve(stream, peer, cancelled).await;
            }
            Ok(Err(error)) => tracing::warn!(%peer, channel, %error, "connection refused"),
            Err(_) => tracing::warn!(%peer, channel, "connection refused: no handshake"),
        }
    }

    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin, peer: String, cancelled: CancellationToken) {
        let mut framed = Framed::new(stream, Codec::new(self.channel.max_frame));
        let access = Access::system("hl7 listener");
        let origin = Origin { channel: &self.channel, peer, replays: None };
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
