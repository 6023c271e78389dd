//! HL7 v2 as both sides of a connection speak it: frames on the wire ([`frame`], [`wire`], [`tls`]), the sender's side of them ([`client`]), separators and what
//! escapes them ([`escape`]), and how a patient and a visit are written (`write`). What comes in is read in
//! `ingest::hl7`, what goes out is decided in `deliver::hl7`.

pub mod client;
pub mod escape;
pub mod frame;
pub mod tls;
pub mod wire;
pub mod write;

/// MSH-1 and MSH-2: what separates the parts of this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Separators {
    pub field: char,
    pub component: char,
    pub repetition: char,
    pub escape: char,
    pub subcomponent: char,
    /// The fifth letter of MSH-2 since version 2.7.
    pub truncation: Option<char>,
}

impl Default for Separators {
    fn default() -> Self {
        Self { field: '|', component: '^', repetition: '~', escape: '\\', subcomponent: '&', truncation: None }
    }
}
