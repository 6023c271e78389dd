//! How far the audit trail had come, signed with the server's key: who keeps one elsewhere sees when the trail is
//! written anew or cut off. Pure but for the signature.

use anyhow::{Context, Result, bail};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

/// Tells it from a token, which can never be one, nor the other way round: it has neither issuer nor audience.
const TYPE: &str = "vigia-checkpoint+jwt";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The last entry, and its hash in hexadecimal digits.
    pub seq: i64,
    pub hash: String,
    /// Seconds since 1970.
    pub at: i64,
}

/// As a JWS in its compact form. `pem`: the server's signing key.
pub fn sign(pem: &str, checkpoint: &Checkpoint) -> Result<String> {
    let mut header = Header::new(Algorithm::ES256);
    header.typ = Some(TYPE.to_owned());
    encode(&header, checkpoint, &key(pem)?).context("the checkpoint cannot be signed")
}

pub fn read(pem: &str, text: &str) -> Result<Checkpoint> {
    let jwk = Jwk::from_encoding_key(&key(pem)?, Algorithm::ES256).context("the signing key is no P-256 key")?;
    let mut validation = Validation::new(Algorithm::ES256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let read = decode::<Checkpoint>(text, &DecodingKey::from_jwk(&jwk)?, &validation)
        .context("it is not signed by this server's key")?;
    if read.header.typ.as_deref() != Some(TYPE) {
        bail!("it is no checkpoint");
    }
    Ok(read.claims)
}

fn key(pem: &str) -> Result<EncodingKey> {
    EncodingKey::from_ec_pem(pem.as_bytes()).context("the signing key is no PKCS#8 PEM of a P-256 key")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::token::generate_pem;

    #[test]
    fn only_its_own_key_makes_one() {
        let (own, other) = (generate_pem().unwrap(), generate_pem().unwrap());
        let made = Checkpoint { seq: 7, hash: "ab".into(), at: 1 };
        let text = sign(&own, &made).unwrap();
        assert_eq!(read(&own, &text).unwrap(), made);
        assert!(read(&other, &text).is_err());
        assert!(read(&own, "nonsense").is_err());
    }
}
