//! One condition of a search as SQL over integers. What is written is always a whole condition; where a value is
//! not known to the dictionary it is `1 = 0`, and a search that can match nothing touches no table at all.

use fhir_r4::SearchKind;

use super::range::{self, Place};
use super::set::{self, Set};
use super::sql::{self, Bind, Sql};
use super::{composite, join, near};
use crate::error::Error;
use crate::fhir::params::{Column, Facet, Param};
use crate::fhir::query::{Filter, Operand, Query, TextMode};
use crate::fhir::reading::Status;
use crate::store::conn::Conn;
use crate::store::database_bytes;
use crate::store::dict::{Dict, Kind, Source};
use crate::store::prepare::{self, NO_TIME, OBSERVATION, type_number};

/// What the parts of a condition are written with.
pub(super) struct Writer<'a> {
    pub conn: &'a mut Conn,
    pub dict: &'a Dict,
    /// Other conditions leave few rows: then each is asked for its own index rows.
    pub few: bool,
    /// Only a page of the rows is wanted, in the order of the table: what nearly every row has is then better asked
    /// of each row than collected first.
    pub paged: bool,
}

/// So many index rows are many: collecting them costs more than meeting enough of them on the way.
const MANY: i64 = 2000;

/// The table that holds what stands of a type.
pub(super) fn table(kind: &str) -> &'static str {
    if kind == OBSERVATION { "observation" } else { "resource" }
}

/// Whether the conditions name a patient, an encounter or the resource itself.
pub(super) fn leave_few(filters: &[Filter]) -> bool {
    let narrow = |f: &Filter| {
        let column = matches!(f.param.column, Some(Column::Id | Column::Subject | Column::Encounter));
        column && !f.negated && f.facet == Facet::Value && f.values().is_some()
    };
    filters.iter().any(narrow)
}

impl Writer<'_> {
    /// Writes the condition; false when nothing can match.
    pub(super) fn filter(&mut self, sql: &mut Sql, kind: &str, filter: &Filter) -> Result<bool, Error> {
        if !filter.negated {
            return self.positive(sql, kind, filter);
        }
        // A resource without the value is one that has not this value.
        if filter.param.column.is_none() || filter.facet != Facet::Value {
            self.rows(sql, kind, filter, Membership::Outside)?;
        } else {
            sql.push("(");
            self.positive(sql, kind, filter)?;
            sql.push(") IS NOT TRUE");
        }
        Ok(true)
    }

    fn positive(&mut self, sql: &mut Sql, kind: &str, filter: &Filter) -> Result<bool, Error> {
        match filter.operands.first() {
            Some(Operand::Missing(_)) => return self.missing(sql, kind, filter),
            Some(Operand::Chain { .. }) => return join::chain(self, sql, kind, filter),
            Some(Operand::Has { .. }) => return join::has(self, sql, kind, filter),
            _ => {}
        }
        match (filter.param.column, filter.facet) {
            (Some(column), Facet::Value) => self.column(sql, kind, column, filter),
            (Some(column @ (Column::Concept | Column::Category)), Facet::Text) => named(sql, column, filter),
            (None, Facet::Value) if filter.param.kind == SearchKind::Composite => {
                composite::pairs(self, sql, kind, filter)
            }
            _ => self.rows(sql, kind, filter, Membership::Inside),
        }
    }

    fn column(&mut self, sql: &mut Sql, kind: &str, column: Column, filter: &Filter) -> Result<bool, Error> {
        let quantities = |w: &mut Self, sql: &mut Sql| w.ranges(sql, filter, &range::INDEX);
        match column {
            Column::Id => Ok(ids(sql, filter)),
            Column::Updated => self.ranges(sql, filter, &range::UPDATED),
            Column::Date | Column::Quantity => self.ranges(sql, filter, &range::OBSERVATION),
            Column::Status => Ok(statuses(sql, filter)),
            Column::Concept | Column::Category | Column::Profile => {
                let set = set::of(self.conn, self.dict, filter.param, &filter.operands)?;
                set.write_concepts(sql, self.conn, name(column))
            }
            Column::Subject | Column::Device | Column::Encounter => {
                let set = set::of(self.conn, self.dict, filter.param, &filter.operands)?;
                set.write(sql, name(column), Kind::Uri)
            }
            Column::ComponentConcept | Column::ComponentValueConcept => self.component(sql, |w, sql| {
                let set = set::of(w.conn, w.dict, filter.param, &filter.operands)?;
                set.write_concepts(sql, w.conn, name(column))
            }),
            Column::ComponentQuantity => self.component(sql, quantities),
            Column::ComboConcept => self.combo(sql, kind, filter, ("code", "component-code")),
            Column::ComboQuantity => self.combo(sql, kind, filter, ("value-quantity", "component-value-quantity")),
            Column::ComboValueConcept => self.combo(sql, kind, filter, ("value-concept", "component-value-concept")),
            Column::Composite(shape) => composite::columns(self, sql, kind, shape, filter),
        }
    }

    /// Observations with a component of which this is true.
    pub(super) fn component(
        &mut self,
        sql: &mut Sql,
        condition: impl FnOnce(&mut Self, &mut Sql) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        self.inside(sql, OBSERVATION, "component", condition)
    }

    /// Resources with a row in this index table of which the condition is true.
    pub(super) fn inside(
        &mut self,
        sql: &mut Sql,
        kind: &str,
        index: &str,
        condition: impl FnOnce(&mut Self, &mut Sql) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        let mut inner = Sql::new(self.conn);
        let possible = condition(self, &mut inner)?;
        if possible && (self.few || (self.paged && self.are_many(index, &inner)?)) {
            // The limit keeps either engine from doing it the other way round: a row's own index rows come first.
            sql.push("EXISTS (SELECT 1 FROM (SELECT * FROM ").push(index).push(" x WHERE x.seq = ").push(table(kind));
            sql.push(".seq LIMIT 100000) of_this WHERE ");
        } else {
            sql.push("seq IN (SELECT seq FROM ").push(index).push(" WHERE ").within();
        }
        sql.append(inner).push(")");
        Ok(possible)
    }

    /// Looks at no more rows than it takes to know.
    fn are_many(&mut self, index: &str, condition: &Sql) -> Result<bool, Error> {
        let mut probe = Sql::new(self.conn);
        probe.push("SELECT COUNT(*) AS n FROM (SELECT 1 FROM ").push(index).push(" WHERE ");
        probe.append(condition.clone()).push(" LIMIT ").int(MANY).push(") some_rows");
        Ok(sql::count(self.conn, probe)? == MANY)
    }

    /// Either parameter of the same type has one of the values.
    fn combo(&mut self, sql: &mut Sql, kind: &str, filter: &Filter, names: (&str, &str)) -> Result<bool, Error> {
        let either = [names.0, names.1].map(|name| composite::with(kind, name, filter.operands.clone()));
        let mut possible = false;
        for (at, one) in either.into_iter().enumerate() {
            sql.push(if at == 0 { "(" } else { " OR " });
            possible |= self.positive(sql, kind, &one?)?;
        }
        sql.push(")");
        Ok(possible)
    }

    /// Any of the operands, compared.
    pub(super) fn ranges(&mut self, sql: &mut Sql, filter: &Filter, place: &Place<'_>) -> Result<bool, Error> {
        self.any(sql, &filter.operands, |w, sql, operand| range::write(sql, w.conn, w.dict, operand, place))
    }

    /// `((a) OR (b) …)`; false when no operand can match.
    pub(super) fn any<T>(
        &mut self,
        sql: &mut Sql,
        operands: &[T],
        mut one: impl FnMut(&mut Self, &mut Sql, &T) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        sql.any_of(operands.len(), |sql, at| match operands.get(at) {
            Some(operand) => one(self, sql, operand),
            None => Ok(false),
        })
    }

    /// The number of a parameter's index rows; none when nothing was ever indexed by it.
    pub(super) fn param(&mut self, kind: &str, param: &'static Param, facet: Facet) -> Result<Option<i64>, Error> {
        let scope = type_number(kind)?.into();
        self.dict.terms(Source::Table(self.conn)).get(Kind::Param, scope, param.index_name(facet))
    }

    /// A condition over an index table: resources that have such a row, or have none.
    fn rows(&mut self, sql: &mut Sql, kind: &str, filter: &Filter, membership: Membership) -> Result<bool, Error> {
        let Some(param) = self.param(kind, filter.param, filter.facet)? else {
            return Ok(membership.never(sql));
        };
        let index = index_table(filter.param.kind, filter.facet);
        if membership == Membership::Inside {
            return self.inside(sql, kind, index, |w, sql| w.values(sql, param, filter));
        }
        membership.open(sql, kind, index);
        self.values(sql, param, filter)?;
        sql.push(")");
        Ok(true)
    }

    /// The rows of an index table that hold one of the values.
    fn values(&mut self, sql: &mut Sql, param: i64, filter: &Filter) -> Result<bool, Error> {
        sql.push("param = ").int(param).push(" AND ");
        match (filter.facet, filter.param.kind) {
            (Facet::Text, _) | (_, SearchKind::String) => self.texts(sql, filter),
            (_, SearchKind::Date | SearchKind::Number | SearchKind::Quantity) => {
                self.ranges(sql, filter, &range::INDEX)
            }
            (_, SearchKind::Special) => {
                self.any(sql, &filter.operands, |w, sql, operand| Ok(near::write(sql, w.conn, operand)))
            }
            _ => {
                let set = set::of(self.conn, self.dict, filter.param, &filter.operands)?;
                set.write(sql, "term", Kind::Uri)
            }
        }
    }

    fn texts(&mut self, sql: &mut Sql, filter: &Filter) -> Result<bool, Error> {
        self.any(sql, &filter.operands, |_, sql, operand| Ok(text(sql, operand)))
    }

    /// Whether there is any value at all.
    fn missing(&mut self, sql: &mut Sql, kind: &str, filter: &Filter) -> Result<bool, Error> {
        let is_missing = filter.operands.contains(&Operand::Missing(true));
        if is_missing && filter.operands.contains(&Operand::Missing(false)) {
            sql.push("1 = 1");
            return Ok(true);
        }
        sql.push(if is_missing { "NOT (" } else { "(" });
        match filter.param.column {
            Some(column) => self.present(sql, kind, column)?,
            None => self.indexed(sql, kind, filter.param)?,
        }
        sql.push(")");
        Ok(true)
    }

    fn present(&mut self, sql: &mut Sql, kind: &str, column: Column) -> Result<(), Error> {
        let part = |column: Column| {
            format!(
                "EXISTS (SELECT 1 FROM component c WHERE c.seq = observation.seq AND c.{} IS NOT NULL)",
                name(column)
            )
        };
        match column {
            Column::Id | Column::Updated | Column::Status | Column::Concept | Column::ComboConcept => {
                sql.push("1 = 1");
            }
            Column::Date => {
                sql.push("starts > ").int(NO_TIME);
            }
            Column::ComponentConcept | Column::ComponentQuantity | Column::ComponentValueConcept => {
                sql.push(&part(column));
            }
            Column::ComboQuantity => {
                sql.push("value IS NOT NULL OR ").push(&part(column));
            }
            Column::ComboValueConcept => {
                sql.push(&part(column)).push(" OR ");
                let own = composite::with(kind, "value-concept", vec![])?;
                self.indexed(sql, kind, own.param)?;
            }
            _ => {
                sql.push(name(column)).push(" IS NOT NULL");
            }
        }
        Ok(())
    }

    /// A row of the parameter, or of what it says beside its values: a concept may be a text alone.
    fn indexed(&mut self, sql: &mut Sql, kind: &str, param: &'static Param) -> Result<(), Error> {
        let mut written = false;
        for facet in [Facet::Value, Facet::Text, Facet::Identifier] {
            let Some(number) = self.param(kind, param, facet)? else { continue };
            sql.push(if written { " OR " } else { "" });
            Membership::Inside.open(sql, kind, index_table(param.kind, facet));
            sql.push("param = ").int(number).push(")");
            written = true;
        }
        if !written {
            sql.push("1 = 0");
        }
        Ok(())
    }
}

/// Whether rows of an index table are to be there or not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Membership {
    Inside,
    Outside,
}

impl Membership {
    /// `seq IN (SELECT … WHERE `, to be closed by the caller.
    pub(super) fn open(self, sql: &mut Sql, kind: &str, index: &str) {
        match self {
            Self::Inside => {
                sql.push("seq IN (SELECT seq FROM ").push(index).push(" WHERE ");
                sql.within()
            }
            Self::Outside => {
                sql.push("NOT EXISTS (SELECT 1 FROM ").push(index).push(" x WHERE x.seq = ");
                sql.push(table(kind)).push(".seq AND ")
            }
        };
    }

    /// No row is there.
    fn never(self, sql: &mut Sql) -> bool {
        sql.push(if self == Self::Inside { "1 = 0" } else { "1 = 1" });
        self == Self::Outside
    }
}

fn index_table(kind: SearchKind, facet: Facet) -> &'static str {
    match (facet, kind) {
        (Facet::Text, _) | (Facet::Value, SearchKind::String) => "ix_string",
        (Facet::Value, SearchKind::Date) => "ix_date",
        (Facet::Value, SearchKind::Number | SearchKind::Quantity | SearchKind::Special) => "ix_quantity",
        (Facet::Value, SearchKind::Composite) => "ix_pair",
        _ => "ix_term",
    }
}

/// The column of a parameter, in the table of Observations or in that of components.
fn name(column: Column) -> &'static str {
    match column {
        Column::Id => "id",
        Column::Updated => "updated",
        Column::Subject => "subject",
        Column::Concept | Column::ComponentConcept | Column::ComboConcept => "concept",
        Column::Category => "category",
        Column::Date => "starts",
        Column::Status => "status",
        Column::Quantity | Column::ComponentQuantity | Column::ComboQuantity => "value",
        Column::Device => "device",
        Column::Encounter => "encounter",
        Column::Profile => "profile",
        Column::ComponentValueConcept | Column::ComboValueConcept => "value_concept",
        Column::Composite(_) => "seq",
    }
}

fn ids(sql: &mut Sql, filter: &Filter) -> bool {
    let ids = filter.operands.iter().filter_map(|o| if let Operand::Id(id) = o { Some(id) } else { None });
    sql.push("id IN (");
    for (at, id) in ids.enumerate() {
        sql.push(if at == 0 { "" } else { ", " }).bind(Bind::Bytes(database_bytes(id)));
    }
    sql.push(")");
    true
}

fn statuses(sql: &mut Sql, filter: &Filter) -> bool {
    let known =
        |system: &Option<String>| system.as_deref().is_none_or(|s| s.is_empty() || filter.param.systems.contains(&s));
    let mut numbers = Vec::new();
    for operand in &filter.operands {
        match operand {
            Operand::Token { system, code: Some(code) } if known(system) => numbers.extend(Status::from_code(code)),
            Operand::Token { system, code: None } if known(system) => numbers.extend(Status::all()),
            Operand::In { codes: Some(codes), .. } => {
                let of_it = codes.iter().filter(|(system, _)| known(&Some(system.clone())));
                numbers.extend(of_it.filter_map(|(_, code)| Status::from_code(code)));
            }
            _ => {}
        }
    }
    if numbers.is_empty() {
        sql.push("1 = 0");
        return false;
    }
    let numbers: Vec<i64> = numbers.into_iter().map(|status| status.number().into()).collect();
    sql.one_of("status", &numbers);
    true
}

/// Concepts that are called so.
fn named(sql: &mut Sql, column: Column, filter: &Filter) -> Result<bool, Error> {
    sql.push(name(column)).push(" IN (SELECT scope FROM term WHERE kind = ").int(Kind::Name.number().into());
    sql.push(" AND ");
    sql.any_of(filter.operands.len(), |sql, at| {
        if let Some(Operand::Text { folded, .. }) = filter.operands.get(at) {
            set::begins(sql, &prepare::short(folded));
        } else {
            sql.push("1 = 0");
        }
        Ok(true)
    })?;
    sql.push(")");
    Ok(true)
}

fn text(sql: &mut Sql, operand: &Operand) -> bool {
    let Operand::Text { folded, exact, mode } = operand else {
        sql.push("1 = 0");
        return false;
    };
    let (folded, exact) = (prepare::short(folded), prepare::short(exact));
    match mode {
        TextMode::StartsWith => {
            sql.push("folded >= ").bind(Bind::Text(folded.clone()));
            sql.push(" AND folded < ").bind(Bind::Text(format!("{folded}\u{10FFFF}")));
        }
        TextMode::Exact => {
            sql.push("folded = ").bind(Bind::Text(folded.clone()));
            sql.push(" AND exact = ").bind(Bind::Text(exact.clone()));
        }
        TextMode::Contains => {
            let escaped = folded.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            sql.push("folded LIKE ").bind(Bind::Text(format!("%{escaped}%"))).push(" ESCAPE '\\'");
        }
    }
    true
}

/// The terms that a query asks of a column; none when it does not ask, or not for a list.
pub(super) fn terms(conn: &mut Conn, dict: &Dict, query: &Query, column: Column) -> Result<Option<Vec<i64>>, Error> {
    for filter in query.filters.iter().filter(|f| f.param.column == Some(column)) {
        let Some(operands) = filter.values() else { continue };
        let set: Set = set::of(conn, dict, filter.param, operands)?;
        return match column {
            Column::Concept => set.concepts(conn),
            _ => Ok(set.list().map(<[i64]>::to_vec)),
        };
    }
    Ok(None)
}
