//! Composite parameters: conditions that must hold of one element together.

use super::filter::Writer;
use super::range;
use super::set;
use super::sql::Sql;
use crate::error::Error;
use crate::fhir::composite::Shape;
use crate::fhir::params::{self, Column, Facet};
use crate::fhir::query::{Filter, Operand, Query};
use crate::store::dict::Kind;

/// A condition on another parameter of the same type.
pub(super) fn with(kind: &str, name: &str, operands: Vec<Operand>) -> Result<Filter, Error> {
    let param = params::find(kind, name).ok_or_else(|| Error::internal(format!("{kind} has no parameter {name}")))?;
    Ok(Filter::new(param, operands))
}

/// The same query with each composite that means the whole resource as a condition for each of its parts: what makes
/// those fast makes it fast.
pub(super) fn taken_apart(mut query: Query) -> Result<Query, Error> {
    let mut filters = Vec::with_capacity(query.filters.len());
    for filter in std::mem::take(&mut query.filters) {
        let is_whole = filter.param.column == Some(Column::Composite(Shape::Whole));
        match filter.operands.as_slice() {
            [Operand::Parts(values)] if is_whole && !filter.negated && filter.facet == Facet::Value => {
                for (part, value) in filter.param.parts.iter().zip(values) {
                    filters.push(with(query.resource_type, part.param, vec![value.clone()])?);
                }
            }
            _ => filters.push(filter),
        }
    }
    query.filters = filters;
    Ok(query)
}

/// Composites of Observation: its own columns and index rows, and those of its components.
pub(super) fn columns(
    w: &mut Writer<'_>,
    sql: &mut Sql,
    kind: &str,
    shape: Shape,
    filter: &Filter,
) -> Result<bool, Error> {
    w.any(sql, &filter.operands, |w, sql, operand| {
        let Operand::Parts(values) = operand else { return Ok(false) };
        let [code, value] = values.as_slice() else { return Ok(false) };
        // `combo-code` and `component-code` are `code` where they are the Observation's own.
        let (own, value_name) = own_names(filter);
        match shape {
            Shape::Component => component(w, sql, kind, (code, value, value_name)),
            Shape::Combo => {
                let whole = whole(w, sql, kind, &[(own, code), (value_name, value)])?;
                sql.push(" OR ");
                Ok(component(w, sql, kind, (code, value, value_name))? || whole)
            }
            Shape::Whole | Shape::Pair => whole(w, sql, kind, &[(own, code), (value_name, value)]),
        }
    })
}

/// The Observation's own parameters behind the parts.
fn own_names(filter: &Filter) -> (&'static str, &'static str) {
    let value = filter.param.parts.get(1).map_or("", |part| part.param);
    ("code", value.trim_start_matches("combo-").trim_start_matches("component-"))
}

/// Each part for itself, of the same resource.
fn whole(w: &mut Writer<'_>, sql: &mut Sql, kind: &str, parts: &[(&str, &Operand)]) -> Result<bool, Error> {
    let mut possible = true;
    for (at, (name, operand)) in parts.iter().enumerate() {
        sql.push(if at == 0 { "(" } else { " AND " });
        possible &= w.filter(sql, kind, &with(kind, name, vec![(*operand).clone()])?)?;
    }
    sql.push(")");
    Ok(possible)
}

/// Both of one component.
fn component(
    w: &mut Writer<'_>,
    sql: &mut Sql,
    kind: &str,
    (code, value, value_name): (&Operand, &Operand, &str),
) -> Result<bool, Error> {
    let code_param = with(kind, "component-code", vec![])?.param;
    w.component(sql, |w, sql| {
        let codes = set::of(w.conn, w.dict, code_param, std::slice::from_ref(code))?;
        let possible = codes.write_concepts(sql, w.conn, "concept")?;
        sql.push(" AND ");
        if value_name == "value-quantity" {
            return Ok(range::write(sql, w.conn, w.dict, value, &range::INDEX)? && possible);
        }
        let values = set::of(w.conn, w.dict, code_param, std::slice::from_ref(value))?;
        Ok(values.write_concepts(sql, w.conn, "value_concept")? && possible)
    })
}

/// Composites with rows of their own: a code, and what stands beside it.
pub(super) fn pairs(w: &mut Writer<'_>, sql: &mut Sql, kind: &str, filter: &Filter) -> Result<bool, Error> {
    let Some(param) = w.param(kind, filter.param, Facet::Value)? else {
        sql.push("1 = 0");
        return Ok(false);
    };
    w.inside(sql, kind, "ix_pair", |w, sql| {
        sql.push("param = ").int(param).push(" AND ");
        w.any(sql, &filter.operands, |w, sql, operand| {
            let Operand::Parts(values) = operand else { return Ok(false) };
            pair(w, sql, kind, filter, values)
        })
    })
}

fn pair(w: &mut Writer<'_>, sql: &mut Sql, kind: &str, filter: &Filter, values: &[Operand]) -> Result<bool, Error> {
    let numbers = values.len() == 3;
    let mut possible = true;
    for (at, (part, value)) in filter.param.parts.iter().zip(values).enumerate() {
        let param = with(kind, part.param, vec![])?.param;
        sql.push(if at == 0 { "" } else { " AND " });
        possible &= if matches!(value, Operand::Quantity { .. }) {
            let place = match (numbers, at) {
                (false, _) => &range::PAIR,
                (true, 1) => &range::FROM,
                (true, _) => &range::TO,
            };
            range::write(sql, w.conn, w.dict, value, place)?
        } else {
            let set = set::of(w.conn, w.dict, param, std::slice::from_ref(value))?;
            set.write(sql, if at == 0 { "first" } else { "second" }, Kind::Uri)?
        };
    }
    Ok(possible)
}
