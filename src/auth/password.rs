//! Passwords and session tokens: made, hashed and compared. No store and no names here; who
//! a hash belongs to is another room's matter. A password's check is slow and takes 19 MiB
//! on purpose: callers run it off the request threads, few at a time.

use anyhow::{Result, anyhow};
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngExt;
use sha2::{Digest, Sha256};

/// Longer ones are refused before they are hashed.
pub const MAX_BYTES: usize = 1024;

/// A hash of no one's password, with the parameters of all others: an unknown user costs the
/// same time as a known one.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$Z0hbC3n2iGE9K3fzVRlcbQ$JFR01zzCO9WWZ3ARbjub/2Wm2sAGA0/N5I0IqAlmIUg";

/// Letters and digits that are not taken for one another.
const ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// The argon2id hash of a password, as a PHC string with its own random salt.
pub fn hash(password: &str) -> Result<String> {
    if password.len() > MAX_BYTES {
        return Err(anyhow!("the password is longer than {MAX_BYTES} bytes"));
    }
    let hash: PasswordHash =
        Argon2::default().hash_password(password.as_bytes()).map_err(|_| anyhow!("the password cannot be hashed"))?;
    Ok(hash.to_string())
}

/// Whether the password fits the stored hash. `None` stands for an unknown user: it takes as
/// long and never fits.
pub fn verify(password: &str, stored: Option<&str>) -> bool {
    if password.len() > MAX_BYTES {
        return false;
    }
    let Ok(hash) = PasswordHash::new(stored.unwrap_or(NOBODY)) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok() && stored.is_some()
}

/// A random password that can be read out and typed: four groups of five, some 99 bits.
pub fn generate() -> String {
    let mut rng = rand::rng();
    let group = |rng: &mut rand::rngs::ThreadRng| -> String {
        (0..5).filter_map(|_| ALPHABET.get(rng.random_range(0..ALPHABET.len()))).copied().map(char::from).collect()
    };
    let groups: Vec<String> = (0..4).map(|_| group(&mut rng)).collect();
    groups.join("-")
}

/// A new session: the token for the cookie, and its hash, which alone is stored.
pub fn new_session() -> (String, [u8; 32]) {
    let secret: [u8; 32] = rand::random();
    let token = URL_SAFE_NO_PAD.encode(secret);
    let hash = session_hash(&token);
    (token, hash)
}

/// What a session is found by. The token is 256 random bits: a plain hash is enough.
pub fn session_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_password_fits_its_own_hash_only() {
        let stored = hash("correct horse é").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_ne!(stored, hash("correct horse é").unwrap(), "each hash has its own salt");
        assert!(verify("correct horse é", Some(&stored)));
        for wrong in ["", "correct horse", "Correct horse é"] {
            assert!(!verify(wrong, Some(&stored)), "{wrong}");
        }
    }

    #[test]
    fn nobody_and_broken_hashes_never_fit() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let known = hash("x").unwrap();
        assert_eq!(nobody.params, PasswordHash::new(&known).unwrap().params, "the same cost");
        assert!(nobody.hash.is_some() && nobody.salt.is_some());
        assert!(!verify("x", None));
        for broken in ["", "plain", "$argon2id$v=19$m=19456,t=2,p=1$", "$md5$abc$def"] {
            assert!(!verify("", Some(broken)) && !verify("plain", Some(broken)), "{broken}");
        }
        assert!(hash(&"x".repeat(MAX_BYTES + 1)).is_err());
        assert!(!verify(&"x".repeat(MAX_BYTES + 1), Some(&known)));
    }

    #[test]
    fn generated_passwords_are_readable_and_differ() {
        let all: HashSet<String> = (0..200).map(|_| generate()).collect();
        assert_eq!(all.len(), 200);
        for password in all {
            assert_eq!(password.len(), 23);
            assert!(password.bytes().all(|b| b == b'-' || ALPHABET.contains(&b)), "{password}");
        }
    }

    #[test]
    fn a_session_is_found_by_the_hash_of_its_token() {
        let (token, hash) = new_session();
        assert_eq!((token.len(), session_hash(&token)), (43, hash));
        assert_ne!(new_session().0, token);
    }
}
