//! Clients: registered, found again, and told from those who only say that they are one. What is known of one is
//! remembered for half a second, so that one that is shut out on any node is refused everywhere within a second.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::registration::Registration;
use super::ticket;
use crate::clock::new_id;
use crate::error::Error;
use crate::store::{SmartClient, Store};

/// µs
const KNOWN_US: i64 = 500_000;
/// Ids that are remembered; more of them are guesses, and then it starts afresh.
const MAX_KNOWN: usize = 10_000;

/// A client that may ask.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: String,
    pub registration: Registration,
    /// SHA-256
    pub secret: Option<Vec<u8>>,
    /// µs UTC
    pub created: i64,
    pub disabled: Option<i64>,
}

/// A client as it was registered; its secret is shown this once.
#[derive(Debug)]
pub struct Registered {
    pub client: Client,
    pub secret: Option<String>,
}

type Known = HashMap<String, (Option<Arc<Client>>, i64)>;

#[derive(Clone)]
pub struct Clients {
    store: Store,
    known: Arc<Mutex<Known>>,
    origins: Arc<Mutex<(Arc<HashSet<String>>, i64)>>,
}

impl Clients {
    pub fn new(store: Store) -> Self {
        Self { store, known: Arc::default(), origins: Arc::new(Mutex::new((Arc::default(), i64::MIN / 2))) }
    }

    /// `id`: of the registrar's choice, else it is made here.
    pub async fn register(
        &self,
        id: Option<String>,
        registration: Registration,
        made_by: &str,
    ) -> Result<Registered, Error> {
        registration.check()?;
        let id = id.unwrap_or_else(new_id);
        if id.is_empty() || id.len() > 100 || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            return Err(Error::unprocessable("value", "client_id", "1 to 100 letters, digits, - _ . are taken"));
        }
        let secret = registration.has_secret().then(ticket::secret);
        let row = SmartClient {
            id: id.clone(),
            metadata: serde_json::to_string(&registration).map_err(Error::internal)?,
            secret: secret.as_deref().map(ticket::hash),
            made_by: made_by.to_owned(),
            created: self.store.clock().now(),
            disabled: None,
        };
        let client = read(row.clone())?;
        if !self.store.add_client(row).await? {
            return Err(Error::Conflict("A client with this id is registered."));
        }
        self.forget(&id);
        Ok(Registered { client, secret })
    }

    /// Writes another registration for a client. How it proves itself stays as it was.
    pub async fn change(&self, id: &str, registration: Registration) -> Result<Client, Error> {
        registration.check()?;
        let was = self.store.client(id).await?.filter(|was| was.disabled.is_none()).ok_or_else(|| unknown(id))?;
        let was = read(was)?;
        if was.registration.has_secret() != registration.has_secret() {
            return Err(Error::Conflict("With or without a secret, this is another client: register it anew."));
        }
        let metadata = serde_json::to_string(&registration).map_err(Error::internal)?;
        self.store.change_client(id, Some(metadata), None).await?;
        self.forget(id);
        Ok(Client { registration, ..was })
    }

    /// Another secret in place of the one that it has.
    pub async fn new_secret(&self, id: &str) -> Result<String, Error> {
        let was = self.find(id).await?.ok_or_else(|| unknown(id))?;
        if !was.registration.has_secret() {
            return Err(Error::Conflict("This client has no secret."));
        }
        let secret = ticket::secret();
        self.store.change_client(id, None, Some(ticket::hash(&secret))).await?;
        self.forget(id);
        Ok(secret)
    }

    /// Shuts a client out, with all that it was granted.
    pub async fn disable(&self, id: &str) -> Result<(), Error> {
        if !self.store.disable_client(id, self.store.clock().now()).await? {
            return Err(unknown(id));
        }
        self.forget(id);
        Ok(())
    }

    pub async fn all(&self) -> Result<Vec<Client>, Error> {
        self.store.clients().await?.into_iter().map(read).collect()
    }

    /// A client that is not shut out.
    pub async fn find(&self, id: &str) -> Result<Option<Arc<Client>>, Error> {
        let now = self.store.clock().now();
        let before = self.known().get(id).cloned();
        if let Some((known, _)) = before.filter(|(_, at)| (0..KNOWN_US).contains(&(now - at))) {
            return Ok(known);
        }
        // PostgreSQL cannot even be asked for such an id.
        let row = if id.contains('\0') { None } else { self.store.client(id).await? };
        let row = row.filter(|row| row.disabled.is_none());
        let found = row.map(read).transpose()?.map(Arc::new);
        let mut all = self.known();
        if all.len() >= MAX_KNOWN {
            all.clear();
        }
        all.insert(id.to_owned(), (found.clone(), now));
        Ok(found)
    }

    /// Whether pages of this origin may call (CORS).
    pub async fn is_origin(&self, origin: &str) -> Result<bool, Error> {
        let now = self.store.clock().now();
        let (known, at) = self.origins.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if (0..KNOWN_US).contains(&(now - at)) {
            return Ok(known.contains(origin));
        }
        let all = self.all().await?.into_iter().filter(|client| client.disabled.is_none());
        let all: Arc<HashSet<String>> = Arc::new(all.flat_map(|client| client.registration.origins).collect());
        let is = all.contains(origin);
        *self.origins.lock().unwrap_or_else(PoisonError::into_inner) = (all, now);
        Ok(is)
    }

    fn forget(&self, id: &str) {
        self.known().remove(id);
        self.origins.lock().unwrap_or_else(PoisonError::into_inner).1 = i64::MIN / 2;
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown(id: &str) -> Error {
    Error::not_found("Client", id)
}

fn read(row: SmartClient) -> Result<Client, Error> {
    let registration = serde_json::from_str(&row.metadata).map_err(Error::internal)?;
    Ok(Client { id: row.id, registration, secret: row.secret, created: row.created, disabled: row.disabled })
}
