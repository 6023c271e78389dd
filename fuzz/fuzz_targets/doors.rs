//! Any bytes at the doors: MLLP frames, HL7 messages and their answers, device uploads, query strings. Nothing
//! panics, and the framer never holds more than its limit.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use tokio_util::codec::Decoder;
use vigia::fhir::query;
use vigia::fhir::registry::Params;
use vigia::ingest::device;
use vigia::ingest::hl7::frame::Codec;
use vigia::ingest::hl7::{self, Channel, ack};

const MAX: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let (mut codec, mut buffer) = (Codec::new(MAX), BytesMut::new());
    for piece in bytes.chunks(97) {
        buffer.extend_from_slice(piece);
        while let Ok(Some(frame)) = codec.decode(&mut buffer) {
            assert!(frame.message.len() <= MAX);
        }
    }
    let channel = Channel::default();
    match hl7::read(bytes, &channel) {
        Ok(received) => drop(ack::answer(&received.header, ack::Verdict::Accepted, &[], &channel, 0)),
        Err(refusal) => drop(ack::refuse(&refusal, &channel, 0)),
    }
    let _ = device::parse_json(bytes, "fuzz");
    let _ = device::parse_ndjson(bytes, "fuzz");
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some((name, value)) = text.split_once('=')
    {
        let _ = query::parse(&Params::default(), "Observation", &[(name.to_owned(), value.to_owned())], false);
    }
});
