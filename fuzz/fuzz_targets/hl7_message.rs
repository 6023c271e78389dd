//! Any bytes as a message or a batch: taken apart, mapped and answered without a panic; each message of a batch begins
//! with MSH, every line of a message is one of its segments, and every answer begins like one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vigia::ingest::hl7::{self, Channel, ack, batch, message, order};
use vigia::store::Verdict;

fuzz_target!(|bytes: &[u8]| {
    let channel = Channel::default();
    match batch::split(bytes) {
        Some(Ok(split)) => {
            let each = split.messages().map(|range| one(&bytes[range], &channel)).collect();
            let _ = split.answer(each, &channel, 0);
        }
        Some(Err(refusal)) => {
            let _ = ack::answer(refusal.header.as_deref(), refusal.verdict(), &[refusal.issue], &channel, 0);
        }
        None => drop(one(bytes, &channel)),
    }
});

fn one(bytes: &[u8], channel: &Channel) -> Vec<Vec<u8>> {
    let _ = order::keys(bytes, channel);
    if let Ok(message) = message::parse(bytes) {
        let readable = message.segments().take_while(Result::is_ok).count();
        assert!(readable <= message.len());
    }
    match hl7::read(bytes, channel) {
        Ok(read) => ack::answer(Some(&read.header), Verdict::Accepted, &[], channel, 0),
        Err(refusal) => ack::answer(refusal.header.as_deref(), refusal.verdict(), &[refusal.issue], channel, 0),
    }
}
