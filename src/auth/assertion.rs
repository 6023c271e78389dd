//! What a client or a device signs to say who it is (RFC 7523): a JSON Web Token of itself, for this server, good once
//! and for five minutes. Read and verified here with a key that is handed in; whose key it is, and whether it was used
//! before, others know.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

use crate::error::Error;

/// How the form field `client_assertion_type` names it.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// An assertion may be good so long at most, s.
const MAX_LIFETIME_S: i64 = 300;
/// How far clocks may be apart, s.
const LEEWAY_S: i64 = 5;
const MAX_BYTES: usize = 8192;

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    exp: i64,
    #[serde(default)]
    nbf: Option<i64>,
    jti: String,
}

/// What stands in an assertion, before anything of it is known to be true.
#[derive(Debug)]
pub struct Unverified {
    /// Who it says that it is of.
    pub issuer: String,
    pub algorithm: Algorithm,
    pub kid: Option<String>,
    /// Where it says that its key is.
    pub jku: Option<String>,
}

/// What an assertion said, and is true.
#[derive(Debug)]
pub struct Asserted {
    pub jti: String,
    /// s: after this it need not be known any more.
    pub expires: i64,
}

pub fn refused(why: &'static str) -> Error {
    Error::Unauthenticated(Some(why))
}

/// Whose it is stands inside; only then it can be verified, and nothing of it is used before.
pub fn look(assertion: &str) -> Result<Unverified, Error> {
    let unreadable = || refused("the assertion is no JSON Web Token that this server reads");
    if assertion.len() > MAX_BYTES {
        return Err(unreadable());
    }
    let header = decode_header(assertion).map_err(|_| unreadable())?;
    let claims = jsonwebtoken::dangerous::insecure_decode::<Claims>(assertion).map_err(|_| unreadable())?.claims;
    if claims.iss != claims.sub {
        return Err(refused("the assertion's issuer and subject are not the same"));
    }
    Ok(Unverified { issuer: claims.iss, algorithm: header.alg, kid: header.kid, jku: header.jku })
}

/// Checks signature, audience and time. The algorithm is the key's, never the assertion's choice.
pub fn verify(assertion: &str, jwk: &Jwk, algorithm: Algorithm, audience: &str, now_s: i64) -> Result<Asserted, Error> {
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "sub", "aud"]);
    // The library reads the machine's clock.
    validation.validate_exp = false;
    let key = DecodingKey::from_jwk(jwk).map_err(Error::internal)?;
    let said = decode::<Claims>(assertion, &key, &validation)
        .map_err(|_| refused("the assertion's signature or audience is wrong"))?
        .claims;
    if said.exp.saturating_add(LEEWAY_S) <= now_s || said.nbf.is_some_and(|from| from.saturating_sub(LEEWAY_S) > now_s)
    {
        return Err(refused("the assertion has expired, or is not good yet"));
    }
    if said.exp > now_s + MAX_LIFETIME_S + LEEWAY_S {
        return Err(refused("an assertion is good for five minutes at most"));
    }
    if said.jti.is_empty() {
        return Err(refused("the assertion has no jti"));
    }
    Ok(Asserted { jti: said.jti, expires: said.exp + LEEWAY_S })
}
