//! What FHIR is, without doing anything with it: references, dates, units, what a resource is indexed by,
//! how a search is written, how Bundles and outcomes look. Pure: no IO, no store, no clock.

pub mod bundle;
pub mod capability;
pub mod compartment;
pub mod composite;
pub mod constraint;
pub mod custom;
pub mod expression;
pub mod globe;
pub mod include;
pub mod index;
pub mod lastn;
pub mod mdc;
pub mod operation;
pub mod params;
pub mod patch;
pub mod person_match;
pub mod query;
pub mod reading;
pub mod reference;
pub mod registry;
pub mod shape;
pub mod stats;
pub mod terminology;
pub mod time;
pub mod ucum;
pub mod waveform;

pub const LOINC: &str = "http://loinc.org";
pub const UCUM: &str = "http://unitsofmeasure.org";
/// Base of the extensions, code systems and rules that are our own.
pub const OURS: &str = "https://vigia.dev/fhir";
