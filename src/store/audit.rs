//! The audit trail in its tables: blocks of entries under one chain, found by whom and what they name. Entries of
//! changes come with the transaction of the change. Nothing here updates or deletes an entry.

mod find;
mod record;
mod verify;

use std::collections::BTreeSet;

use diesel::prelude::*;

pub use self::find::{Found, Trails, Wanted};
pub(super) use self::record::entries;
pub use self::verify::{Broken, Verified};
use super::conn::{Conn, each};
use super::schema::{audit_block, audit_head, audit_key};
use super::{database, lane};
use crate::audit::Entry;
use crate::audit::chain::{self, Hash, MARK, START};
use crate::error::Error;

/// Entries of one block at most.
const BLOCK: usize = 1000;
/// What a block may be when it is unpacked.
const MAX_PLAIN: usize = 256 << 20;
/// Speed counts here: a block is packed while the lane waits.
const LEVEL: i32 = 1;

#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = audit_block)]
struct Block {
    first: i64,
    count: i32,
    starts: i64,
    ends: i64,
    hash: Vec<u8>,
    marks: Vec<u8>,
    body: Vec<u8>,
}

#[derive(Insertable)]
#[diesel(table_name = audit_key)]
struct KeyRow {
    key: i64,
    first: i64,
}

/// An entry, and the line that it is.
pub(super) struct Line {
    entry: Entry,
    text: Vec<u8>,
}

impl Line {
    pub(super) fn new(entry: Entry) -> Result<Self, Error> {
        let text = entry.line().map_err(Error::internal)?;
        Ok(Self { entry, text })
    }

    fn read(text: &[u8]) -> Result<Self, Error> {
        Ok(Self { entry: Entry::read(text).map_err(Error::internal)?, text: text.to_vec() })
    }
}

impl Block {
    fn of(first: i64, before: &Hash, lines: &[Line]) -> Result<(Self, Hash), Error> {
        let (mut hash, mut marks, mut body) = (*before, Vec::with_capacity(lines.len() * MARK), Vec::new());
        for (seq, line) in (first..).zip(lines) {
            hash = chain::next(&hash, seq, &line.text);
            marks.extend(hash.iter().take(MARK));
            body.extend_from_slice(&line.text);
            body.push(b'\n');
        }
        let times = || lines.iter().map(|line| line.entry.at);
        let block = Self {
            first,
            count: i32::try_from(lines.len()).map_err(Error::internal)?,
            starts: times().min().unwrap_or_default(),
            ends: times().max().unwrap_or_default(),
            hash: hash.to_vec(),
            marks,
            body: zstd::bulk::compress(&body, LEVEL).map_err(Error::internal)?,
        };
        Ok((block, hash))
    }

    fn text(&self) -> Option<Vec<u8>> {
        zstd::bulk::decompress(&self.body, MAX_PLAIN).ok()
    }

    /// Its entries with their numbers.
    fn entries(&self) -> Result<Vec<(i64, Entry)>, Error> {
        let text = self.text().ok_or_else(|| Error::internal("a block of the audit trail is damaged"))?;
        (self.first..).zip(lines(&text)).map(|(seq, line)| Ok((seq, Line::read(line)?.entry))).collect()
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

fn keys<'a>(entries: impl Iterator<Item = &'a Entry>) -> BTreeSet<i64> {
    entries.flat_map(Entry::names).map(|name| chain::key(&name)).collect()
}

/// The last number and hash.
fn head(conn: &mut Conn) -> Result<(i64, Hash), Error> {
    let found: Option<(i64, Vec<u8>)> =
        audit_head::table.select((audit_head::seq, audit_head::hash)).first(conn).optional().map_err(database)?;
    let Some((seq, hash)) = found else { return Ok((0, START)) };
    Ok((seq, hash.try_into().map_err(|_| Error::internal("the head of the audit trail is damaged"))?))
}

/// Puts entries at the end of the chain. The log's head is locked for it, on every road here: so the chain has one
/// writer at a time, whichever node it is of.
pub(super) fn append(conn: &mut Conn, entries: &[Line]) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    lane::lock_head(conn)?;
    let (mut seq, mut hash) = head(conn)?;
    for part in entries.chunks(BLOCK) {
        let first = seq + 1;
        let (block, last) = Block::of(first, &hash, part)?;
        diesel::insert_into(audit_block::table).values(&block).execute(conn).map_err(database)?;
        let rows = keys(part.iter().map(|line| &line.entry)).into_iter().map(|key| KeyRow { key, first });
        for rows in rows.collect::<Vec<_>>().chunks(BLOCK) {
            each!(conn, c => diesel::insert_into(audit_key::table).values(rows).execute(c)).map_err(database)?;
        }
        (seq, hash) = (seq + i64::from(block.count), last);
    }
    set_head(conn, seq, &hash)
}

fn set_head(conn: &mut Conn, seq: i64, hash: &Hash) -> Result<(), Error> {
    let set = (audit_head::seq.eq(seq), audit_head::hash.eq(hash.to_vec()));
    let changed = diesel::update(audit_head::table).set(set).execute(conn).map_err(database)?;
    if changed == 0 {
        let one = (audit_head::one.eq(1_i16), audit_head::seq.eq(seq), audit_head::hash.eq(hash.to_vec()));
        diesel::insert_into(audit_head::table).values(one).execute(conn).map_err(database)?;
    }
    Ok(())
}
