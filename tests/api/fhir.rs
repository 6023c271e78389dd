//! `/fhir`: what R4 promises to whoever reads and writes resources.

mod bundle;
mod capability;
mod conditional;
mod content;
mod convert;
mod everything;
mod examples;
mod fidelity;
mod history;
mod include;
mod lastn;
mod operation;
mod paging;
mod patch;
mod person_match;
mod prefer;
mod profiles;
mod ranges;
mod resource;
mod search;
mod shape;
mod stats;
mod system;
mod terminology;
mod validate;
