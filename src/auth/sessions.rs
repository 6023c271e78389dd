//! Signing in: password to session token, session token to `Access`. A name that keeps failing is held off for
//! a while; a name that does not exist takes as long to refuse as one that does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::access::{Access, Role};
use super::password;
use crate::clock::new_id;
use crate::config::Session as Settings;
use crate::error::Error;
use crate::store::{Account, Session, Store};

/// How many passwords are verified at one time, and how long one waits for its turn.
const VERIFYING: usize = 2;
const TURN: Duration = Duration::from_secs(5);
/// NIST SP 800-63B: at least eight; these guard a ward.
const MIN_PASSWORD: usize = 10;
/// What a browser says of itself is kept so far.
const MAX_AGENT: usize = 200;
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
    settings: Settings,
    failures: Arc<Mutex<HashMap<String, (u32, i64)>>>,
    /// Passwords that are verified at one time: each takes 19 MiB and some ten milliseconds of a core.
    verifying: Arc<Semaphore>,
}

impl Sessions {
    pub fn new(store: Store, settings: &Settings) -> Self {
        Self {
            store,
            settings: settings.clone(),
            failures: Arc::default(),
            verifying: Arc::new(Semaphore::new(VERIFYING)),
        }
    }

    /// The session's token for the browser. `agent`: what that says it is.
    pub async fn sign_in(&self, username: &str, secret: &str, agent: &str) -> Result<String, Error> {
        let account = self.verified(username, secret).await?;
        let now = self.store.clock().now();
        let (token, hash) = password::new_session();
        let lifetime = i64::try_from(self.settings.lifetime_s).unwrap_or(i64::MAX / 2_000_000) * 1_000_000;
        let agent = agent.chars().filter(|c| !c.is_control()).take(MAX_AGENT).collect();
        let session = Session { hash: hash.to_vec(), account: account.id, expires: now + lifetime, opened: now, agent };
        self.store.create_session(session, now).await?;
        Ok(token)
    }

    /// The account whose password this is.
    async fn verified(&self, username: &str, secret: &str) -> Result<Account, Error> {
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
        Ok(account)
    }

    /// A person's own new password. The old one must be known; all other sessions, and what apps were granted, end.
    pub async fn change_password(&self, person: &Person, token: &str, old: &str, new: &str) -> Result<(), Error> {
        if new.chars().count() < MIN_PASSWORD || new.len() > password::MAX_BYTES || new == person.username {
            let why = format!("a password has {MIN_PASSWORD} characters at least, and is not the user name");
            return Err(Error::unprocessable("value", "new", why));
        }
        self.verified(&person.username, old).await.map_err(|error| match error {
            Error::Unauthenticated(_) => Error::Forbidden("The old password is wrong.".to_owned()),
            other => other,
        })?;
        let _turn = self.verifying.clone().acquire_owned().await.map_err(Error::internal)?;
        let new = new.to_owned();
        let hash = tokio::task::spawn_blocking(move || password::hash(&new)).await.map_err(Error::internal)?;
        let hash = hash.map_err(Error::internal)?;
        self.store.update_password(&person.username, hash, Some(password::session_hash(token))).await?;
        Ok(())
    }

    /// A person's sessions, the newest first.
    pub async fn of(&self, person: &Person) -> Result<Vec<Session>, Error> {
        self.store.sessions_of(&person.id, self.store.clock().now()).await
    }

    /// Ends one of them.
    pub async fn end(&self, session: &Session) -> Result<(), Error> {
        let hash = session.hash.as_slice().try_into().map_err(Error::internal)?;
        self.store.delete_session(hash).await
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
        self.store.update_password(username, hash, None).await
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, HashMap<String, (u32, i64)>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_off(&self, username: &str, now: i64) -> Result<(), Error> {
        let mut failures = self.failures();
        let Some((count, last)) = failures.get(username).copied() else { return Ok(()) };
        let left = last + i64::from(self.settings.held_off_s) * 1_000_000 - now;
        if left <= 0 {
            failures.remove(username);
        } else if count >= self.settings.failures {
            return Err(Error::TooMany {
                retry_after_s: u32::try_from(left / 1_000_000 + 1).unwrap_or(self.settings.held_off_s),
            });
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
