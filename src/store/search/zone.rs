//! Searches by value that few rows match. The log is cut into zones of which it is known between which values the
//! Observations of each concept lie (`store::zone`): what lies outside needs no look at its rows. Zones that may hold
//! something are walked newest first, a few at the beginning and more the longer nothing fills the page.

use fhir_r4::SearchKind;

use super::filter;
use super::order::Order;
use super::range;
use super::sql::{self, HitRow, Sql};
use crate::error::Error;
use crate::fhir::params::{Column, Facet};
use crate::fhir::query::{Filter, Operand, Query};
use crate::store::conn::{Conn, snapshot};
use crate::store::dict::Dict;
use crate::store::prepare::OBSERVATION;
use crate::store::zone::ZONE;

/// Zones that are looked at first; then so many times more.
const FIRST: usize = 4;
/// A gap of so many parts of what is looked at is walked over rather than asked for by a statement of its own.
const PARTS: i64 = 64;

/// ` FROM observation_zone WHERE …`: the zones in which the values of a search may lie.
pub(super) struct Zones {
    condition: Sql,
    /// More than one concept may have the same zone.
    repeated: bool,
}

/// None when the query asks for no value.
pub(super) fn of(conn: &mut Conn, dict: &Dict, query: &Query) -> Result<Option<Zones>, Error> {
    let asked: Vec<&Filter> = query.filters.iter().filter(|filter| is_value(filter)).collect();
    if asked.is_empty() || query.resource_type != OBSERVATION {
        return Ok(None);
    }
    let concepts = filter::terms(conn, dict, query, Column::Concept)?;
    let mut sql = Sql::new(conn);
    sql.push(" AS n FROM observation_zone WHERE ");
    match concepts.as_deref() {
        Some([]) => return Ok(None),
        Some(list) => sql.one_of("concept", list),
        None => sql.push("1 = 1"),
    };
    for filter in asked {
        sql.push(" AND (");
        sql.any_of(filter.operands.len(), |sql, at| {
            Ok(filter.operands.get(at).is_some_and(|operand| range::zone(sql, operand)))
        })?;
        sql.push(")");
    }
    Ok(Some(Zones { condition: sql, repeated: concepts.is_none_or(|list| list.len() > 1) }))
}

fn is_value(filter: &Filter) -> bool {
    filter.param.column == Some(Column::Quantity)
        && filter.param.kind == SearchKind::Quantity
        && !filter.negated
        && filter.facet == Facet::Value
        && filter.operands.iter().all(|operand| matches!(operand, Operand::Quantity { .. }))
}

impl Zones {
    /// Whether there is any.
    pub(super) fn any(&self, conn: &mut Conn) -> Result<bool, Error> {
        let mut sql = Sql::new(conn);
        sql.push("SELECT zone").append(self.condition.clone()).push(" LIMIT 1");
        Ok(!sql::numbers(conn, sql)?.is_empty())
    }

    /// The greatest zones below this one.
    fn below(&self, conn: &mut Conn, end: i64, limit: usize) -> Result<Vec<i64>, Error> {
        let mut sql = Sql::new(conn);
        sql.push(if self.repeated { "SELECT DISTINCT zone" } else { "SELECT zone" }).append(self.condition.clone());
        sql.push(" AND zone < ").int(end).push(" ORDER BY zone DESC LIMIT ");
        sql.int(i64::try_from(limit).map_err(Error::internal)?);
        sql::numbers(conn, sql)
    }

    /// The newest rows before `seq`. `base` is the query up to its conditions. All statements see one state: else what
    /// is corrected meanwhile could be in none of them.
    pub(super) fn newest(
        &self,
        conn: &mut Conn,
        base: &Sql,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<HitRow>, Error> {
        snapshot(conn, |conn| self.walk(conn, base, before, limit))
    }

    fn walk(&self, conn: &mut Conn, base: &Sql, before: Option<i64>, limit: usize) -> Result<Vec<HitRow>, Error> {
        let mut end = before.map_or(i64::MAX, |seq| seq / ZONE + 1);
        let (mut rows, mut many) = (Vec::new(), FIRST);
        loop {
            let zones = self.below(conn, end, many)?;
            let gap = i64::try_from(many).map_err(Error::internal)? / PARTS;
            for (first, last) in stretches(&zones, gap) {
                let mut sql = base.clone();
                sql.push(" AND seq >= ").int(first.saturating_mul(ZONE));
                sql.push(" AND seq < ").int((last + 1).saturating_mul(ZONE));
                Order::Recent.finish(&mut sql, limit - rows.len())?;
                rows.extend(sql::hits(conn, sql)?);
                if rows.len() >= limit {
                    return Ok(rows);
                }
            }
            match zones.last() {
                Some(last) if zones.len() == many => end = *last,
                _ => return Ok(rows),
            }
            many = many.saturating_mul(4);
        }
    }
}

/// Falling numbers as stretches of what lies close together, each from its first to its last.
fn stretches(zones: &[i64], gap: i64) -> Vec<(i64, i64)> {
    let mut found: Vec<(i64, i64)> = Vec::new();
    for zone in zones {
        match found.last_mut() {
            Some((first, _)) if *first - zone <= gap + 1 => *first = *zone,
            _ => found.push((*zone, *zone)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::stretches;

    #[test]
    fn zones_that_lie_close_together_are_one_stretch() {
        for (zones, gap, expected) in [
            (&[][..], 0, &[][..]),
            (&[7], 0, &[(7, 7)]),
            (&[9, 8, 7, 5, 4, 1], 0, &[(7, 9), (4, 5), (1, 1)]),
            (&[9, 8, 7, 5, 4, 1], 1, &[(4, 9), (1, 1)]),
            (&[9, 8, 7, 5, 4, 1], 2, &[(1, 9)]),
        ] {
            assert_eq!(stretches(zones, gap), expected, "{zones:?} {gap}");
        }
    }
}
