//! `/fhir`: what R4 promises to whoever reads and writes resources.

mod bundle;
mod capability;
mod conditional;
mod content;
mod everything;
mod examples;
mod history;
mod lastn;
mod include;
mod operation;
mod paging;
mod profiles;
mod ranges;
mod resource;
mod search;
mod validate;
mod stats;
mod shape;
mod system;
