//! HTTP to a server, as any client would speak it: a bearer token, and patience when the server
//! is at its limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use serde_json::Value;

/// How often something is sent before it is given up.
pub(in crate::cli) const ATTEMPTS: u32 = 8;
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);

/// What became of the readings, by all doors.
#[derive(Debug, Default)]
pub(in crate::cli) struct Tally {
    pub(in crate::cli) sent: AtomicU64,
    pub(in crate::cli) acknowledged: AtomicU64,
    pub(in crate::cli) refused: AtomicU64,
    /// Times that something was sent again.
    pub(in crate::cli) again: AtomicU64,
    /// How many answers took at most 1, 2, 4, 8 … ms.
    waited: [AtomicU64; 20],
}

impl Tally {
    pub(in crate::cli) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(u64::try_from(count).unwrap_or_default(), Ordering::Relaxed);
    }

    fn answered(&self, after: Duration) {
        let ms = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        let place = usize::try_from(u32::BITS - ms.leading_zeros()).unwrap_or_default();
        if let Some(place) = self.waited.get(place.min(self.waited.len() - 1)) {
            place.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Within how many milliseconds half of the answers, and 99 of 100, were there.
    pub(in crate::cli) fn waits(&self) -> String {
        let counts: Vec<u64> = self.waited.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let all: u64 = counts.iter().sum();
        let within = |hundredths: u64| {
            let mut seen = 0;
            let place = counts.iter().position(|count| {
                seen += count;
                seen * 100 >= all * hundredths
            });
            1_u64 << place.unwrap_or_default()
        };
        if all == 0 {
            return "no answers by HTTP".to_owned();
        }
        format!("{all} answers by HTTP, half within {} ms, 99 of 100 within {} ms", within(50), within(99))
    }

    pub(in crate::cli) fn text(&self) -> String {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = [
            (&self.sent, "readings sent", true),
            (&self.acknowledged, "acknowledged", true),
            (&self.refused, "refused", false),
            (&self.again, "times sent again", false),
        ];
        let told = counters.into_iter().filter(|(counter, _, always)| *always || of(counter) > 0);
        told.map(|(counter, what, _)| format!("{} {what}", of(counter))).collect::<Vec<_>>().join(", ")
    }
}

#[derive(Clone)]
pub(in crate::cli) struct Http {
    client: reqwest::Client,
    base: String,
    token: String,
    pub(in crate::cli) tally: Arc<Tally>,
}

pub(in crate::cli) struct Answered {
    pub(in crate::cli) status: u16,
    pub(in crate::cli) body: Value,
}

impl Answered {
    /// The server's own words: they name places and reasons, never values.
    pub(in crate::cli) fn reason(&self) -> String {
        let issue = |member: &str| self.body.pointer(&format!("/issue/0/{member}")).and_then(Value::as_str);
        let place = issue("expression/0").map(|place| format!(" at {place}")).unwrap_or_default();
        format!("{} {}{place}", self.status, issue("diagnostics").unwrap_or_default())
    }
}

impl Http {
    pub(in crate::cli) fn new(base: String, token: String) -> Result<Self> {
        // This machine is never behind a proxy of its own.
        let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build().context("no HTTP client")?;
        Ok(Self { client, base, token, tally: Arc::default() })
    }

    pub(in crate::cli) async fn post(&self, path: &str, media: &str, body: &Value) -> Result<Answered> {
        let bytes = serde_json::to_vec(body)?;
        let request =
            || self.client.post(format!("{}{path}", self.base)).header(CONTENT_TYPE, media).body(bytes.clone());
        self.patiently(request).await
    }

    pub(in crate::cli) async fn get(&self, path: &str) -> Result<Answered> {
        self.patiently(|| self.client.get(format!("{}{path}", self.base))).await
    }

    /// Sends it again while the server is at its limit or cannot be reached: nothing was stored then, or the
    /// same reading is known by its id.
    async fn patiently(&self, request: impl Fn() -> reqwest::RequestBuilder) -> Result<Answered> {
        for attempt in 1..=ATTEMPTS {
            let last = attempt == ATTEMPTS;
            let sent = Instant::now();
            let answer = request().bearer_auth(&self.token).send().await;
            self.tally.answered(sent.elapsed());
            let told = match answer {
                Ok(response) if !last && matches!(response.status().as_u16(), 429 | 503) => response
                    .headers()
                    .get(RETRY_AFTER)
                    .and_then(|v| v.to_str().ok()?.parse().ok())
                    .map(Duration::from_secs),
                Ok(response) => {
                    let status = response.status().as_u16();
                    let bytes = response.bytes().await.context("an answer that ends too early")?;
                    return Ok(Answered { status, body: serde_json::from_slice(&bytes).unwrap_or_default() });
                }
                Err(error) if last => return Err(error).context("the server cannot be reached"),
                Err(_) => None,
            };
            Tally::add(&self.tally.again, 1);
            wait(attempt, told).await;
        }
        Err(anyhow::anyhow!("the server is at its limit"))
    }
}

/// As long as the server said, else twice as long each time.
pub(in crate::cli) async fn wait(attempt: u32, told: Option<Duration>) {
    let own = Duration::from_millis(100).saturating_mul(2_u32.saturating_pow(attempt));
    tokio::time::sleep(told.unwrap_or(own).min(LONGEST_WAIT)).await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Gives each request the next answer.
    async fn server(answers: Vec<&'static str>) -> String {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", socket.local_addr().unwrap());
        tokio::spawn(async move {
            for answer in answers {
                let mut stream = socket.accept().await.unwrap().0;
                let (mut request, mut part) = (Vec::new(), [0; 1024]);
                while !request.ends_with(b"{}") {
                    let count = stream.read(&mut part).await.unwrap();
                    request.extend_from_slice(&part[..count]);
                }
                stream
                    .write_all(format!("HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n{{\"n\":1}}").as_bytes())
                    .await
                    .unwrap();
            }
        });
        base
    }

    #[tokio::test]
    async fn a_server_at_its_limit_is_asked_again() {
        let busy = "429 Too Many Requests\r\nRetry-After: 0";
        let http = Http::new(server(vec![busy, "503 Busy\r\nRetry-After: 0", "200 OK"]).await, "t".into()).unwrap();
        let answer = http.post("/x", "application/json", &serde_json::json!({})).await.unwrap();
        assert_eq!((answer.status, http.tally.again.load(Ordering::Relaxed)), (200, 2));
        assert_eq!(http.tally.text(), "0 readings sent, 0 acknowledged, 2 times sent again");
    }

    #[tokio::test]
    async fn what_is_refused_is_not_sent_again() {
        let http = Http::new(server(vec!["422 No", "200 OK"]).await, "t".into()).unwrap();
        let answer = http.post("/x", "application/json", &serde_json::json!({})).await.unwrap();
        assert_eq!((answer.status, http.tally.again.load(Ordering::Relaxed)), (422, 0));
    }
}
