//! SQL text with its binds, and how it is run on either engine. Each placeholder stands for the next value; how it is
//! written is the engine's matter.

use diesel::backend::Backend;
use diesel::connection::Connection;
use diesel::deserialize::{self, FromSql};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::row::{Field, NamedRow, Row};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Binary, Double, HasSqlType, Integer, Nullable, Text, Untyped};

use crate::error::Error;
use crate::store::conn::{Conn, each};
use crate::store::database;
use crate::store::deadline::Clocked;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bind {
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
}

#[derive(Clone, Debug)]
pub(super) struct Sql {
    pub text: String,
    pub binds: Vec<Bind>,
    /// One of the few texts that are asked again and again: the connection keeps it prepared.
    pub kept: bool,
    /// What is written gives a page in the order of its table.
    pub paged: bool,
    /// When it began, µs: the embedded database has no clock of its own to stop a statement by.
    began: Option<i64>,
}

impl Sql {
    pub(super) fn new(conn: &Conn) -> Self {
        Self { text: String::new(), binds: vec![], kept: false, paged: false, began: Clocked::now(conn).began() }
    }

    /// Not longer than a statement may take, and `AND`: asked for each row that is looked at.
    pub(super) fn within(&mut self) -> &mut Self {
        match self.began {
            Some(began) => self.push("vigia_within(seq, ").int(began).push(") AND "),
            None => self,
        }
    }

    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Another text with its values.
    pub(super) fn append(&mut self, other: Self) -> &mut Self {
        self.binds.extend(other.binds);
        self.push(&other.text)
    }

    pub(super) fn bind(&mut self, value: Bind) -> &mut Self {
        self.binds.push(value);
        self.push("$")
    }

    pub(super) fn int(&mut self, value: i64) -> &mut Self {
        self.bind(Bind::Int(value))
    }

    /// `a OR b …` in groups: the embedded database takes only so many that follow each other. False when none of
    /// them can be true.
    pub(super) fn any_of(
        &mut self,
        count: usize,
        mut one: impl FnMut(&mut Self, usize) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        if count == 0 {
            self.push("1 = 0");
            return Ok(false);
        }
        let mut possible = false;
        for at in 0..count {
            self.push(match at {
                0 => "(((",
                _ if at % GROUP == 0 => ") OR ((",
                _ => " OR (",
            });
            possible |= one(self, at)?;
            self.push(")");
        }
        self.push("))");
        Ok(possible)
    }

    /// `column = $1`, or `column IN ($1, …)`.
    pub(super) fn one_of(&mut self, column: &str, values: &[i64]) -> &mut Self {
        self.push(column);
        if let [value] = values {
            return self.push(" = ").int(*value);
        }
        self.push(" IN (");
        for (at, value) in values.iter().enumerate() {
            self.push(if at == 0 { "" } else { ", " }).int(*value);
        }
        self.push(")")
    }
}

/// Alternatives that stand side by side; 500 of them are 25 groups.
const GROUP: usize = 20;

/// A sort key of a row; `Absent` where the row has no such value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Key {
    Absent,
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// One hit: the version that stands, with its sort keys where the order is not by `seq` alone. They are the
/// columns after the body; the second letter of their names says what they are.
#[derive(Clone, Debug)]
pub(super) struct HitRow {
    pub seq: i64,
    pub id: Vec<u8>,
    pub version: i32,
    pub updated: i64,
    pub body: Vec<u8>,
    pub keys: Vec<Key>,
}

/// The columns that come first, always in this order; it is what is read of a row, not names.
pub(super) const COLUMNS: &str = "seq, id, version, updated, body";

impl<DB: Backend> QueryableByName<DB> for HitRow
where
    i64: FromSql<BigInt, DB>,
    i32: FromSql<Integer, DB>,
    f64: FromSql<Double, DB>,
    String: FromSql<Text, DB>,
    Vec<u8>: FromSql<Binary, DB>,
{
    fn build<'a>(row: &impl NamedRow<'a, DB>) -> deserialize::Result<Self> {
        let mut keys = Vec::new();
        for at in 5..row.field_count() {
            let letter = Row::get(row, at).and_then(|field| field.field_name()?.as_bytes().get(1).copied());
            let key = match letter {
                Some(b'i') => value::<Option<i64>, Nullable<BigInt>, DB>(row, at)?.map(Key::Int),
                Some(b'f') => value::<Option<f64>, Nullable<Double>, DB>(row, at)?.map(Key::Float),
                Some(b't') => value::<Option<String>, Nullable<Text>, DB>(row, at)?.map(Key::Text),
                _ => value::<Option<Vec<u8>>, Nullable<Binary>, DB>(row, at)?.map(Key::Bytes),
            };
            keys.push(key.unwrap_or(Key::Absent));
        }
        Ok(Self {
            seq: value::<i64, BigInt, DB>(row, 0)?,
            id: value::<Vec<u8>, Binary, DB>(row, 1)?,
            version: value::<i32, Integer, DB>(row, 2)?,
            updated: value::<i64, BigInt, DB>(row, 3)?,
            body: value::<Vec<u8>, Binary, DB>(row, 4)?,
            keys,
        })
    }
}

fn value<'a, T, ST, DB>(row: &impl NamedRow<'a, DB>, at: usize) -> deserialize::Result<T>
where
    DB: Backend,
    T: FromSql<ST, DB>,
{
    let field = Row::get(row, at).ok_or("a column is missing")?;
    T::from_nullable_sql(field.value())
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// A text with its values as a statement. Diesel has one for this, but never keeps what it prepared.
#[derive(Debug)]
struct Statement(Sql);

impl QueryId for Statement {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement {
    type SqlType = Untyped;
}

impl<C: Connection> RunQueryDsl<C> for Statement {}

impl<DB> QueryFragment<DB> for Statement
where
    DB: Backend + HasSqlType<BigInt> + HasSqlType<Double> + HasSqlType<Text> + HasSqlType<Binary>,
    i64: ToSql<BigInt, DB>,
    f64: ToSql<Double, DB>,
    String: ToSql<Text, DB>,
    Vec<u8>: ToSql<Binary, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        let Sql { text, binds, kept, .. } = &self.0;
        if !kept {
            out.unsafe_to_cache_prepared();
        }
        let mut parts = text.split('$');
        out.push_sql(parts.next().unwrap_or_default());
        for (part, bind) in parts.zip(binds) {
            match bind {
                Bind::Int(value) => out.push_bind_param::<BigInt, _>(value)?,
                Bind::Float(value) => out.push_bind_param::<Double, _>(value)?,
                Bind::Text(value) => out.push_bind_param::<Text, _>(value)?,
                Bind::Bytes(value) => out.push_bind_param::<Binary, _>(value)?,
            }
            out.push_sql(part);
        }
        Ok(())
    }
}

/// Both engines bind only so many values (SQLite 32,766).
const MAX_BINDS: usize = 30_000;

fn statement(sql: Sql) -> Result<Statement, Error> {
    if sql.binds.len() > MAX_BINDS {
        return Err(Error::invalid(
            "too-costly",
            "http.query",
            "the values mean more codes than one search may ask for",
        ));
    }
    Ok(Statement(sql))
}

pub(super) fn hits(conn: &mut Conn, sql: Sql) -> Result<Vec<HitRow>, Error> {
    let statement = statement(sql)?;
    each!(conn, c => statement.load::<HitRow>(c)).map_err(database)
}

/// The column `n` of every row.
pub(super) fn numbers(conn: &mut Conn, sql: Sql) -> Result<Vec<i64>, Error> {
    let statement = statement(sql)?;
    let rows = each!(conn, c => statement.load::<CountRow>(c)).map_err(database)?;
    Ok(rows.into_iter().map(|row| row.n).collect())
}

pub(super) fn count(conn: &mut Conn, sql: Sql) -> Result<i64, Error> {
    Ok(numbers(conn, sql)?.first().copied().unwrap_or(0))
}
