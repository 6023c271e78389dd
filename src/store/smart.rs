//! What the authorization server keeps: clients, tickets that are good once, grants, keys. Of secrets only hashes lie
//! here, of keys only what is sealed; what any of it means is not known here. Times in µs UTC.

use diesel::prelude::*;

use super::conn::{Conn, each};
use super::schema::{session, smart_client, smart_grant, smart_key, smart_ticket};
use super::{Store, database};
use crate::error::Error;

/// So long ended grants are kept, µs: what was granted can be asked about for a while.
const KEPT: i64 = 30 * 86_400_000_000;

/// An app or a service that asks for tokens.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = smart_client, treat_none_as_default_value = false)]
pub struct SmartClient {
    pub id: String,
    /// JSON
    pub metadata: String,
    /// SHA-256
    pub secret: Option<Vec<u8>>,
    pub made_by: String,
    pub created: i64,
    pub disabled: Option<i64>,
}

/// Something that is good once.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = smart_ticket, treat_none_as_default_value = false)]
pub struct Ticket {
    /// SHA-256
    pub hash: Vec<u8>,
    pub kind: String,
    /// JSON
    pub body: String,
    pub expires: i64,
    pub used: Option<i64>,
}

/// What a client was granted.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = smart_grant, treat_none_as_default_value = false)]
pub struct Grant {
    pub id: String,
    pub client: String,
    pub account: Option<String>,
    pub session: Option<Vec<u8>>,
    /// JSON
    pub body: String,
    pub created: i64,
    pub expires: i64,
    pub revoked: Option<i64>,
}

/// A ticket that was presented.
#[derive(Debug)]
pub enum Presented {
    /// It is used up by this.
    Good(Ticket),
    /// It was used before.
    Again(Ticket),
    /// None such, or it has expired.
    Unknown,
}

/// Which grants are ended.
#[derive(Clone, Debug)]
pub enum Ended {
    One(String),
    OfClient(String),
    OfAccount(String),
}

impl Store {
    /// Registers a client. False: the id is taken.
    pub async fn add_client(&self, new: SmartClient) -> Result<bool, Error> {
        let insert = move |conn: &mut Conn| each!(conn, c => diesel::insert_into(smart_client::table).values(&new).on_conflict_do_nothing().execute(c));
        self.write_aside(move |conn| insert(conn).map(|made| made == 1).map_err(database)).await
    }

    /// Writes another registration, or another secret, for a client that is there.
    pub async fn change_client(
        &self,
        id: &str,
        metadata: Option<String>,
        secret: Option<Vec<u8>>,
    ) -> Result<bool, Error> {
        let id = id.to_owned();
        self.write_aside(move |conn| {
            let own = smart_client::table.find(&id);
            let mut changed = 0;
            if let Some(metadata) = metadata {
                changed =
                    diesel::update(own).set(smart_client::metadata.eq(metadata)).execute(conn).map_err(database)?;
            }
            if let Some(secret) = secret {
                changed =
                    diesel::update(own).set(smart_client::secret.eq(Some(secret))).execute(conn).map_err(database)?;
            }
            Ok(changed == 1)
        })
        .await
    }

    /// Shuts a client out and ends what it was granted. False: there is none, or it was shut out before.
    pub async fn disable_client(&self, id: &str, now: i64) -> Result<bool, Error> {
        let id = id.to_owned();
        self.write_aside(move |conn| {
            let own = smart_client::table.filter(smart_client::id.eq(&id).and(smart_client::disabled.is_null()));
            let changed =
                diesel::update(own).set(smart_client::disabled.eq(Some(now))).execute(conn).map_err(database)?;
            end(conn, Ended::OfClient(id), now)?;
            Ok(changed == 1)
        })
        .await
    }

    pub async fn client(&self, id: &str) -> Result<Option<SmartClient>, Error> {
        let id = id.to_owned();
        self.point_read(move |conn, _| smart_client::table.find(id).first(conn).optional().map_err(database)).await
    }

    /// All clients, the newest first.
    pub async fn clients(&self) -> Result<Vec<SmartClient>, Error> {
        self.read(|conn, _| {
            smart_client::table.order((smart_client::created.desc(), smart_client::id)).load(conn).map_err(database)
        })
        .await
    }

    /// Makes a ticket, and clears away those that have expired.
    pub async fn add_ticket(&self, new: Ticket, now: i64) -> Result<(), Error> {
        self.write_aside(move |conn| {
            let old = smart_ticket::table.filter(smart_ticket::expires.lt(now));
            diesel::delete(old).execute(conn).map_err(database)?;
            insert_ticket(conn, &new)
        })
        .await
    }

    /// A ticket without using it.
    pub async fn ticket(&self, kind: &'static str, hash: Vec<u8>, now: i64) -> Result<Option<Ticket>, Error> {
        self.point_read(move |conn, _| {
            let own = smart_ticket::table.find(hash).filter(smart_ticket::kind.eq(kind));
            let found: Option<Ticket> = own.first(conn).optional().map_err(database)?;
            Ok(found.filter(|ticket| ticket.used.is_none() && ticket.expires > now))
        })
        .await
    }

    /// Uses up a ticket: of many that come at once, on any node, one finds it good.
    pub async fn present(&self, kind: &'static str, hash: Vec<u8>, now: i64) -> Result<Presented, Error> {
        self.write_aside(move |conn| {
            let own = smart_ticket::table.find(&hash).filter(smart_ticket::kind.eq(kind));
            let unused = own.filter(smart_ticket::used.is_null().and(smart_ticket::expires.gt(now)));
            let took = diesel::update(unused).set(smart_ticket::used.eq(Some(now))).execute(conn).map_err(database)?;
            let found: Option<Ticket> = own.first(conn).optional().map_err(database)?;
            Ok(match found {
                Some(ticket) if took == 1 => Presented::Good(ticket),
                Some(ticket) if ticket.used.is_some() => Presented::Again(ticket),
                _ => Presented::Unknown,
            })
        })
        .await
    }

    /// Records a grant with the tickets that lead to it, and forgets grants that ended long ago.
    pub async fn add_grant(&self, new: Grant, tickets: Vec<Ticket>, now: i64) -> Result<(), Error> {
        self.write_aside(move |conn| {
            let old = smart_grant::table.filter(smart_grant::expires.lt(now - KEPT));
            diesel::delete(old).execute(conn).map_err(database)?;
            diesel::insert_into(smart_grant::table).values(&new).execute(conn).map_err(database)?;
            tickets.iter().try_for_each(|ticket| insert_ticket(conn, ticket))
        })
        .await
    }

    /// A grant that holds: neither ended nor expired, its client not shut out, its session not over.
    pub async fn grant(&self, id: &str, now: i64) -> Result<Option<Grant>, Error> {
        let id = id.to_owned();
        self.point_read(move |conn, _| {
            let own = smart_grant::table.find(id);
            let found: Option<Grant> = own.first(conn).optional().map_err(database)?;
            let Some(found) = found.filter(|grant| grant.revoked.is_none() && grant.expires > now) else {
                return Ok(None);
            };
            if let Some(hash) = &found.session {
                let open = session::table.find(hash).filter(session::expires.gt(now));
                let open: i64 = open.count().get_result(conn).map_err(database)?;
                if open == 0 {
                    return Ok(None);
                }
            }
            let client = smart_client::table.find(&found.client).filter(smart_client::disabled.is_null());
            let open: i64 = client.count().get_result(conn).map_err(database)?;
            Ok((open == 1).then_some(found))
        })
        .await
    }

    /// A user's grants that hold, the newest first.
    pub async fn grants_of(&self, account: &str, now: i64) -> Result<Vec<Grant>, Error> {
        let account = account.to_owned();
        self.read(move |conn, _| {
            let own = smart_grant::table.filter(smart_grant::account.eq(account));
            let open = own.filter(smart_grant::revoked.is_null().and(smart_grant::expires.gt(now)));
            open.order((smart_grant::created.desc(), smart_grant::id)).load(conn).map_err(database)
        })
        .await
    }

    /// Ends grants, and with them every token that came of them. How many there were.
    pub async fn end_grants(&self, which: Ended, now: i64) -> Result<usize, Error> {
        self.write_aside(move |conn| end(conn, which, now)).await
    }

    pub async fn add_smart_key(&self, kid: String, sealed: Vec<u8>, created: i64) -> Result<(), Error> {
        self.write_aside(move |conn| {
            let row = (smart_key::kid.eq(kid), smart_key::sealed.eq(sealed), smart_key::created.eq(created));
            diesel::insert_into(smart_key::table).values(row).execute(conn).map(|_| ()).map_err(database)
        })
        .await
    }

    /// Keys that were made after `since`, the newest first: kid, sealed key, when.
    pub async fn smart_keys(&self, since: i64) -> Result<Vec<(String, Vec<u8>, i64)>, Error> {
        self.read(move |conn, _| {
            let young = smart_key::table.filter(smart_key::created.gt(since));
            young.order((smart_key::created.desc(), smart_key::kid)).load(conn).map_err(database)
        })
        .await
    }
}

fn insert_ticket(conn: &mut Conn, new: &Ticket) -> Result<(), Error> {
    diesel::insert_into(smart_ticket::table).values(new).execute(conn).map(|_| ()).map_err(database)
}

pub(super) fn end(conn: &mut Conn, which: Ended, now: i64) -> Result<usize, Error> {
    let set = smart_grant::revoked.eq(Some(now));
    let open = smart_grant::table.filter(smart_grant::revoked.is_null());
    let ended = match which {
        Ended::One(id) => diesel::update(open.filter(smart_grant::id.eq(id))).set(set).execute(conn),
        Ended::OfClient(id) => diesel::update(open.filter(smart_grant::client.eq(id))).set(set).execute(conn),
        Ended::OfAccount(id) => diesel::update(open.filter(smart_grant::account.eq(id))).set(set).execute(conn),
    };
    ended.map_err(database)
}
