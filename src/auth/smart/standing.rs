//! Whether what was granted still stands, asked with every request and remembered for half a second: a grant that is
//! ended, a user whose role changed, a session that is over and a client that is shut out are known everywhere within a
//! second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Smart;
use super::token::read;
use crate::auth::access::{Access, Principal, Role};
use crate::auth::token::Claims;
use crate::error::Error;
use crate::store::Store;

/// µs
const KNOWN_US: i64 = 500_000;
const MAX_KNOWN: usize = 100_000;

pub(super) const ENDED: Error = Error::Unauthenticated(Some("what was granted has ended"));

type Known = HashMap<String, (Arc<Access>, i64)>;

/// What tokens may do, by their ids.
#[derive(Clone)]
pub(super) struct Standings {
    store: Store,
    known: Arc<Mutex<Known>>,
}

impl Standings {
    pub(super) fn new(store: Store) -> Self {
        Self { store, known: Arc::default() }
    }

    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Smart {
    /// What the bearer of a token with a grant may do.
    pub async fn access(&self, claims: &Claims) -> Result<Arc<Access>, Error> {
        let now = self.store.clock().now();
        let before = self.standings.lock().get(&claims.jti).cloned();
        if let Some((access, _)) = before.filter(|(_, at)| (0..KNOWN_US).contains(&(now - at))) {
            return Ok(access);
        }
        let access = Arc::new(self.look_up(claims, now).await?);
        let mut all = self.standings.lock();
        if all.len() >= MAX_KNOWN {
            all.clear();
        }
        all.insert(claims.jti.clone(), (access.clone(), now));
        Ok(access)
    }

    async fn look_up(&self, claims: &Claims, now: i64) -> Result<Access, Error> {
        let id = claims.grant.as_deref().ok_or(ENDED)?;
        let grant =
            self.standings.store.grant(id, now).await?.filter(|grant| grant.client == claims.client_id).ok_or(ENDED)?;
        let granted = read(&grant)?;
        let principal = match &grant.account {
            None => Principal::Client { id: grant.client.clone() },
            Some(account) => {
                let account = self.store.account(account).await?.ok_or(ENDED)?;
                let role = Role::parse(&account.role).ok_or(ENDED)?;
                // An account that has become a patient's sees that patient, whatever was chosen before.
                if role == Role::Patient
                    && account.resource != granted.context.patient.as_ref().map(|id| format!("Patient/{id}"))
                {
                    return Err(ENDED);
                }
                Principal::User { id: account.id, username: account.username, role }
            }
        };
        let access = Access::from_scopes(principal, &claims.scope, claims.patient.clone())?;
        Ok(access.through(&grant.client, granted.fhir_user))
    }
}
