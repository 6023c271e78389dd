//! Systems outside that are told of alerts: a receiver of webhooks and a mail server, as far as a test needs them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request that a receiver got.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) id: String,
    pub(crate) timestamp: String,
    pub(crate) signature: String,
    pub(crate) text: String,
}

impl Post {
    pub(crate) fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

/// A receiver of webhooks: answers with the statuses of its list, then 200.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    posts: Arc<Mutex<Vec<Post>>>,
}

impl Receiver {
    pub(crate) async fn start(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, statuses)
    }

    pub(crate) fn on(listener: TcpListener, statuses: &[u16]) -> Self {
        let receiver = Self { address: listener.local_addr().unwrap(), posts: Arc::default() };
        let (own, mut statuses) = (receiver.clone(), VecDeque::from(statuses.to_vec()));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                own.serve(stream, statuses.pop_front().unwrap_or(200)).await;
            }
        });
        receiver
    }

    /// One request a connection.
    async fn serve(&self, stream: TcpStream, status: u16) {
        let mut stream = BufReader::new(stream);
        let (mut post, mut length) =
            (Post { id: String::new(), timestamp: String::new(), signature: String::new(), text: String::new() }, 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let Some((name, value)) = line.trim().split_once(": ") else {
                if line.trim().is_empty() {
                    break;
                }
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "webhook-id" => post.id = value.to_owned(),
                "webhook-timestamp" => post.timestamp = value.to_owned(),
                "webhook-signature" => post.signature = value.to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        post.text = String::from_utf8(body).unwrap();
        self.posts.lock().unwrap().push(post);
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes()).await;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/alerts", self.address)
    }

    pub(crate) fn posts(&self) -> Vec<Post> {
        self.posts.lock().unwrap().clone()
    }
}

/// A mail server that takes everything.
#[derive(Clone)]
pub(crate) struct MailServer {
    pub(crate) address: SocketAddr,
    mails: Arc<Mutex<Vec<String>>>,
}

impl MailServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { address: listener.local_addr().unwrap(), mails: Arc::default() };
        let own = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                own.serve(stream).await;
            }
        });
        server
    }

    async fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 mail.test\r\n").await.unwrap();
        let mut mail: Option<String> = None;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let answer = match &mut mail {
                Some(text) if line == ".\r\n" => {
                    self.mails.lock().unwrap().push(std::mem::take(text));
                    mail = None;
                    "250 taken\r\n"
                }
                Some(text) => {
                    text.push_str(&line);
                    continue;
                }
                None if line.starts_with("DATA") => {
                    mail = Some(String::new());
                    "354 go on\r\n"
                }
                None if line.starts_with("QUIT") => "221 bye\r\n",
                None => "250 mail.test\r\n",
            };
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    pub(crate) fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }
}
