//! Any bytes as JSON: reading, checking and writing never panic, and what passes the check can be
//! written as XML, read again and passes once more.

#![no_main]

use fhir_r4::{Format, check, check_bundle_shell, parse, write_xml};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = parse(bytes, Format::Json) else { return };
    let _ = check_bundle_shell(&value);
    let _ = write_xml(&value);
    if let Ok(checked) = check(value) {
        let xml = write_xml(checked.value()).expect("what is checked can be written");
        let back = parse(&xml, Format::Xml).expect("what was written can be read");
        assert!(check(back).is_ok(), "what was written passes the check");
    }
});
