//! Where MQTT connections come in, with TLS where that is set.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener as Socket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::House;
use super::session::{Limits, Session};
use crate::config::Mqtt;
use crate::hl7::tls::Tls;

const HANDSHAKE: Duration = Duration::from_secs(10);
/// So long nobody is accepted when that has failed.
const NO_FILES: Duration = Duration::from_millis(100);
/// A peer that has vanished is asked after this time whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// Who is connected, by name: who comes under the same name takes the place of who was there.
#[derive(Clone, Default)]
pub(super) struct Guests(Arc<Mutex<Places>>);

#[derive(Default)]
struct Places {
    last: u64,
    taken: HashMap<String, (u64, CancellationToken)>,
}

impl Guests {
    /// The place, and what tells that somebody else has come.
    pub(super) fn came(&self, name: &str) -> (u64, CancellationToken) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.last += 1;
        let (place, replaced) = (places.last, CancellationToken::new());
        if let Some((_, before)) = places.taken.insert(name.to_owned(), (place, replaced.clone())) {
            before.cancel();
        }
        (place, replaced)
    }

    pub(super) fn left(&self, name: &str, place: u64) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.taken.get(name).is_some_and(|(own, _)| *own == place) {
            places.taken.remove(name);
        }
    }
}

/// The listener, bound, not yet accepting.
pub struct Listener {
    socket: Socket,
    tls: Option<Tls>,
    house: House,
    guests: Guests,
    limits: Limits,
    max_connections: usize,
}

impl Listener {
    /// None without an address. The error names the key.
    pub fn bind(settings: &Mqtt, house: House) -> Result<Option<Self>> {
        let Some(address) = settings.bind else { return Ok(None) };
        let tls = settings.tls.as_ref().map(Tls::of).transpose().context("mqtt")?;
        let socket = Socket::bind(address).with_context(|| format!("mqtt.bind: cannot listen on {address}"))?;
        socket.set_nonblocking(true)?;
        let limits = Limits {
            max_packet_bytes: settings.max_packet_bytes,
            receive_maximum: settings.receive_maximum.max(1),
            keep_alive_s: settings.keep_alive_s.max(1),
        };
        let max_connections = settings.max_connections;
        Ok(Some(Self { socket, tls, house, guests: Guests::default(), limits, max_connections }))
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    /// Accepts until cancelled, then lets what was published be answered.
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
            let Ok((stream, peer)) = stream else {
                // No more files can be open, most likely: somebody has to close one first.
                tokio::time::sleep(NO_FILES).await;
                continue;
            };
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
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE));
        let (house, guests) = (self.house.clone(), self.guests.clone());
        let Some(tls) = &self.tls else {
            return Session::new(stream, house, guests, self.limits, None).run(cancelled).await;
        };
        match timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok((stream, _))) => {
                let chain = stream.get_ref().1.peer_certificates();
                let certificate = chain.and_then(<[_]>::first).map(|own| own.as_ref().to_vec());
                Session::new(stream, house, guests, self.limits, certificate).run(cancelled).await;
            }
            Ok(Err(error)) => tracing::warn!(%peer, %error, "no TLS connection"),
            Err(_) => tracing::warn!(%peer, "no TLS connection in time"),
        }
    }
}
