//! Readers of the log that carry what was committed out of the house. Each keeps up by itself; none is waited
//! for by a request, and none writes a clinical resource.

pub mod days;
pub mod latest;
pub mod live;
