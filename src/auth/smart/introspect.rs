//! What a token is worth (RFC 7662), and that it shall be worth nothing (RFC 7009).

use serde_json::{Value, json};

use super::client::Client;
use super::grant::Granted;
use super::token::{read, refresh_of};
use super::{SECOND, Smart, ticket};
use crate::auth::token::Claims;
use crate::error::Error;
use crate::store::{Ended, Grant};

/// A token that holds: its claims where it has any, and what it came of.
struct Held {
    claims: Option<Claims>,
    grant: Option<Grant>,
}

impl Smart {
    /// `asker`: a client whose own tokens alone may be asked about; none: all.
    pub async fn introspect(&self, token: &str, asker: Option<&str>) -> Result<Value, Error> {
        let inactive = json!({"active": false});
        let Some(held) = self.held(token).await? else { return Ok(inactive) };
        let client = match &held {
            Held { grant: Some(grant), .. } => grant.client.clone(),
            Held { claims: Some(claims), .. } => claims.client_id.clone(),
            Held { .. } => return Ok(inactive),
        };
        if asker.is_some_and(|asker| asker != client) {
            return Ok(inactive);
        }
        let granted: Option<Granted> = held.grant.as_ref().map(read).transpose()?;
        let mut told = granted.as_ref().map(|granted| granted.context.told()).unwrap_or_default();
        told.insert("active".to_owned(), json!(true));
        told.insert("client_id".to_owned(), json!(client));
        told.insert("iss".to_owned(), json!(self.issuer()));
        match (&held.claims, &held.grant) {
            (Some(claims), _) => {
                told.insert("scope".to_owned(), json!(claims.scope));
                told.insert("exp".to_owned(), json!(claims.exp));
                told.insert("iat".to_owned(), json!(claims.iat));
                told.insert("sub".to_owned(), json!(claims.sub));
                told.insert("token_type".to_owned(), json!("Bearer"));
            }
            (None, Some(grant)) => {
                told.insert("scope".to_owned(), json!(granted.as_ref().map(|granted| &granted.scope)));
                told.insert("exp".to_owned(), json!(grant.expires / SECOND));
                told.insert("sub".to_owned(), json!(grant.account));
            }
            (None, None) => return Ok(inactive),
        }
        if let Some(own) = granted.and_then(|granted| granted.fhir_user) {
            told.insert("fhirUser".to_owned(), json!(format!("{}/{own}", self.fhir_base())));
        }
        Ok(Value::Object(told))
    }

    /// Ends what the token came of, with every other token of it. A token that is not the client's own is left alone.
    pub async fn revoke(&self, client: &Client, token: &str) -> Result<(), Error> {
        let Some(Held { grant: Some(grant), .. }) = self.held(token).await? else { return Ok(()) };
        if grant.client == client.id {
            self.end_grant(grant.id).await?;
        }
        Ok(())
    }

    /// Shuts a client out, with all that it was granted.
    pub async fn disable_client(&self, id: &str) -> Result<(), Error> {
        self.clients.disable(id).await?;
        self.standings.forget();
        Ok(())
    }

    /// Ends a grant.
    pub async fn end_grant(&self, id: String) -> Result<(), Error> {
        self.store.end_grants(Ended::One(id), self.store.clock().now()).await?;
        self.standings.forget();
        Ok(())
    }

    async fn held(&self, token: &str) -> Result<Option<Held>, Error> {
        let clock = self.store.clock();
        let (now, now_s) = (clock.now(), clock.now_seconds());
        if let Ok(claims) = self.verifier.keys().verify(token, now_s) {
            let Some(id) = &claims.grant else { return Ok(Some(Held { claims: Some(claims), grant: None })) };
            let grant = self.store.grant(id, now).await?;
            return Ok(grant.map(|grant| Held { claims: Some(claims), grant: Some(grant) }));
        }
        let Some(ticket) = self.store.ticket(ticket::REFRESH, ticket::hash(token), now).await? else { return Ok(None) };
        let grant = self.store.grant(&refresh_of(&ticket)?.grant, now).await?;
        Ok(grant.map(|grant| Held { claims: None, grant: Some(grant) }))
    }
}
