//! Beds of invented patients with monitors, and the doors by which their readings go to a server, as those of real ones
//! would: what `vigia demo` and `vigia simulate` have in common. No server is started here.

pub(super) mod course;
pub(super) mod doors;
pub(super) mod hl7;
pub(super) mod http;
pub(super) mod monitor;
pub(super) mod progress;
pub(super) mod reading;
pub(super) mod ward;
