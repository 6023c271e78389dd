//! The audit trail: who did what to which patient's data, from where, and what came of it. What an entry is and how
//! it is told as a FHIR `AuditEvent`; how entries are chained, so that none can be changed, taken out or cut off
//! unseen; and how it is known what a change belongs to (`trail`). Tables are the store's; HTTP may not enter.

pub mod chain;
mod entry;
mod event;
pub mod trail;

pub use entry::{Act, Agent, Entry, Outcome, bare};
pub use event::render;
pub use trail::Stamp;
