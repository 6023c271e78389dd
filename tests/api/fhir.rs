//! `/fhir`: what R4 promises to whoever reads and writes resources.

mod bundle;
mod capability;
mod conditional;
mod examples;
mod history;
mod lastn;
mod operation;
mod paging;
mod profiles;
mod ranges;
mod resource;
mod search;
mod validate;
mod stats;
