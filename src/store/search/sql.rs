//! SQL text with its binds, and how it is run on either engine. Placeholders are numbered as they are written,
//! each used once, which both engines read the same way.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Double, Text};

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

#[derive(Clone, Debug, Default)]
pub(super) struct Sql {
    pub text: String,
    pub binds: Vec<Bind>,
}

impl Sql {
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

/// One hit: the version that stands, with its sort key where the order is not by `seq` alone.
#[derive(QueryableByName, Clone, Debug)]
pub(super) struct HitRow {
    #[diesel(sql_type = BigInt)]
    pub seq: i64,
    #[diesel(sql_type = Binary)]
    pub id: Vec<u8>,
    #[diesel(sql_type = diesel::sql_types::Integer)]
    pub version: i32,
    #[diesel(sql_type = BigInt)]
    pub updated: i64,
    #[diesel(sql_type = Binary)]
    pub body: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    pub key_int: i64,
    #[diesel(sql_type = Text)]
    pub key_text: String,
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

macro_rules! bound {
    ($sql:expr) => {{
        let Sql { text, binds } = $sql;
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
