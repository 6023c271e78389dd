//! What a device signs to get a token: a JSON Web Token of itself, for this server, good once and for five minutes (RFC
//! 7523, SMART Backend Services). The token that it gets is short-lived too.

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

use super::{Devices, SECOND, proof};
use crate::auth::access::DEVICE_SCOPES;
use crate::auth::token::{Claims, TokenKeys};
use crate::error::Error;

/// An assertion may be good so long at most, s.
const MAX_LIFETIME_S: i64 = 300;
const LEEWAY_S: i64 = 5;
/// How long a device's token is good, s.
pub const TOKEN_S: i64 = 600;
const MAX_BYTES: usize = 8192;

#[derive(Deserialize)]
struct Asserted {
    iss: String,
    sub: String,
    exp: i64,
    #[serde(default)]
    nbf: Option<i64>,
    jti: String,
}

fn refused(why: &'static str) -> Error {
    Error::Unauthenticated(Some(why))
}

impl Devices {
    /// The claims of a device's token, for its assertion. `audience`: the address of the token endpoint.
    pub async fn asserted(&self, assertion: &str, audience: &str, keys: &TokenKeys) -> Result<Claims, Error> {
        let unreadable = || refused("the assertion is no JSON Web Token of a device");
        if assertion.len() > MAX_BYTES {
            return Err(unreadable());
        }
        // Whose it is stands inside; only then it can be verified, and nothing of it is used before.
        let named = jsonwebtoken::dangerous::insecure_decode::<Asserted>(assertion).map_err(|_| unreadable())?.claims;
        if named.iss != named.sub {
            return Err(refused("the assertion's issuer and subject are not the same"));
        }
        let credential = self.signer(&named.sub).await?;
        let jwk: Jwk =
            serde_json::from_str(credential.public_key.as_deref().unwrap_or_default()).map_err(Error::internal)?;
        let algorithm = match jwk.algorithm {
            AlgorithmParameters::OctetKeyPair(_) => Algorithm::EdDSA,
            _ => Algorithm::ES256,
        };
        let header = decode_header(assertion).map_err(|_| unreadable())?;
        if header.alg != algorithm {
            return Err(refused("the assertion is not signed by the device's key"));
        }
        let mut validation = Validation::new(algorithm);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "sub", "aud"]);
        // The library reads the machine's clock.
        validation.validate_exp = false;
        let key = DecodingKey::from_jwk(&jwk).map_err(Error::internal)?;
        let asserted = decode::<Asserted>(assertion, &key, &validation)
            .map_err(|_| refused("the assertion's signature or audience is wrong"))?
            .claims;
        let now = self.store.clock().now_seconds();
        if asserted.exp + LEEWAY_S <= now || asserted.nbf.is_some_and(|from| from - LEEWAY_S > now) {
            return Err(refused("the assertion has expired, or is not good yet"));
        }
        if asserted.exp > now + MAX_LIFETIME_S + LEEWAY_S {
            return Err(refused("an assertion is good for five minutes at most"));
        }
        let once = proof::digest(format!("{}\u{1f}{}", credential.id, asserted.jti).as_bytes());
        let (expires, now_us) = ((asserted.exp + LEEWAY_S) * SECOND, self.store.clock().now());
        if asserted.jti.is_empty() || !self.store.spend(once, expires, now_us).await? {
            return Err(refused("the assertion was used before"));
        }
        let mut claims = keys.claims(&credential.id, DEVICE_SCOPES, None, now, TOKEN_S);
        claims.device = Some(credential.device.clone());
        Ok(claims)
    }
}
