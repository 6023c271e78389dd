//! Signing in: password to session token, session token to `Access`. A name that keeps failing is held off for
//! a while; a name that does not exist takes as long to refuse as one that does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::access::{Access, Role};
use super::password;
use crate::clock::new_id;
use crate::error::Error;
use crate::store::{Account, Session, Store};

/// Failures in a row before a name is held off, and for how long (s).
const FAILURES: u32 = 5;
const HELD_OFF_S: u32 = 60;
/// How many passwords are verified at one time, and how long one waits for its turn.
const VERIFYING: usize = 2;
const TURN: Duration = Duration::from_secs(5);
/// Names that are remembered; more than that is an attack, and then it starts afresh.
const MAX_NAMES: usize = 10_000;

/// Who is signed in.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: String,
    pub username: String,
    pub name: String,
    pub role: Role,
    pub access: Access,
}

#[derive(Clone)]
pub struct Sessions {
    store: Store,
    /// How long a session lasts, s.
    lifetime_s: u64,
    failures: Arc<Mutex<HashMap<String, (u32, i64)>>>,
    /// Passwords that are verified at one time: each takes 19 MiB and some ten milliseconds of a core.
    verifying: Arc<Semaphore>,
}

impl Sessions {
    pub fn new(store: Store, lifetime_s: u64) -> Self {
        Self { store, lifetime_s, failures: Arc::default(), verifying: Arc::new(Semaphore::new(VERIFYING)) }
    }

    /// The session's token for the browser.
    pub async fn sign_in(&self, username: &str, secret: &str) -> Result<String, Error> {
        let now = self.store.clock().now();
        self.held_off(username, now)?;
        let account = self.store.find_account(username).await?;
        let (hash, secret) = (account.as_ref().map(|a| a.password.clone()), secret.to_owned());
        let busy = |_| Error::TooMany { retry_after_s: 1 };
        let turn = tokio::time::timeout(TURN, self.verifying.clone().acquire_owned()).await.map_err(busy)?;
        let verified = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            password::verify(&secret, hash.as_deref())
        });
        let right = verified.await.map_err(Error::internal)?;
        let Some(account) = account.filter(|_| right) else {
            self.failed(username, now);
            return Err(Error::Unauthenticated(Some("user name or password is wrong")));
        };
        self.failures().remove(username);
        let (token, hash) = password::new_session();
        let lifetime = i64::try_from(self.lifetime_s).unwrap_or(i64::MAX / 2_000_000) * 1_000_000;
        let session = Session { hash: hash.to_vec(), account: account.id, expires: now + lifetime };
        self.store.create_session(session, now).await?;
        Ok(token)
    }

    /// Who a session belongs to.
    pub async fn find(&self, token: &str) -> Result<Person, Error> {
        let refused = || Error::Unauthenticated(Some("the session is over"));
        let now = self.store.clock().now();
        let account = self.store.find_session(password::session_hash(token), now).await?.ok_or_else(refused)?;
        let role = Role::parse(&account.role).ok_or_else(refused)?;
        let access = Access::for_user(&*account.id, &*account.username, role, account.resource);
        Ok(Person { id: account.id, username: account.username, name: account.name, role, access })
    }

    pub async fn sign_out(&self, token: &str) -> Result<(), Error> {
        self.store.delete_session(password::session_hash(token)).await
    }

    /// Makes an account. False: the name is taken.
    pub async fn create_account(&self, username: &str, name: &str, role: Role, secret: &str) -> Result<bool, Error> {
        let hash = password::hash(secret).map_err(Error::internal)?;
        let account = Account {
            id: new_id(),
            username: username.to_owned(),
            name: name.to_owned(),
            role: role.name().to_owned(),
            password: hash,
            created: self.store.clock().now(),
            resource: None,
        };
        self.store.create_account(account).await
    }

    /// Sets another password and ends the account's sessions. False: there is no such account.
    pub async fn reset_password(&self, username: &str, secret: &str) -> Result<bool, Error> {
        let hash = password::hash(secret).map_err(Error::internal)?;
        self.store.update_password(username, hash).await
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, HashMap<String, (u32, i64)>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_off(&self, username: &str, now: i64) -> Result<(), Error> {
        let mut failures = self.failures();
        let Some((count, last)) = failures.get(username).copied() else { return Ok(()) };
        let left = last + i64::from(HELD_OFF_S) * 1_000_000 - now;
        if left <= 0 {
            failures.remove(username);
        } else if count >= FAILURES {
            return Err(Error::TooMany { retry_after_s: u32::try_from(left / 1_000_000 + 1).unwrap_or(HELD_OFF_S) });
        }
        Ok(())
    }

    fn failed(&self, username: &str, now: i64) {
        let mut failures = self.failures();
        if failures.len() >= MAX_NAMES {
            failures.clear();
        }
        let entry = failures.entry(username.to_owned()).or_insert((0, now));
        *entry = (entry.0 + 1, now);
    }
}
