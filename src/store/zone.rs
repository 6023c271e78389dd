//! Between which values the Observations of a concept lie in each stretch of the log. It is kept with the rows, in
//! their transaction, and only ever widens: what is superseded or deleted leaves it as it is, so it may say more than
//! there is and never less. Searches read it (`search::zone`); nothing else does.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::query_dsl::methods::FilterDsl;
use diesel::sql_types::Double;
use diesel::upsert::excluded;

use super::conn::Conn;
use super::prepare::ObservationRow;
use super::schema::observation_zone;

/// So many numbers of the log are one zone. The migration that made the table says the same number.
pub(super) const ZONE: i64 = 1024;

/// Zones of one statement: PostgreSQL takes 65,535 binds.
const ROWS_A_STATEMENT: usize = 1000;

#[derive(Insertable, Clone, Copy, Debug)]
#[diesel(table_name = observation_zone)]
struct ZoneRow {
    concept: i64,
    zone: i64,
    value_low: f64,
    value_high: f64,
    canonical_low: f64,
    canonical_high: f64,
}

impl ZoneRow {
    fn of(row: &ObservationRow) -> Option<Self> {
        let (value, canonical) = (row.value?, row.canonical?);
        // What cannot be compared lies anywhere.
        let bounds = |v: f64| if v.is_nan() { (f64::NEG_INFINITY, f64::INFINITY) } else { (v, v) };
        let ((value_low, value_high), (canonical_low, canonical_high)) = (bounds(value), bounds(canonical));
        let (concept, zone) = (row.concept.unwrap_or_default(), row.seq / ZONE);
        Some(Self { concept, zone, value_low, value_high, canonical_low, canonical_high })
    }

    fn widen(&mut self, other: &Self) {
        self.value_low = self.value_low.min(other.value_low);
        self.value_high = self.value_high.max(other.value_high);
        self.canonical_low = self.canonical_low.min(other.canonical_low);
        self.canonical_high = self.canonical_high.max(other.canonical_high);
    }
}

diesel::define_sql_function! { #[sql_name = "least"] fn lesser_postgres(a: Double, b: Double) -> Double; }
diesel::define_sql_function! { #[sql_name = "greatest"] fn greater_postgres(a: Double, b: Double) -> Double; }
diesel::define_sql_function! { #[sql_name = "min"] fn lesser_sqlite(a: Double, b: Double) -> Double; }
diesel::define_sql_function! { #[sql_name = "max"] fn greater_sqlite(a: Double, b: Double) -> Double; }

/// Writes rows; a zone that is there becomes wider where it has to. Most writes change nothing, and touch no page.
macro_rules! widen_rows {
    ($conn:expr, $rows:expr, $lesser:ident, $greater:ident) => {{
        use observation_zone::{canonical_high, canonical_low, concept, value_high, value_low, zone};
        let wider =
            diesel::insert_into(observation_zone::table).values($rows).on_conflict((concept, zone)).do_update().set((
                value_low.eq($lesser(value_low, excluded(value_low))),
                value_high.eq($greater(value_high, excluded(value_high))),
                canonical_low.eq($lesser(canonical_low, excluded(canonical_low))),
                canonical_high.eq($greater(canonical_high, excluded(canonical_high))),
            ));
        let needed = excluded(value_low)
            .lt(value_low)
            .or(excluded(value_high).gt(value_high))
            .or(excluded(canonical_low).lt(canonical_low))
            .or(excluded(canonical_high).gt(canonical_high));
        FilterDsl::filter(wider, needed).execute($conn)?;
    }};
}

/// The zones of rows that are written now.
pub(super) fn widen(conn: &mut Conn, observations: &[ObservationRow]) -> QueryResult<()> {
    let mut zones: BTreeMap<(i64, i64), ZoneRow> = BTreeMap::new();
    for row in observations.iter().filter_map(ZoneRow::of) {
        zones.entry((row.concept, row.zone)).and_modify(|zone| zone.widen(&row)).or_insert(row);
    }
    let rows: Vec<ZoneRow> = zones.into_values().collect();
    match conn {
        Conn::Postgres(c) => {
            for chunk in rows.chunks(ROWS_A_STATEMENT) {
                widen_rows!(c, chunk, lesser_postgres, greater_postgres);
            }
        }
        Conn::Sqlite(c) => {
            for row in &rows {
                widen_rows!(c, row, lesser_sqlite, greater_sqlite);
            }
        }
    }
    Ok(())
}
