//! Chains: conditions on what a resource refers to, and on what refers to it. A reference is a term, and the
//! table `referent` says which resource a term means, so a chain of any length is subqueries over integers.
//! What the caller may see of the other types is among their conditions: `narrow` puts it there.

use super::filter::{Writer, leave_few, table};
use super::sql::Sql;
use crate::error::Error;
use crate::fhir::params::{Column, Facet};
use crate::fhir::query::{Filter, Operand};
use crate::store::prepare::{OBSERVATION, type_number};

/// `subject:Patient.name=…`: the reference is to one of those of which the conditions hold.
pub(super) fn chain(w: &mut Writer<'_>, sql: &mut Sql, kind: &str, filter: &Filter) -> Result<bool, Error> {
    w.any(sql, &filter.operands, |w, sql, operand| {
        let Operand::Chain { kind: target, filters } = operand else { return Ok(false) };
        let column = reference_column(filter.param.column);
        if let Some(column) = column {
            sql.push(column).push(" IN (");
        } else if let Some(param) = w.param(kind, filter.param, filter.facet)? {
            sql.push("seq IN (SELECT seq FROM ix_term WHERE param = ").int(param).push(" AND term IN (");
        } else {
            sql.push("1 = 0");
            return Ok(false);
        }
        // The resource is found first, then the term that refers to it.
        sql.push("SELECT referent.term FROM ").push(table(target)).push(" CROSS JOIN referent WHERE referent.kind = ");
        sql.int(type_number(target)?.into()).push(" AND referent.key = id AND ");
        let possible = standing(w, sql, target, filters)?;
        sql.push(if column.is_some() { ")" } else { "))" });
        Ok(possible)
    })
}

/// `_has:Observation:patient:code=…`: something refers here, and the conditions hold of it.
pub(super) fn has(w: &mut Writer<'_>, sql: &mut Sql, kind: &str, filter: &Filter) -> Result<bool, Error> {
    let own = i64::from(type_number(kind)?);
    w.any(sql, &filter.operands, |w, sql, operand| {
        let Operand::Has { kind: other, link, filters } = operand else { return Ok(false) };
        if let Some(column) = reference_column(link.column) {
            // One step of an index for each resource asked about, not one for each Observation there is.
            sql.push("EXISTS (SELECT 1 FROM referent CROSS JOIN observation WHERE referent.kind = ").int(own);
            sql.push(" AND referent.key = ").push(table(kind)).push(".id AND ").push(column);
            sql.push(" = referent.term AND ");
            let possible = standing(w, sql, other, filters)?;
            sql.push(")");
            return Ok(possible);
        }
        let Some(param) = w.param(other, link, Facet::Value)? else {
            sql.push("1 = 0");
            return Ok(false);
        };
        sql.push("id IN (SELECT referent.key FROM ix_term x CROSS JOIN referent WHERE referent.kind = ").int(own);
        sql.push(" AND referent.term = x.term AND x.param = ").int(param).push(" AND x.seq IN (SELECT seq FROM ");
        sql.push(table(other)).push(" WHERE ");
        let possible = standing(w, sql, other, filters)?;
        sql.push("))");
        Ok(possible)
    })
}

/// What stands of a type and meets the conditions.
fn standing(w: &mut Writer<'_>, sql: &mut Sql, kind: &str, filters: &[Filter]) -> Result<bool, Error> {
    sql.within().push("NOT deleted");
    if kind != OBSERVATION {
        sql.push(" AND rtype = ").int(type_number(kind)?.into());
    }
    let mut possible = true;
    // All of them are wanted here, not a page.
    let paged = std::mem::replace(&mut w.paged, false);
    let few = std::mem::replace(&mut w.few, leave_few(filters));
    for filter in filters {
        sql.push(" AND (");
        possible &= w.filter(sql, kind, filter)?;
        sql.push(")");
    }
    (w.paged, w.few) = (paged, few);
    Ok(possible)
}

fn reference_column(column: Option<Column>) -> Option<&'static str> {
    match column {
        Some(Column::Subject) => Some("subject"),
        Some(Column::Device) => Some("device"),
        Some(Column::Encounter) => Some("encounter"),
        _ => None,
    }
}
