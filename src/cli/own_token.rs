//! A token of the command line's own: who may read the secrets of the server may also do what they allow.

use anyhow::{Context, Result};
use secrecy::ExposeSecret;

use crate::auth::token::TokenKeys;
use crate::clock::Clock;
use crate::config::Config;

/// A day, in seconds.
pub(super) const DAY: i64 = 86_400;

/// `client`: by whom it is used; `lifetime`: in seconds.
pub(super) fn mint(config: &Config, client: &str, scope: &str, lifetime: i64) -> Result<String> {
    let key = config.secrets.signing_key().context("the signing key of the server is needed")?;
    let url = config.public_url();
    let keys = TokenKeys::from_pem(key.expose_secret(), &url, &format!("{url}/fhir"))?;
    keys.mint(&keys.claims(client, scope, None, Clock::default().now_seconds(), lifetime))
}
