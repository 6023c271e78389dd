//! A small HTTP/1.1 and MLLP client over one kept connection: the load program shares its machine with the
//! server, so it must cost next to nothing.

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) buffer: Vec<u8>,
    pub(crate) filled: usize,
}

/// An answer: status, where its body lies in the buffer.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

/// How a request is made of its parts; the token goes with each.
pub(crate) struct Requests {
    host: String,
    token: String,
}

impl Requests {
    pub(crate) fn new(host: String, token: String) -> Self {
        Self { host, token }
    }

    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n", self.host, self.token)
            .into_bytes()
    }

    pub(crate) fn post(&self, path: &str, media: &str, body: &str) -> Vec<u8> {
        self.send("POST", path, media, body)
    }

    pub(crate) fn send(&self, method: &str, path: &str, media: &str, body: &str) -> Vec<u8> {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: {media}\r\n\
             Prefer: return=minimal\r\nContent-Length: {}\r\n\r\n{body}",
            self.host,
            self.token,
            body.len()
        )
        .into_bytes()
    }
}

impl Connection {
    pub(crate) async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("no connection to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 64 * 1024], filled: 0 })
    }

    /// Sends a request and waits for its whole answer.
    pub(crate) async fn call(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.filled = 0;
        let (mut status, mut total, mut head) = (0, None, 0);
        while total.is_none_or(|total| self.filled < total) {
            self.fill().await?;
            let bytes = self.buffer.get(..self.filled).unwrap_or_default();
            if total.is_none()
                && let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n")
            {
                head = end + 4;
                let text = std::str::from_utf8(bytes.get(..end).unwrap_or_default())?;
                status = text.get(9..12).context("no status line")?.parse()?;
                total = Some(head + content_length(text)?);
            }
        }
        let body = self.buffer.get(head..self.filled).unwrap_or_default();
        Ok(Answer { status, body })
    }

    /// Sends a frame and waits for the frame that answers it.
    pub(crate) async fn exchange(&mut self, frame: &[u8]) -> Result<&[u8]> {
        self.stream.write_all(frame).await?;
        self.filled = 0;
        loop {
            self.fill().await?;
            let bytes = self.buffer.get(..self.filled).unwrap_or_default();
            if bytes.ends_with(b"\x1c\r") {
                break;
            }
        }
        Ok(self.buffer.get(..self.filled).unwrap_or_default())
    }

    pub(crate) async fn fill(&mut self) -> Result<()> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled * 2, 0);
        }
        let free = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let read = self.stream.read(free).await?;
        if read == 0 {
            bail!("the server closed the connection");
        }
        self.filled += read;
        Ok(())
    }
}

fn content_length(head: &str) -> Result<usize> {
    for line in head.split("\r\n") {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            return Ok(value.trim().parse()?);
        }
    }
    bail!("an answer without Content-Length: {head}")
}
