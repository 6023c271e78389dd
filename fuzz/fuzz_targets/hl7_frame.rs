//! Any bytes at the framer, cut in any pieces: it never panics, never holds more than its limit and one piece, and
//! goes on after every frame. The first byte says how long the pieces are.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use tokio_util::codec::{Decoder, Encoder};
use vigia::hl7::frame::Codec;

const MAX: usize = 1024;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let piece = usize::from(*first).max(1);
    let (mut codec, mut buffer) = (Codec::new(MAX), BytesMut::new());
    for part in bytes.chunks(piece) {
        buffer.extend_from_slice(part);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(frame)) => assert!(frame.message.len() <= MAX),
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(buffer.len() <= MAX + 2 + piece);
        let _ = codec.is_undecided(&buffer);
    }
    while let Ok(Some(frame)) = codec.decode_eof(&mut buffer) {
        assert!(frame.message.len() <= MAX);
    }
    // Whatever it was, a frame of our own comes out whole when the line is fresh.
    let message: Vec<u8> = bytes.iter().copied().filter(|b| !matches!(b, 0x0b | 0x1c)).take(MAX).collect();
    let (mut codec, mut wire) = (Codec::new(MAX), BytesMut::new());
    codec.encode(message.clone(), &mut wire).expect("it fits");
    let frame = codec.decode(&mut wire).expect("no fault").expect("whole");
    assert_eq!(frame.message, message);
});
