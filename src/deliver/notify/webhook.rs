//! A system that takes JSON: each message signed after the Standard Webhooks convention
//! (<https://www.standardwebhooks.com>), with an id that is the same however often it is sent.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::Sha256;

use super::Failure;

/// What secrets begin with.
const PREFIX: &str = "whsec_";

/// Posts a message. `id`: what the receiver knows it by; `now`: µs UTC.
pub(super) async fn post(
    client: &reqwest::Client,
    url: &str,
    secret: &SecretString,
    timeout: Duration,
    (id, body, now): (&str, &Value, i64),
) -> Result<(), Failure> {
    let (body, stamp) = (body.to_string(), now / 1_000_000);
    let signature =
        sign(secret.expose_secret(), id, stamp, &body).ok_or(Failure::Never("the secret is no key".into()))?;
    let request = client
        .post(url)
        .timeout(timeout)
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", stamp.to_string())
        .header("webhook-signature", signature)
        .body(body);
    match request.send().await.map(|response| response.status()) {
        Ok(status) if status.is_success() => Ok(()),
        Ok(StatusCode::GONE) => Err(Failure::Never("the receiver wants no more (410)".into())),
        Ok(status) => Err(Failure::Later(format!("the receiver answered {}", status.as_u16()))),
        Err(error) if error.is_timeout() => Err(Failure::Later("the receiver did not answer in time".into())),
        Err(error) if error.is_connect() => Err(Failure::Later("the receiver cannot be reached".into())),
        Err(_) => Err(Failure::Later("the receiver's answer cannot be read".into())),
    }
}

/// `v1,` and the HMAC-SHA256 of id, time and body, with dots between. None: the secret is no key.
pub(super) fn sign(secret: &str, id: &str, stamp: i64, body: &str) -> Option<String> {
    let key = STANDARD.decode(secret.strip_prefix(PREFIX).unwrap_or(secret)).ok().filter(|key| key.len() >= 16)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{stamp}.{body}").as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_convention() {
        // The example of the convention's own libraries.
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let body = r#"{"test": 2432232314}"#;
        let signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        for wrong in ["", "whsec_", "whsec_!!", "whsec_c2hvcnQ="] {
            assert_eq!(sign(wrong, "a", 0, "b"), None, "{wrong}");
        }
    }
}
