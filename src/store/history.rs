//! Histories: the versions of one resource, of a type, or of everything, newest first. A page ends at a `seq`, which
//! a version keeps for ever, so the pages of a history neither skip nor repeat while writes go on.

use std::hash::{DefaultHasher, Hash, Hasher};

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, SmallInt};

use super::conn::{Conn, MultiBackend};
use super::deadline::{Clocked, within};
use super::prepare::{OBSERVATION, type_number};
use super::resource::{Stored, VersionRow, current, observation_versions, stored};
use super::schema::{history, observation, resource};
use super::search::Seal;
use super::{database, id, log};
use crate::error::Error;

/// How far the clocks of two nodes, or one clock set back, may disagree with the order of commits (10 min, µs).
const CLOCK_SLACK: i64 = 600_000_000;

/// Which versions are asked for.
#[derive(Clone, Debug, Default)]
pub struct HistoryQuery {
    /// Committed at this time (µs UTC) or later.
    pub since: Option<i64>,
    /// Standing at some moment from the first time to before the second.
    pub at: Option<(i64, i64)>,
    pub count: usize,
    /// The opaque text of a page link.
    pub cursor: Option<String>,
}

#[derive(Debug)]
pub struct HistoryPage {
    pub versions: Vec<Stored>,
    pub next: Option<String>,
    /// How many versions there are, where that is known anyway.
    pub total: Option<i64>,
}

/// Whose history: one resource's, one type's, or everything's.
#[derive(Clone, Debug, Hash)]
pub(super) enum Scope {
    Instance(&'static str, String),
    Type(&'static str),
    System,
}

impl Scope {
    pub(super) fn of(kind: Option<&'static str>, id: Option<&str>) -> Self {
        match (kind, id) {
            (Some(kind), Some(id)) => Self::Instance(kind, id.to_owned()),
            (Some(kind), None) => Self::Type(kind),
            _ => Self::System,
        }
    }

    fn kind(&self) -> Option<&'static str> {
        match self {
            Self::Instance(kind, _) | Self::Type(kind) => Some(kind),
            Self::System => None,
        }
    }

    fn key(&self) -> Option<Vec<u8>> {
        match self {
            Self::Instance(_, id) => Some(id::encode(id)),
            _ => None,
        }
    }
}

/// Between which places of the log is looked, both excluded.
#[derive(Clone, Copy)]
struct Bounds {
    after: i64,
    before: i64,
    /// How many versions, with one more to see whether there are more.
    limit: i64,
    since: i64,
    until: i64,
    standing_only: bool,
    clocked: Clocked,
}

/// `standing_only`: without deletions.
pub(super) fn page(
    conn: &mut Conn,
    scope: &Scope,
    query: &HistoryQuery,
    standing_only: bool,
    seal: &Seal,
) -> Result<Option<HistoryPage>, Error> {
    let mut total = None;
    if let Scope::Instance(kind, id) = scope {
        let Some(stands) = current(conn, kind, id)? else { return Ok(None) };
        // Versions are numbered without gaps.
        let all = query.since.is_none() && query.at.is_none() && !standing_only;
        total = all.then(|| i64::from(stands.version));
    }
    let fingerprint = fingerprint(scope, query, standing_only);
    let before = query.cursor.as_deref().map(|text| seal.open_place(text, fingerprint)).transpose()?;
    let after = match (query.since, scope) {
        (Some(since), Scope::Type(_) | Scope::System) => last_before(conn, since.saturating_sub(CLOCK_SLACK))?,
        _ => 0,
    };
    let bounds = Bounds {
        after,
        before: before.unwrap_or(i64::MAX),
        limit: i64::try_from(query.count + 1).map_err(Error::internal)?,
        since: query.since.unwrap_or(i64::MIN),
        until: query.at.map_or(i64::MAX, |(_, until)| until),
        standing_only,
        clocked: Clocked::now(conn),
    };
    let mut rows = rows(conn, scope, bounds, query.at.map(|(from, _)| from))?;
    let more = rows.len() > query.count;
    rows.truncate(query.count);
    let next = match rows.last().filter(|_| more) {
        Some(last) => Some(seal.close_place(last.seq, fingerprint)?),
        None => None,
    };
    // What only deletions tell of is not known to who sees none.
    if standing_only && rows.is_empty() && before.is_none() {
        return Ok(None);
    }
    let versions = rows.into_iter().map(stored).collect::<Result<_, _>>()?;
    Ok(Some(HistoryPage { versions, next, total }))
}

/// What a page link belongs to.
fn fingerprint(scope: &Scope, query: &HistoryQuery, standing_only: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    ("history", scope, query.since, query.at, standing_only).hash(&mut hasher);
    hasher.finish()
}

/// The conditions that all three tables share.
macro_rules! bounded {
    ($query:expr, $table:ident, $name:literal, $bounds:expr) => {{
        let Bounds { after, before, limit, since, until, standing_only, clocked } = $bounds;
        let mut query = $query
            .filter(within!(clocked, $name))
            .filter($table::seq.lt(before).and($table::seq.gt(after)))
            .filter($table::updated.ge(since).and($table::updated.lt(until)))
            .order($table::seq.desc())
            .limit(limit)
            .into_boxed::<MultiBackend>();
        if standing_only {
            query = query.filter($table::deleted.eq(false));
        }
        query
    }};
}

/// What stands, then what was superseded: one that is superseded in between is seen twice, not missed.
fn rows(conn: &mut Conn, scope: &Scope, bounds: Bounds, from: Option<i64>) -> Result<Vec<VersionRow>, Error> {
    let observations = type_number(OBSERVATION)?;
    let (kind, key) = (scope.kind(), scope.key());
    let rtype = kind.map(type_number).transpose()?;
    let mut rows: Vec<VersionRow> = Vec::new();
    if kind.is_none_or(|kind| kind == OBSERVATION) {
        let mut query = bounded!(observation_versions!(observations), observation, "observation", bounds);
        if let Some(key) = &key {
            query = query.filter(observation::id.eq(key.clone()));
        }
        rows.extend(query.load::<VersionRow>(conn).map_err(database)?);
    }
    if kind != Some(OBSERVATION) {
        let mut query = bounded!(resource::table, resource, "resource", bounds);
        if let Some(rtype) = rtype {
            query = query.filter(resource::rtype.eq(rtype));
        }
        if let Some(key) = &key {
            query = query.filter(resource::id.eq(key.clone()));
        }
        rows.extend(query.load::<VersionRow>(conn).map_err(database)?);
    }
    let mut query = bounded!(history::table, history, "history", bounds);
    if let Some(rtype) = rtype {
        query = query.filter(history::rtype.eq(rtype));
    }
    if let Some(key) = &key {
        query = query.filter(history::id.eq(key.clone()));
    }
    if let Some(from) = from {
        // The version after it, in whichever table it is, came later than the time that is asked about.
        query = query.filter(
            sql::<Bool>("NOT EXISTS (SELECT 1 FROM history n WHERE n.rtype = history.rtype AND n.id = history.id")
                .sql(" AND n.version = history.version + 1 AND n.updated <= ")
                .bind::<BigInt, _>(from)
                .sql(") AND NOT EXISTS (SELECT 1 FROM resource n WHERE n.rtype = history.rtype AND n.id = history.id")
                .sql(" AND n.version = history.version + 1 AND n.updated <= ")
                .bind::<BigInt, _>(from)
                .sql(") AND NOT EXISTS (SELECT 1 FROM observation n WHERE history.rtype = ")
                .bind::<SmallInt, _>(observations)
                .sql(" AND n.id = history.id AND n.version = history.version + 1 AND n.updated <= ")
                .bind::<BigInt, _>(from)
                .sql(")"),
        );
    }
    rows.extend(query.load::<VersionRow>(conn).map_err(database)?);
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.seq));
    rows.dedup_by_key(|row| row.seq);
    rows.truncate(usize::try_from(bounds.limit).map_err(Error::internal)?);
    Ok(rows)
}

/// The last place of the log before this time, as far as commits are in the order of time: a search by halves.
fn last_before(conn: &mut Conn, time: i64) -> Result<i64, Error> {
    let (mut low, mut high) = (0, log::head(conn)?);
    while low < high {
        let middle = low + (high - low) / 2 + 1;
        match first_from(conn, middle)? {
            Some((_, updated)) if updated < time => low = middle,
            _ => high = middle - 1,
        }
    }
    Ok(low)
}

/// The first version from a place of the log on, with its time.
fn first_from(conn: &mut Conn, seq: i64) -> Result<Option<(i64, i64)>, Error> {
    macro_rules! first {
        ($table:ident) => {
            $table::table
                .filter($table::seq.ge(seq))
                .order($table::seq)
                .select(($table::seq, $table::updated))
                .first::<(i64, i64)>(conn)
                .optional()
                .map_err(database)?
        };
    }
    Ok([first!(observation), first!(resource), first!(history)].into_iter().flatten().min())
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;

    use super::*;
    use crate::store::conn::{Location, Purpose};
    use crate::store::newest;

    /// Work that began too long ago is stopped at the first row that it looks at.
    #[test]
    fn what_takes_too_long_is_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let location = Location::parse(&format!("sqlite:{}", dir.path().join("a.db").display())).unwrap();
        location.migrate().unwrap();
        let rows = "INSERT INTO history VALUES (1, 0, x'00', 1, 0, FALSE, x'00');
            INSERT INTO observation (seq, id, version, updated, deleted, subject, concept, starts, ends, status, body)
                VALUES (2, x'00', 1, 0, FALSE, 7, 8, 0, 0, 0, x'00');";
        location.connect(Purpose::Write).unwrap().batch_execute(rows).unwrap();
        for (limit, stopped) in [(None, false), (Some(std::time::Duration::from_hours(1)), true)] {
            let mut conn = location.connect(Purpose::Read { limit }).unwrap();
            let clocked = Clocked::since(&conn, 0);
            let bounds = Bounds {
                after: 0,
                before: 9,
                limit: 9,
                since: i64::MIN,
                until: i64::MAX,
                standing_only: false,
                clocked,
            };
            let found = super::rows(&mut conn, &Scope::System, bounds, None).map(|rows| rows.len());
            let kinds = newest::concepts(&mut conn, clocked, 7, 9);
            if stopped {
                assert!(matches!((found, kinds), (Err(Error::Timeout), Err(Error::Timeout))));
            } else {
                assert_eq!((found.unwrap(), kinds.unwrap()), (2, Some(vec![8])));
            }
        }
    }
}
