//! Readers of the log that carry what was committed out of the house. Each keeps up by itself; none is waited
//! for by a request, and none writes a clinical resource but the record of what it told whom.

pub mod contact;
pub mod days;
pub mod hl7;
pub mod latest;
pub mod live;
pub mod notify;
pub mod strip;
