//! Any bytes as XML: reading, checking and writing never panic, and what is read and written again
//! is read as the same resource.

#![no_main]

use fhir_r4::{Format, check, parse, write_xml};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = parse(bytes, Format::Xml) else { return };
    if let Ok(checked) = check(value) {
        let xml = write_xml(checked.value()).expect("what is checked can be written");
        let back = parse(&xml, Format::Xml).expect("what was written can be read");
        assert_eq!(&back, checked.value(), "nothing is lost");
    }
});
