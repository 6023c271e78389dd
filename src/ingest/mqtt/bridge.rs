//! Readings from an MQTT broker that devices publish to: a shared subscription, so that several nodes share the messages, with
//! a session that the broker keeps. A message is acknowledged after what it holds is committed; what could not be stored
//! now is not, and the broker says it again. That a device is who its topic says is for the broker to see to.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::future::join_all;
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::Event;
use mqtt_protocol_core::mqtt::packet::{Packet, Qos, ReceiveMaximum, SessionExpiryInterval, SubEntry, SubOpts, v5_0};
use mqtt_protocol_core::mqtt::prelude::GenericPacketTrait;
use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, DisconnectReasonCode, MqttError, SubackReasonCode};
use mqtt_protocol_core::mqtt::{ArcPayload, Connection, Version, role};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::door::{self, Message, Taken};
use super::topic::{Topic, Whose};
use super::{House, answer};
use crate::auth::access::Access;
use crate::config::mqtt::Broker;
use crate::error::Error;
use crate::hl7::tls;
use crate::telemetry::Metrics;

/// Each step of a connection takes no longer.
const PATIENCE: Duration = Duration::from_secs(20);
const KEEP_ALIVE_S: u16 = 30;
const PING: Duration = Duration::from_secs(15);
/// A broker that says nothing for so long is gone.
const SILENT: Duration = Duration::from_secs(45);
/// Between two attempts, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A broker that this node fetches from.
pub struct Bridge {
    settings: Broker,
    password: Option<String>,
    house: House,
    metrics: Metrics,
}

/// What the broker has delivered.
struct Delivered {
    topic: String,
    payload: ArcPayload,
    qos: Qos,
    id: u16,
}

/// One connection.
struct Line {
    stream: Box<dyn Stream>,
    machine: Connection<role::Client>,
    out: Vec<u8>,
    over: bool,
}

impl Bridge {
    /// Reads the password. The error names the key.
    pub fn new(settings: Broker, house: House, metrics: Metrics) -> Result<Self> {
        if let Some((key, why)) = settings.problem() {
            bail!("{key}: {why}");
        }
        let password = settings.password_file.as_deref().map(first_line).transpose()?;
        Ok(Self { settings, password, house, metrics })
    }

    /// Fetches until cancelled; what is in hand is stored and acknowledged.
    pub async fn run(self, cancelled: CancellationToken) {
        let broker = self.settings.name.as_str();
        let mut pause = AGAIN.0;
        while !cancelled.is_cancelled() {
            let begun = Instant::now();
            match self.fetch(&cancelled).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(broker, error = format!("{error:#}"), "no readings from this broker for now");
                }
            }
            pause = if begun.elapsed() > SILENT { AGAIN.0 } else { pause.saturating_mul(2).min(AGAIN.1) };
            let _ = timeout(pause, cancelled.cancelled()).await;
        }
    }

    /// One connection to its end; well only when cancelled.
    async fn fetch(&self, cancelled: &CancellationToken) -> Result<()> {
        let mut line = self.connect().await?;
        line.send(self.hello())?;
        line.flush().await?;
        let (mut piece, mut ping, mut heard) = (vec![0; PIECE], interval(PING), Instant::now());
        loop {
            tokio::select! {
                read = line.stream.read(&mut piece) => {
                    let length = read?;
                    if length == 0 {
                        bail!("the broker has closed the connection");
                    }
                    heard = Instant::now();
                    let delivered = self.hear(&mut line, piece.get(..length).unwrap_or_default())?;
                    self.take(&mut line, delivered).await?;
                }
                _ = ping.tick() => {
                    if heard.elapsed() > SILENT {
                        bail!("the broker says nothing any more");
                    }
                    line.send(v5_0::Pingreq::builder().build().map(Into::into))?;
                }
                () = cancelled.cancelled() => {
                    // The session stays: the broker keeps what comes.
                    line.send(answer::goodbye(DisconnectReasonCode::NormalDisconnection))?;
                    let _ = line.flush().await;
                    return Ok(());
                }
            }
            line.flush().await?;
            if line.over {
                bail!("the broker has ended the connection");
            }
        }
    }

    async fn connect(&self) -> Result<Line> {
        let address = self.settings.address.as_str();
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await.context("no connection in time")?;
        let stream = stream.with_context(|| format!("cannot reach {address}"))?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &self.settings.tls {
            None => Box::new(stream),
            Some(files) => {
                let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let own = files.cert.as_deref().zip(files.key.as_deref());
                let secured = tls::connect(stream, host, files.ca.as_deref(), own);
                Box::new(timeout(PATIENCE, secured).await.context("no handshake in time")??)
            }
        };
        let mut machine = Connection::new(Version::V5_0);
        machine.set_auto_ping_response(true);
        Ok(Line { stream, machine, out: Vec::new(), over: false })
    }

    fn hello(&self) -> Result<Packet, MqttError> {
        let mut hello = v5_0::Connect::builder()
            .client_id(&self.settings.client_id)?
            .clean_start(false)
            .keep_alive(KEEP_ALIVE_S)
            .props(vec![
                SessionExpiryInterval::new(self.settings.session_s)?.into(),
                ReceiveMaximum::new(self.settings.receive_maximum.max(1))?.into(),
            ]);
        if let Some(user) = &self.settings.user {
            hello = hello.user_name(user)?;
        }
        if let Some(password) = &self.password {
            hello = hello.password(password.as_str())?;
        }
        Ok(hello.build()?.into())
    }

    fn subscription(&self, line: &mut Line) -> Result<Packet, MqttError> {
        let options = SubOpts::new().set_qos(Qos::AtLeastOnce);
        let topics = self.settings.topics.iter();
        let filters = topics.map(|topic| SubEntry::new(format!("$share/{}/{topic}", self.settings.group), options));
        let id = line.machine.acquire_packet_id()?;
        let filters = filters.collect::<Result<Vec<_>, _>>()?;
        Ok(v5_0::Subscribe::builder().packet_id(id).entries(filters).build()?.into())
    }

    /// What was delivered in a piece; the rest is answered.
    fn hear(&self, line: &mut Line, piece: &[u8]) -> Result<Vec<Delivered>> {
        let (mut cursor, mut delivered) = (Cursor::new(piece), Vec::new());
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        while cursor.position() < length && !line.over {
            for packet in line.receive(&mut cursor) {
                match packet {
                    Packet::V5_0Connack(told) if told.reason_code() == ConnectReasonCode::Success => {
                        let subscription = self.subscription(line);
                        line.send(subscription)?;
                    }
                    Packet::V5_0Connack(told) => bail!("the broker does not let this node in: {}", told.reason_code()),
                    Packet::V5_0Suback(told) if told.reason_codes().iter().any(SubackReasonCode::is_failure) => {
                        bail!("the broker refuses the subscription");
                    }
                    Packet::V5_0Publish(one) => delivered.push(Delivered {
                        topic: one.topic_name().to_owned(),
                        payload: one.payload().clone(),
                        qos: one.qos(),
                        id: one.packet_id().unwrap_or_default(),
                    }),
                    Packet::V5_0Disconnect(_) => line.over = true,
                    _ => {}
                }
            }
        }
        Ok(delivered)
    }

    /// Stores what was delivered, each device's in its order, and acknowledges it then.
    async fn take(&self, line: &mut Line, delivered: Vec<Delivered>) -> Result<()> {
        let mut by_device: HashMap<Option<String>, Vec<usize>> = HashMap::new();
        for (at, one) in delivered.iter().enumerate() {
            by_device.entry(device(&one.topic)).or_default().push(at);
        }
        let groups = by_device.into_iter().map(|(device, own)| self.store(device, own, &delivered));
        let mut outcomes = vec![None; delivered.len()];
        for group in join_all(groups).await {
            for (at, taken) in group.context("what was delivered could not be stored")? {
                if let Some(outcome) = outcomes.get_mut(at) {
                    *outcome = Some(taken);
                }
            }
        }
        for (one, taken) in delivered.iter().zip(outcomes) {
            let stored = taken == Some(Taken::Stored);
            self.metrics.bridged(&self.settings.name, if stored { "stored" } else { "refused" });
            if !stored {
                let device = device(&one.topic).unwrap_or_default();
                tracing::warn!(broker = self.settings.name, device, ?taken, "a message of a broker is not taken");
            }
            // What will never be taken is acknowledged as well, or it would come for ever.
            if one.qos != Qos::AtMostOnce {
                line.send(v5_0::Puback::builder().packet_id(one.id).build().map(Into::into))?;
            }
        }
        Ok(())
    }

    async fn store(
        &self,
        device: Option<String>,
        own: Vec<usize>,
        delivered: &[Delivered],
    ) -> Result<Vec<(usize, Taken)>, Error> {
        let refused = |own: Vec<usize>, why| Ok(own.into_iter().map(|at| (at, Taken::Refused(why))).collect());
        let Some(device) = device else { return refused(own, door::Why::Topic) };
        if !self.is_here(&device).await? {
            return refused(own, door::Why::Forbidden);
        }
        let access = Access::for_device(format!("broker {}", self.settings.name), format!("Device/{device}"));
        let messages: Vec<Message<'_>> = own
            .iter()
            .filter_map(|at| delivered.get(*at))
            .map(|one| Message { topic: &one.topic, payload: one.payload.as_slice() })
            .collect();
        loop {
            match door::take(&self.house, &access, &messages).await {
                Ok(taken) => return Ok(own.into_iter().zip(taken).collect()),
                // It sends more than it may: meanwhile nobody's messages are fetched.
                Err(Error::TooMany { retry_after_s }) => {
                    sleep(Duration::from_secs(retry_after_s.clamp(1, 5).into())).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A device that is registered, and not put out of use.
    async fn is_here(&self, id: &str) -> Result<bool, Error> {
        match self.house.pipeline.store().find(&Access::system("mqtt bridge"), "Device", id).await {
            Ok(device) => {
                let device = device.value()?;
                let status = device.get("status").and_then(serde_json::Value::as_str);
                Ok(!matches!(status, Some("inactive" | "entered-in-error")))
            }
            Err(Error::NotFound { .. } | Error::Gone { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Line {
    /// The packets that are complete.
    fn receive(&mut self, cursor: &mut Cursor<&[u8]>) -> Vec<Packet> {
        let events = self.machine.recv(cursor);
        self.happened(events)
    }

    fn happened(&mut self, events: Vec<Event>) -> Vec<Packet> {
        let mut packets = Vec::new();
        for event in events {
            match event {
                Event::NotifyPacketReceived(packet) => packets.push(packet),
                Event::RequestSendPacket { packet, .. } => self.out.extend(packet.to_continuous_buffer()),
                Event::RequestClose | Event::NotifyError(_) => self.over = true,
                _ => {}
            }
        }
        packets
    }

    fn send(&mut self, built: Result<Packet, MqttError>) -> Result<()> {
        let packet = built.map_err(|error| anyhow::anyhow!("a packet cannot be made: {error:?}"))?;
        let events = self.machine.send(packet);
        self.happened(events);
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let out = std::mem::take(&mut self.out);
        timeout(PATIENCE, self.stream.write_all(&out)).await.context("the broker does not read")??;
        self.stream.flush().await?;
        Ok(())
    }
}

/// The id of the device that a topic names.
fn device(topic: &str) -> Option<String> {
    match Topic::of(topic)? {
        Topic::Observations(Whose::Device(id)) | Topic::Gatt(Whose::Device(id), _) => Some(id.to_owned()),
        _ => None,
    }
}

fn first_line(file: &Path) -> Result<String> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("password_file: cannot read {}", file.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
