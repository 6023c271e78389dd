//! What goes out next, by which channel, and what becomes of it. Nothing is looked up or stored here.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde_json::Value;

use super::Failure;
use super::email::Mailer;
use super::message::{Telling, Told};
use super::notice::{Notice, Outcome, backoff};
use super::plan::Occasion;
use super::webhook;
use crate::alert::lifecycle::State;
use crate::config::Notify;
use crate::config::notify::Recipient;

const SECOND: i64 = 1_000_000;

/// The channels, ready to be used.
pub struct Sender {
    config: Notify,
    /// The address below which alerts are read.
    base: String,
    client: reqwest::Client,
    mailer: Option<Mailer>,
}

/// What became of a message.
pub(super) struct Landed {
    pub recipient: String,
    pub notices: Vec<String>,
    pub result: Result<(), Failure>,
}

impl Recipient {
    /// `webhook` or `email`.
    pub fn channel(&self) -> &'static str {
        if self.email.is_some() { "email" } else { "webhook" }
    }
}

impl Sender {
    /// The error names the key that cannot be used.
    pub fn new(config: Notify, base: String) -> Result<Self, String> {
        let timeout = Duration::from_secs(config.timeout_s.into());
        for recipient in &config.recipient {
            let usable = |secret: &str| webhook::sign(secret, "", 0, "").is_some();
            if recipient.secret.as_ref().is_some_and(|secret| !usable(secrecy::ExposeSecret::expose_secret(secret))) {
                return Err(format!(
                    "notify.recipient {}: the secret is whsec_ and base64 of at least 16 bytes",
                    recipient.name
                ));
            }
        }
        // Where an alert is sent is decided here and not by whoever answers.
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).connect_timeout(timeout);
        let client = client.build().map_err(|error| format!("notify: {error}"))?;
        let mailer = Mailer::new(&config.smtp, timeout)?;
        Ok(Self { config, base, client, mailer })
    }

    pub(super) fn recipients(&self) -> &[Recipient] {
        &self.config.recipient
    }

    pub(super) fn recipient(&self, name: &str) -> Option<&Recipient> {
        self.config.recipient.iter().find(|recipient| recipient.name == name)
    }

    /// µs
    pub(super) fn group_wait(&self) -> i64 {
        i64::from(self.config.group_wait_s) * SECOND
    }

    /// µs
    pub(super) fn give_up(&self) -> i64 {
        i64::from(self.config.give_up_s) * SECOND
    }

    /// Sends one message. `message`: what it is known by, however often it is sent; `now`: µs UTC.
    pub(super) async fn send(&self, recipient: &str, message: &str, told: Vec<Told>, now: i64) -> Landed {
        let result = match self.recipient(recipient) {
            Some(known) => self.by_channel(known, message, &told, now).await,
            None => Err(Failure::Never("the recipient is not configured any more".to_owned())),
        };
        let notices = told.into_iter().map(|told| told.notice.id).collect();
        Landed { recipient: recipient.to_owned(), notices, result }
    }

    async fn by_channel(&self, to: &Recipient, message: &str, told: &[Told], now: i64) -> Result<(), Failure> {
        let telling = Telling { content: to.content, base: &self.base };
        match (&to.webhook, &to.secret, &to.email, &self.mailer) {
            (Some(url), Some(secret), ..) => {
                let timeout = Duration::from_secs(self.config.timeout_s.into());
                webhook::post(&self.client, url, secret, timeout, (message, &telling.json(told, now), now)).await
            }
            (_, _, Some(address), Some(mailer)) => mailer.send(address, message, telling.text(told)).await,
            _ => Err(Failure::Never("the recipient has no channel".to_owned())),
        }
    }

    /// A message that says only that messages arrive.
    pub async fn test(&self, name: &str, now: i64) -> Result<(), Failure> {
        let unknown = || Failure::Never("there is no recipient of this name".to_owned());
        let to = self.recipient(name).ok_or_else(unknown)?;
        let id = crate::clock::new_id();
        match (&to.webhook, &to.secret, &to.email, &self.mailer) {
            (Some(url), Some(secret), ..) => {
                let timeout = Duration::from_secs(self.config.timeout_s.into());
                let body =
                    serde_json::json!({"type": "test", "timestamp": crate::fhir::time::instant(now), "data": {}});
                webhook::post(&self.client, url, secret, timeout, (&id, &body, now)).await
            }
            (_, _, Some(address), Some(mailer)) => {
                let text = "This is a test. There is no alert.\n".to_owned();
                mailer.send(address, &id, ("Vigía: test".to_owned(), text)).await
            }
            _ => Err(Failure::Never("the recipient has no channel".to_owned())),
        }
    }
}

/// The notices of the next message: those that went out together before, or everything about one patient that one
/// recipient has not been told yet, once one of it is due.
pub(super) fn next_group(
    waiting: &BTreeMap<String, Notice>,
    flying: &HashSet<String>,
    now: i64,
) -> Option<Vec<Notice>> {
    let free = waiting.values().filter(|notice| !flying.contains(&notice.recipient));
    let first = free.filter(|notice| notice.due <= now).min_by_key(|notice| (notice.due, &notice.id))?;
    let fresh = |notice: &Notice| notice.message.is_none() && notice.attempts == 0;
    let together = |other: &&Notice| {
        let same = other.recipient == first.recipient && other.patient == first.patient;
        match &first.message {
            Some(message) => other.message.as_ref() == Some(message),
            None => other.id == first.id || (fresh(first) && fresh(other) && same),
        }
    };
    Some(waiting.values().filter(together).cloned().collect())
}

/// Why nobody needs to be told of this any more.
pub(super) fn of_no_use(notice: &Notice, alert: Option<&Value>, now: i64, give_up: i64) -> Option<&'static str> {
    let state = alert.and_then(State::of);
    match (notice.occasion, state) {
        (_, None) => Some("the alert is gone"),
        _ if now - notice.planned > give_up => Some("it could not be delivered for too long"),
        (Occasion::Resolved, _) => None,
        (_, Some(state)) if state.is_over() => Some("the alert is over"),
        (_, Some(State::Acknowledged)) => Some("somebody has answered"),
        (_, Some(State::Suppressed)) => Some("the alert is silenced"),
        _ => None,
    }
}

/// What the end of a flight means for a notice that was in it.
pub(super) fn outcome(notice: &Notice, result: &Result<(), Failure>, now: i64) -> Outcome {
    match result {
        Ok(()) => Outcome::Delivered,
        Err(Failure::Later(why)) => Outcome::Again(now + backoff(notice.attempts, rand::random()), why.clone()),
        Err(Failure::Never(why)) => Outcome::Stopped(why.clone()),
    }
}
