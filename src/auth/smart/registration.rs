//! What is known of a client: RFC 7591's client metadata, and what SMART adds. Pure: read and checked here, kept
//! elsewhere.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Host, Url};
use utoipa::ToSchema;

use crate::auth::access::scope::{self, OTHER_SCOPES, Scope};
use crate::error::Error;

/// More of anything is a mistake.
const MANY: usize = 50;
const MAX_TEXT: usize = 2048;
/// s
const MAX_ACCESS_S: i64 = 3600;
/// s: a year
const MAX_REFRESH_S: i64 = 365 * 86_400;

/// How a client proves itself at the token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Not at all: a public client, an app in a browser or on a phone.
    #[default]
    None,
    /// By a secret, in the header `Authorization: Basic`.
    ClientSecretBasic,
    /// By an assertion that it signs with RS384 or ES384.
    PrivateKeyJwt,
}

/// What a client may ask for tokens with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    AuthorizationCode,
    RefreshToken,
    ClientCredentials,
}

/// Client metadata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// What users are shown.
    pub client_name: String,
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    #[serde(default = "interactive")]
    pub grant_types: Vec<GrantType>,
    #[serde(default)]
    pub token_endpoint_auth_method: Method,
    /// What it may ask for at most, with spaces between.
    pub scope: String,
    /// Its public keys, a JSON Web Key Set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub jwks: Option<Value>,
    /// Where its public keys are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Where it is launched from a patient's page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiate_login_uri: Option<String>,
    /// Pages of these origins may call the token endpoint and the FHIR endpoint (CORS).
    #[serde(default)]
    pub origins: Vec<String>,
    /// How long its access tokens are good, s; an hour at most.
    #[serde(default = "hour")]
    pub access_token_s: i64,
    /// How long what was granted offline is good, s.
    #[serde(default = "quarter")]
    pub refresh_token_s: i64,
}

fn interactive() -> Vec<GrantType> {
    vec![GrantType::AuthorizationCode, GrantType::RefreshToken]
}

fn hour() -> i64 {
    MAX_ACCESS_S
}

fn quarter() -> i64 {
    90 * 86_400
}

impl Registration {
    /// Refuses what could not work or would not be safe; the place is the member's name.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |place: &str, why: &str| Err(Error::unprocessable("value", place.to_owned(), why.to_owned()));
        let name = self.client_name.trim();
        if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
            return refuse("client_name", "a name of 1 to 100 characters is needed");
        }
        if self.redirect_uris.len() > MANY || self.origins.len() > MANY {
            return refuse("redirect_uris", "there are too many");
        }
        if self.may(GrantType::AuthorizationCode) == self.redirect_uris.is_empty() {
            return refuse("redirect_uris", "authorization_code needs them, and nothing else does");
        }
        if let Some(why) = self.redirect_uris.iter().find_map(|uri| redirect_refusal(uri)) {
            return refuse("redirect_uris", why);
        }
        if self.origins.iter().any(|origin| !is_origin(origin)) {
            return refuse("origins", "an origin is a scheme, a host and a port: https://app.example");
        }
        if self.initiate_login_uri.as_ref().is_some_and(|uri| web(uri).is_none()) {
            return refuse("initiate_login_uri", "https is needed, or http on this machine");
        }
        if self.may(GrantType::ClientCredentials) && self.token_endpoint_auth_method != Method::PrivateKeyJwt {
            return refuse("token_endpoint_auth_method", "client_credentials needs private_key_jwt");
        }
        if !(60..=MAX_ACCESS_S).contains(&self.access_token_s) {
            return refuse("access_token_s", "60 to 3600");
        }
        if !(300..=MAX_REFRESH_S).contains(&self.refresh_token_s) {
            return refuse("refresh_token_s", "300 to 31536000");
        }
        self.check_keys()?;
        self.check_scope()
    }

    fn check_keys(&self) -> Result<(), Error> {
        let refuse = |place: &str, why: &str| Err(Error::unprocessable("value", place.to_owned(), why.to_owned()));
        let asymmetric = self.token_endpoint_auth_method == Method::PrivateKeyJwt;
        if asymmetric != (self.jwks.is_some() || self.jwks_uri.is_some())
            || (self.jwks.is_some() && self.jwks_uri.is_some())
        {
            return refuse("jwks", "private_key_jwt needs either jwks or jwks_uri, and nothing else does");
        }
        if self.jwks_uri.as_ref().is_some_and(|uri| web(uri).is_none()) {
            return refuse("jwks_uri", "https is needed, or http on this machine");
        }
        match self.jwks.as_ref().map(keys) {
            Some(Err(why)) => refuse("jwks", why),
            Some(Ok(keys)) if keys.is_empty() => {
                refuse("jwks", "no key in it can be used: RSA for RS384, P-384 for ES384")
            }
            _ => Ok(()),
        }
    }

    fn check_scope(&self) -> Result<(), Error> {
        scope::parse_all(&self.scope).map_err(|denied| Error::unprocessable("value", "scope", denied.to_string()))?;
        if self.scope.trim().is_empty() {
            return Err(Error::unprocessable("value", "scope", "a client that may ask for nothing is of no use"));
        }
        Ok(())
    }

    /// Proves itself by a secret that this server makes.
    pub fn has_secret(&self) -> bool {
        self.token_endpoint_auth_method == Method::ClientSecretBasic
    }

    /// Can keep a secret or a key, and proves itself by it.
    pub fn is_confidential(&self) -> bool {
        self.token_endpoint_auth_method != Method::None
    }

    pub fn may(&self, grant: GrantType) -> bool {
        self.grant_types.contains(&grant)
    }

    /// Whether this is one of the scopes that it may ask for.
    pub fn may_ask(&self, text: &str, parsed: Option<&Scope>) -> bool {
        let own = || self.scope.split_ascii_whitespace();
        match parsed {
            None => OTHER_SCOPES.contains(&text) && own().any(|known| known == text),
            Some(wanted) => own().filter_map(|known| scope::parse(known).ok()).any(|known| known.includes(wanted)),
        }
    }

    /// Exactly as it was registered, letter by letter.
    pub fn has_redirect(&self, uri: &str) -> bool {
        self.redirect_uris.iter().any(|known| known == uri)
    }
}

/// Keys that can verify an assertion. An error: what must not stand in a key set, or could be two things.
pub fn keys(set: &Value) -> Result<Vec<Jwk>, &'static str> {
    let all = set.get("keys").and_then(Value::as_array).ok_or("this is no JSON Web Key Set: {\"keys\": [...]}")?;
    if all.len() > MANY {
        return Err("there are too many keys");
    }
    let mut usable: Vec<Jwk> = Vec::new();
    for key in all {
        if ["d", "k", "p", "q"].iter().any(|private| key.get(private).is_some()) {
            return Err("a private or shared key stays with the client; send public keys");
        }
        // What is of another kind, or for another use, may stand beside.
        let Ok(key) = serde_json::from_value::<Jwk>(key.clone()) else { continue };
        let fits = match &key.algorithm {
            // RFC 7518 wants 2048 bits; the modulus is base64url without padding.
            AlgorithmParameters::RSA(rsa) => rsa.n.len() >= 2048 / 6,
            AlgorithmParameters::EllipticCurve(ec) => ec.curve == EllipticCurve::P384,
            _ => false,
        };
        if !fits || key.common.key_id.is_none() || jsonwebtoken::DecodingKey::from_jwk(&key).is_err() {
            continue;
        }
        let twin = |known: &Jwk| known.common.key_id == key.common.key_id && family(known) == family(&key);
        if usable.iter().any(twin) {
            return Err("two keys have the same kid and kty");
        }
        usable.push(key);
    }
    Ok(usable)
}

/// RSA or not.
pub fn family(key: &Jwk) -> bool {
    matches!(key.algorithm, AlgorithmParameters::RSA(_))
}

/// https, or http to this machine; nothing hidden in it.
fn web(uri: &str) -> Option<Url> {
    let plain = uri.len() <= MAX_TEXT && uri.bytes().all(|b| b.is_ascii_graphic()) && !uri.contains(['\\', '#', '*']);
    let url = Url::parse(uri).ok().filter(|_| plain)?;
    let local = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    };
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && local);
    (scheme && url.username().is_empty() && url.password().is_none()).then_some(url)
}

fn redirect_refusal(uri: &str) -> Option<&'static str> {
    if web(uri).is_some() {
        return None;
    }
    // An app on a phone: a scheme of its own, named after a domain of its maker (RFC 8252, 7.1).
    let own = |uri: &str| {
        let (scheme, rest) = uri.split_once(':')?;
        let named = scheme.contains('.')
            && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-+".contains(&b));
        let plain = uri.len() <= MAX_TEXT && uri.bytes().all(|b| b.is_ascii_graphic()) && !rest.contains(['#', '\\']);
        (named && plain && Url::parse(uri).is_ok()).then_some(())
    };
    if own(uri).is_some() {
        None
    } else {
        Some("https is needed, http on this machine, or a scheme that is named after a domain")
    }
}

fn is_origin(text: &str) -> bool {
    web(text).is_some_and(|url| url.origin().ascii_serialization() == text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn registration(change: &Value) -> Result<Registration, String> {
        let mut all = json!({"client_name": "App", "redirect_uris": ["https://app.example/cb"], "scope": "launch/patient patient/*.rs"});
        for (name, value) in change.as_object().unwrap() {
            all[name] = value.clone();
        }
        let read: Registration = serde_json::from_value(all).map_err(|e| e.to_string())?;
        read.check().map_err(|e| e.issues().iter().map(|i| i.expression.clone()).collect::<String>())?;
        Ok(read)
    }

    #[test]
    fn what_can_be_registered() {
        assert!(registration(&json!({})).is_ok());
        for good in ["http://localhost:3000/cb", "http://127.0.0.1/cb?x=1", "com.example.app:/cb", "https://a.example"]
        {
            assert!(registration(&json!({"redirect_uris": [good]})).is_ok(), "{good}");
        }
        for bad in [
            "http://app.example/cb",
            "https://app.example/cb#x",
            "https://user:pass@app.example/cb",
            "https://app.example\\@evil.example/cb",
            "https://ápp.example/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "myapp:/cb",
            "/cb",
            "",
            "https://*.example/cb",
            "https://app.example/c b",
        ] {
            assert_eq!(registration(&json!({"redirect_uris": [bad]})).unwrap_err(), "redirect_uris", "{bad}");
        }
        for (change, place) in [
            (json!({"client_name": " "}), "client_name"),
            (json!({"redirect_uris": []}), "redirect_uris"),
            (json!({"scope": "nonsense"}), "scope"),
            (json!({"scope": " "}), "scope"),
            (json!({"origins": ["https://app.example/"]}), "origins"),
            (json!({"access_token_s": 7200}), "access_token_s"),
            (json!({"refresh_token_s": 1}), "refresh_token_s"),
            (json!({"token_endpoint_auth_method": "private_key_jwt"}), "jwks"),
            (json!({"jwks_uri": "https://app.example/jwks"}), "jwks"),
            (json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "ftp://x"}), "jwks_uri"),
            (json!({"grant_types": ["client_credentials"], "redirect_uris": []}), "token_endpoint_auth_method"),
            (json!({"initiate_login_uri": "http://app.example"}), "initiate_login_uri"),
        ] {
            assert_eq!(registration(&change).unwrap_err(), place, "{change}");
        }
        assert!(registration(&json!({"surprise": 1})).is_err());
    }

    #[test]
    fn scopes_within_those_registered() {
        let client = registration(
            &json!({"scope": "openid launch/patient patient/*.rs user/Observation.cruds patient/Encounter.cruds?"}),
        );
        assert!(client.is_err(), "an empty constraint");
        let client =
            registration(&json!({"scope": "openid launch/patient patient/*.rs user/Observation.cruds"})).unwrap();
        for (scope, may) in [
            ("openid", true),
            ("fhirUser", false),
            ("patient/Observation.r", true),
            ("patient/Observation.rs?category=vital-signs", true),
            ("patient/*.read", true),
            ("patient/Observation.c", false),
            ("user/Observation.c", true),
            ("user/*.r", false),
            ("system/*.rs", false),
        ] {
            assert_eq!(client.may_ask(scope, scope::parse(scope).ok().as_ref()), may, "{scope}");
        }
    }

    #[test]
    fn key_sets() {
        let p384 = |kid: &str| {
            json!({"kty": "EC", "crv": "P-384", "kid": kid,
            "x": "aXW_T_N0m6SfEtLbnbJvQLU9xMuMdzrHNYdqcyVhGzJIpZzHAqqTdZ1QxkgTRvjP",
            "y": "C-K3WUJZQk5ZL9-l1SCrfPPGhl4jPVBTuBqwzHq0IxZX_VHZ8hn1CSFnvT_JgGmU"})
        };
        assert!(keys(&json!({"keys": []})).unwrap().is_empty());
        assert!(keys(&json!({})).is_err());
        let private = json!({"kty": "RSA", "n": "x", "e": "AQAB", "d": "y", "kid": "a"});
        assert!(keys(&json!({"keys": [private]})).is_err());
        let shared = json!({"kty": "oct", "k": "x", "kid": "a"});
        assert!(keys(&json!({"keys": [shared]})).is_err());
        let small = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "a"});
        assert!(keys(&json!({"keys": [small]})).unwrap().is_empty());
        assert!(keys(&json!({"keys": [p384("a"), p384("a")]})).is_err());
        assert_eq!(keys(&json!({"keys": [p384("a"), p384("b"), {"kty": "new"}]})).unwrap().len(), 2);
    }
}
