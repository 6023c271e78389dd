//! The forms of what devices prove themselves by: made, read and hashed. No store and no device in here.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest as sha1};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use rand::RngExt;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// Kinds of credentials.
pub const KEY: &str = "key";
pub const SECRET: &str = "secret";
pub const CERTIFICATE: &str = "certificate";

/// Keys that devices send begin so: nothing else that stands in the same place does.
pub const SECRET_PREFIX: &str = "vgd_";

/// Letters and digits that are not taken for one another when read aloud.
const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// A code has so many of them, 50 bits.
const CODE: usize = 10;

/// What a device shall prove itself by.
#[derive(Debug)]
pub enum Proof {
    /// A public key, a JSON Web Key.
    Key(String),
    /// A key that it sends; made here.
    Secret,
    /// SHA-256 of its certificate.
    Certificate(Vec<u8>),
}

impl Proof {
    /// A public key of P-256 or Ed25519, and nothing private with it.
    pub fn of_jwk(jwk: &Value) -> Result<Self, Error> {
        let refuse = |why| Error::invalid("value", "jwk", why);
        if jwk.get("d").is_some() || jwk.get("k").is_some() {
            return Err(refuse("a private key stays with the device; send the public one"));
        }
        let read: Jwk = serde_json::from_value(jwk.clone()).map_err(|_| refuse("this is no JSON Web Key"))?;
        let known = match &read.algorithm {
            AlgorithmParameters::EllipticCurve(key) => key.curve == EllipticCurve::P256,
            AlgorithmParameters::OctetKeyPair(key) => key.curve == EllipticCurve::Ed25519,
            _ => false,
        };
        if !known {
            return Err(refuse("keys of P-256 (ES256) and Ed25519 (EdDSA) are taken"));
        }
        jsonwebtoken::DecodingKey::from_jwk(&read).map_err(|_| refuse("this is no JSON Web Key"))?;
        Ok(Self::Key(jwk.to_string()))
    }

    /// A certificate by its fingerprint: SHA-256 in hexadecimal, with or without colons.
    pub fn of_fingerprint(text: &str) -> Result<Self, Error> {
        let plain: String = text.chars().filter(|c| *c != ':').collect();
        let digits = plain.as_bytes().chunks(2);
        let bytes: Option<Vec<u8>> = digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok().filter(|_| pair.len() == 2))
            .collect();
        let bytes = bytes.filter(|bytes| bytes.len() == 32 && plain.bytes().all(|b| b.is_ascii_hexdigit()));
        let why = "the SHA-256 fingerprint of the certificate is needed, 64 hexadecimal digits";
        bytes.map(Self::Certificate).ok_or_else(|| Error::invalid("value", "certificate", why))
    }
}

pub fn digest(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// 256 random bits.
pub(super) fn new_secret() -> String {
    let bits: [u8; 32] = rand::random();
    format!("{SECRET_PREFIX}{}", URL_SAFE_NO_PAD.encode(bits))
}

/// What is kept for uploaders that send the SHA-1 of the key (Nightscout's `api-secret`).
pub(super) fn alias(secret: &str) -> Vec<u8> {
    let hashed = sha1(&SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    digest(hexadecimal(hashed.as_ref()).as_bytes())
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A code that can be read out: `ABCDE-FGHJK`.
pub(super) fn new_code() -> String {
    let mut rng = rand::rng();
    let letters: String =
        (0..CODE).filter_map(|_| ALPHABET.get(rng.random_range(0..ALPHABET.len()))).copied().map(char::from).collect();
    let (first, second) = letters.split_at(CODE / 2);
    format!("{first}-{second}")
}

/// However it is written: small letters, other gaps.
pub(super) fn code_hash(code: &str) -> Vec<u8> {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    digest(plain.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_that_are_taken() {
        let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        let ed = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        for (jwk, taken) in [
            (json!({"kty": "EC", "crv": "P-256", "x": x, "y": y}), true),
            (json!({"kty": "OKP", "crv": "Ed25519", "x": ed}), true),
            (json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "d": x}), false),
            (json!({"kty": "EC", "crv": "P-384", "x": x, "y": y}), false),
            (json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}), false),
            (json!({"kty": "oct", "k": "AQAB"}), false),
            (json!({"kty": "EC", "crv": "P-256"}), false),
            (json!("key"), false),
        ] {
            assert_eq!(Proof::of_jwk(&jwk).is_ok(), taken, "{jwk}");
        }
    }

    #[test]
    fn fingerprints_and_codes() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        for (text, taken) in
            [(plain.as_str(), true), (&colons, true), ("ab", false), (&"zz".repeat(32), false), ("", false)]
        {
            assert_eq!(Proof::of_fingerprint(text).is_ok(), taken, "{text}");
        }
        let code = new_code();
        assert_eq!(code.len(), CODE + 1);
        assert_eq!(code_hash(&code), code_hash(&code.to_lowercase().replace('-', " ")));
        assert_ne!(code_hash(&code), code_hash(&new_code()));
        assert_ne!(alias("vgd_a"), alias("vgd_b"));
    }
}
