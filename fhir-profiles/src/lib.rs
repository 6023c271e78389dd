//! FHIR R4 (4.0.1) as the house knows it: reading and writing JSON and XML, checking resources
//! against the embedded definitions, and the tables of search parameters and compartments.
//!
//! Nothing generic crosses the border of this crate: resources are [`serde_json::Value`]s, and one
//! that has passed [`check()`] is a [`Checked`]. No IO, no clock, no async runtime may enter, and no
//! text that leaves it repeats a value of a resource.
//!
//! ```
//! use fhir_r4::{Format, check, parse};
//! let bytes = br#"{"resourceType": "Patient", "birthDate": "1970-02-30"}"#;
//! let issues = check(parse(bytes, Format::Json).unwrap()).unwrap_err();
//! assert_eq!(issues[0].expression, "Patient.birthDate");
//! ```

mod check;
mod definition;
mod issue;
mod json;
mod path;
mod search_parameter;
mod tables;
mod xml;

pub use check::{Checked, check, check_bundle_shell};
pub use definition::{Definitions, Policies, Policy};
pub use issue::{Issue, Severity};
pub use path::NumberPath;
pub use search_parameter::{SearchKind, SearchParameter, search_parameters};
pub use tables::{
    code_systems, compartment, compartment_params, is_list, is_mandatory, is_summary, resource_type_index,
    resource_types, targets_of, types_of, value_set,
};
pub use xml::write_xml;

use serde_json::Value;

/// The two formats that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Xml,
}

/// Reads a resource strictly, without looking at its definition: what is not well formed (encoding,
/// syntax, doubled members, nulls, empty arrays, objects and strings, nesting, monstrous numbers)
/// is refused, each with its place. The size of `bytes` is for the caller to limit.
pub fn parse(bytes: &[u8], format: Format) -> Result<Value, Vec<Issue>> {
    match format {
        Format::Json => json::parse(bytes),
        Format::Xml => xml::parse(bytes),
    }
}

/// Reads the tables now (some milliseconds), so that the first request need not.
pub fn warm_up() {
    std::sync::LazyLock::force(&tables::TABLES);
}
