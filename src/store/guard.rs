//! Guards: what must be true of the store when a group is committed, asked in the lane's transaction. While they
//! are asked nobody else can write, so nothing is asked that cannot have changed, and they have little time. One
//! that runs out of it leaves the transaction as it was.

use std::time::{Duration, Instant};

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};

use super::conn::{Conn, each};
use super::dict::Dict;
use super::{database, deadline, search};
use crate::error::Error;
use crate::fhir::query::{Filter, Query};

/// Why a guard refuses: what its query finds has changed since it was asked.
pub const CONDITION_CHANGED: &str = "What the condition finds has just changed; try again.";

/// What must be true of the store when a group is committed.
#[derive(Clone, Debug)]
pub struct Guard {
    pub query: Query,
    /// The one id that the query must find, or none.
    pub expects: Option<String>,
    /// Everything up to this entry of the log was there when that was found.
    pub seen: i64,
}

/// The time that one caller's guards have.
pub(super) struct Budget {
    left: Duration,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { left: deadline::CALLER }
    }

    /// What stands against a group with these guards. The outer error is the transaction's.
    pub(super) fn ask(&mut self, conn: &mut Conn, dict: &Dict, guards: &[Guard]) -> Result<Result<(), Error>, Error> {
        let mut open = Vec::with_capacity(guards.len());
        for guard in guards {
            if may_have_changed(conn, guard)? {
                open.push(guard);
            }
        }
        if open.is_empty() {
            return Ok(Ok(()));
        }
        let limit = self.left.min(deadline::GUARDS);
        if limit.is_zero() {
            return Ok(Err(Error::CostlyCondition));
        }
        let began = Instant::now();
        let answer = within(conn, limit, |conn| all_hold(conn, dict, &open, began + limit));
        self.left = self.left.saturating_sub(began.elapsed());
        match answer {
            Err(Error::Timeout) => Ok(Err(Error::CostlyCondition)),
            answer => answer,
        }
    }
}

fn all_hold(conn: &mut Conn, dict: &Dict, guards: &[&Guard], until: Instant) -> Result<Result<(), Error>, Error> {
    for guard in guards {
        if Instant::now() >= until {
            return Ok(Err(Error::CostlyCondition));
        }
        let found = search::ids(conn, dict, &guard.query, 2)?;
        if found.first() != guard.expects.as_ref() || found.len() > 1 {
            return Ok(Err(Error::Conflict(CONDITION_CHANGED)));
        }
    }
    Ok(Ok(()))
}

/// Whether anything of the type was written since. A chain asks about other types as well.
fn may_have_changed(conn: &mut Conn, guard: &Guard) -> Result<bool, Error> {
    let mut all = guard.query.filters.iter().chain(&guard.query.any);
    if all.any(Filter::asks_elsewhere) {
        return Ok(true);
    }
    search::has_after(conn, guard.query.resource_type, guard.seen)
}

/// Reads, each statement with a limit. A statement that fails would end the whole transaction in PostgreSQL, so
/// they are made in one of their own inside it. The embedded database knows the limit of its one writer.
fn within<T>(conn: &mut Conn, limit: Duration, read: impl FnOnce(&mut Conn) -> Result<T, Error>) -> Result<T, Error> {
    each!(conn, c => AnsiTransactionManager::begin_transaction(c)).map_err(database)?;
    let set = format!("SET LOCAL statement_timeout = {}", limit.as_millis().max(1));
    on_postgres(conn, &set)?;
    let done = read(conn);
    if done.is_ok() {
        on_postgres(conn, "SET LOCAL statement_timeout TO DEFAULT")?;
        each!(conn, c => AnsiTransactionManager::commit_transaction(c)).map_err(database)?;
    } else {
        // The limit goes with it.
        each!(conn, c => AnsiTransactionManager::rollback_transaction(c)).map_err(database)?;
    }
    done
}

fn on_postgres(conn: &mut Conn, statement: &str) -> Result<(), Error> {
    if let Conn::Postgres(c) = conn {
        c.batch_execute(statement).map_err(database)?;
    }
    Ok(())
}
