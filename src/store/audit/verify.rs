//! The chain walked from its start: what was changed, what is missing, what was cut off.

use diesel::prelude::*;

use super::{Block, head, keys, lines};
use crate::audit::Entry;
use crate::audit::chain::{self, Hash, MARK, START};
use crate::auth::access::Access;
use crate::error::Error;
use crate::store::conn::{Conn, snapshot};
use crate::store::schema::{audit_block, audit_key};
use crate::store::{Store, database};

const BLOCKS: i64 = 64;
const KEYS: usize = 1000;

/// A chain that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub entries: i64,
    pub hash: Hash,
    /// The hash of the entry that was asked for, if the chain has it.
    pub at: Option<Hash>,
}

/// The first entry that does not hold, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub seq: i64,
    pub what: &'static str,
}

impl Store {
    /// Walks the whole chain. `seq`: an entry whose hash shall be told.
    pub async fn verify_trail(&self, access: &Access, seq: Option<i64>) -> Result<Result<Verified, Broken>, Error> {
        access.may_audit()?;
        self.read(move |conn, _| snapshot(conn, |conn| walk(conn, seq))).await
    }
}

fn walk(conn: &mut Conn, asked: Option<i64>) -> Result<Result<Verified, Broken>, Error> {
    let mut walked = Verified { entries: 0, hash: START, at: None };
    loop {
        let rest = audit_block::table.filter(audit_block::first.gt(walked.entries)).order(audit_block::first);
        let blocks: Vec<Block> = rest.limit(BLOCKS).load(conn).map_err(database)?;
        if blocks.is_empty() {
            return end(conn, walked);
        }
        for block in blocks {
            if let Err(broken) = step(&mut walked, &block, asked) {
                return Ok(Err(broken));
            }
            if !is_found(conn, &block)? {
                return Ok(Err(Broken { seq: block.first, what: "the index that entries are found by was changed" }));
            }
        }
    }
}

/// One block further.
fn step(walked: &mut Verified, block: &Block, asked: Option<i64>) -> Result<(), Broken> {
    let wrong = |seq, what| Err(Broken { seq, what });
    let first = walked.entries + 1;
    if block.first != first {
        return wrong(first, "it is missing");
    }
    let Some(text) = block.text() else { return wrong(first, "it cannot be read") };
    let (mut seq, mut times) = (walked.entries, vec![]);
    for line in lines(&text) {
        seq += 1;
        walked.hash = chain::next(&walked.hash, seq, line);
        let place = usize::try_from(seq - first).unwrap_or(usize::MAX).saturating_mul(MARK);
        if block.marks.get(place..place.saturating_add(MARK)) != walked.hash.get(..MARK) {
            return wrong(seq, "it is not what was recorded");
        }
        let Ok(entry) = Entry::read(line) else { return wrong(seq, "it cannot be read") };
        times.push(entry.at);
        if asked == Some(seq) {
            walked.at = Some(walked.hash);
        }
    }
    if seq - walked.entries != i64::from(block.count) || block.marks.len() != times.len() * MARK {
        return wrong(seq.max(first), "entries beside it are missing or were added");
    }
    if block.hash != walked.hash {
        return wrong(seq, "its hash is not that of what was recorded");
    }
    if times.iter().min() != Some(&block.starts) || times.iter().max() != Some(&block.ends) {
        return wrong(first, "the times that it is found by were changed");
    }
    walked.entries = seq;
    Ok(())
}

/// Whether everything that a block names leads to it.
fn is_found(conn: &mut Conn, block: &Block) -> Result<bool, Error> {
    let entries = block.entries()?;
    let keys: Vec<i64> = keys(entries.iter().map(|(_, entry)| entry)).into_iter().collect();
    let mut there = 0;
    for some in keys.chunks(KEYS) {
        let own = audit_key::table.filter(audit_key::first.eq(block.first).and(audit_key::key.eq_any(some.to_vec())));
        there += own.count().get_result::<i64>(conn).map_err(database)?;
    }
    Ok(usize::try_from(there).is_ok_and(|there| there == keys.len()))
}

fn end(conn: &mut Conn, walked: Verified) -> Result<Result<Verified, Broken>, Error> {
    let (seq, hash) = head(conn)?;
    Ok(if seq > walked.entries {
        Err(Broken { seq: walked.entries + 1, what: "it and what came after it were cut off" })
    } else if seq < walked.entries || hash != walked.hash {
        Err(Broken { seq: walked.entries, what: "the head of the chain is not its last entry" })
    } else {
        Ok(walked)
    })
}
