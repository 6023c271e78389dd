//! HL7 v2 over MLLP: frames ([`frame`]), messages ([`message`]), what they mean as drafts ([`map`]) or as records of
//! persons and stays ([`record`]) and how they are answered ([`ack`]), each by the rules of its [`Channel`]: functions
//! of bytes. [`listener`] reads sockets, waits for the commit and only then sends an answer.
//!
//! The way of a message: [`frame::Codec`] → [`read`] → commit of the drafts → [`ack::answer`]; or, when it
//! cannot be read, [`ack::answer`] too. Every frame gets its answer, and a positive one never before the commit.

pub mod ack;
pub mod batch;
mod channel;
pub mod charset;
mod coded;
mod escape;
pub mod frame;
pub mod header;
pub mod keep;
pub mod listener;
pub mod map;
pub mod message;
mod obx;
pub mod order;
mod party;
pub mod receive;
pub mod record;
pub mod time;
pub mod tls;
pub mod wire;

use fhir_r4::Issue;

pub use channel::{Channel, channels};
pub use header::Header;
pub use map::Mapped;
pub use message::{Message, Refusal};

/// A message that was read: what an answer needs, and what is to be stored.
#[derive(Clone, Debug)]
pub struct Received {
    pub header: Header,
    pub content: Content,
}

/// What a message says.
#[derive(Clone, Debug)]
pub enum Content {
    Readings(Mapped),
    Record(Box<record::Read>),
}

impl Content {
    /// How many readings it holds, segments that were heard, and those that mean nothing here.
    pub fn counts(&self) -> (usize, usize, usize) {
        match self {
            Self::Readings(mapped) => {
                (mapped.items.iter().filter(|item| item.is_ok()).count(), mapped.used, mapped.unused)
            }
            Self::Record(read) => (0, read.used, read.unused),
        }
    }

    /// What could not be read, or is not mapped.
    pub fn issues(self) -> Vec<Issue> {
        match self {
            Self::Readings(mapped) => {
                mapped.items.into_iter().filter_map(Result::err).flat_map(|rejected| rejected.issues).collect()
            }
            Self::Record(read) => read.issues,
        }
    }
}

/// Reads one message of one frame.
pub fn read(bytes: &[u8], channel: &Channel) -> Result<Received, Refusal> {
    let message = message::parse_as(bytes, channel.charset)?;
    if !channel.admits(message.header()) {
        let issue = Issue::error("forbidden", "MSH[1].3", "this sender may not send here");
        return Err(message.refuse(true, issue));
    }
    let (kind, event) = &message.header().kind;
    let content = if record::is_taken(kind, event) {
        Content::Record(Box::new(record::read(&message, channel)?))
    } else {
        Content::Readings(map::drafts(&message, channel)?)
    };
    Ok(Received { header: message.header().clone(), content })
}

/// Why a message that has no end is not taken, whatever it looks like.
pub fn unended(bytes: &[u8]) -> Refusal {
    let issue = Issue::error("structure", "MSH[1]", "another message begins before this one ends (0x1C 0x0D)");
    message::parse(bytes).map_or_else(|refusal| refusal, |message| message.refuse(false, issue))
}

#[cfg(test)]
mod tests;
