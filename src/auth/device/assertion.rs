//! What a device signs to get a token (RFC 7523, SMART Backend Services). The token that it gets is short-lived too.

use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};

use super::{Devices, SECOND, proof};
use crate::auth::access::DEVICE_SCOPES;
use crate::auth::assertion::{self, refused};
use crate::auth::token::{Claims, TokenKeys};
use crate::error::Error;

/// How long a device's token is good, s.
pub const TOKEN_S: i64 = 600;

impl Devices {
    /// Whether this is the id of a credential that signs.
    pub async fn is_signer(&self, id: &str) -> Result<bool, Error> {
        match self.signer(id).await {
            Ok(_) => Ok(true),
            Err(Error::Unauthenticated(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The claims of a device's token, for its assertion. `audience`: the address of the token endpoint.
    pub async fn asserted(&self, assertion: &str, audience: &str, keys: &TokenKeys) -> Result<Claims, Error> {
        let named = assertion::look(assertion)?;
        let credential = self.signer(&named.issuer).await?;
        let jwk: Jwk =
            serde_json::from_str(credential.public_key.as_deref().unwrap_or_default()).map_err(Error::internal)?;
        let algorithm = match jwk.algorithm {
            AlgorithmParameters::OctetKeyPair(_) => Algorithm::EdDSA,
            _ => Algorithm::ES256,
        };
        if named.algorithm != algorithm {
            return Err(refused("the assertion is not signed by the device's key"));
        }
        let now = self.store.clock().now_seconds();
        let said = assertion::verify(assertion, &jwk, algorithm, audience, now)?;
        let once = proof::digest(format!("{}\u{1f}{}", credential.id, said.jti).as_bytes());
        if !self.store.spend(once, said.expires * SECOND, self.store.clock().now()).await? {
            return Err(refused("the assertion was used before"));
        }
        let mut claims = keys.claims(&credential.id, DEVICE_SCOPES, None, now, TOKEN_S);
        claims.device = Some(credential.device.clone());
        Ok(claims)
    }
}
