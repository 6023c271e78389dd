//! Clinical rules. `rule`, `window`, `context`, `amend`, `issue`, `lifecycle`, `score`, `pattern`, `report`,
//! `judgeable` and `backtest` are pure:
//! what a rule is, how it judges a series of readings and with what in mind, what is told anew when the past changed,
//! what an alert looks like as a DetectedIssue and what people and time do to it, what an early-warning score makes of
//! the latest values, what days of readings say, what a ward's alarms come to, what of a
//! reading a rule judges, and what rules would have concluded from a past.
//! `engine` reads the log and writes alerts round by round (`round`), with `reading` (what the rules take of an entry),
//! `patients` (windows), `past` (what they are made of), `correction` (windows whose past has changed), `lookup` (what matters of a patient), `episodes` (open alerts), `scores` and `seed` (what must
//! be in the store) beside it.

pub mod amend;
pub mod backtest;
pub mod context;
mod correction;
mod departure;
pub mod door;
pub mod engine;
mod episodes;
pub mod issue;
pub mod judgeable;
pub mod lifecycle;
pub mod lookup;
mod past;
mod patients;
pub mod pattern;
mod reading;
pub mod report;
mod round;
pub mod rule;
pub mod score;
mod scores;
pub mod seed;
mod watch;
pub mod window;
