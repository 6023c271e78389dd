//! One connection: who it is, what it publishes, what it is answered. Readings that came in one piece are stored in one,
//! and nothing more is read meanwhile: that is how a sender that is too fast is slowed down.

use std::io;
use std::time::Duration;

use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{ConnectionOptions, Event};
use mqtt_protocol_core::mqtt::packet::{Packet, Qos};
use mqtt_protocol_core::mqtt::prelude::GenericPacketTrait;
use mqtt_protocol_core::mqtt::{ArcPayload, Connection, Version as Spoken, role};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::{self, Leave, Version, Welcome};
use super::door::{self, Message, Taken};
use super::listener::Guests;
use super::{Credentials, House};
use crate::auth::access::Access;
use crate::clock::new_id;
use crate::error::Error;

/// Bytes that are read at once; a connection that says nothing costs little more.
const PIECE: usize = 4096;
/// Who connects says who it is within this time.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often it is asked whether the credentials still hold.
const STILL: Duration = Duration::from_secs(1);

/// What one may do that is not about readings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max_packet_bytes: u32,
    pub(super) receive_maximum: u16,
    pub(super) keep_alive_s: u16,
}

/// A connection, before and after it is known who it is.
pub(super) struct Session<S> {
    stream: S,
    machine: Connection<role::Server>,
    house: House,
    guests: Guests,
    limits: Limits,
    certificate: Option<Vec<u8>>,
    guest: Option<Guest>,
    /// What waits to be written.
    out: Vec<u8>,
    /// It ends after that.
    over: bool,
}

/// Who is connected.
struct Guest {
    access: Access,
    version: Version,
    /// Without a sign of life for so long it is gone.
    patience: Option<Duration>,
    /// Somebody else has come under the same name.
    replaced: CancellationToken,
    place: u64,
    name: String,
}

/// A CONNECT in either version.
struct Hello {
    version: Version,
    client: String,
    keep_alive_s: u16,
    credentials: Credentials,
}

/// A PUBLISH in either version.
struct Published {
    topic: String,
    payload: ArcPayload,
    qos: Qos,
    id: u16,
}

/// What came, as far as it is about more than the protocol.
enum Came {
    Hello(Hello),
    Published(Published),
    /// PUBREL
    Released(u16),
    Subscribe(u16, usize),
    Unsubscribe(u16, usize),
    Goodbye,
}

/// Why a connection ends: it was told to leave, or is just gone.
enum End {
    Leave(Leave),
    Gone,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    pub(super) fn new(stream: S, house: House, guests: Guests, limits: Limits, certificate: Option<Vec<u8>>) -> Self {
        let options = ConnectionOptions::new()
            .maximum_packet_size_recv(limits.max_packet_bytes)
            .receive_maximum(limits.receive_maximum);
        let mut machine = Connection::with_options(Spoken::Undetermined, options);
        machine.set_auto_ping_response(true);
        Self { stream, machine, house, guests, limits, certificate, guest: None, out: Vec::new(), over: false }
    }

    /// Serves until either side ends it.
    pub(super) async fn run(mut self, stopping: CancellationToken) {
        if let Err(End::Leave(leave)) = self.serve(stopping).await
            && self.guest.as_ref().is_some_and(|guest| guest.version == Version::Five)
            && let Ok(packet) = answer::disconnect(leave)
        {
            self.send(packet);
        }
        let _ = self.stream.write_all(&self.out).await;
        if let Some(guest) = &self.guest {
            self.guests.left(&guest.name, guest.place);
        }
        let _ = self.stream.shutdown().await;
    }

    async fn serve(&mut self, stopping: CancellationToken) -> Result<(), End> {
        let mut piece = [0; PIECE];
        let (mut heard, mut asked) = (Instant::now(), Instant::now() + STILL);
        while !self.over {
            let patience = self.guest.as_ref().map_or(Some(HANDSHAKE), |guest| guest.patience);
            let silent = patience.map_or(asked, |patience| heard + patience);
            let replaced = self.guest.as_ref().map(|guest| guest.replaced.clone()).unwrap_or_default();
            tokio::select! {
                read = self.stream.read(&mut piece) => {
                    let length = read?;
                    if length == 0 {
                        return Err(End::Gone);
                    }
                    heard = Instant::now();
                    self.hear(piece.get(..length).unwrap_or_default()).await?;
                    self.stream.write_all(&self.out).await?;
                    self.stream.flush().await?;
                    self.out = Vec::new();
                }
                () = tokio::time::sleep_until(silent), if patience.is_some() => return Err(End::Leave(Leave::Silent)),
                () = tokio::time::sleep_until(asked), if self.guest.is_some() => {
                    asked = Instant::now() + STILL;
                    self.still().await?;
                }
                () = replaced.cancelled() => return Err(End::Leave(Leave::TakenOver)),
                () = stopping.cancelled() => return Err(End::Leave(Leave::Stopping)),
            }
        }
        Ok(())
    }

    /// Whether it still may be here.
    async fn still(&self) -> Result<(), End> {
        let Some(guest) = &self.guest else { return Ok(()) };
        match self.house.gate.still(&guest.access).await {
            Err(Error::Unauthenticated(_) | Error::Forbidden(_)) => Err(End::Leave(Leave::Revoked)),
            _ => Ok(()),
        }
    }

    /// The packets of a piece; a packet may have begun in the one before.
    async fn hear(&mut self, piece: &[u8]) -> Result<(), End> {
        let (mut cursor, mut came) = (Cursor::new(piece), Vec::new());
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        while cursor.position() < length && !self.over {
            let events = self.machine.recv(&mut cursor);
            self.happened(events, &mut came);
            // A sender need not wait for its welcome: what follows is read when it is let in.
            if matches!(came.last(), Some(Came::Hello(_))) {
                self.answer(std::mem::take(&mut came)).await?;
            }
        }
        self.answer(came).await
    }

    fn happened(&mut self, events: Vec<Event>, came: &mut Vec<Came>) {
        for event in events {
            match event {
                Event::NotifyPacketReceived(packet) => came.extend(read(packet)),
                Event::RequestSendPacket { packet, .. } => self.out.extend(packet.to_continuous_buffer()),
                // What was wrong is told already, as far as the protocol has words for it.
                Event::RequestClose | Event::NotifyError(_) => self.over = true,
                _ => {}
            }
        }
    }

    fn send(&mut self, packet: Packet) {
        let events = self.machine.send(packet);
        self.happened(events, &mut Vec::new());
    }

    fn sent(&mut self, built: Result<Packet, mqtt_protocol_core::mqtt::result_code::MqttError>) {
        match built {
            Ok(packet) => self.send(packet),
            Err(error) => tracing::error!(?error, "a packet cannot be made"),
        }
    }

    async fn answer(&mut self, came: Vec<Came>) -> Result<(), End> {
        let mut published = Vec::new();
        for one in came {
            if let Came::Published(one) = one {
                published.push(one);
                continue;
            }
            self.take(std::mem::take(&mut published)).await?;
            let version = self.guest.as_ref().map_or(Version::Three, |guest| guest.version);
            match one {
                Came::Hello(hello) => self.welcome(hello).await,
                Came::Released(id) => self.sent(answer::pubcomp(version, id)),
                Came::Subscribe(id, filters) => self.sent(answer::suback(version, id, filters)),
                Came::Unsubscribe(id, filters) => self.sent(answer::unsuback(version, id, filters)),
                Came::Goodbye => self.over = true,
                Came::Published(_) => {}
            }
        }
        self.take(published).await
    }

    /// Lets somebody in, or says why not.
    async fn welcome(&mut self, hello: Hello) {
        let Hello { version, client, keep_alive_s, mut credentials } = hello;
        credentials.certificate = self.certificate.take();
        let welcome = match self.house.gate.enter(credentials).await {
            Ok(access) => {
                let asked = Some(keep_alive_s).filter(|asked| (1..=self.limits.keep_alive_s).contains(asked));
                let other = Some(self.limits.keep_alive_s).filter(|_| asked.is_none() && version == Version::Five);
                // Nobody can tell a sender of 3.1.1 to say something.
                let seconds = asked.or(other).or(Some(keep_alive_s).filter(|asked| *asked > 0));
                let patience = seconds.map(|seconds| Duration::from_millis(u64::from(seconds) * 1_500));
                let assigned = client.is_empty().then(new_id);
                let name = format!("{}\u{1f}{}", access.principal(), assigned.as_deref().unwrap_or(&client));
                let (place, replaced) = self.guests.came(&name);
                self.guest = Some(Guest { access, version, patience, replaced, place, name });
                return self.sent(answer::accepted(version, other, assigned));
            }
            Err(Error::Unauthenticated(_) | Error::Forbidden(_)) => Welcome::WrongPassword,
            Err(error) => {
                tracing::warn!(%error, "nobody can be let in");
                Welcome::Unavailable
            }
        };
        self.sent(answer::refused(version, welcome));
        self.over = true;
    }

    /// Stores what was published, and answers for each message. What the server cannot take now is not answered: the
    /// sender says it again when it comes back.
    async fn take(&mut self, published: Vec<Published>) -> Result<(), End> {
        let Some(guest) = self.guest.as_ref().filter(|_| !published.is_empty()) else { return Ok(()) };
        let messages: Vec<Message<'_>> =
            published.iter().map(|one| Message { topic: &one.topic, payload: one.payload.as_slice() }).collect();
        let version = guest.version;
        let taken = door::take(&self.house, &guest.access, &messages).await.map_err(|error| {
            tracing::warn!(%error, "what was published could not be stored");
            End::Leave(Leave::Busy)
        })?;
        for (one, taken) in published.iter().zip(taken) {
            if taken != Taken::Stored {
                tracing::debug!(?taken, "a message was refused");
            }
            match one.qos {
                Qos::AtMostOnce => {}
                Qos::AtLeastOnce => self.sent(answer::puback(version, one.id, taken)),
                Qos::ExactlyOnce => self.sent(answer::pubrec(version, one.id, taken)),
            }
        }
        Ok(())
    }
}

fn read(packet: Packet) -> Option<Came> {
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    Some(match packet {
        Packet::V3_1_1Connect(one) => Came::Hello(Hello {
            version: Version::Three,
            client: one.client_id().to_owned(),
            keep_alive_s: one.keep_alive(),
            credentials: Credentials {
                user: one.user_name().map(str::to_owned),
                password: text(one.password()),
                certificate: None,
            },
        }),
        Packet::V5_0Connect(one) => Came::Hello(Hello {
            version: Version::Five,
            client: one.client_id().to_owned(),
            keep_alive_s: one.keep_alive(),
            credentials: Credentials {
                user: one.user_name().map(str::to_owned),
                password: text(one.password()),
                certificate: None,
            },
        }),
        Packet::V3_1_1Publish(one) => Came::Published(Published {
            topic: one.topic_name().to_owned(),
            payload: one.payload().clone(),
            qos: one.qos(),
            id: one.packet_id().unwrap_or_default(),
        }),
        Packet::V5_0Publish(one) => Came::Published(Published {
            topic: one.topic_name().to_owned(),
            payload: one.payload().clone(),
            qos: one.qos(),
            id: one.packet_id().unwrap_or_default(),
        }),
        Packet::V3_1_1Pubrel(one) => Came::Released(one.packet_id()),
        Packet::V5_0Pubrel(one) => Came::Released(one.packet_id()),
        Packet::V3_1_1Subscribe(one) => Came::Subscribe(one.packet_id(), one.entries().len()),
        Packet::V5_0Subscribe(one) => Came::Subscribe(one.packet_id(), one.entries().len()),
        Packet::V3_1_1Unsubscribe(one) => Came::Unsubscribe(one.packet_id(), one.entries().len()),
        Packet::V5_0Unsubscribe(one) => Came::Unsubscribe(one.packet_id(), one.entries().len()),
        Packet::V3_1_1Disconnect(_) | Packet::V5_0Disconnect(_) => Came::Goodbye,
        _ => return None,
    })
}
