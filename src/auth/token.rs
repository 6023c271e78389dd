//! Bearer tokens of machines: JSON Web Tokens signed with ES256 by this server for itself.
//! Nothing here reads a clock, a file or the store: key and time are handed in. The algorithm
//! is fixed, a token never chooses it.

use crate::auth::access::{Access, Denied, Principal, scope};
use anyhow::{Context, Result, anyhow};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// How far clocks may be apart.
const LEEWAY_S: i64 = 5;
/// Our own tokens have some 400 bytes; what is much longer is not worth a hash.
const MAX_TOKEN_BYTES: usize = 8192;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub sub: String,
    pub aud: String,
    pub client_id: String,
    pub scope: String,
    /// Id of the patient in context, for patient/ scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// The device (`Device/…`) whose token it is; then the client is one of its credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// What was granted, in the authorization server: then its standing is looked up there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// Seconds since 1970.
    pub iat: i64,
    pub exp: i64,
    pub jti: String,
}

/// The key that signs and verifies, and for whom.
pub struct TokenKeys {
    kid: String,
    jwk: Jwk,
    signing: EncodingKey,
    verifying: DecodingKey,
    /// Public keys that signed before, by their ids: what they signed is good until it expires.
    retired: HashMap<String, (DecodingKey, Jwk)>,
    validation: Validation,
    issuer: String,
    audience: String,
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKeys").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl TokenKeys {
    /// From a PKCS#8 PEM of a P-256 key. `issuer` is this server's public address, `audience`
    /// its FHIR base.
    pub fn from_pem(pem: &str, issuer: &str, audience: &str) -> Result<Self> {
        let signing =
            EncodingKey::from_ec_pem(pem.as_bytes()).context("the signing key is no PKCS#8 PEM of a P-256 key")?;
        let mut jwk = Jwk::from_encoding_key(&signing, Algorithm::ES256).context("the signing key is no P-256 key")?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).context("the signing key has no thumbprint")?;
        jwk.common.key_id = Some(kid.clone());
        let verifying = DecodingKey::from_jwk(&jwk)?;
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_required_spec_claims(&["exp", "iss", "sub", "aud"]);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        // The library reads the machine's clock; `verify` compares with the time it is given.
        validation.validate_exp = false;
        let retired = HashMap::new();
        Ok(Self { kid, jwk, signing, verifying, retired, validation, issuer: issuer.into(), audience: audience.into() })
    }

    /// The same, and tokens that this key has signed before are still good.
    pub fn and_retired(mut self, pem: &str) -> Result<Self> {
        let old = Self::from_pem(pem, &self.issuer, &self.audience)?;
        self.retired.insert(old.kid, (old.verifying, old.jwk));
        Ok(self)
    }

    /// Public keys that tokens may be signed with, the one in use first.
    pub fn jwks(&self) -> impl Iterator<Item = &Jwk> {
        std::iter::once(&self.jwk).chain(self.retired.values().map(|(_, jwk)| jwk))
    }

    /// This server's public address.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The address of its FHIR endpoint.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// The RFC 7638 thumbprint, which is the key id.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key for `/jwks`.
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// Claims of a token for a client, valid from now on for `lifetime_s`.
    pub fn claims(&self, client_id: &str, scope: &str, patient: Option<String>, now_s: i64, lifetime_s: i64) -> Claims {
        let jti: [u8; 16] = rand::random();
        Claims {
            iss: self.issuer.clone(),
            sub: client_id.to_owned(),
            aud: self.audience.clone(),
            client_id: client_id.to_owned(),
            scope: scope.to_owned(),
            patient,
            device: None,
            grant: None,
            iat: now_s,
            exp: now_s.saturating_add(lifetime_s),
            jti: URL_SAFE_NO_PAD.encode(jti),
        }
    }

    /// Signs. Claims whose scopes could not be enforced make no token.
    pub fn mint(&self, claims: &Claims) -> Result<String> {
        bearer_of(claims.clone())?;
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.kid.clone());
        encode(&header, claims, &self.signing).context("the token cannot be signed")
    }

    /// Checks algorithm, key, signature, issuer, audience and time.
    pub fn verify(&self, token: &str, now_s: i64) -> Result<Claims, Denied> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Denied::Token("it is too long"));
        }
        let header = decode_header(token).map_err(|_| Denied::Token("it is no token of this server"))?;
        let verifying = match header.kid.as_deref() {
            Some(kid) if kid == self.kid => Some(&self.verifying),
            other => other.and_then(|kid| self.retired.get(kid)).map(|(key, _)| key),
        };
        let Some(verifying) = verifying.filter(|_| header.alg == Algorithm::ES256) else {
            return Err(Denied::Token("it is not signed by this server's key"));
        };
        let claims = decode::<Claims>(token, verifying, &self.validation)
            .map_err(|_| Denied::Token("its signature, issuer or audience is not this server's"))?
            .claims;
        if claims.exp.saturating_add(LEEWAY_S) <= now_s {
            return Err(Denied::Token("it has expired"));
        }
        if claims.iat.saturating_sub(LEEWAY_S) > now_s {
            return Err(Denied::Token("it is not valid yet"));
        }
        Ok(claims)
    }
}

/// Who bears a token.
#[derive(Clone, Debug)]
pub enum Bearer {
    /// A machine or a device: the token itself says what it may do.
    Own(Arc<Access>),
    /// A client with a grant: what it may do is said there as well.
    Granted(Arc<Claims>),
}

fn bearer_of(claims: Claims) -> Result<Bearer, Denied> {
    if claims.grant.is_some() {
        // Who the user is stands in the grant; that the scopes can be read is known before.
        scope::parse_all(&claims.scope)?;
        return Ok(Bearer::Granted(Arc::new(claims)));
    }
    if let Some(device) = &claims.device {
        return Ok(Bearer::Own(Arc::new(Access::for_device(&*claims.client_id, &**device))));
    }
    let principal = Principal::Client { id: claims.client_id.clone() };
    Ok(Bearer::Own(Arc::new(Access::from_scopes(principal, &claims.scope, claims.patient.clone())?)))
}

type Seen = HashMap<[u8; 32], (Bearer, i64)>;

/// Two generations of seen tokens: when the young one is full it becomes the old one, and the
/// old one is forgotten. So the size is bounded and tokens in use stay, without a clock.
#[derive(Default)]
struct Generations {
    young: Seen,
    old: Seen,
}

impl Generations {
    fn get(&self, key: &[u8; 32]) -> Option<&(Bearer, i64)> {
        self.young.get(key).or_else(|| self.old.get(key))
    }
}

/// Verifies bearer tokens and remembers those it has verified: checking a signature
/// costs far more than looking up a hash.
pub struct Verifier {
    keys: TokenKeys,
    capacity: usize,
    seen: RwLock<Generations>,
}

impl Verifier {
    pub const CAPACITY: usize = 10_000;

    pub fn new(keys: TokenKeys) -> Self {
        Self::with_capacity(keys, Self::CAPACITY)
    }

    /// Remembers at most so many tokens.
    pub fn with_capacity(keys: TokenKeys, capacity: usize) -> Self {
        Self { keys, capacity, seen: RwLock::default() }
    }

    pub fn keys(&self) -> &TokenKeys {
        &self.keys
    }

    /// What the bearer of this token may do; not of those whose grant must be looked up.
    pub fn access(&self, token: &str, now_s: i64) -> Result<Arc<Access>, Denied> {
        match self.bearer(token, now_s)? {
            Bearer::Own(access) => Ok(access),
            Bearer::Granted(_) => Err(Denied::Token("this door is for machines and devices, not for apps")),
        }
    }

    pub fn bearer(&self, token: &str, now_s: i64) -> Result<Bearer, Denied> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Denied::Token("it is too long"));
        }
        let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let (known, young) = {
            let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
            (seen.get(&key).cloned(), seen.young.contains_key(&key))
        };
        let (bearer, exp) = match known {
            Some((_, exp)) if exp.saturating_add(LEEWAY_S) <= now_s => return Err(Denied::Token("it has expired")),
            Some((bearer, _)) if young => return Ok(bearer),
            Some(known) => known,
            None => {
                let claims = self.keys.verify(token, now_s)?;
                let exp = claims.exp;
                (bearer_of(claims)?, exp)
            }
        };
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if seen.young.len() >= self.capacity / 2 {
            seen.old = std::mem::take(&mut seen.young);
        }
        seen.young.insert(key, (bearer.clone(), exp));
        Ok(bearer)
    }

    /// Forgets everything, so that the next use of each token is verified anew.
    pub fn forget(&self) {
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Generations::default();
    }
}

/// A new signing key as PKCS#8 PEM.
pub fn generate_pem() -> Result<String> {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
        .map_err(|_| anyhow!("the system gives no random numbers"))?;
    Ok(pem_of(key.as_ref()))
}

/// PKCS#8 as PEM.
pub fn pem_of(pkcs8: &[u8]) -> String {
    let encoded = STANDARD.encode(pkcs8);
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for (place, letter) in encoded.chars().enumerate() {
        if place > 0 && place % 64 == 0 {
            pem.push('\n');
        }
        pem.push(letter);
    }
    pem.push_str("\n-----END PRIVATE KEY-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::access::Action;

    const NOW: i64 = 1_700_000_000;

    fn keys() -> TokenKeys {
        TokenKeys::from_pem(&generate_pem().unwrap(), "https://v.example", "https://v.example/fhir").unwrap()
    }

    fn claims(keys: &TokenKeys) -> Claims {
        keys.claims("monitor-1", "system/Observation.c", None, NOW, 300)
    }

    #[test]
    fn a_minted_token_comes_back_as_it_was() {
        let keys = keys();
        let claims = Claims { patient: Some("p1".into()), ..claims(&keys) };
        let token = keys.mint(&claims).unwrap();
        assert_eq!(keys.verify(&token, NOW).unwrap(), claims);
        assert_eq!(decode_header(&token).unwrap().kid.as_deref(), Some(keys.kid()));
        assert_ne!(claims.jti, self::claims(&keys).jti);
    }

    #[test]
    fn time_is_the_given_time_with_a_little_leeway() {
        let keys = keys();
        let token = keys.mint(&claims(&keys)).unwrap();
        for (now, fine) in [(-6, false), (-5, true), (0, true), (304, true), (305, false), (9999, false)] {
            assert_eq!(keys.verify(&token, NOW + now).is_ok(), fine, "{now}");
        }
    }

    #[test]
    fn other_keys_issuers_audiences_and_algorithms_are_refused() {
        let keys = keys();
        let good = claims(&keys);
        let other = self::keys();
        assert!(keys.verify(&other.mint(&good).unwrap(), NOW).is_err());
        for bad in [
            Claims { iss: "https://other.example".into(), ..good.clone() },
            Claims { aud: "https://v.example/other".into(), ..good.clone() },
        ] {
            assert!(keys.verify(&keys.mint(&bad).unwrap(), NOW).is_err(), "{bad:?}");
        }
        // A MAC made with what is public must not pass for a signature, nor must none at all.
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(keys.kid().into());
        let public = serde_json::to_vec(keys.jwk()).unwrap();
        let forged = encode(&header, &good, &EncodingKey::from_secret(&public)).unwrap();
        assert!(keys.verify(&forged, NOW).is_err());
        let token = keys.mint(&good).unwrap();
        let (_, rest) = token.split_once('.').unwrap();
        let none = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"none","kid":"{}"}}"#, keys.kid()));
        let (payload, _) = rest.split_once('.').unwrap();
        for forged in [format!("{none}.{rest}"), format!("{none}.{payload}."), format!("{none}.{payload}")] {
            assert!(keys.verify(&forged, NOW).is_err());
        }
        let (headless, tailless) = (token.get(1..).unwrap(), token.get(..token.len() - 2).unwrap());
        for junk in ["", ".", "..", "a.b.c", headless, tailless, &"x".repeat(10_000)] {
            assert!(keys.verify(junk, NOW).is_err());
        }
    }

    #[test]
    fn scopes_that_cannot_be_enforced_make_no_token() {
        let keys = keys();
        for scope in ["system/Observation.rs?date=1", "user/*.cruds", "patient/*.rs", "nonsense"] {
            assert!(keys.mint(&Claims { scope: scope.into(), ..claims(&keys) }).is_err(), "{scope}");
        }
    }

    #[test]
    fn the_verifier_remembers_until_the_token_expires() {
        let verifier = Verifier::new(keys());
        let token = verifier.keys().mint(&claims(verifier.keys())).unwrap();
        let first = verifier.access(&token, NOW).unwrap();
        assert!(first.check(Action::Create, "Observation").is_ok());
        assert!(first.check(Action::Read, "Observation").is_err());
        assert!(Arc::ptr_eq(&first, &verifier.access(&token, NOW + 10).unwrap()), "the second time it is known");
        assert!(verifier.access(&token, NOW + 305).is_err(), "known, and still it expires");
        verifier.forget();
        assert!(!Arc::ptr_eq(&first, &verifier.access(&token, NOW).unwrap()));
        assert!(verifier.access("a.b.c", NOW).is_err());
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_what_is_in_use() {
        let verifier = Verifier::with_capacity(keys(), 8);
        let mint = || verifier.keys().mint(&claims(verifier.keys())).unwrap();
        let used = mint();
        let first = verifier.access(&used, NOW).unwrap();
        for _ in 0..40 {
            verifier.access(&mint(), NOW).unwrap();
            assert!(Arc::ptr_eq(&first, &verifier.access(&used, NOW).unwrap()));
            let seen = verifier.seen.read().unwrap();
            assert!(seen.young.len() + seen.old.len() <= 8);
        }
    }

    #[test]
    fn keys_are_read_from_pem_with_lines_before_it_and_nothing_else() {
        let pem = generate_pem().unwrap();
        assert!(pem.lines().all(|line| line.len() <= 64));
        let marked = format!("{}\n{pem}", crate::config::DEMO_KEY_LINE);
        let kid = |pem: &str| TokenKeys::from_pem(pem, "i", "a").map(|keys| keys.kid().to_owned());
        assert_eq!(kid(&marked).unwrap(), kid(&pem).unwrap());
        assert_ne!(kid(&generate_pem().unwrap()).unwrap(), kid(&pem).unwrap());
        for bad in
            ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", &pem.replace("PRIVATE", "PUBLIC")]
        {
            assert!(kid(bad).is_err(), "{bad}");
        }
        assert!(!format!("{:?}", keys()).contains("signing"));
    }
}
