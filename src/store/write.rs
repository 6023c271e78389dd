//! The statements of the lane: what stands now, what a change makes of it, and the rows of one transaction.

use diesel::prelude::*;

use super::conn::Conn;
use super::oddity::OddityRow;
use super::prepare::{
    ComponentRow, DateRow, NO_TIME, NOTHING, OBSERVATION, ObservationRow, PairRow, Prepared, QuantityRow, StringRow,
    TermRow, Verb, WaveRow,
};
use super::schema::{
    component, history, ix_date, ix_pair, ix_quantity, ix_string, ix_term, observation, observation_span, oddity,
    resource, wave,
};
use super::zone;
use super::{columns, database};
use crate::error::Error;

/// SQLite takes no more than some thousands of binds a statement.
const SEQS_A_STATEMENT: usize = 1000;

/// Observations that cover no more than this (1 s, µs) are found without the recorded span.
pub(super) const SHORT_SPAN: i64 = 1_000_000;

/// Many rows: PostgreSQL in one statement (a round trip costs more than a row), SQLite row by row with one prepared
/// statement.
macro_rules! insert_rows {
    ($conn:expr, $table:path, $columns:path, $rows:expr) => {
        match $conn {
            Conn::Postgres(_) if $rows.is_empty() => {}
            Conn::Postgres(c) => {
                <$columns>::from($rows.as_slice()).execute(c)?;
            }
            Conn::Sqlite(c) => {
                for row in $rows {
                    diesel::insert_into($table).values(row).execute(c)?;
                }
            }
        }
    };
}

/// The version that stands.
#[derive(Clone, Debug, Queryable)]
pub(super) struct Current {
    pub seq: i64,
    pub version: i32,
    pub updated: i64,
    pub deleted: bool,
    pub body: Vec<u8>,
}

#[derive(Insertable, Clone, Debug)]
#[diesel(table_name = resource, treat_none_as_default_value = false)]
pub(super) struct ResourceRow {
    pub seq: i64,
    pub rtype: i16,
    pub id: Vec<u8>,
    pub version: i32,
    pub updated: i64,
    pub deleted: bool,
    pub body: Vec<u8>,
}

#[derive(Insertable, Clone, Debug)]
#[diesel(table_name = history, treat_none_as_default_value = false)]
pub(super) struct HistoryRow {
    pub seq: i64,
    pub rtype: i16,
    pub id: Vec<u8>,
    pub version: i32,
    pub updated: i64,
    pub deleted: bool,
    pub body: Vec<u8>,
}

pub(super) fn current(conn: &mut Conn, kind: &str, rtype: i16, key: &[u8]) -> Result<Option<Current>, Error> {
    let found = if kind == OBSERVATION {
        observation::table
            .filter(observation::id.eq(key))
            .select((
                observation::seq,
                observation::version,
                observation::updated,
                observation::deleted,
                observation::body,
            ))
            .first(conn)
    } else {
        resource::table
            .filter(resource::rtype.eq(rtype).and(resource::id.eq(key)))
            .select((resource::seq, resource::version, resource::updated, resource::deleted, resource::body))
            .first(conn)
    };
    found.optional().map_err(database)
}

/// What a change finds in the store.
pub(super) enum Step {
    First,
    After(Current),
    /// Stored already: nothing is written.
    Known(Current),
    /// Never stored, and to be deleted: nothing is written.
    Absent,
    /// The version after this one, which the same group writes.
    Next(i32),
}

impl Step {
    /// The version that stands once it is taken.
    pub(super) fn version(&self) -> i32 {
        match self {
            Self::First => 1,
            Self::After(current) => current.version + 1,
            Self::Known(current) => current.version,
            Self::Absent => 0,
            Self::Next(version) => version + 1,
        }
    }
}

/// What an update or a delete makes of what stands, or why it may not.
pub(super) fn next(change: &Prepared, current: Option<Current>) -> Result<Step, Error> {
    let (expect, or_create) = match change.verb {
        Verb::Create(_) => return Ok(Step::First),
        Verb::Update { expect, or_create } => (expect, or_create),
        Verb::Delete { expect } => (expect, false),
    };
    let Some(current) = current else {
        return match expect {
            Some(NOTHING) | None if or_create => Ok(Step::First),
            Some(_) => Err(Error::version_conflict(change.resource_type, &*change.id)),
            None if matches!(change.verb, Verb::Delete { .. }) => Ok(Step::Absent),
            None => Err(Error::not_found(change.resource_type, &*change.id)),
        };
    };
    let stands = if current.deleted && expect == Some(NOTHING) { NOTHING } else { current.version };
    if expect.is_some_and(|version| version != stands) {
        return Err(Error::version_conflict(change.resource_type, &*change.id));
    }
    // Deleting what is deleted already changes nothing.
    if current.deleted && matches!(change.verb, Verb::Delete { .. }) {
        return Ok(Step::Known(current));
    }
    if current.deleted && !or_create {
        return Err(Error::gone(change.resource_type, &*change.id));
    }
    Ok(Step::After(current))
}

/// Rows that wait for the end of the batch.
#[derive(Default)]
pub(super) struct Pending {
    superseded: Vec<HistoryRow>,
    observations: Vec<ObservationRow>,
    resources: Vec<ResourceRow>,
    terms: Vec<TermRow>,
    strings: Vec<StringRow>,
    dates: Vec<DateRow>,
    quantities: Vec<QuantityRow>,
    pairs: Vec<PairRow>,
    components: Vec<ComponentRow>,
    waves: Vec<WaveRow>,
    oddities: Vec<OddityRow>,
}

impl Pending {
    /// The version that stood becomes history.
    pub(super) fn supersede(&mut self, change: &Prepared, current: Current) {
        let Current { seq, version, updated, deleted, body } = current;
        let (rtype, id) = (change.rtype, change.key.clone());
        self.superseded.push(HistoryRow { seq, rtype, id, version, updated, deleted, body });
    }

    pub(super) fn add(&mut self, change: &Prepared, seq: i64, version: i32, updated: i64) {
        let deleted = matches!(change.verb, Verb::Delete { .. });
        let (id, body) = (change.key.clone(), change.body.clone());
        let rows = change.rows.clone().unwrap_or_default();
        if change.resource_type == OBSERVATION {
            let c = rows.columns;
            self.observations.push(ObservationRow {
                seq,
                id,
                version,
                updated,
                deleted,
                subject: c.subject,
                concept: c.concept,
                starts: c.starts,
                ends: c.ends,
                value: c.value,
                unit: c.unit,
                canonical: c.canonical,
                status: c.status,
                category: c.category,
                device: c.device,
                encounter: c.encounter,
                body,
                profile: c.profile,
            });
            self.components.extend(rows.components.into_iter().map(|row| ComponentRow { seq, ..row }));
            self.waves.extend(rows.waves.into_iter().map(|row| WaveRow { seq, ..row }));
        } else {
            self.resources.push(ResourceRow { seq, rtype: change.rtype, id, version, updated, deleted, body });
        }
        self.oddities.extend(change.oddity.clone().map(|issues| OddityRow { seq, issues }));
        self.terms.extend(rows.terms.into_iter().map(|(param, term)| TermRow { param, term, seq }));
        let strings = rows.strings.into_iter();
        self.strings.extend(strings.map(|(param, folded, exact)| StringRow { param, folded, exact, seq }));
        self.dates.extend(rows.dates.into_iter().map(|(param, starts, ends)| DateRow { param, starts, ends, seq }));
        let quantities = rows.quantities.into_iter();
        self.quantities.extend(quantities.map(|(param, canonical, value, unit)| QuantityRow {
            param,
            canonical,
            value,
            unit,
            seq,
        }));
        let pairs = rows.pairs.into_iter();
        self.pairs.extend(pairs.map(|p| PairRow {
            param: p.param,
            first: p.first,
            second: p.second,
            low: p.low,
            high: p.high,
            unit: p.unit,
            seq,
        }));
    }

    pub(super) fn write(self, conn: &mut Conn) -> Result<(), Error> {
        self.retire(conn).map_err(database)?;
        insert_all(conn, &self).map_err(database)?;
        zone::widen(conn, &self.observations).map_err(database)?;
        self.widen_span(conn).map_err(database)
    }

    /// Keeps the longest time that any Observation covers.
    fn widen_span(&self, conn: &mut Conn) -> QueryResult<()> {
        let spans = self.observations.iter().filter(|o| o.starts != NO_TIME).map(|o| o.ends.saturating_sub(o.starts));
        // A waveform may be longer than its Observation says.
        let spans = spans.chain(self.waves.iter().map(|wave| wave.ends.saturating_sub(wave.starts)));
        // Most readings are instants; below this a search looks back anyway.
        let Some(longest) = spans.max().filter(|span| *span > SHORT_SPAN) else { return Ok(()) };
        let shorter = observation_span::table.filter(observation_span::longest.lt(longest));
        diesel::update(shorter).set(observation_span::longest.eq(longest)).execute(conn)?;
        Ok(())
    }

    /// Superseded versions go to history, and out of the tables of what stands.
    fn retire(&self, conn: &mut Conn) -> QueryResult<()> {
        if self.superseded.is_empty() {
            return Ok(());
        }
        insert_rows!(conn, history::table, columns::Versions, &self.superseded);
        for rows in self.superseded.chunks(SEQS_A_STATEMENT) {
            let seqs: Vec<i64> = rows.iter().map(|r| r.seq).collect();
            forget(conn, &seqs)?;
        }
        Ok(())
    }
}

/// Takes rows out of the tables of what stands, with their index rows.
pub(super) fn forget(conn: &mut Conn, seqs: &[i64]) -> QueryResult<()> {
    diesel::delete(observation::table.filter(observation::seq.eq_any(seqs))).execute(conn)?;
    diesel::delete(resource::table.filter(resource::seq.eq_any(seqs))).execute(conn)?;
    diesel::delete(ix_term::table.filter(ix_term::seq.eq_any(seqs))).execute(conn)?;
    diesel::delete(ix_string::table.filter(ix_string::seq.eq_any(seqs))).execute(conn)?;
    diesel::delete(ix_date::table.filter(ix_date::seq.eq_any(seqs))).execute(conn)?;
    diesel::delete(ix_quantity::table.filter(ix_quantity::seq.eq_any(seqs))).execute(conn)?;
    diesel::delete(ix_pair::table.filter(ix_pair::seq.eq_any(seqs))).execute(conn)?;
    diesel::delete(component::table.filter(component::seq.eq_any(seqs))).execute(conn)?;
    diesel::delete(wave::table.filter(wave::seq.eq_any(seqs))).execute(conn)?;
    Ok(())
}

fn insert_all(conn: &mut Conn, pending: &Pending) -> QueryResult<()> {
    insert_rows!(conn, observation::table, columns::Observations, &pending.observations);
    insert_rows!(conn, resource::table, columns::Resources, &pending.resources);
    insert_rows!(conn, ix_term::table, columns::Terms, &pending.terms);
    insert_rows!(conn, ix_string::table, columns::Strings, &pending.strings);
    insert_rows!(conn, ix_date::table, columns::Dates, &pending.dates);
    insert_rows!(conn, ix_quantity::table, columns::Quantities, &pending.quantities);
    insert_rows!(conn, ix_pair::table, columns::Pairs, &pending.pairs);
    insert_rows!(conn, component::table, columns::Components, &pending.components);
    insert_rows!(conn, wave::table, columns::Waves, &pending.waves);
    insert_rows!(conn, oddity::table, columns::Oddities, &pending.oddities);
    Ok(())
}
