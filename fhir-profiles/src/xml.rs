//! XML, through fhirbolt's generic element codec. The gate before it refuses what its reader should
//! never see (document types, entities, nesting), and what it reads must pass the same rules as JSON.

mod gate;

use std::panic::{AssertUnwindSafe, catch_unwind};

use fhirbolt::{FhirReleases, element::Element};
use serde_json::Value;

use crate::{Issue, json};

type Generic = Element<{ FhirReleases::R4 }>;

pub(crate) fn parse(bytes: &[u8]) -> Result<Value, Vec<Issue>> {
    let refuse = |text: &str| vec![Issue::error("structure", "Resource", text)];
    let text = std::str::from_utf8(bytes).map_err(|_| refuse("invalid UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    gate::check(text).map_err(|text| refuse(text))?;
    // The codec is old and unmaintained: a panic in it must not take the server down.
    let read = catch_unwind(AssertUnwindSafe(|| {
        let element: Generic = fhirbolt::xml::from_str(text, None).ok()?;
        fhirbolt::json::to_vec(&element, None).ok()
    }));
    let json = read.ok().flatten().ok_or_else(|| refuse("the XML is not a FHIR R4 resource"))?;
    json::parse(&json)
}

/// Writes a resource as XML, elements in the order of the definitions, decimals digit for digit.
pub fn write_xml(resource: &Value) -> Result<Vec<u8>, Issue> {
    let refuse = || Issue::error("processing", "Resource", "the resource cannot be written as XML");
    // Reading back the JSON applies the strict rules: the codec panics on an empty array.
    let bytes = serde_json::to_vec(resource).map_err(|_| refuse())?;
    json::parse(&bytes).map_err(|mut issues| issues.pop().unwrap_or_else(refuse))?;
    let written = catch_unwind(AssertUnwindSafe(|| {
        let element: Generic = fhirbolt::json::from_slice(&bytes, None).ok()?;
        fhirbolt::xml::to_vec(&element, None).ok()
    }));
    written.ok().flatten().ok_or_else(refuse)
}
