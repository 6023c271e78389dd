//! HL7 v2 over MLLP: frames ([`frame`]), messages ([`message`]), what they mean as readings and resources ([`map`], by
//! the tables of [`table`]) and how they are answered ([`ack`]): functions of bytes. [`listener`] reads sockets, waits for the commit and only
//! then sends an answer.
//!
//! The way of a message: [`frame::Codec`] → [`read`] → commit of the drafts → [`ack::answer`]; or, when it
//! cannot be read, [`ack::refuse`]. Every frame gets its answer, and a positive one never before the commit.

pub mod ack;
mod alarm;
mod assemble;
pub mod charset;
mod coded;
mod datatype;
mod document;
mod escape;
pub mod frame;
pub mod header;
pub mod listener;
pub mod map;
mod merge;
pub mod message;
mod obx;
mod party;
mod policy;
pub mod query;
pub mod receive;
mod refer;
mod segment;
pub mod table;
pub mod time;
mod visit;
mod waiting;

use std::sync::Arc;

use fhir_r4::Issue;

pub use header::Header;
pub use map::Mapped;
pub use message::{Message, Refusal};

/// How one sender (or a group of the same kind) speaks, and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Channel {
    pub name: String,
    /// The zone of times that have none.
    pub default_zone: time::Zone,
    /// The longest message in bytes.
    pub max_frame: usize,
    /// Who this server is in its answers (MSH-3 and MSH-4), as plain names.
    pub application: String,
    pub facility: String,
    /// Names of assigning authorities (PID-3.4) and the identifier systems that they stand for.
    pub assigning_authorities: Vec<(String, String)>,
    /// What segments, fields and codes are in FHIR.
    pub tables: Arc<table::Tables>,
}

impl Default for Channel {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            default_zone: time::Zone::UTC,
            max_frame: 1 << 20,
            application: "VIGIA".to_owned(),
            facility: String::new(),
            assigning_authorities: Vec::new(),
            tables: table::Tables::ours(),
        }
    }
}

/// A message that was read: what an answer needs, and what is to be stored.
#[derive(Clone, Debug)]
pub struct Received {
    pub header: Header,
    pub mapped: Mapped,
}

/// Reads one message of one frame.
pub fn read(bytes: &[u8], channel: &Channel) -> Result<Received, Refusal> {
    let message = message::parse(bytes)?;
    let mapped = map::read(&message, channel)?;
    Ok(Received { header: message.header().clone(), mapped })
}

/// Why a message that has no end is not taken, whatever it looks like.
pub fn unended(bytes: &[u8]) -> Refusal {
    let issue = Issue::error("structure", "MSH[1]", "another message begins before this one ends (0x1C 0x0D)");
    message::parse(bytes).map_or_else(|refusal| refusal, |message| message.refuse(false, issue))
}

#[cfg(test)]
mod tests;
