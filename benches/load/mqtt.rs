//! As much of MQTT 3.1.1 as a device needs that publishes and waits for each answer.

use anyhow::{Result, bail};
use tokio::io::AsyncWriteExt;

use crate::client::Connection;

impl Connection {
    /// A connection that has said who it is.
    pub(crate) async fn mqtt(address: &str, token: &str) -> Result<Self> {
        let mut connection = Self::open(address).await?;
        connection.buffer.truncate(1024);
        let name = format!("load-{:x}", rand::random::<u64>());
        let mut body = [text("MQTT"), vec![4, 0xC2, 0, 60], text(&name), text("load"), text(token)].concat();
        let mut packet = begun(0x10, body.len());
        packet.append(&mut body);
        let welcome = connection.publish(&packet).await?;
        if welcome != [0x20, 2, 0, 0] {
            bail!("MQTT: not let in: {welcome:?}");
        }
        Ok(connection)
    }

    /// Sends a packet and waits for the four bytes that answer it.
    pub(crate) async fn publish(&mut self, packet: &[u8]) -> Result<&[u8]> {
        self.stream.write_all(packet).await?;
        self.filled = 0;
        while self.filled < 4 {
            self.fill().await?;
        }
        Ok(self.buffer.get(..4).unwrap_or_default())
    }
}

/// The first byte of a packet, and how long the rest is.
pub(crate) fn begun(first: u8, mut length: usize) -> Vec<u8> {
    let mut head = vec![first];
    loop {
        let digit = u8::try_from(length % 128).unwrap_or_default();
        length /= 128;
        head.push(if length > 0 { digit | 0x80 } else { digit });
        if length == 0 {
            return head;
        }
    }
}

/// A text with its length before it.
pub(crate) fn text(value: &str) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap_or_default();
    [length.to_be_bytes().to_vec(), value.as_bytes().to_vec()].concat()
}
