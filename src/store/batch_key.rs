//! The keys by which senders name their batches, each with what was answered. The row is there before anything of the
//! batch is taken, so that of two that come at once one is taken. Keys belong to who sends: nobody meets another's.

use diesel::prelude::*;

use super::conn::{Conn, each};
use super::schema::batch_key;
use super::{Store, database};
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::time::SECOND;

/// Answers are kept so long, µs.
const KEPT: i64 = 48 * 3600 * SECOND;
/// Who has not answered after this time never will: a node that died with the batch in hand.
const IN_HAND: i64 = 60 * SECOND;
/// Answers are packed as far as it pays.
const LEVEL: i32 = 3;

/// A batch as its sender names it, and the hash of what it is.
#[derive(Clone, Debug)]
pub struct BatchKey {
    pub key: String,
    pub hash: [u8; 32],
}

/// What a key turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Begun {
    /// New: who asked takes the batch and keeps the answer.
    Ours,
    /// Answered before.
    Answered { status: u16, body: Vec<u8> },
    /// In somebody's hands.
    Busy,
    /// Of another batch.
    Other,
}

#[derive(Queryable)]
struct Row {
    hash: Vec<u8>,
    status: Option<i16>,
    answer: Option<Vec<u8>>,
    at: i64,
}

impl Store {
    /// Takes hold of a key, or says what it is already.
    pub async fn begin_batch(&self, access: &Access, batch: BatchKey) -> Result<Begun, Error> {
        let (principal, now) = (access.principal().to_string(), self.clock().now());
        self.write_aside(move |conn| begin(conn, &principal, &batch, now)).await
    }

    /// Keeps what was answered.
    pub async fn finish_batch(
        &self,
        access: &Access,
        batch: BatchKey,
        status: u16,
        body: Vec<u8>,
    ) -> Result<(), Error> {
        let principal = access.principal().to_string();
        let status = i16::try_from(status).map_err(Error::internal)?;
        let answer = zstd::encode_all(body.as_slice(), LEVEL).map_err(Error::internal)?;
        self.write_aside(move |conn| {
            let own = batch_key::table.find((principal, batch.key)).filter(batch_key::hash.eq(batch.hash.to_vec()));
            let answered = (batch_key::status.eq(Some(status)), batch_key::answer.eq(Some(answer)));
            diesel::update(own).set(answered).execute(conn).map(|_| ()).map_err(database)
        })
        .await
    }

    /// Nothing of the batch was stored: the key is free.
    pub async fn forget_batch(&self, access: &Access, batch: BatchKey) -> Result<(), Error> {
        let principal = access.principal().to_string();
        self.write_aside(move |conn| {
            let own = batch_key::table.find((principal, batch.key)).filter(batch_key::hash.eq(batch.hash.to_vec()));
            diesel::delete(own.filter(batch_key::answer.is_null())).execute(conn).map(|_| ()).map_err(database)
        })
        .await
    }
}

fn begin(conn: &mut Conn, principal: &str, batch: &BatchKey, now: i64) -> Result<Begun, Error> {
    diesel::delete(batch_key::table.filter(batch_key::at.lt(now - KEPT))).execute(conn).map_err(database)?;
    let new = (
        batch_key::principal.eq(principal),
        batch_key::key.eq(&batch.key),
        batch_key::hash.eq(batch.hash.to_vec()),
        batch_key::at.eq(now),
    );
    let made = each!(conn, c => diesel::insert_into(batch_key::table).values(&new).on_conflict_do_nothing().execute(c))
        .map_err(database)?;
    if made == 1 {
        return Ok(Begun::Ours);
    }
    let own = batch_key::table.find((principal, &batch.key));
    let columns = (batch_key::hash, batch_key::status, batch_key::answer, batch_key::at);
    let Some(row): Option<Row> = own.select(columns).first(conn).optional().map_err(database)? else {
        return Ok(Begun::Busy);
    };
    if row.hash != batch.hash {
        return Ok(Begun::Other);
    }
    if let (Some(status), Some(packed)) = (row.status, row.answer) {
        let status = u16::try_from(status).map_err(Error::internal)?;
        return Ok(Begun::Answered { status, body: zstd::decode_all(packed.as_slice()).map_err(Error::internal)? });
    }
    // One of those who find it left behind takes it over.
    let left = own.filter(batch_key::at.eq(row.at).and(batch_key::at.lt(now - IN_HAND)));
    match diesel::update(left).set(batch_key::at.eq(now)).execute(conn).map_err(database)? {
        1 => Ok(Begun::Ours),
        _ => Ok(Begun::Busy),
    }
}
