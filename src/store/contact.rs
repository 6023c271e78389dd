//! When devices were last heard of, as far as it was written down.

use diesel::prelude::*;
use diesel::upsert::excluded;

use super::conn::{Conn, each};
use super::schema::contact;
use super::{Store, database};
use crate::error::Error;

/// SQLite takes so many values in one statement with ease.
const CHUNK: usize = 500;

/// When a device was last heard of. Times in µs UTC.
#[derive(Clone, Debug, PartialEq, Queryable, Insertable)]
#[diesel(table_name = contact, treat_none_as_default_value = false)]
pub struct Contact {
    /// `Device/…`
    pub device: String,
    /// When what it sent last was measured, and when it came.
    pub measured: i64,
    pub received: i64,
    /// Percent, as it said last.
    pub battery: Option<f64>,
}

impl Store {
    pub async fn contacts(&self) -> Result<Vec<Contact>, Error> {
        self.read(|conn, _| contact::table.load(conn).map_err(database)).await
    }

    /// Writes down when these were heard of.
    pub async fn keep_contacts(&self, contacts: Vec<Contact>) -> Result<(), Error> {
        let upsert = move |conn: &mut Conn| {
            for chunk in contacts.chunks(CHUNK) {
                each!(conn, c => diesel::insert_into(contact::table)
                    .values(chunk)
                    .on_conflict(contact::device)
                    .do_update()
                    .set((
                        contact::measured.eq(excluded(contact::measured)),
                        contact::received.eq(excluded(contact::received)),
                        contact::battery.eq(excluded(contact::battery)),
                    ))
                    .execute(c))?;
            }
            Ok(())
        };
        self.write_aside(move |conn| upsert(conn).map_err(database)).await
    }
}
