//! MLLP framing: `0x0B` message `0x1C 0x0D`. Bounded in memory whatever is sent, and several frames in one
//! read or one frame in many reads come out the same. Knows bytes only, not HL7.
//!
//! Tolerated: junk between frames (counted), an end without `0x0D`, doubled starts. A `0x1C` that is followed
//! by anything else belongs to the message. One that is the last byte so far ends the message when a segment
//! end stands before it; otherwise the next byte decides, and at the end of the connection (or when the server
//! loses patience: [`Codec::is_undecided`]) `decode_eof` does.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

const START: u8 = 0x0b;
const END: u8 = 0x1c;
const CR: u8 = 0x0d;
const LF: u8 = 0x0a;

/// One message, and how many bytes were thrown away before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub message: Bytes,
    pub junk: usize,
    /// False: another message began before this one ended. It may be cut short, but its neighbour is whole.
    pub ended: bool,
}

/// Why a connection cannot go on.
#[derive(Debug)]
pub enum Broken {
    /// A message longer than the channel takes; nothing of it is kept.
    TooLarge,
    /// So much without a start that this is no MLLP at all.
    NotMllp,
    Io(io::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The framer of one connection.
#[derive(Debug)]
pub struct Codec {
    max: usize,
    /// Inside a message: how much of the buffer has been looked at; none between messages.
    looked: Option<usize>,
    junk: usize,
}

impl Codec {
    /// Takes messages of at most so many bytes.
    pub fn new(max: usize) -> Self {
        Self { max, looked: None, junk: 0 }
    }

    /// Is the last byte so far one that may end the message or be part of it?
    pub fn is_undecided(&self, buffer: &[u8]) -> bool {
        self.looked.is_some() && buffer.last() == Some(&END)
    }

    /// Goes on to the start of a message, dropping what is before it.
    fn start(&mut self, buffer: &mut BytesMut) -> Result<Option<usize>, Broken> {
        if let Some(looked) = self.looked {
            let doubled = if looked == 0 { buffer.iter().take_while(|b| **b == START).count() } else { 0 };
            buffer.advance(doubled);
            return Ok(Some(looked));
        }
        let before = buffer.iter().position(|b| *b == START);
        let dropped = before.unwrap_or(buffer.len());
        let junk = buffer.iter().take(dropped).filter(|b| !matches!(**b, CR | LF | END)).count();
        self.junk = self.junk.saturating_add(junk);
        buffer.advance(dropped);
        if self.junk > self.max {
            return Err(Broken::NotMllp);
        }
        if before.is_none() {
            return Ok(None);
        }
        self.looked = Some(0);
        self.start(buffer)
    }

    fn next(&mut self, buffer: &mut BytesMut, eof: bool) -> Result<Option<Frame>, Broken> {
        let Some(mut looked) = self.start(buffer)? else { return Ok(None) };
        if let Some(frame) = self.overtaken(buffer, looked)? {
            return Ok(Some(frame));
        }
        while let Some(at) = buffer.iter().skip(looked).position(|b| *b == END).map(|at| at + looked) {
            let ends_a_segment =
                at.checked_sub(1).and_then(|before| buffer.get(before)).is_none_or(|b| matches!(*b, CR | LF));
            match buffer.get(at + 1) {
                Some(&CR) => return self.take(buffer, at, 2),
                Some(&START) => return self.take(buffer, at, 1),
                None if eof || ends_a_segment => return self.take(buffer, at, 1),
                None => {
                    self.looked = Some(at);
                    return if at > self.max { Err(Broken::TooLarge) } else { Ok(None) };
                }
                Some(_) => looked = at + 1,
            }
        }
        self.looked = Some(buffer.len());
        if buffer.len() > self.max { Err(Broken::TooLarge) } else { Ok(None) }
    }

    /// What stands before a start that comes at the beginning of a line, where no end came first.
    fn overtaken(&mut self, buffer: &mut BytesMut, looked: usize) -> Result<Option<Frame>, Broken> {
        let line_begins =
            |at: usize| at.checked_sub(1).and_then(|before| buffer.get(before)).is_some_and(|b| matches!(*b, CR | LF));
        let stop = buffer.iter().enumerate().skip(looked).find(|(at, b)| match **b {
            START => line_begins(*at),
            END => true,
            _ => false,
        });
        let Some((at, &START)) = stop else { return Ok(None) };
        let mut frame = self.take(buffer, at, 0)?;
        if let Some(frame) = &mut frame {
            frame.ended = false;
        }
        Ok(frame)
    }

    fn take(&mut self, buffer: &mut BytesMut, length: usize, end: usize) -> Result<Option<Frame>, Broken> {
        if length > self.max {
            return Err(Broken::TooLarge);
        }
        let message = buffer.split_to(length).freeze();
        buffer.advance(end);
        self.looked = None;
        Ok(Some(Frame { message, junk: std::mem::take(&mut self.junk), ended: true }))
    }
}

impl Decoder for Codec {
    type Item = Frame;
    type Error = Broken;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, Broken> {
        self.next(buffer, false)
    }

    /// At the end of the connection an unended message is dropped: nobody waits for its answer, and its sender
    /// will send it again.
    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, Broken> {
        let frame = self.next(buffer, true)?;
        if frame.is_none() {
            buffer.clear();
            self.looked = None;
        }
        Ok(frame)
    }
}

impl Encoder<Vec<u8>> for Codec {
    type Error = Broken;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut BytesMut) -> Result<(), Broken> {
        buffer.reserve(message.len() + 3);
        buffer.extend_from_slice(&[START]);
        buffer.extend_from_slice(&message);
        buffer.extend_from_slice(&[END, CR]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds the parts one after the other, then ends; the messages that come out, with their junk.
    fn frames(parts: &[&[u8]], max: usize) -> Result<Vec<(Vec<u8>, usize)>, Broken> {
        let (mut codec, mut buffer, mut found) = (Codec::new(max), BytesMut::new(), Vec::new());
        let mut keep = |frame: Frame| found.push((frame.message.to_vec(), frame.junk));
        for part in parts {
            buffer.extend_from_slice(part);
            while let Some(frame) = codec.decode(&mut buffer)? {
                keep(frame);
            }
        }
        while let Some(frame) = codec.decode_eof(&mut buffer)? {
            keep(frame);
        }
        Ok(found)
    }

    fn texts(parts: &[&[u8]]) -> Vec<(String, usize)> {
        frames(parts, 100).unwrap().into_iter().map(|(m, junk)| (String::from_utf8(m).unwrap(), junk)).collect()
    }

    fn one(message: &str, junk: usize) -> Vec<(String, usize)> {
        vec![(message.to_owned(), junk)]
    }

    #[test]
    fn frames_come_out_however_they_are_cut() {
        assert_eq!(texts(&[b"\x0bMSH\x1c\r"]), one("MSH", 0));
        assert_eq!(texts(&[b"\x0bM", b"S", b"H\x1c", b"\r"]), one("MSH", 0));
        assert_eq!(texts(&[b"\x0bA\x1c\r\x0bB\x1c\r\n\x0bC\x1c\r"]).len(), 3);
        assert_eq!(texts(&[b"GET / \r\n\x0bA\x1c\r"]), one("A", 6));
        assert_eq!(texts(&[b"\x0b\x0bA\x1c\r\x1c\r"]), one("A", 0), "doubled framing");
        assert_eq!(texts(&[b"\x0b", b"\x0bA\x1c\r\x1c\r"]), one("A", 0), "doubled framing");
        assert_eq!(texts(&[b"\x0b\x1c\r"]), one("", 0));
        assert_eq!(texts(&[b"\x1c\r\x0b"]), []);
    }

    #[test]
    fn ends_without_carriage_return() {
        assert_eq!(texts(&[b"\x0bA\r\x1c", b"\x0bB\x1c\r"]).len(), 2);
        assert_eq!(texts(&[b"\x0bA\x1c\x0bB\x1c"]).len(), 2);
        assert_eq!(texts(&[b"\x0bA\x1cB\x1c\r"]), one("A\u{1c}B", 0), "inside the message");
        assert_eq!(texts(&[b"\x0bA\x1c", b"B\x1c\r"]), one("A\u{1c}B", 0));
        assert_eq!(texts(&[b"\x0bMSH|never ended"]), []);
    }

    #[test]
    fn a_message_without_an_end_never_takes_its_neighbour_along() {
        for parts in [&[b"\x0bA\r\x0bB\x1c\r".as_slice()][..], &[b"\x0bA\r", b"\x0bB", b"\x1c\r"]] {
            assert_eq!(texts(parts), [("A\r".to_owned(), 0), ("B".to_owned(), 0)]);
        }
        let (mut codec, mut buffer) = (Codec::new(100), BytesMut::from(b"\x0bA\r\x0bB\x1c\r".as_slice()));
        let ended = |frame: Option<Frame>| frame.unwrap().ended;
        assert!(!ended(codec.decode(&mut buffer).unwrap()) && ended(codec.decode(&mut buffer).unwrap()));
    }

    #[test]
    fn memory_is_bounded() {
        let long = [b"\x0b".as_slice(), &[b'A'; 101]].concat();
        assert!(matches!(frames(&[&long], 100), Err(Broken::TooLarge)));
        let ended = [long.as_slice(), b"\x1c\r"].concat();
        assert!(matches!(frames(&[&ended], 100), Err(Broken::TooLarge)));
        assert!(matches!(frames(&[&[b'A'; 101]], 100), Err(Broken::NotMllp)));
        let exact = [b"\x0b".as_slice(), &[b'A'; 100], b"\x1c\r"].concat();
        assert_eq!(frames(&[&exact], 100).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn cutting_changes_nothing(bytes in prop::collection::vec(prop::sample::select(b"\x0b\x1c\r\nAB".to_vec()), 0..40),
                                   messages in prop::collection::vec("[A-Z|\r]{0,12}", 0..5), step in 1..7usize) {
            let _ = frames(&bytes.chunks(step).collect::<Vec<_>>(), 20);
            let (mut codec, mut wire) = (Codec::new(100), BytesMut::new());
            for message in &messages {
                codec.encode(message.clone().into_bytes(), &mut wire).unwrap();
            }
            let back: Vec<_> = frames(&wire.chunks(step).collect::<Vec<_>>(), 100).unwrap();
            let back: Vec<_> = back.into_iter().map(|(m, _)| String::from_utf8(m).unwrap()).collect();
            prop_assert_eq!(back, messages);
        }
    }
}
