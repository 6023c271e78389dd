//! Where MQTT connections come in, with TLS where that is set.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener as Socket};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::House;
use super::session::{Limits, Session};
use crate::config::Mqtt;
use crate::hl7::tls::Tls;
use crate::ingest::accept::{self, HANDSHAKE};

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
        let socket = accept::bind(address).context("mqtt")?;
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
        let listener = Arc::new(self);
        accept::connections(&listener.socket, listener.max_connections, &cancelled, |stream, peer, _| {
            let (listener, cancelled) = (listener.clone(), cancelled.clone());
            async move { listener.connected(stream, peer, cancelled).await }
        })
        .await
    }

    async fn connected(&self, stream: TcpStream, peer: SocketAddr, cancelled: CancellationToken) {
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
