//! HL7 v2 over MLLP: messages ([`message`]), what they mean as readings and resources ([`map`], by
//! the tables of [`table`]) and how they are answered ([`ack`]), each by the rules of its [`Channel`]: functions of bytes.
//! [`listener`] reads sockets, waits for the commit and only then sends an answer.
//!
//! The way of a message: [`crate::hl7::frame::Codec`] → [`read`] → commit of the drafts → [`ack::answer`]; or, when it
//! cannot be read, [`ack::answer`] too. Every frame gets its answer, and a positive one never before the commit.

pub mod ack;
mod alarm;
mod assemble;
pub mod batch;
mod bed;
mod channel;
pub mod charset;
mod coded;
mod containment;
mod datatype;
mod document;
pub mod header;
pub mod keep;
pub mod listener;
pub mod map;
mod merge;
pub mod message;
mod obx;
pub mod order;
mod party;
mod policy;
mod provenance;
pub mod query;
pub mod receive;
mod refer;
mod segment;
pub mod table;
pub mod time;
mod visit;
pub mod waiting;

use fhir_r4::Issue;

pub use channel::{Channel, channels};
pub use header::Header;
pub use map::Mapped;
pub use message::{Message, Refusal};

/// A message that was read: what an answer needs, and what is to be stored.
#[derive(Clone, Debug)]
pub struct Received {
    pub header: Header,
    pub mapped: Mapped,
}

/// Reads one message of one frame.
pub fn read(bytes: &[u8], channel: &Channel) -> Result<Received, Refusal> {
    read_of(bytes, channel, None)
}

/// The same of a message that is about this patient (`Patient/…`), whatever it says itself.
pub fn read_of(bytes: &[u8], channel: &Channel, patient: Option<&str>) -> Result<Received, Refusal> {
    let message = message::parse_as(bytes, channel.charset)?;
    if !channel.admits(message.header()) {
        let issue = Issue::error("forbidden", "MSH[1].3", "this sender may not send here");
        return Err(message.refuse(true, issue));
    }
    let mapped = map::read_of(&message, channel, patient)?;
    Ok(Received { header: message.header().clone(), mapped })
}

/// Why a message that has no end is not taken, whatever it looks like.
pub fn unended(bytes: &[u8]) -> Refusal {
    let issue = Issue::error("structure", "MSH[1]", "another message begins before this one ends (0x1C 0x0D)");
    message::parse(bytes).map_or_else(|refusal| refusal, |message| message.refuse(false, issue))
}

#[cfg(test)]
mod tests;
