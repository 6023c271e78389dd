//! What devices prove themselves by, the codes that they take it with, and what may be used only once. Of secrets only
//! hashes lie here; what proves what is not known here.

use diesel::prelude::*;

use super::conn::{Conn, each};
use super::schema::{claim, credential, spent};
use super::{Store, database};
use crate::error::Error;

/// One proof of a device. Times in µs UTC.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = credential, treat_none_as_default_value = false)]
pub struct Credential {
    pub id: String,
    /// `Device/…`
    pub device: String,
    /// `key`, `secret` or `certificate`
    pub kind: String,
    /// A JSON Web Key.
    pub public_key: Option<String>,
    pub hash: Option<Vec<u8>>,
    pub alias: Option<Vec<u8>>,
    pub label: String,
    pub made_by: String,
    pub created: i64,
    pub expires: Option<i64>,
    pub revoked: Option<i64>,
}

/// A code by which a device takes its credential.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = claim)]
pub struct Claim {
    pub hash: Vec<u8>,
    pub device: String,
    pub made_by: String,
    pub expires: i64,
}

/// What a credential is looked for by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CredentialKey {
    Id(String),
    /// SHA-256 of a secret or a certificate.
    Hash(Vec<u8>),
    Alias(Vec<u8>),
}

impl Store {
    pub async fn add_credential(&self, new: Credential) -> Result<(), Error> {
        self.write_aside(move |conn| insert(conn, &new)).await
    }

    /// A credential that holds at this time.
    pub async fn credential(&self, key: CredentialKey, now: i64) -> Result<Option<Credential>, Error> {
        self.read(move |conn, _| {
            let all = credential::table.into_boxed();
            let one = match key {
                CredentialKey::Id(id) => all.filter(credential::id.eq(id)),
                CredentialKey::Hash(hash) => all.filter(credential::hash.eq(hash)),
                CredentialKey::Alias(alias) => all.filter(credential::alias.eq(alias)),
            };
            let found: Option<Credential> = one.first(conn).optional().map_err(database)?;
            Ok(found.filter(|found| found.revoked.is_none() && found.expires.is_none_or(|end| end > now)))
        })
        .await
    }

    /// All that were ever given to a device, the newest first.
    pub async fn credentials_of(&self, device: &str) -> Result<Vec<Credential>, Error> {
        let device = device.to_owned();
        self.read(move |conn, _| {
            let own = credential::table.filter(credential::device.eq(device));
            own.order((credential::created.desc(), credential::id)).load(conn).map_err(database)
        })
        .await
    }

    /// Ends one credential of a device, or all. How many there were.
    pub async fn revoke_credentials(&self, device: &str, id: Option<String>, now: i64) -> Result<usize, Error> {
        let device = device.to_owned();
        self.write_aside(move |conn| {
            let open = credential::device.eq(device).and(credential::revoked.is_null());
            let set = credential::revoked.eq(now);
            match id {
                Some(id) => {
                    diesel::update(credential::table.filter(open.and(credential::id.eq(id)))).set(set).execute(conn)
                }
                None => diesel::update(credential::table.filter(open)).set(set).execute(conn),
            }
            .map_err(database)
        })
        .await
    }

    /// A new credential in place of another, which still holds until `until`.
    pub async fn replace_credential(&self, old: String, until: i64, new: Credential) -> Result<(), Error> {
        self.write_aside(move |conn| {
            let sooner = credential::expires.is_null().or(credential::expires.gt(until));
            diesel::update(credential::table.filter(credential::id.eq(old)).filter(sooner))
                .set(credential::expires.eq(until))
                .execute(conn)
                .map_err(database)?;
            insert(conn, &new)
        })
        .await
    }

    pub async fn add_claim(&self, new: Claim, now: i64) -> Result<(), Error> {
        self.write_aside(move |conn| {
            diesel::delete(claim::table.filter(claim::expires.le(now))).execute(conn).map_err(database)?;
            diesel::insert_into(claim::table).values(&new).execute(conn).map_err(database)?;
            Ok(())
        })
        .await
    }

    /// The device whose code this is gets its credential, and the code is gone. None: no such code.
    pub async fn redeem(&self, hash: Vec<u8>, now: i64, new: Credential) -> Result<Option<Credential>, Error> {
        self.write_aside(move |conn| {
            let own = claim::table.filter(claim::hash.eq(&hash).and(claim::expires.gt(now)));
            let Some(found) = own.first::<Claim>(conn).optional().map_err(database)? else { return Ok(None) };
            // Of two that come at once one takes it.
            if diesel::delete(claim::table.filter(claim::hash.eq(&hash))).execute(conn).map_err(database)? != 1 {
                return Ok(None);
            }
            let new = Credential { device: found.device, made_by: found.made_by, ..new };
            insert(conn, &new)?;
            Ok(Some(new))
        })
        .await
    }

    /// Uses up what may be used once, and need not be known after `expires`. False: it was used before.
    pub async fn spend(&self, hash: Vec<u8>, expires: i64, now: i64) -> Result<bool, Error> {
        self.write_aside(move |conn| {
            diesel::delete(spent::table.filter(spent::expires.lt(now))).execute(conn).map_err(database)?;
            let row = (spent::hash.eq(hash), spent::expires.eq(expires));
            let insert =
                each!(conn, c => diesel::insert_into(spent::table).values(&row).on_conflict_do_nothing().execute(c));
            insert.map(|made| made == 1).map_err(database)
        })
        .await
    }
}

fn insert(conn: &mut Conn, new: &Credential) -> Result<(), Error> {
    diesel::insert_into(credential::table).values(new).execute(conn).map_err(database)?;
    Ok(())
}
