//! The MLLP listener of a channel. Of each connection a few messages are taken in at once: those about one patient in
//! their order, whatever connection they came by ([`super::order`]). Answers go out in the order of the messages, a
//! positive one after the commit. A sender that is too fast waits: nothing is read meanwhile.

use std::net::{SocketAddr, TcpListener as Socket};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use fhir_r4::Issue;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesOrdered, StreamExt};
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::receive::{Origin, Receiver};
use super::{Channel, ack};
use crate::auth::access::Access;
use crate::config;
use crate::hl7::frame::{Broken, Frame};
use crate::hl7::tls::Tls;
use crate::hl7::wire::{self, Reader};
use crate::ingest::accept::{self, HANDSHAKE};
use crate::store::Verdict;

/// So many messages of one connection are taken in at once.
const AHEAD: usize = 16;

/// What is sent back for a frame, and how long that was.
struct Answered {
    answers: Vec<Vec<u8>>,
    bytes: usize,
}

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
        let socket = accept::bind(address)?;
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
        let listener = Arc::new(self);
        accept::connections(&listener.socket, listener.max_connections, &cancelled, |stream, peer, tasks| {
            let (listener, cancelled) = (listener.clone(), cancelled.clone());
            async move {
                let open = listener.receiver.metrics.hl7_connections.clone();
                open.inc();
                listener.connected(stream, peer, tasks, cancelled).await;
                open.dec();
            }
        })
        .await
    }

    async fn connected(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        tasks: TaskTracker,
        cancelled: CancellationToken,
    ) {
        let channel = self.channel.name.clone();
        if !self.networks.is_empty() && !self.networks.iter().any(|net| net.contains(&peer.ip().to_canonical())) {
            tracing::warn!(%peer, channel, "connection refused: not from a network of this channel");
            return;
        }
        let Some(tls) = &self.tls else {
            tracing::debug!(%peer, channel, "connected");
            return self.serve(stream, peer.to_string(), tasks, cancelled).await;
        };
        match timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok((stream, name))) => {
                let peer = name.map_or_else(|| peer.to_string(), |name| format!("{peer} {name}"));
                tracing::debug!(peer, channel, "connected");
                self.serve(stream, peer, tasks, cancelled).await;
            }
            Ok(Err(error)) => tracing::warn!(%peer, channel, %error, "connection refused"),
            Err(_) => tracing::warn!(%peer, channel, "connection refused: no handshake"),
        }
    }

    /// Reads ahead as long as what is in hand stays small, and answers in the order of what was read.
    async fn serve(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite,
        peer: String,
        tasks: TaskTracker,
        cancelled: CancellationToken,
    ) {
        let (from, mut to) = tokio::io::split(Box::pin(stream));
        let mut reader = Reader::new(from, self.channel.max_frame, self.idle);
        let mut in_hand: FuturesOrdered<BoxFuture<'static, Answered>> = FuturesOrdered::new();
        let (mut bytes, mut open) = (0, true);
        loop {
            let room = open && in_hand.len() < AHEAD && bytes <= self.channel.max_frame;
            let next = tokio::select! {
                biased;
                Some(answered) = in_hand.next() => {
                    bytes = bytes.saturating_sub(answered.bytes);
                    for answer in answered.answers {
                        if !wire::write(&mut to, answer, self.idle).await {
                            return;
                        }
                    }
                    continue;
                }
                () = cancelled.cancelled(), if open => {
                    open = false;
                    continue;
                }
                next = reader.next(), if room => next,
                else => break,
            };
            match next {
                Ok(Some(frame)) => {
                    bytes += frame.message.len();
                    in_hand.push_back(self.clone().begin(frame, peer.clone(), &tasks));
                }
                Ok(None) => open = false,
                Err(broken) => {
                    open = false;
                    let answers = self.broken(&broken).into_iter().collect();
                    in_hand.push_back(async { Answered { answers, bytes: 0 } }.boxed());
                }
            }
        }
        let _ = timeout(HANDSHAKE, to.shutdown()).await;
    }

    /// Begins to take a message in; its place among those of its patient is taken when this returns.
    fn begin(self: Arc<Self>, frame: Frame, peer: String, tasks: &TaskTracker) -> BoxFuture<'static, Answered> {
        let (message, refused) = (frame.message.clone(), (!frame.ended).then(|| super::unended(&frame.message)));
        let arrived = self.receiver.arrive(frame.message, refused, &self.channel);
        let listener = self.clone();
        let work = tasks.spawn(async move {
            let origin = Origin { channel: &self.channel, peer, replays: None, patient: None };
            let access = Access::system("hl7 listener");
            let reply = self.receiver.take(&access, arrived, &origin).await;
            reply.answers(&self.channel, self.now())
        });
        let answered = async move {
            let answers = work.await.unwrap_or_else(|_| listener.failed(&message));
            Answered { answers, bytes: message.len() }
        };
        answered.boxed()
    }

    /// The answer to a message that was not taken in by a fault of ours.
    fn failed(&self, message: &[u8]) -> Vec<Vec<u8>> {
        let header = super::message::parse_as(message, self.channel.charset).ok().map(|m| m.header().clone());
        let issue = Issue::error("exception", "MSH[1]", "the message could not be taken in");
        ack::answer(header.as_ref(), Verdict::Error, &[issue], &self.channel, self.now())
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
