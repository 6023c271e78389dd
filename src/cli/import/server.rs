//! HTTP to the server that takes the import: who asks, and patience when it is at its limit or away for a moment. What
//! is sent is for others.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::sink::Stopped;
use crate::cli::{own_token, secret_file};
use crate::config::Config;

const TIMEOUT: Duration = Duration::from_mins(2);
/// A server that takes nothing for so long is not waited for any more.
const PATIENCE: Duration = Duration::from_mins(10);
/// One that cannot be reached at all.
const AWAY: Duration = Duration::from_mins(1);
const UNNAMED: &str =
    "name who sends: --token-file, or --user and --password-file; without them the signing key of the server is needed";

/// What somebody proves itself by.
enum Proof {
    Bearer(String),
    Cookie(String),
}

pub(super) struct Server {
    http: Client,
    base: String,
    proof: Proof,
    stop: CancellationToken,
}

/// Who asks, as it was typed.
pub(super) struct Who<'o> {
    pub(super) token: Option<&'o Path>,
    pub(super) user: Option<(&'o str, &'o PathBuf)>,
}

pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Server {
    pub(super) async fn open(
        config: &Config,
        url: Option<&str>,
        who: Who<'_>,
        stop: CancellationToken,
    ) -> Result<Self> {
        let base = url.map_or_else(|| config.public_url(), str::to_owned).trim_end_matches('/').to_owned();
        let http = Client::builder().timeout(TIMEOUT).build().context("no HTTP client")?;
        let proof = match (who.token, who.user) {
            (Some(file), _) => Proof::Bearer(secret_file::first_line(file, "--token-file")?),
            (None, Some((user, file))) => {
                let password = secret_file::first_line(file, "--password-file")?;
                Proof::Cookie(sign_in(&http, &base, user, &password).await?)
            }
            (None, None) => {
                Proof::Bearer(own_token::mint(config, "import", "system/*.cruds", own_token::DAY).context(UNNAMED)?)
            }
        };
        Ok(Self { http, base, proof, stop })
    }

    /// Whether it is a device's own key, which says whose the readings are.
    pub(super) fn is_device(&self) -> bool {
        matches!(&self.proof, Proof::Bearer(token) if token.starts_with("vgd_"))
    }

    /// Sends it until it is answered. `key`: what the batch is called, so that it is taken once.
    pub(super) async fn post(&self, path: &str, media: &str, body: Bytes, key: Option<&str>) -> Result<Reply> {
        let (mut waited, mut away, mut attempt) = (Duration::ZERO, Duration::ZERO, 0_u32);
        loop {
            let mut request = self.http.post(format!("{}{path}", self.base)).header(CONTENT_TYPE, media);
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key);
            }
            // What is on its way is answered for, also when nothing more is to be sent.
            let answered = self.proven(request).body(body.clone()).send().await;
            attempt += 1;
            let own = Duration::from_millis(100).saturating_mul(2_u32.saturating_pow(attempt.min(8)));
            let wait = match answered {
                Ok(response) if come_again(response.status(), key.is_some()) => {
                    if waited >= PATIENCE {
                        bail!("the server takes nothing more ({})", response.status());
                    }
                    let wait = retry_after(&response).unwrap_or(own);
                    waited += wait;
                    wait
                }
                Ok(response) => return read(response).await,
                Err(error) if away >= AWAY => {
                    return Err(error).with_context(|| format!("{} cannot be reached", self.base));
                }
                Err(_) => {
                    away += own;
                    own
                }
            };
            let slept = tokio::time::sleep(wait);
            self.stop.run_until_cancelled(slept).await.ok_or(Stopped)?;
        }
    }

    fn proven(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.proof {
            Proof::Bearer(token) => request.bearer_auth(token),
            Proof::Cookie(cookie) => request.header("Cookie", cookie).header("X-Requested-With", "vigia"),
        }
    }
}

impl Reply {
    /// The server's own words for what is wrong.
    pub(super) fn reason(&self) -> String {
        reason(&self.body).unwrap_or_else(|| self.status.to_string())
    }
}

/// What an `OperationOutcome` says, in one line; places of the batch mean nothing to who has the file.
pub(super) fn reason(outcome: &Value) -> Option<String> {
    let issues = outcome.get("issue").and_then(Value::as_array)?;
    let wrong =
        |issue: &&Value| !matches!(issue.get("severity").and_then(Value::as_str), Some("warning" | "information"));
    let each = issues.iter().filter(wrong).filter_map(|issue| {
        let text = issue.get("diagnostics").and_then(Value::as_str)?;
        let place = issue.pointer("/expression/0").and_then(Value::as_str).unwrap_or_default();
        let place = own_place(place);
        Some(if place.is_empty() { text.to_owned() } else { format!("{place}: {text}") })
    });
    let told: Vec<String> = each.collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// `line 3.value` is `value`, `Bundle.entry[4].resource.Patient.name` is `Patient.name`.
fn own_place(place: &str) -> &str {
    if let Some(rest) = place.strip_prefix("line ") {
        return rest.split_once('.').map_or("", |(_, member)| member);
    }
    match place.strip_prefix("Bundle.entry[").and_then(|rest| rest.split_once(']')) {
        Some((_, rest)) => rest.trim_start_matches(".resource").trim_start_matches('.'),
        None => place,
    }
}

fn come_again(status: StatusCode, keyed: bool) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504) || (keyed && status == StatusCode::CONFLICT)
}

fn retry_after(response: &Response) -> Option<Duration> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

async fn read(response: Response) -> Result<Reply> {
    let status = response.status();
    let bytes = response.bytes().await.context("an answer that ends too early")?;
    Ok(Reply { status, body: serde_json::from_slice(&bytes).unwrap_or_default() })
}

async fn sign_in(http: &Client, base: &str, user: &str, password: &str) -> Result<String> {
    let body = json!({"username": user, "password": password});
    let login = http.post(format!("{base}/auth/login")).header("X-Requested-With", "vigia").json(&body);
    let reply = login.send().await.with_context(|| format!("{base} cannot be reached"))?;
    ensure!(reply.status().is_success(), "{user} is not let in: {}", reply.status());
    let cookie = reply.headers().get("set-cookie").and_then(|value| value.to_str().ok());
    let cookie = cookie.and_then(|text| text.split(';').next()).context("the server opened no session")?;
    Ok(cookie.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_name_places_of_the_row() {
        let outcome = |place: &str| json!({"issue": [{"diagnostics": "no", "expression": [place]}]});
        for (place, want) in [
            ("line 3.value", "value: no"),
            ("line 3", "no"),
            ("Bundle.entry[4].resource.Patient.name", "Patient.name: no"),
            ("Bundle.entry[4]", "no"),
            ("http.body", "http.body: no"),
        ] {
            assert_eq!(reason(&outcome(place)).unwrap(), want, "{place}");
        }
        assert_eq!(reason(&json!({})), None);
    }
}
