//! A server that is at its limit or away for a moment, and somebody who does not want to wait: nothing is lost and nothing
//! is stored twice.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::Desk;
use crate::helpers::eventually;

/// Answers one request after the other with what its list says, and remembers the batches' keys.
struct Busy {
    url: String,
    keys: Arc<Mutex<Vec<String>>>,
}

impl Busy {
    /// Nothing: the connection ends without an answer.
    async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (url, keys) = (format!("http://{}", listener.local_addr().unwrap()), Arc::default());
        let busy = Self { url, keys };
        let keys = busy.keys.clone();
        tokio::spawn(async move {
            for answer in answers {
                let mut stream = BufReader::new(listener.accept().await.unwrap().0);
                let key = request(&mut stream).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
                keys.lock().unwrap().push(key);
            }
        });
        busy
    }

    fn keys(&self) -> Vec<String> {
        self.keys.lock().unwrap().clone()
    }
}

/// Reads a request and says what its batch is called.
async fn request(stream: &mut BufReader<TcpStream>) -> String {
    let (mut key, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        match line.trim().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("idempotency-key") => key = value.to_owned(),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
            None if line.trim().is_empty() => break,
            _ => {}
        }
    }
    stream.read_exact(&mut vec![0; length]).await.unwrap();
    key
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_interrupted_goes_on_where_it_was() {
    let desk = Desk::open().await;
    let id = desk.app.admit("r1", "Vega").await;
    let row = |at: usize| {
        let time = format!("2026-01-02T03:{:02}:{:02}Z", at / 60, at % 60);
        json!({"code": "8867-4", "value": 72, "unit": "/min", "time": time}).to_string()
    };
    desk.write("r.ndjson", (0..250).map(row).collect::<Vec<_>>().join("\n"));
    let receipts = json!({"items": vec![json!({"place": "", "outcome": "created"}); 100]}).to_string();
    let busy = Busy::start(vec![
        String::new(),
        answer("503 Service Unavailable", "Retry-After: 0\r\n", ""),
        answer("429 Too Many Requests", "Retry-After: 0\r\n", ""),
        answer("409 Conflict", "", ""),
        answer("200 OK", "Content-Type: application/json\r\n", &receipts),
        answer("503 Service Unavailable", "Retry-After: 3600\r\n", ""),
    ])
    .await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_vigia"));
    command.args([
        "import",
        "r.ndjson",
        "--parallel",
        "1",
        "--token-file",
        "token",
        "--patient",
        &id,
        "--url",
        &busy.url,
    ]);
    command.current_dir(desk.path()).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    eventually("the second batch waits", || async { (busy.keys().len() == 6).then_some(()) }).await;
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    let said = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("interrupted: everything is answered for up to r.ndjson, line 100;"), "{said}");
    let keys = busy.keys();
    assert!(keys[..5].iter().all(|key| *key == keys[0] && !key.is_empty()) && keys[5] != keys[0], "{keys:?}");

    let said = desk.import(&format!("r.ndjson --patient {id}")).await.expect(0, "created");
    assert_eq!(said.line("all"), "250");
    let said = desk.import(&format!("r.ndjson --patient {id}")).await.expect(0, "duplicate");
    assert_eq!(said.line("all"), "250");
    desk.app.stop().await;
}
