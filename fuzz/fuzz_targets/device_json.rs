//! Any bytes at every form of the device door: read or refused, item by item, without a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Map;
use vigia::ingest::device::{self, csv, gatt, nightscout, omh, thingsboard};

fuzz_target!(|bytes: &[u8]| {
    let Some((form, body)) = bytes.split_first() else { return };
    let read = match form % 8 {
        0 => device::parse_json(body, "fuzz", 0),
        1 => device::parse_ndjson(body, "fuzz"),
        2 => gatt::parse(body, "fuzz", 0),
        3 => omh::parse(body, Map::new(), "fuzz"),
        4 => csv::parse(body, &Map::new(), "fuzz"),
        5 => nightscout::parse(body, "fuzz"),
        6 => thingsboard::parse(body, "fuzz"),
        _ => thingsboard::parse_gateway(body, "fuzz"),
    };
    if let Ok(items) = read {
        assert!(!items.is_empty());
    }
});
