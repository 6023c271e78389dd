//! MQTT: where devices publish what they measure.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

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
        }
    }
}
