//! A connection as a row of frames: waits no longer than it may, holds no more than one frame, and decides what bytes
//! alone cannot. A `0x1C` that is the last byte so far, in the middle of a line, may be text or the end of a sender
//! that never writes `0x0D`: who then stays silent has ended its message and waits for the answer.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::codec::{Decoder, Encoder};

use super::frame::{Broken, Codec, Frame};

/// So much is read at once.
const CHUNK: usize = 16 << 10;
/// A message that may have ended has ended when nothing more comes for so long.
const UNDECIDED: Duration = Duration::from_secs(3);

/// Frames out of bytes.
pub struct Reader<R> {
    from: R,
    codec: Codec,
    buffer: BytesMut,
    idle: Duration,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Frames of at most so many bytes, from a sender that is never silent for longer than `idle`.
    pub fn new(from: R, max: usize, idle: Duration) -> Self {
        Self { from, codec: Codec::new(max), buffer: BytesMut::new(), idle }
    }

    /// The next frame; none when the sender has closed, or was silent for too long. May be dropped and called again.
    pub async fn next(&mut self) -> Result<Option<Frame>, Broken> {
        loop {
            if let Some(frame) = self.codec.decode(&mut self.buffer)? {
                return Ok(Some(frame));
            }
            self.buffer.reserve(CHUNK);
            let patience = if self.codec.is_undecided(&self.buffer) { UNDECIDED.min(self.idle) } else { self.idle };
            match timeout(patience, self.from.read_buf(&mut self.buffer)).await {
                Ok(Ok(0)) | Err(_) => return self.codec.decode_eof(&mut self.buffer),
                Ok(read) => drop(read?),
            }
        }
    }
}

/// Writes a frame. False: the other end does not take it.
pub async fn write(to: &mut (impl AsyncWrite + Unpin), message: Vec<u8>, patience: Duration) -> bool {
    let mut frame = BytesMut::new();
    if Codec::new(message.len()).encode(message, &mut frame).is_err() {
        return false;
    }
    let written = timeout(patience, async {
        to.write_all(&frame).await?;
        to.flush().await
    });
    matches!(written.await, Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_mins(10);

    /// What comes of these pieces when the sender then stays silent and does not close; time passes by itself.
    async fn heard(pieces: &[&[u8]]) -> Vec<String> {
        let (mut sender, receiver) = tokio::io::duplex(1 << 10);
        let mut reader = Reader::new(receiver, 100, IDLE);
        let mut found = Vec::new();
        for piece in pieces {
            sender.write_all(piece).await.unwrap();
            while let Ok(next) = timeout(Duration::from_secs(1), reader.next()).await {
                found.push(
                    next.unwrap().map_or("closed".to_owned(), |f| String::from_utf8(f.message.to_vec()).unwrap()),
                );
            }
        }
        loop {
            match reader.next().await {
                Ok(Some(frame)) => found.push(String::from_utf8(frame.message.to_vec()).unwrap()),
                Ok(None) => return found,
                Err(broken) => found.push(format!("{broken:?}")),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_without_carriage_return_is_one_when_nothing_follows() {
        let table: [(&[&[u8]], &[&str]); 7] = [
            (&[b"\x0bA\x1c"], &["A"]),
            (&[b"\x0bA\x1c", b"\r"], &["A"]),
            (&[b"\x0bA\x1c", b"B\x1c\r"], &["A\u{1c}B"]),
            (&[b"\x0bA\x1c", b"\x0bB\x1c", b"\x0bC\x1c\r"], &["A", "B", "C"]),
            (&[b"\x0bA\r\x1c"], &["A\r"]),
            (&[b"\x0bA"], &[]),
            (&[b"noise"], &[]),
        ];
        for (pieces, want) in table {
            assert_eq!(heard(pieces).await, want, "{pieces:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_without_end() {
        let (_silent, receiver) = tokio::io::duplex(1 << 10);
        assert!(Reader::new(receiver, 100, IDLE).next().await.unwrap().is_none());
        let (mut full, _unread) = tokio::io::duplex(4);
        assert!(!write(&mut full, b"answer".to_vec(), IDLE).await);
        let (mut gone, closed) = tokio::io::duplex(4);
        drop(closed);
        assert!(!write(&mut gone, b"answer".to_vec(), IDLE).await);
    }
}
