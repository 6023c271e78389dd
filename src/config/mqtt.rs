//! MQTT: where devices publish what they measure.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::destination::ClientTls;
use super::hl7::Tls;

/// The MQTT listener. Without an address no port is opened.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mqtt {
    /// Address and port: 1883 is usual, 8883 with TLS. `VIGIA__MQTT__BIND`
    pub bind: Option<SocketAddr>,
    /// A certificate; with `client_ca` the certificates of devices are asked for, and may stand for a password.
    pub tls: Option<Tls>,
    /// Connections at one time; who comes beyond waits. `VIGIA__MQTT__MAX_CONNECTIONS`
    pub max_connections: usize,
    /// Largest packet. `VIGIA__MQTT__MAX_PACKET_BYTES`
    pub max_packet_bytes: u32,
    /// How many messages of one connection may be without an answer. `VIGIA__MQTT__RECEIVE_MAXIMUM`
    pub receive_maximum: u16,
    /// Who names no keep alive, or a longer one, is asked for a sign of life so often. `VIGIA__MQTT__KEEP_ALIVE_S`
    pub keep_alive_s: u16,
    /// Brokers that readings are fetched from, which devices publish to: `[[mqtt.broker]]`.
    pub broker: Vec<Broker>,
}

/// A broker (MQTT 5) that devices publish to, and this server subscribes at.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Broker {
    /// Names it in metrics.
    pub name: String,
    /// `host:port`
    pub address: String,
    pub tls: Option<ClientTls>,
    pub user: Option<String>,
    /// The file with the password, on its first line.
    pub password_file: Option<PathBuf>,
    /// By this name the broker knows this node again and keeps what comes meanwhile: each node has its own.
    pub client_id: String,
    /// Nodes of one group share the messages among them.
    pub group: String,
    pub topics: Vec<String>,
    /// How many messages may be on their way without an answer.
    pub receive_maximum: u16,
    /// How long the broker keeps what comes while this node is away.
    pub session_s: u32,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            name: String::new(),
            address: String::new(),
            tls: None,
            user: None,
            password_file: None,
            client_id: String::new(),
            group: "vigia".to_owned(),
            topics: vec!["vitals/+/observations".to_owned(), "vitals/+/gatt/+".to_owned()],
            receive_maximum: 500,
            session_s: 86_400,
        }
    }
}

impl Broker {
    /// The key that cannot be, and why.
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        let plain = |text: &str| !text.is_empty() && text.len() <= 60 && !text.chars().any(char::is_control);
        if !plain(&self.name) {
            return Some(("name", "a broker needs a name of at most 60 characters"));
        }
        if self.address.rsplit_once(':').is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err()) {
            return Some(("address", "it is host:port"));
        }
        if !plain(&self.client_id) {
            return Some(("client_id", "each node needs a name of its own that stays the same"));
        }
        if !plain(&self.group) || self.group.contains(['/', '+', '#']) {
            return Some(("group", "the name of a group has no / + #"));
        }
        if self.topics.is_empty() || self.topics.iter().any(|topic| topic.is_empty() || topic.starts_with('$')) {
            return Some(("topics", "topics are given, without $share"));
        }
        None
    }
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            bind: None,
            tls: None,
            max_connections: 5_000,
            max_packet_bytes: 1 << 20,
            receive_maximum: 64,
            keep_alive_s: 300,
            broker: vec![],
        }
    }
}
