//! Things that are good once: made of 256 random bits, found by their hash, with what they stand for as JSON.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::store::Ticket;

/// A request that waits for its user.
pub(super) const REQUEST: &str = "request";
pub(super) const LAUNCH: &str = "launch";
pub(super) const CODE: &str = "code";
pub(super) const REFRESH: &str = "refresh";

/// What it is found by.
pub(super) fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

/// 256 random bits as text.
pub(super) fn secret() -> String {
    let bits: [u8; 32] = rand::random();
    URL_SAFE_NO_PAD.encode(bits)
}

/// A new one: what is handed out, and what is kept.
pub(super) fn make(kind: &'static str, of: &impl Serialize, expires: i64) -> Result<(String, Ticket), Error> {
    let secret = secret();
    let body = serde_json::to_string(of).map_err(Error::internal)?;
    let ticket = Ticket { hash: hash(&secret), kind: kind.to_owned(), body, expires, used: None };
    Ok((secret, ticket))
}

/// What one stands for.
pub(super) fn read<T: DeserializeOwned>(ticket: &Ticket) -> Result<T, Error> {
    serde_json::from_str(&ticket.body).map_err(Error::internal)
}
