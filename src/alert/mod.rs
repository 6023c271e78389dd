//! Clinical rules. `rule`, `window` and `issue` are pure: what a rule is, how it judges a series of readings,
//! and what its alert looks like as a DetectedIssue; so is `pattern`: what days of readings say. `engine` reads the log and writes alerts, with `patient`
//! (windows), `episodes` (open alerts) and `seed` (what must be in the store) beside it.

pub mod amend;
pub mod engine;
mod episodes;
pub mod issue;
mod patients;
pub mod pattern;
mod reading;
mod round;
pub mod rule;
pub mod score;
pub mod seed;
pub mod window;
