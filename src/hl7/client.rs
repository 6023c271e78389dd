//! The sender's side of MLLP: one message at a time, the next one after the answer. An answer counts for the message
//! whose control id it names and for no other; one that comes late is let go.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::tls;
use super::wire::{self, Reader};

/// More than any answer.
const LONGEST: usize = 16 << 20;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// TLS to a server: files in PEM.
#[derive(Clone, Debug, Default)]
pub struct Secure {
    /// The authority of the server's certificate; those of the system unless named.
    pub authorities: Option<PathBuf>,
    /// Our own certificate and its key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Accepted,
    /// MSA-1, and it with MSA-2 and what ERR says.
    Refused(String, String),
}

/// A connection.
pub struct Line {
    reader: Reader<ReadHalf<Box<dyn Stream>>>,
    writer: WriteHalf<Box<dyn Stream>>,
    patience: Duration,
}

impl Line {
    /// `to`: `host:port`. `patience`: for each step.
    pub async fn open(to: &str, secure: Option<&Secure>, patience: Duration) -> Result<Self> {
        let stream = timeout(patience, TcpStream::connect(to)).await.context("no connection in time")?;
        let stream = stream.with_context(|| format!("cannot reach {to}"))?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match secure {
            Some(Secure { authorities, own }) => {
                let host = to.rsplit_once(':').map_or(to, |(host, _)| host);
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let own = own.as_ref().map(|(cert, key)| (cert.as_path(), key.as_path()));
                let secured = tls::connect(stream, host, authorities.as_deref(), own);
                Box::new(timeout(patience, secured).await.context("no handshake in time")??)
            }
            None => Box::new(stream),
        };
        let (from, writer) = tokio::io::split(stream);
        Ok(Self { reader: Reader::new(from, LONGEST, patience), writer, patience })
    }

    /// Sends what nobody answers.
    pub async fn send(&mut self, message: Vec<u8>) -> Result<()> {
        if !wire::write(&mut self.writer, message, self.patience).await {
            bail!("the connection broke");
        }
        Ok(())
    }

    /// Sends a message and waits for its answer. `control`: MSH-10; none: the next answer is taken for it.
    pub async fn exchange(&mut self, message: Vec<u8>, control: Option<&str>) -> Result<Answer> {
        self.send(message).await?;
        let answered = async {
            loop {
                let Ok(Some(frame)) = self.reader.next().await else { bail!("the connection ended without an answer") };
                if let Some(answer) = answered(&String::from_utf8_lossy(&frame.message), control) {
                    return Ok(answer);
                }
            }
        };
        timeout(self.patience, answered).await.context("no answer in time")?
    }
}

/// None: this is no answer to that message.
fn answered(text: &str, control: Option<&str>) -> Option<Answer> {
    let mut refused: Option<(String, Vec<String>)> = None;
    let mut own = false;
    for line in text.split(['\r', '\n']) {
        let mut fields = line.get(4..).unwrap_or_default().split('|');
        match line.get(..3) {
            Some("MSA") => {
                let (code, named) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
                if control.is_some_and(|own| own != named && !named.is_empty()) {
                    return None;
                }
                own = true;
                if !matches!(code, "AA" | "CA") {
                    let told = format!("{code} {named}");
                    refused.get_or_insert_with(|| (code.to_owned(), vec![])).1.push(told);
                }
            }
            // The errors of a message that is not accepted.
            Some("ERR") => {
                if let Some((_, told)) = &mut refused {
                    told.push(line.to_owned());
                }
            }
            _ => {}
        }
    }
    let fine = refused.map_or(Answer::Accepted, |(code, told)| Answer::Refused(code, told.join("\n  ")));
    (own || control.is_none()).then_some(fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_its_own_message() {
        let told = |text: &str| match answered(text, Some("42")) {
            None => "of another".to_owned(),
            Some(Answer::Refused(code, why)) => format!("{code}: {why}"),
            Some(Answer::Accepted) => "accepted".to_owned(),
        };
        let table = [
            ("MSH|^~\\&\rMSA|AA|42\r", "accepted"),
            ("MSH|^~\\&\rMSA|CA|42\r", "accepted"),
            ("MSH|^~\\&\rMSA|AA|41\r", "of another"),
            ("MSH|^~\\&\rMSA|AE|42\rERR||PID^1\r", "AE: AE 42\n  ERR||PID^1"),
            ("MSH|^~\\&\rMSA|AR|\r", "AR: AR "),
            ("MSH|^~\\&|||||||ORU^R01\r", "of another"),
        ];
        for (text, want) in table {
            assert_eq!(told(text), want, "{text}");
        }
    }
}
