//! Durable cursors: how far each reader of the log has come. A reader takes its cursor with a lease and a new
//! epoch; only the holder of the newest epoch can move it, so one that was paused and wakes up late changes
//! nothing.

use diesel::prelude::*;

use super::conn::{Conn, each};
use super::database;
use super::lane::CursorMove;
use super::schema::reader;
use crate::error::Error;

/// A reader that was taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Queryable)]
pub struct Taken {
    /// The position to go on from.
    pub seq: i64,
    /// Under which the cursor can be moved.
    pub epoch: i64,
}

/// Moves the cursor in the caller's transaction. False: somebody else holds a newer epoch.
pub(super) fn advance(conn: &mut Conn, cursor: &CursorMove) -> Result<bool, Error> {
    let own = reader::table.filter(reader::name.eq(&cursor.reader).and(reader::epoch.eq(cursor.epoch)));
    let step = (reader::seq.eq(cursor.seq), reader::leased.eq(cursor.leased));
    Ok(diesel::update(own).set(step).execute(conn).map_err(database)? == 1)
}

/// None: another holder's lease lasts still. `alone`: there can be no other holder.
pub(super) fn take(
    conn: &mut Conn,
    name: &str,
    holder: &str,
    now: i64,
    lease: i64,
    alone: bool,
) -> Result<Option<Taken>, Error> {
    let first = (
        reader::name.eq(name),
        reader::seq.eq(0),
        reader::epoch.eq(0),
        reader::holder.eq(holder),
        reader::leased.eq(0),
    );
    each!(conn, c => diesel::insert_into(reader::table).values(&first).on_conflict_do_nothing().execute(c))
        .map_err(database)?;
    let free = reader::leased.lt(if alone { i64::MAX } else { now }).or(reader::holder.eq(holder));
    diesel::update(reader::table.filter(reader::name.eq(name).and(free)))
        .set((reader::epoch.eq(reader::epoch + 1), reader::holder.eq(holder), reader::leased.eq(now + lease)))
        .returning((reader::seq, reader::epoch))
        .get_result(conn)
        .optional()
        .map_err(database)
}

/// Holds the reader for longer, if nobody has taken it.
pub(super) fn renew(conn: &mut Conn, name: &str, epoch: i64, leased: i64) -> Result<(), Error> {
    let own = reader::table.filter(reader::name.eq(name).and(reader::epoch.eq(epoch)).and(reader::leased.lt(leased)));
    diesel::update(own).set(reader::leased.eq(leased)).execute(conn).map_err(database)?;
    Ok(())
}

/// Gives the reader up, so that another node need not wait for the end of the lease. What its holder has still on the way
/// to the lane comes under an epoch that is over: it must not hold the reader again.
pub(super) fn release(conn: &mut Conn, name: &str, holder: &str) -> Result<(), Error> {
    let own = reader::table.filter(reader::name.eq(name).and(reader::holder.eq(holder)));
    let given_up = (reader::leased.eq(0), reader::epoch.eq(reader::epoch + 1));
    diesel::update(own).set(given_up).execute(conn).map_err(database)?;
    Ok(())
}
