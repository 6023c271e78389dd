//! The stored search parameters: read from their table, and swapped as one state that everything here reads. The lane
//! holds every write to the state that the database counts, so that no row is indexed by less than what is in force
//! when it is committed, on whichever node it was made ready.

use std::sync::Arc;

use arc_swap::ArcSwap;
use diesel::prelude::*;

use super::conn::{Conn, each};
use super::prepare::type_number;
use super::resource::{VersionRow, stored};
use super::schema::{log_head, ready_parameter, resource};
use super::{Store, database};
use crate::error::Error;
use crate::fhir::registry::{Definition, Params};

/// The type whose resources define parameters.
pub(super) const SEARCH_PARAMETER: &str = "SearchParameter";

/// The state in force, shared by the store and its lane.
pub(super) type Current = Arc<ArcSwap<Params>>;

impl Store {
    /// What can be searched by now.
    pub fn params(&self) -> Arc<Params> {
        self.inner.params.load_full()
    }

    /// Takes over what the database says of the parameters; nothing is done when it is what stands here.
    pub async fn reload_params(&self) -> Result<(), Error> {
        let current = self.inner.params.clone();
        self.read(move |conn, _| refresh(conn, &current)).await
    }
}

pub(super) fn refresh(conn: &mut Conn, current: &Current) -> Result<(), Error> {
    let before = current.load_full();
    // Counted before the definitions are read: one that comes in between is read once more.
    let version: i64 = log_head::table.select(log_head::parameters).first(conn).map_err(database)?;
    if version == before.version() {
        return Ok(());
    }
    let rows: Vec<VersionRow> = resource::table
        .filter(resource::rtype.eq(type_number(SEARCH_PARAMETER)?).and(resource::deleted.eq(false)))
        .order(resource::seq)
        .load(conn)
        .map_err(database)?;
    let ready: Vec<i64> = ready_parameter::table.select(ready_parameter::seq).load(conn).map_err(database)?;
    let definition = |row: VersionRow| {
        let seq = row.seq;
        let stored = stored(row)?;
        Ok(Definition { id: stored.id.clone(), seq, resource: stored.value()? })
    };
    let definitions = rows.into_iter().map(definition).collect::<Result<Vec<_>, Error>>()?;
    let (next, problems) = before.next(version, &definitions, &ready);
    for (id, why) in problems {
        tracing::warn!(id, why, "a stored search parameter is not in force");
    }
    let next = Arc::new(next);
    // Two may read at once; the later state stays.
    current.rcu(|now| if now.version() < version { next.clone() } else { now.clone() });
    Ok(())
}

/// Says that everything is indexed by these versions, in the caller's transaction, with the log's head locked.
pub(super) fn make_ready(conn: &mut Conn, seqs: &[i64]) -> Result<(), Error> {
    let of_type = resource::table.filter(resource::rtype.eq(type_number(SEARCH_PARAMETER)?));
    let standing: Vec<i64> = of_type.select(resource::seq).load(conn).map_err(database)?;
    diesel::delete(ready_parameter::table.filter(ready_parameter::seq.ne_all(&standing)))
        .execute(conn)
        .map_err(database)?;
    for seq in seqs.iter().filter(|seq| standing.contains(seq)) {
        let row = ready_parameter::seq.eq(*seq);
        each!(conn, c => diesel::insert_into(ready_parameter::table).values(row).on_conflict_do_nothing().execute(c))
            .map_err(database)?;
    }
    let counted = log_head::parameters.eq(log_head::parameters + 1);
    diesel::update(log_head::table).set(counted).execute(conn).map_err(database)?;
    Ok(())
}
