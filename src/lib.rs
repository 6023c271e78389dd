//! Vigía: every reading a FHIR Observation, stored durably, watched by rules, seen live. This list is the map
//! of the house, from the ground up; a room may use those above it in the list, never those below.

// 0: the ground
pub mod clock;
pub mod config;
pub mod error;
pub mod telemetry;
// 1: what FHIR is
pub mod fhir;
// 2: pure: drafts to resources, rules; (auth::access too)
pub mod alert;
pub mod normalize;
// 3: the audit trail, and the database
pub mod audit;
pub mod store;
// 4: the one road in; HL7 v2 as it is spoken
mod binding;
pub mod hl7;
pub mod pipeline;
pub mod profiles;
pub mod ward;
// 5: doors, engines, delivery, identity
pub mod auth;
pub mod deliver;
pub mod ingest;
// 6: HTTP
pub mod api;
// 7: wiring and the command line
pub mod app;
pub mod cli;
