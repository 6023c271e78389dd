//! Durable cursors: how far each reader of the log has come. A reader takes its cursor with a new epoch; only
//! the holder of the newest epoch can move it, so one that was paused and wakes up late changes nothing.

use diesel::prelude::*;

use super::conn::{Conn, each};
use super::lane::CursorMove;
use super::schema::reader;
use super::database;
use crate::error::Error;

/// Moves the cursor in the caller's transaction. False: somebody else holds a newer epoch.
pub(super) fn advance(conn: &mut Conn, cursor: &CursorMove) -> Result<bool, Error> {
    let own = reader::table.filter(reader::name.eq(&cursor.reader).and(reader::epoch.eq(cursor.epoch)));
    let moved = diesel::update(own).set(reader::seq.eq(cursor.seq)).execute(conn).map_err(database)?;
    Ok(moved == 1)
}

/// Takes the reader over: the position to go on from, and the epoch under which the cursor can be moved.
pub(super) fn take(conn: &mut Conn, name: &str) -> Result<(i64, i64), Error> {
    let first = (reader::name.eq(name), reader::seq.eq(0), reader::epoch.eq(0));
    each!(conn, c => diesel::insert_into(reader::table).values(&first).on_conflict_do_nothing().execute(c))
        .map_err(database)?;
    diesel::update(reader::table.filter(reader::name.eq(name)))
        .set(reader::epoch.eq(reader::epoch + 1))
        .returning((reader::seq, reader::epoch))
        .get_result(conn)
        .map_err(database)
}
