//! Entries looked for, the newest first: blocks by what they name and when they are from, then entry by entry.

use diesel::prelude::*;

use super::{Block, head};
use crate::audit::chain::{self, Hash, START};
use crate::audit::{Entry, Outcome};
use crate::auth::access::Access;
use crate::error::Error;
use crate::store::conn::Conn;
use crate::store::schema::{audit_block, audit_key};
use crate::store::{Store, database};

/// Blocks that are read at once, and entries that one question looks at.
const BLOCKS: i64 = 32;
const MOST: usize = 200_000;

/// What is asked for. Everything that is there must hold; of each list one is enough.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// `Patient/…`
    pub patients: Vec<String>,
    /// `user/…`, `Device/…`, `client/…`
    pub agents: Vec<String>,
    pub agent_names: Vec<String>,
    pub actions: Vec<String>,
    /// What an entry's `what` or operation is.
    pub subtypes: Vec<String>,
    pub outcomes: Vec<Outcome>,
    /// References without versions.
    pub entities: Vec<String>,
    /// [from, to) in µs UTC, all of which must hold.
    pub dates: Vec<(i64, i64)>,
    /// Only entries with smaller numbers.
    pub before: Option<i64>,
    pub count: usize,
    pub total: bool,
}

/// One entry as it is found, with its hash in the chain.
#[derive(Clone, Debug)]
pub struct Found {
    pub seq: i64,
    pub entry: Entry,
    pub hash: Hash,
}

/// A page of them.
#[derive(Debug, Default)]
pub struct Trails {
    pub found: Vec<Found>,
    /// Where the next page begins.
    pub next: Option<i64>,
    /// When it was asked for, and could be counted.
    pub total: Option<usize>,
}

impl Wanted {
    fn fits(&self, entry: &Entry) -> bool {
        fn any(wanted: &[String], has: impl Fn(&str) -> bool) -> bool {
            wanted.is_empty() || wanted.iter().any(|one| has(one))
        }
        let named = |one: &str| {
            let (one, has) = (one.to_lowercase(), entry.agent.name.as_deref().unwrap_or_default().to_lowercase());
            has.starts_with(&one)
        };
        let at = |reference: &str| {
            entry.resources.iter().any(|own| crate::audit::bare(own) == reference)
                || entry.patients.iter().any(|own| own == reference)
        };
        any(&self.patients, |one| entry.patients.iter().any(|own| own == one))
            && any(&self.agents, |one| entry.agent.who == one || entry.agent.by.as_deref() == Some(one))
            && any(&self.agent_names, named)
            && any(&self.actions, |one| entry.act.code() == one)
            && any(&self.subtypes, |one| entry.what == one || entry.operation.as_deref() == Some(one))
            && any(&self.entities, at)
            && (self.outcomes.is_empty() || self.outcomes.contains(&entry.outcome))
            && self.dates.iter().all(|(from, to)| (*from..*to).contains(&entry.at))
    }

    /// One list of names that blocks are found by, where there is one.
    fn keys(&self) -> Option<Vec<i64>> {
        let by = |word: &str, names: &[String]| {
            let keys: Vec<i64> = names.iter().map(|name| chain::key(&format!("{word} {name}"))).collect();
            (!keys.is_empty()).then_some(keys)
        };
        by("about", &self.patients).or_else(|| by("by", &self.agents)).or_else(|| {
            // An entity may be a patient, too.
            let both = self.entities.iter().flat_map(|name| [format!("to {name}"), format!("about {name}")]);
            let keys: Vec<i64> = both.map(|name| chain::key(&name)).collect();
            (!keys.is_empty()).then_some(keys)
        })
    }
}

impl Store {
    /// Entries, the newest first.
    pub async fn trails(&self, access: &Access, wanted: Wanted) -> Result<Trails, Error> {
        access.may_audit()?;
        self.read(move |conn, _| trails(conn, &wanted)).await
    }

    /// One entry by its number.
    pub async fn trail(&self, access: &Access, seq: i64) -> Result<Option<Found>, Error> {
        access.may_audit()?;
        self.read(move |conn, _| {
            let holding = audit_block::table.filter(audit_block::first.le(seq)).order(audit_block::first.desc());
            let block: Option<Block> = holding.first(conn).optional().map_err(database)?;
            let Some(block) = block else { return Ok(None) };
            let found = block.entries()?.into_iter().find(|(own, _)| *own == seq);
            found.map(|(seq, entry)| Ok(Found { seq, hash: hash_at(conn, &block, seq)?, entry })).transpose()
        })
        .await
    }

    /// The last number and hash of the chain.
    pub async fn trail_head(&self, access: &Access) -> Result<(i64, Hash), Error> {
        access.may_audit()?;
        self.read(|conn, _| head(conn)).await
    }
}

fn trails(conn: &mut Conn, wanted: &Wanted) -> Result<Trails, Error> {
    let (keys, mut trails) = (wanted.keys(), Trails::default());
    let (mut looked, mut matches, mut before) = (0, 0, wanted.before.unwrap_or(i64::MAX));
    loop {
        let blocks = blocks(conn, keys.as_deref(), wanted, before)?;
        let Some(oldest) = blocks.last().map(|block| block.first) else {
            trails.total = wanted.total.then_some(matches);
            return Ok(trails);
        };
        for block in blocks {
            let mut entries = block.entries()?;
            entries.reverse();
            for (seq, entry) in entries {
                looked += 1;
                let later = wanted.before.is_some_and(|before| seq >= before);
                if later || !wanted.fits(&entry) {
                    continue;
                }
                matches += 1;
                if trails.found.len() < wanted.count {
                    let hash = hash_at(conn, &block, seq)?;
                    trails.found.push(Found { seq, entry, hash });
                } else if trails.next.is_none() {
                    trails.next = trails.found.last().map(|last| last.seq);
                }
                if trails.next.is_some() && !wanted.total {
                    return Ok(trails);
                }
            }
        }
        if looked > MOST {
            // A page may hold less than was asked for; the next one goes on here.
            trails.next = trails.next.or(Some(oldest));
            return Ok(trails);
        }
        before = oldest;
    }
}

fn blocks(conn: &mut Conn, keys: Option<&[i64]>, wanted: &Wanted, before: i64) -> Result<Vec<Block>, Error> {
    let mut all = audit_block::table.filter(audit_block::first.lt(before)).into_boxed();
    for (from, to) in &wanted.dates {
        all = all.filter(audit_block::ends.ge(*from).and(audit_block::starts.lt(*to)));
    }
    if let Some(keys) = keys {
        let named = audit_key::table.filter(audit_key::key.eq_any(keys.to_vec())).select(audit_key::first);
        all = all.filter(audit_block::first.eq_any(named));
    }
    all.order(audit_block::first.desc()).limit(BLOCKS).load(conn).map_err(database)
}

/// The hash of one entry of a block: counted on from the block before it.
fn hash_at(conn: &mut Conn, block: &Block, seq: i64) -> Result<Hash, Error> {
    let earlier = audit_block::table.filter(audit_block::first.lt(block.first)).order(audit_block::first.desc());
    let before: Option<Vec<u8>> = earlier.select(audit_block::hash).first(conn).optional().map_err(database)?;
    let mut hash = match before {
        Some(bytes) => bytes.try_into().map_err(|_| Error::internal("a block of the audit trail is damaged"))?,
        None => START,
    };
    let text = block.text().ok_or_else(|| Error::internal("a block of the audit trail is damaged"))?;
    for (own, line) in (block.first..).zip(super::lines(&text)) {
        hash = chain::next(&hash, own, line);
        if own == seq {
            break;
        }
    }
    Ok(hash)
}
