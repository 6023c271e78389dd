//! Devices and what they prove themselves by: keys that they send, public keys that their assertions are signed with,
//! certificates of their connections. Each opens one device's door and no other. Known proofs are remembered for half
//! a second, so one that is revoked on any node is refused everywhere within a second.

pub mod assertion;
pub mod bucket;
pub mod proof;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use self::bucket::Buckets;
use self::proof::Proof;
use super::access::{Access, Principal};
use crate::clock::new_id;
use crate::config::Device as Settings;
use crate::error::Error;
use crate::store::{Claim, Credential, CredentialKey, Store};

/// How long what is known of a credential is taken for true, µs.
const KNOWN_US: i64 = 500_000;
/// More than all devices of a hospital; then it starts afresh.
const MAX_KNOWN: usize = 100_000;
/// How long a claim code is good, µs.
const CLAIM_US: i64 = 15 * 60 * SECOND;
/// So many wrong codes a minute are listened to.
const WRONG_CODES: u32 = 30;
const SECOND: i64 = 1_000_000;

const REFUSED: Error = Error::Unauthenticated(Some("the device's key is not known, or no longer good"));

type Known = HashMap<CredentialKey, (Option<Arc<Credential>>, i64)>;

/// Verifies devices and gives them their credentials.
#[derive(Clone)]
pub struct Devices {
    store: Store,
    known: Arc<Mutex<Known>>,
    buckets: Arc<Buckets>,
    /// Wrong codes since when, µs.
    wrong: Arc<Mutex<(u32, i64)>>,
}

/// A code that a device takes its credential with, and how long.
#[derive(Debug)]
pub struct Code {
    pub code: String,
    /// µs UTC
    pub expires: i64,
}

/// A credential as it is handed over: a secret is shown this once.
#[derive(Debug)]
pub struct Issued {
    pub credential: Credential,
    pub secret: Option<String>,
}

impl Devices {
    pub fn new(store: Store, settings: &Settings) -> Self {
        let buckets = Arc::new(Buckets::new(settings.readings_per_s, settings.burst));
        Self { store, known: Arc::default(), buckets, wrong: Arc::default() }
    }

    /// The device whose key this is.
    pub async fn by_secret(&self, secret: &str) -> Result<Access, Error> {
        self.access(CredentialKey::Hash(proof::digest(secret.as_bytes()))).await
    }

    /// The device whose key has this SHA-1, in hexadecimal: what some uploaders send instead of it.
    pub async fn by_secret_hash(&self, sha1: &str) -> Result<Access, Error> {
        self.access(CredentialKey::Alias(proof::digest(sha1.to_ascii_lowercase().as_bytes()))).await
    }

    /// The device that connects with this certificate (DER).
    pub async fn by_certificate(&self, certificate: &[u8]) -> Result<Access, Error> {
        self.access(CredentialKey::Hash(proof::digest(certificate))).await
    }

    async fn access(&self, key: CredentialKey) -> Result<Access, Error> {
        let credential = self.known(key).await?.ok_or(REFUSED)?;
        // What the public key is for is signed.
        if credential.kind == proof::KEY {
            return Err(REFUSED);
        }
        Ok(Access::for_device(&*credential.id, &*credential.device))
    }

    /// Whether a device's credential still holds. Asked with every token, and every second of an open connection.
    pub async fn still(&self, access: &Access) -> Result<(), Error> {
        let Principal::Device { credential, device } = access.principal() else { return Ok(()) };
        let known = self.known(CredentialKey::Id(credential.clone())).await?;
        known.filter(|known| known.device == *device).map(|_| ()).ok_or(REFUSED)
    }

    /// The public key of a credential.
    async fn signer(&self, id: &str) -> Result<Arc<Credential>, Error> {
        let known = self.known(CredentialKey::Id(id.to_owned())).await?;
        known.filter(|known| known.kind == proof::KEY).ok_or(REFUSED)
    }

    async fn known(&self, key: CredentialKey) -> Result<Option<Arc<Credential>>, Error> {
        let now = self.store.clock().now();
        let before = self.lock().get(&key).cloned();
        if let Some((known, _)) = before.filter(|(_, at)| (0..KNOWN_US).contains(&(now - at))) {
            return Ok(known.filter(|known| known.expires.is_none_or(|end| end > now)));
        }
        let found = self.store.credential(key.clone(), now).await?.map(Arc::new);
        let mut all = self.lock();
        if all.len() >= MAX_KNOWN {
            all.clear();
        }
        all.insert(key, (found.clone(), now));
        Ok(found)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many readings at once: a device that sends more than it may is told when to come again.
    pub fn allow(&self, access: &Access, readings: usize) -> Result<(), Error> {
        let Some(device) = access.device() else { return Ok(()) };
        let wait = self.buckets.take(device, readings, self.store.clock().now());
        wait.map_or(Ok(()), |retry_after_s| Err(Error::TooMany { retry_after_s }))
    }

    /// A code for a device: good once, for a quarter of an hour.
    pub async fn offer(&self, device: &str, by: &Access) -> Result<Code, Error> {
        let (now, code) = (self.store.clock().now(), proof::new_code());
        let expires = now + CLAIM_US;
        let claim = Claim {
            hash: proof::code_hash(&code),
            device: device.to_owned(),
            made_by: by.principal().to_string(),
            expires,
        };
        self.store.add_claim(claim, now).await?;
        Ok(Code { code, expires })
    }

    /// Whoever knows the code is the device.
    pub async fn claim(&self, code: &str, proof: Proof, label: &str) -> Result<Issued, Error> {
        let now = self.store.clock().now();
        self.not_guessing(now)?;
        let issued = issued(String::new(), proof, label, String::new(), now);
        if let Some(credential) = self.store.redeem(proof::code_hash(code), now, issued.credential).await? {
            return Ok(Issued { credential, secret: issued.secret });
        }
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
        Err(Error::invalid("value", "code", "the code is not known, was used, or is older than 15 minutes"))
    }

    fn not_guessing(&self, now: i64) -> Result<(), Error> {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if !(0..60 * SECOND).contains(&(now - wrong.1)) {
            *wrong = (0, now);
        }
        if wrong.0 >= WRONG_CODES { Err(Error::TooMany { retry_after_s: 60 }) } else { Ok(()) }
    }

    /// A credential of a device, by somebody who may give it one.
    pub async fn issue(
        &self,
        device: &str,
        proof: Proof,
        label: &str,
        expires: Option<i64>,
        by: &Access,
    ) -> Result<Issued, Error> {
        let mut issued = issued(device.to_owned(), proof, label, by.principal().to_string(), self.store.clock().now());
        issued.credential.expires = expires;
        self.store.add_credential(issued.credential.clone()).await?;
        self.forget();
        Ok(issued)
    }

    /// Another credential in place of the one that the device calls with, which is good for `overlap_s` more.
    pub async fn rotate(&self, by: &Access, proof: Proof, label: &str, overlap_s: i64) -> Result<Issued, Error> {
        let Principal::Device { credential, device } = by.principal() else {
            return Err(Error::Forbidden("Only a device takes another credential itself.".to_owned()));
        };
        let now = self.store.clock().now();
        let issued = issued(device.clone(), proof, label, device.clone(), now);
        let until = now + overlap_s.saturating_mul(SECOND);
        self.store.replace_credential(credential.clone(), until, issued.credential.clone()).await?;
        self.forget();
        Ok(issued)
    }

    /// Ends one credential of a device, or all. How many there were.
    pub async fn revoke(&self, device: &str, id: Option<&str>) -> Result<usize, Error> {
        let now = self.store.clock().now();
        let ended = self.store.revoke_credentials(device, id.map(str::to_owned), now).await?;
        self.forget();
        Ok(ended)
    }

    /// What was ever given to a device.
    pub async fn credentials(&self, device: &str) -> Result<Vec<Credential>, Error> {
        self.store.credentials_of(device).await
    }

    fn forget(&self) {
        self.lock().clear();
    }
}

fn issued(device: String, proof: Proof, label: &str, made_by: String, created: i64) -> Issued {
    let (kind, public_key, hash, alias, secret) = match proof {
        Proof::Key(jwk) => (proof::KEY, Some(jwk), None, None, None),
        Proof::Certificate(hash) => (proof::CERTIFICATE, None, Some(hash), None, None),
        Proof::Secret => {
            let secret = proof::new_secret();
            let (hash, alias) = (proof::digest(secret.as_bytes()), proof::alias(&secret));
            (proof::SECRET, None, Some(hash), Some(alias), Some(secret))
        }
    };
    let credential = Credential {
        id: new_id(),
        device,
        kind: kind.to_owned(),
        public_key,
        hash,
        alias,
        label: label.to_owned(),
        made_by,
        created,
        expires: None,
        revoked: None,
    };
    Issued { credential, secret }
}
