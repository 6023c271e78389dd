//! `/fhir`: what R4 promises to whoever reads and writes resources.

mod conditional;
mod examples;
mod history;
mod resource;
