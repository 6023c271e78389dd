//! The token endpoint's work: a code, a refresh token, or a service's own proof becomes an access token. Everything that
//! was good once is used up before anything is given, so that of many that come at once one gets it.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::client::Client;
use super::consent::Code;
use super::grant::{Context, Granted, has};
use super::refusal::{Failure, Refusal};
use super::registration::{GrantType, Method};
use super::request::{is_base64url, parsed};
use super::{SECOND, Smart, ticket};
use crate::auth::access::scope::{self, Context as Whose};
use crate::clock::new_id;
use crate::error::Error;
use crate::store::{Ended, Grant, Presented, Ticket};

/// How long a service's token is good, s (SMART Backend Services).
const SERVICE_S: i64 = 300;

/// What is answered.
#[derive(Debug, Serialize)]
pub struct Answer {
    pub access_token: String,
    pub token_type: &'static str,
    /// s
    pub expires_in: i64,
    pub scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// The context that the app is started in.
    #[serde(flatten)]
    pub context: Map<String, Value>,
}

/// What a refresh token stands for; part of what a code stands for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OfGrant {
    pub grant: String,
}

const USED: &str = "it is not known, it has expired, or it was used before";

impl Smart {
    /// For a code that the client got at its address.
    pub async fn exchange(
        &self,
        client: &Client,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
    ) -> Result<Answer, Failure> {
        let (hash, now) = (ticket::hash(code), self.store.clock().now());
        let Some(known) = self.store.ticket(ticket::CODE, hash.clone(), now).await? else {
            return Err(self.used_again(ticket::CODE, hash, now).await?.into());
        };
        let code: Code = ticket::read(&known)?;
        // Looked at before the code is used up: from then on, whoever comes too late ends the grant.
        let grant = self.standing(&code.grant).await?;
        if !matches!(self.store.present(ticket::CODE, hash.clone(), now).await?, Presented::Good(_)) {
            return Err(self.used_again(ticket::CODE, hash, now).await?.into());
        }
        if grant.client != client.id {
            self.end(code.grant).await?;
            return Err(Refusal::grant("the code was given to another client").into());
        }
        if code.redirect_uri != redirect_uri {
            return Err(Refusal::grant("redirect_uri is not the one that the code was sent to").into());
        }
        if !fits(verifier, &code.challenge) {
            return Err(Refusal::grant("code_verifier does not fit the code_challenge").into());
        }
        let granted: Granted = read(&grant)?;
        let scope = granted.scope.clone();
        self.issue(client, &grant, &granted, scope, true).await
    }

    /// For a refresh token, which is replaced. `client`: none where it did not say who it is; a public one need not.
    pub async fn refresh(&self, client: Option<&Client>, token: &str, scope: &str) -> Result<Answer, Failure> {
        let (hash, now) = (ticket::hash(token), self.store.clock().now());
        let Some(known) = self.store.ticket(ticket::REFRESH, hash.clone(), now).await? else {
            return Err(self.used_again(ticket::REFRESH, hash, now).await?.into());
        };
        let grant = self.standing(&ticket::read::<OfGrant>(&known)?.grant).await?;
        let owner = self.clients.find(&grant.client).await?.ok_or_else(|| Refusal::grant(USED))?;
        match client {
            Some(client) if client.id != owner.id => {
                return Err(Refusal::grant("the refresh token was given to another client").into());
            }
            None if owner.registration.token_endpoint_auth_method != Method::None => {
                return Err(Refusal::client("this client must prove itself").into());
            }
            _ => {}
        }
        let granted: Granted = read(&grant)?;
        let scope = narrowed(&granted.scope, scope)?;
        if !matches!(self.store.present(ticket::REFRESH, hash.clone(), now).await?, Presented::Good(_)) {
            return Err(self.used_again(ticket::REFRESH, hash, now).await?.into());
        }
        self.issue(&owner, &grant, &granted, scope, false).await
    }

    /// What comes a second time somebody else has too: all that came of it ends (RFC 6749, 4.1.2; RFC 9700, 4.14.2).
    async fn used_again(&self, kind: &'static str, hash: Vec<u8>, now: i64) -> Result<Refusal, Error> {
        if let Presented::Again(ticket) = self.store.present(kind, hash, now).await? {
            self.end(ticket::read::<OfGrant>(&ticket)?.grant).await?;
        }
        Ok(Refusal::grant(USED))
    }

    /// For a service, by its own right.
    pub async fn serve(&self, client: &Client, scope: &str) -> Result<Answer, Failure> {
        if !client.registration.may(GrantType::ClientCredentials) {
            return Err(
                Refusal::new("unauthorized_client", "this client is not registered for client_credentials").into()
            );
        }
        let mut scopes: Vec<&str> = Vec::new();
        for text in scope.split_ascii_whitespace() {
            let parsed = parsed(text)?;
            if parsed.as_ref().is_some_and(|scope| scope.context != Whose::System) {
                return Err(Refusal::scope("a service asks for system/ scopes").into());
            }
            if !client.registration.may_ask(text, parsed.as_ref()) {
                return Err(
                    Refusal::scope(format!("{} is not registered for this client", scope::printable(text))).into()
                );
            }
            if !scopes.contains(&text) {
                scopes.push(text);
            }
        }
        if scopes.is_empty() {
            return Err(Refusal::scope("scope is needed").into());
        }
        let scope = scopes.join(" ");
        scope::parse_all(&scope).map_err(|denied| Refusal::scope(denied.to_string()))?;
        let granted = Granted { scope: scope.clone(), context: Context::default(), nonce: None, fhir_user: None };
        let now = self.store.clock().now();
        let grant = Grant {
            id: new_id(),
            client: client.id.clone(),
            account: None,
            session: None,
            body: serde_json::to_string(&granted).map_err(Error::internal)?,
            created: now,
            expires: now + SERVICE_S * SECOND,
            revoked: None,
        };
        self.store.add_grant(grant.clone(), Vec::new(), now).await?;
        Ok(Answer { token_type: "bearer", ..self.issue(client, &grant, &granted, scope, false).await? })
    }

    /// `first`: with the code, when the login is told as well.
    async fn issue(
        &self,
        client: &Client,
        grant: &Grant,
        granted: &Granted,
        scope: String,
        first: bool,
    ) -> Result<Answer, Failure> {
        let clock = self.store.clock();
        let (now, now_s) = (clock.now(), clock.now_seconds());
        let left = (grant.expires - now + SECOND - 1) / SECOND;
        let lifetime = client.registration.access_token_s.min(left).max(0);
        let keys = self.verifier.keys();
        let mut claims = keys.claims(&client.id, &scope, granted.context.patient.clone(), now_s, lifetime);
        claims.grant = Some(grant.id.clone());
        if let Some(account) = &grant.account {
            claims.sub.clone_from(account);
        }
        let lasting = has(&granted.scope, "offline_access") || has(&granted.scope, "online_access");
        let mut refresh_token = None;
        if lasting && grant.account.is_some() && client.registration.may(GrantType::RefreshToken) {
            let (secret, row) = ticket::make(ticket::REFRESH, &OfGrant { grant: grant.id.clone() }, grant.expires)?;
            self.store.add_ticket(row, now).await?;
            refresh_token = Some(secret);
        }
        let id_token = if has(&scope, "openid") {
            self.id_token(client, grant, granted, now_s, lifetime, first).await?
        } else {
            None
        };
        Ok(Answer {
            access_token: keys.mint(&claims).map_err(Error::internal)?,
            token_type: "Bearer",
            expires_in: lifetime,
            scope,
            refresh_token,
            id_token,
            context: granted.context.told(),
        })
    }

    async fn id_token(
        &self,
        client: &Client,
        grant: &Grant,
        granted: &Granted,
        now_s: i64,
        lifetime: i64,
        first: bool,
    ) -> Result<Option<String>, Error> {
        let Some(account) = &grant.account else { return Ok(None) };
        let mut claims = json!({
            "iss": self.issuer(),
            "sub": account,
            "aud": client.id,
            "iat": now_s,
            "exp": now_s + lifetime,
        });
        let Some(members) = claims.as_object_mut() else { return Ok(None) };
        // OpenID Connect Core, 12.2: not again with a refresh.
        if let (Some(nonce), true) = (&granted.nonce, first) {
            members.insert("nonce".to_owned(), json!(nonce));
        }
        if let Some(own) = &granted.fhir_user {
            let own = format!("{}/{own}", self.fhir_base());
            members.insert("profile".to_owned(), json!(own));
            members.insert("fhirUser".to_owned(), json!(own));
        }
        self.keys.sign(&claims).await.map(Some)
    }

    async fn standing(&self, grant: &str) -> Result<Grant, Failure> {
        let found = self.store.grant(grant, self.store.clock().now()).await?;
        found.ok_or_else(|| Refusal::grant("what was granted has ended").into())
    }

    async fn end(&self, grant: String) -> Result<(), Error> {
        self.store.end_grants(Ended::One(grant), self.store.clock().now()).await?;
        self.standings.forget();
        Ok(())
    }
}

pub(super) fn read(grant: &Grant) -> Result<Granted, Error> {
    serde_json::from_str(&grant.body).map_err(Error::internal)
}

pub(super) fn refresh_of(ticket: &Ticket) -> Result<OfGrant, Error> {
    ticket::read(ticket)
}

/// RFC 7636, 4.1 and 4.6.
fn fits(verifier: &str, challenge: &str) -> bool {
    let plain = |byte: u8| is_base64url(byte) || byte == b'.' || byte == b'~';
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(plain) {
        return false;
    }
    let own = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    verify_slices_are_equal(own.as_bytes(), challenge.as_bytes()).is_ok()
}

/// A part of what was granted; nothing asked is all of it.
fn narrowed(granted: &str, asked: &str) -> Result<String, Refusal> {
    let mut scopes: Vec<&str> = Vec::new();
    for text in asked.split_ascii_whitespace() {
        let wanted = parsed(text)?;
        let held = granted.split_ascii_whitespace().any(|own| {
            let parsed = wanted.as_ref().zip(scope::parse(own).ok());
            own == text || parsed.is_some_and(|(wanted, own)| own.includes(wanted))
        });
        if !held {
            return Err(Refusal::scope(format!("{} was not granted", scope::printable(text))));
        }
        if !scopes.contains(&text) {
            scopes.push(text);
        }
    }
    let scope = if scopes.is_empty() { granted.to_owned() } else { scopes.join(" ") };
    scope::parse_all(&scope).map_err(|denied| Refusal::scope(denied.to_string()))?;
    Ok(scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_of_rfc_7636() {
        let (verifier, challenge) =
            ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(fits(verifier, challenge));
        for bad in
            ["", "short", verifier.get(..42).unwrap_or_default(), &format!("{verifier}é"), &"x".repeat(129), challenge]
        {
            assert!(!fits(bad, challenge), "{bad}");
        }
    }

    #[test]
    fn a_refresh_never_widens() {
        let granted = "openid patient/*.rs patient/Observation.cruds offline_access";
        for (asked, expected) in [
            ("", Some(granted)),
            ("openid", Some("openid")),
            ("patient/Observation.r", Some("patient/Observation.r")),
            ("patient/Observation.rs?category=vital-signs", Some("patient/Observation.rs?category=vital-signs")),
            ("patient/*.r openid openid", Some("patient/*.r openid")),
            ("patient/*.cruds", None),
            ("user/Observation.r", None),
            ("fhirUser", None),
            ("nonsense", None),
        ] {
            assert_eq!(narrowed(granted, asked).ok().as_deref(), expected, "{asked}");
        }
    }
}
