//! `/fhir`: what R4 promises to whoever reads and writes resources.

mod bundle;
mod capability;
mod conditional;
mod content;
mod everything;
mod convert;
mod examples;
mod fidelity;
mod history;
mod include;
mod lastn;
mod operation;
mod paging;
mod patch;
mod profiles;
mod prefer;
mod person_match;
mod ranges;
mod resource;
mod search;
mod shape;
mod stats;
mod system;
mod validate;
mod terminology;
