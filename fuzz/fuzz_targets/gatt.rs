//! Any bytes as the value of any Bluetooth characteristic: read or refused without a panic; what is read twice is the
//! same, and has a key for each of its readings.

#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use vigia::ingest::device::gatt;

const ALL: [&str; 12] =
    ["2A37", "2A35", "2A36", "2A1C", "2A5E", "2A5F", "2A18", "2A34", "2A9D", "2A9C", "2AA7", "2A19"];

fuzz_target!(|bytes: &[u8]| {
    let Some((first, payload)) = bytes.split_first() else { return };
    let number = ALL[usize::from(*first) % ALL.len()];
    let read = || gatt::single((number, payload), (None, None), "here", "fuzz", 1_767_323_045_000_000);
    let items = read();
    assert_eq!(items, read());
    let drafts: Vec<_> = items.iter().flatten().collect();
    let keys: HashSet<_> = drafts.iter().map(|draft| &draft.key).collect();
    assert_eq!(keys.len(), drafts.len());
});
