//! Any bytes at the doors that have no target of their own: device uploads, query strings. Nothing panics.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vigia::fhir::query;
use vigia::fhir::registry::Params;
use vigia::ingest::device;

fuzz_target!(|bytes: &[u8]| {
    let _ = device::parse_json(bytes, "fuzz", 0);
    let _ = device::parse_ndjson(bytes, "fuzz");
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some((name, value)) = text.split_once('=')
    {
        let _ = query::parse(&Params::default(), "Observation", &[(name.to_owned(), value.to_owned())], false);
    }
});
