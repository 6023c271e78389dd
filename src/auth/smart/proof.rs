//! A client at the token endpoint proves that it is the one it says: by nothing (a public client), a secret, or an
//! assertion. One way at a time, and the one that it was registered with.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::Jwk;

use super::Smart;
use super::client::Client;
use super::refusal::{Failure, Refusal};
use super::registration::{self, Method, keys};
use super::ticket;
use crate::auth::assertion::{self, JWT_BEARER, Unverified};
use crate::error::Error;

/// What came with a request.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// What stands behind `Authorization: Basic`.
    pub basic: Option<String>,
    pub client_id: Option<String>,
    pub assertion_type: Option<String>,
    pub assertion: Option<String>,
}

impl Smart {
    /// Who this is; none when it does not say. `audience`: the address of the token endpoint.
    pub async fn client_of(&self, credentials: &Credentials) -> Result<Option<Arc<Client>>, Failure> {
        let Credentials { basic, client_id, assertion_type, assertion } = credentials;
        let client = match (basic, assertion, client_id) {
            (Some(_), Some(_), _) => return Err(Refusal::request("a client proves itself in one way only").into()),
            (Some(basic), None, _) => self.by_secret(basic).await?,
            (None, Some(assertion), _) => {
                if assertion_type.as_deref() != Some(JWT_BEARER) {
                    return Err(Refusal::client(format!("client_assertion_type must be {JWT_BEARER}")).into());
                }
                self.by_assertion(assertion).await?
            }
            (None, None, Some(id)) => self.public(id).await?,
            (None, None, None) => return Ok(None),
        };
        if client_id.as_ref().is_some_and(|id| *id != client.id) {
            return Err(Refusal::client("client_id names another client").into());
        }
        Ok(Some(client))
    }

    async fn registered(&self, id: &str, method: Method) -> Result<Arc<Client>, Failure> {
        let found = self.clients.find(id).await?.ok_or_else(|| Refusal::client("this client is not registered"))?;
        if found.registration.token_endpoint_auth_method == method {
            return Ok(found);
        }
        Err(Refusal::client("the client must prove itself in the way that it was registered with").into())
    }

    async fn public(&self, id: &str) -> Result<Arc<Client>, Failure> {
        self.registered(id, Method::None).await
    }

    async fn by_secret(&self, basic: &str) -> Result<Arc<Client>, Failure> {
        let unreadable = || Refusal::client("the Authorization header cannot be read");
        let bytes = STANDARD.decode(basic.trim()).map_err(|_| unreadable())?;
        let text = String::from_utf8(bytes).map_err(|_| unreadable())?;
        let (id, secret) = text.split_once(':').ok_or_else(unreadable)?;
        // RFC 6749, 2.3.1: both are written as in a form.
        let (id, secret) = (decoded(id), decoded(secret));
        let client = self.registered(&id, Method::ClientSecretBasic).await?;
        // What is compared are hashes of what nobody can choose: their common beginning tells nothing.
        if client.secret.as_ref() != Some(&ticket::hash(&secret)) {
            return Err(Refusal::client("the client's secret is wrong").into());
        }
        Ok(client)
    }

    async fn by_assertion(&self, text: &str) -> Result<Arc<Client>, Failure> {
        let named = assertion::look(text).map_err(refused)?;
        let client = self.registered(&named.issuer, Method::PrivateKeyJwt).await?;
        let key = self.key_of(&client, &named).await?;
        let algorithm = if registration::family(&key) { Algorithm::RS384 } else { Algorithm::ES384 };
        if named.algorithm != algorithm {
            return Err(Refusal::client("RS384 and ES384 are taken, each with a key of its kind").into());
        }
        let clock = self.store.clock();
        let said = assertion::verify(text, &key, algorithm, &self.token_url(), clock.now_seconds()).map_err(refused)?;
        let once = ticket::hash(&format!("{}\u{1f}{}", client.id, said.jti));
        if !self.store.spend(once, said.expires * 1_000_000, clock.now()).await? {
            return Err(Refusal::client("the assertion was used before").into());
        }
        Ok(client)
    }

    /// The one key with this id and of this kind; `jku` only chooses among what was registered.
    async fn key_of(&self, client: &Client, named: &Unverified) -> Result<Jwk, Failure> {
        let Some(kid) = named.kid.as_deref() else { return Err(Refusal::client("the assertion names no kid").into()) };
        let registration = &client.registration;
        if named.jku.is_some() && named.jku != registration.jwks_uri {
            return Err(Refusal::client("the assertion's jku is not the registered one").into());
        }
        let all = match (&registration.jwks, &registration.jwks_uri) {
            (Some(set), _) => Arc::new(keys(set).map_err(Error::internal)?),
            (None, Some(address)) => self.key_sets.at(address, Some(kid)).await.map_err(refused)?,
            (None, None) => return Err(Refusal::client("this client has no keys").into()),
        };
        let rsa = matches!(named.algorithm, Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512);
        let fits = |key: &&Jwk| key.common.key_id.as_deref() == Some(kid) && registration::family(key) == rsa;
        all.iter()
            .find(fits)
            .cloned()
            .ok_or_else(|| Refusal::client("no key of the client has this kid and kind").into())
    }
}

fn decoded(text: &str) -> String {
    form_urlencoded::parse(format!("x={text}").as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn refused(error: Error) -> Failure {
    match error {
        Error::Unauthenticated(why) => Refusal::client(why.unwrap_or("the assertion is refused")).into(),
        other => other.into(),
    }
}
