//! Keys that sign id tokens: RSA, because `OpenID` Connect asks for RS256. Made when they are needed, kept in the store
//! sealed under the server's own key, so that all nodes sign with the same; a new one every quarter, and the old one
//! stays published until what it signed is over.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;
use sha2::Sha256;

use super::SECOND;
use crate::auth::token::pem_of;
use crate::error::Error;
use crate::store::Store;

/// A key signs so long, µs.
const SIGNS: i64 = 90 * 86_400 * SECOND;
/// And is published so much longer, µs: more than any id token is good.
const OVERLAP: i64 = 7 * 86_400 * SECOND;
/// How long what is known of the keys is taken for true, µs.
const KNOWN: i64 = 60 * SECOND;
/// What the seal is for; a seal of something else does not open.
const PURPOSE: &[u8] = b"vigia id token key";

struct IdKey {
    kid: String,
    signing: EncodingKey,
    jwk: Jwk,
    created: i64,
}

type Known = Option<(Arc<Vec<IdKey>>, i64)>;

/// The keys, the newest first.
#[derive(Clone)]
pub struct IdKeys {
    store: Store,
    seal: Arc<RandomizedNonceKey>,
    known: Arc<Mutex<Known>>,
    /// One at a time makes a key.
    making: Arc<tokio::sync::Mutex<()>>,
}

impl IdKeys {
    pub fn new(store: Store, seal_key: &[u8; 32]) -> Result<Self> {
        let mut mac = Hmac::<Sha256>::new_from_slice(seal_key)?;
        mac.update(PURPOSE);
        let key = mac.finalize().into_bytes();
        let seal = RandomizedNonceKey::new(&AES_256_GCM, &key).map_err(|_| anyhow!("the seal key cannot be used"))?;
        Ok(Self { store, seal: Arc::new(seal), known: Arc::default(), making: Arc::default() })
    }

    /// Public keys, for `/auth/jwks`.
    pub async fn public(&self) -> Result<Vec<Jwk>, Error> {
        Ok(self.all().await?.iter().map(|key| key.jwk.clone()).collect())
    }

    /// Signs with the newest key.
    pub async fn sign(&self, claims: &impl Serialize) -> Result<String, Error> {
        let all = self.all().await?;
        let key = all.first().ok_or_else(|| Error::internal("no key signs id tokens"))?;
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(key.kid.clone());
        encode(&header, claims, &key.signing).map_err(Error::internal)
    }

    async fn all(&self) -> Result<Arc<Vec<IdKey>>, Error> {
        let now = self.store.clock().now();
        if let Some(known) = self.remembered(now) {
            return Ok(known);
        }
        let _one = self.making.lock().await;
        if let Some(known) = self.remembered(now) {
            return Ok(known);
        }
        let mut rows = self.store.smart_keys(now - SIGNS - OVERLAP).await?;
        if rows.first().is_none_or(|(_, _, created)| now - created > SIGNS) {
            let (kid, sealed) = self.make().await?;
            self.store.add_smart_key(kid, sealed, now).await?;
            rows = self.store.smart_keys(now - SIGNS - OVERLAP).await?;
        }
        let all: Result<Vec<IdKey>, Error> =
            rows.into_iter().map(|(kid, sealed, created)| self.open(kid, &sealed, created)).collect();
        let all = Arc::new(all?);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((all.clone(), now));
        Ok(all)
    }

    fn remembered(&self, now: i64) -> Option<Arc<Vec<IdKey>>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, at) = known.as_ref()?;
        let newest = all.first()?.created;
        ((0..KNOWN).contains(&(now - at)) && now - newest <= SIGNS).then(|| all.clone())
    }

    /// A key's id and the sealed key. It takes some tenths of a second of a core.
    async fn make(&self) -> Result<(String, Vec<u8>), Error> {
        let made = tokio::task::spawn_blocking(|| {
            let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| Error::internal("no RSA key can be made"))?;
            let der = pair.as_der().map_err(|_| Error::internal("an RSA key cannot be written"))?;
            Ok::<_, Error>(pem_of(der.as_ref()))
        });
        let pem = made.await.map_err(Error::internal)??;
        let (_, jwk) = read(&pem)?;
        let kid = jwk.common.key_id.unwrap_or_default();
        let mut sealed = pem.into_bytes();
        let nonce = self.seal.seal_in_place_append_tag(Aad::from(kid.as_bytes()), &mut sealed);
        let nonce = nonce.map_err(|_| Error::internal("a key cannot be sealed"))?;
        sealed.extend_from_slice(nonce.as_ref());
        Ok((kid, sealed))
    }

    fn open(&self, kid: String, sealed: &[u8], created: i64) -> Result<IdKey, Error> {
        let broken = || Error::internal("a key of id tokens does not open: was the seal key changed?");
        let (text, nonce) = sealed.split_last_chunk::<NONCE_LEN>().ok_or_else(broken)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut text = text.to_vec();
        let plain = self.seal.open_in_place(nonce, Aad::from(kid.as_bytes()), &mut text).map_err(|_| broken())?;
        let (signing, jwk) = read(std::str::from_utf8(plain).map_err(Error::internal)?)?;
        Ok(IdKey { kid, signing, jwk, created })
    }
}

fn read(pem: &str) -> Result<(EncodingKey, Jwk), Error> {
    let signing = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(Error::internal)?;
    let mut jwk = Jwk::from_encoding_key(&signing, Algorithm::RS256).map_err(Error::internal)?;
    jwk.common.key_id = Some(jwk.thumbprint(ThumbprintHash::SHA256).map_err(Error::internal)?);
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok((signing, jwk))
}
