//! SQL text with its binds, and how it is run on either engine. Placeholders are numbered as they are written,
//! each used once, which both engines read the same way.

use std::time::{SystemTime, UNIX_EPOCH};

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql};
use diesel::prelude::*;
use diesel::row::{Field, NamedRow, Row};
use diesel::sql_types::{BigInt, Binary, Double, Integer, Nullable, Text};

use crate::error::Error;
use crate::store::conn::{Conn, each};
use crate::store::database;

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
    /// When it began, µs: the embedded database has no clock of its own to stop a statement by.
    began: Option<i64>,
}

impl Sql {
    pub(super) fn new(conn: &Conn) -> Self {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|d| i64::try_from(d.as_micros()).ok());
        let began = if matches!(conn, Conn::Sqlite(_)) { now() } else { None };
        Self { text: String::new(), binds: vec![], began }
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

    pub(super) fn bind(&mut self, value: Bind) -> &mut Self {
        self.binds.push(value);
        self.text.push('$');
        self.text.push_str(&self.binds.len().to_string());
        self
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
            let name = Row::get(row, at).and_then(|field| field.field_name().map(str::to_owned)).unwrap_or_default();
            keys.push(match name.as_bytes().get(1) {
                Some(b'i') => NamedRow::get::<Nullable<BigInt>, Option<i64>>(row, &name)?.map(Key::Int),
                Some(b'f') => NamedRow::get::<Nullable<Double>, Option<f64>>(row, &name)?.map(Key::Float),
                Some(b't') => NamedRow::get::<Nullable<Text>, Option<String>>(row, &name)?.map(Key::Text),
                _ => NamedRow::get::<Nullable<Binary>, Option<Vec<u8>>>(row, &name)?.map(Key::Bytes),
            });
        }
        Ok(Self {
            seq: NamedRow::get::<BigInt, i64>(row, "seq")?,
            id: NamedRow::get::<Binary, Vec<u8>>(row, "id")?,
            version: NamedRow::get::<Integer, i32>(row, "version")?,
            updated: NamedRow::get::<BigInt, i64>(row, "updated")?,
            body: NamedRow::get::<Binary, Vec<u8>>(row, "body")?,
            keys: keys.into_iter().map(|key| key.unwrap_or(Key::Absent)).collect(),
        })
    }
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

macro_rules! bound {
    ($sql:expr) => {{
        let Sql { text, binds, .. } = $sql;
        let mut query = diesel::sql_query(text).into_boxed();
        for bind in binds {
            query = match bind {
                Bind::Int(value) => query.bind::<BigInt, _>(value),
                Bind::Float(value) => query.bind::<Double, _>(value),
                Bind::Text(value) => query.bind::<Text, _>(value),
                Bind::Bytes(value) => query.bind::<Binary, _>(value),
            };
        }
        query
    }};
}

pub(super) fn hits(conn: &mut Conn, sql: Sql) -> Result<Vec<HitRow>, Error> {
    each!(conn, c => bound!(sql).load::<HitRow>(c)).map_err(database)
}

/// The column `n` of every row.
pub(super) fn numbers(conn: &mut Conn, sql: Sql) -> Result<Vec<i64>, Error> {
    let rows = each!(conn, c => bound!(sql).load::<CountRow>(c)).map_err(database)?;
    Ok(rows.into_iter().map(|row| row.n).collect())
}

pub(super) fn count(conn: &mut Conn, sql: Sql) -> Result<i64, Error> {
    Ok(numbers(conn, sql)?.first().copied().unwrap_or(0))
}
