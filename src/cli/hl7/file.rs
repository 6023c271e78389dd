//! Messages in files, however they were saved: MLLP frames, one message after the other, batches; with any line ends.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use bytes::BytesMut;
use tokio_util::codec::Decoder;

use crate::hl7::frame::Codec;
use crate::ingest::hl7::batch;

const START: u8 = 0x0b;

/// One message, or one batch, and what it is called where it is told about.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// Everything that is in these files, in their order.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for file in files {
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let messages = split(&bytes).with_context(|| file.display().to_string())?;
        ensure!(!messages.is_empty(), "{}: there is no message (MSH)", file.display());
        let alone = messages.len() == 1;
        let named = |(number, bytes)| Found { name: name(file, number, alone), bytes };
        found.extend((1..).zip(messages).map(named));
    }
    Ok(found)
}

fn name(file: &Path, number: usize, alone: bool) -> String {
    let file = file.display();
    if alone { file.to_string() } else { format!("{file} #{number}") }
}

fn split(bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    if bytes.contains(&START) {
        return frames(bytes);
    }
    let lines = returns(bytes);
    if batch::split(&lines).is_some() {
        return Ok(vec![lines]);
    }
    let begins = |at: usize| {
        let line_begins = at.checked_sub(1).is_none_or(|before| lines.get(before) == Some(&b'\r'));
        line_begins && lines.get(at..).is_some_and(|rest| rest.starts_with(b"MSH"))
    };
    let mut starts: Vec<usize> = (0..lines.len()).filter(|at| begins(*at)).collect();
    // What stands before the first message (a mark of the character set) belongs to it; other sets have no MSH of
    // this form at all, and are one message.
    match starts.first_mut() {
        Some(first) => *first = 0,
        None if !lines.is_empty() => starts.push(0),
        None => {}
    }
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    Ok(starts.iter().zip(ends).filter_map(|(start, end)| lines.get(*start..end)).map(<[u8]>::to_vec).collect())
}

/// Lines as they are sent: each ends with a carriage return.
fn returns(bytes: &[u8]) -> Vec<u8> {
    let (mut lines, mut before) = (Vec::with_capacity(bytes.len()), 0);
    for byte in bytes.iter().copied() {
        match byte {
            b'\n' if before == b'\r' => {}
            b'\n' => lines.push(b'\r'),
            other => lines.push(other),
        }
        before = byte;
    }
    lines
}

fn frames(bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    let (mut codec, mut buffer, mut found) = (Codec::new(bytes.len()), BytesMut::from(bytes), Vec::new());
    let broken = |_| anyhow!("the frames cannot be read");
    while let Some(frame) = codec.decode(&mut buffer).map_err(broken)? {
        found.push(frame.message.to_vec());
    }
    while let Some(frame) = codec.decode_eof(&mut buffer).map_err(broken)? {
        found.push(frame.message.to_vec());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_however_they_were_saved() {
        let table: [(&[u8], &[&str]); 8] = [
            (b"MSH|1\nPID|1\n", &["MSH|1\rPID|1\r"]),
            (b"MSH|1\r\nPID|1\r\n\r\nMSH|2", &["MSH|1\rPID|1\r\r", "MSH|2"]),
            (b"MSH|1\rPID|MSH\rMSH|2\r", &["MSH|1\rPID|MSH\r", "MSH|2\r"]),
            (b"\x0bMSH|1\nx\x1c\r\x0bMSH|2\x1c\r", &["MSH|1\nx", "MSH|2"]),
            (b"BHS|^~\\&\nMSH|1\nMSH|2\nBTS|2\n", &["BHS|^~\\&\rMSH|1\rMSH|2\rBTS|2\r"]),
            (b"\n\nMSH|1", &["\r\rMSH|1"]),
            (b"M\0S\0H\0", &["M\0S\0H\0"]),
            (b"", &[]),
        ];
        for (bytes, want) in table {
            let found: Vec<String> = split(bytes).unwrap().into_iter().map(|m| String::from_utf8(m).unwrap()).collect();
            assert_eq!(found, want);
        }
    }
}
