//! People who sign in, and their sessions. Only hashes of passwords and of session tokens lie here.

use diesel::prelude::*;

use super::conn::{Conn, each};
use super::schema::{account, session};
use super::{Ended, Store, database, smart};
use crate::error::Error;

/// A person. `password` is a PHC string.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = account, treat_none_as_default_value = false)]
pub struct Account {
    pub id: String,
    pub username: String,
    pub name: String,
    pub role: String,
    pub password: String,
    /// µs UTC
    pub created: i64,
    /// Who this is as a resource: `Practitioner/…`, `Patient/…`.
    pub resource: Option<String>,
}

/// A signed-in browser: the hash of its token, whose it is, since and until when (µs UTC).
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = session, treat_none_as_default_value = false)]
pub struct Session {
    pub hash: Vec<u8>,
    pub account: String,
    pub expires: i64,
    pub opened: i64,
    /// What the browser says it is.
    pub agent: String,
}

impl Store {
    /// Makes an account. False: the username is taken.
    pub async fn create_account(&self, account: Account) -> Result<bool, Error> {
        let insert = move |conn: &mut Conn| each!(conn, c => diesel::insert_into(account::table).values(&account).on_conflict_do_nothing().execute(c));
        self.write_aside(move |conn| insert(conn).map(|made| made == 1).map_err(database)).await
    }

    /// Sets another password and ends the account's sessions, but for one, and what apps were granted by it. False: there
    /// is no such account.
    pub async fn update_password(&self, username: &str, hash: String, keep: Option<[u8; 32]>) -> Result<bool, Error> {
        let (username, now) = (username.to_owned(), self.clock().now());
        let keep = keep.map(|hash| hash.to_vec()).unwrap_or_default();
        self.write_aside(move |conn| {
            let own = account::table.filter(account::username.eq(&username));
            let changed = diesel::update(own).set(account::password.eq(&hash)).execute(conn).map_err(database)?;
            let id: Option<String> = own.select(account::id).first(conn).optional().map_err(database)?;
            if let Some(id) = id {
                let others = session::table.filter(session::account.eq(&id).and(session::hash.ne(keep)));
                diesel::delete(others).execute(conn).map_err(database)?;
                smart::end(conn, Ended::OfAccount(id), now)?;
            }
            Ok(changed == 1)
        })
        .await
    }

    pub async fn find_account(&self, username: &str) -> Result<Option<Account>, Error> {
        // PostgreSQL cannot even be asked for such a name.
        if username.contains('\0') {
            return Ok(None);
        }
        let username = username.to_owned();
        self.read(move |conn, _| {
            account::table.filter(account::username.eq(username)).first(conn).optional().map_err(database)
        })
        .await
    }

    pub async fn account(&self, id: &str) -> Result<Option<Account>, Error> {
        let id = id.to_owned();
        self.point_read(move |conn, _| account::table.find(id).first(conn).optional().map_err(database)).await
    }

    /// Says who an account is as a resource. False: there is no such account.
    pub async fn set_account_resource(&self, id: &str, resource: &str) -> Result<bool, Error> {
        let (id, resource) = (id.to_owned(), resource.to_owned());
        self.write_aside(move |conn| {
            let set = diesel::update(account::table.find(id)).set(account::resource.eq(Some(resource)));
            set.execute(conn).map(|changed| changed == 1).map_err(database)
        })
        .await
    }

    pub async fn count_accounts(&self) -> Result<i64, Error> {
        self.read(|conn, _| account::table.count().get_result(conn).map_err(database)).await
    }

    /// Opens a session, and clears away those that have expired.
    pub async fn create_session(&self, new: Session, now: i64) -> Result<(), Error> {
        self.write_aside(move |conn| {
            let expired = session::table.filter(session::expires.lt(now));
            diesel::delete(expired).execute(conn).map_err(database)?;
            diesel::insert_into(session::table).values(&new).execute(conn).map_err(database)?;
            Ok(())
        })
        .await
    }

    /// Whose session it is, while it lasts.
    pub async fn find_session(&self, hash: [u8; 32], now: i64) -> Result<Option<Account>, Error> {
        self.point_read(move |conn, _| {
            let live = session::table.filter(session::hash.eq(hash.to_vec()).and(session::expires.gt(now)));
            let whose: Option<String> = live.select(session::account).first(conn).optional().map_err(database)?;
            match whose {
                Some(id) => account::table.filter(account::id.eq(id)).first(conn).optional().map_err(database),
                None => Ok(None),
            }
        })
        .await
    }

    /// A person's sessions that last, the newest first.
    pub async fn sessions_of(&self, account: &str, now: i64) -> Result<Vec<Session>, Error> {
        let account = account.to_owned();
        self.read(move |conn, _| {
            let own = session::table.filter(session::account.eq(account).and(session::expires.gt(now)));
            own.order((session::opened.desc(), session::hash)).load(conn).map_err(database)
        })
        .await
    }

    pub async fn delete_session(&self, hash: [u8; 32]) -> Result<(), Error> {
        self.write_aside(move |conn| {
            let own = session::table.filter(session::hash.eq(hash.to_vec()));
            diesel::delete(own).execute(conn).map(|_| ()).map_err(database)
        })
        .await
    }
}
