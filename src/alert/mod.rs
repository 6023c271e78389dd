//! Clinical rules. `rule`, `window` and `issue` are pure: what a rule is, how it judges a series of readings,
//! and what its alert looks like as a DetectedIssue. The engine reads the log and writes alerts.

pub mod issue;
pub mod rule;
pub mod window;
