//! How long a statement may take. PostgreSQL has a setting for it; the embedded database is asked for each row
//! that a search, a history or a statistic looks at, through a function of ours that fails when it is too late. Nothing else may fail here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use diesel::prelude::*;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{BigInt, Bool};
use diesel::sqlite::Sqlite;

use super::conn::Conn;

/// The conditions of one group of changes may take so long in the lane, where everybody waits for them.
pub(super) const GUARDS: Duration = Duration::from_millis(250);

/// And those of all groups of one caller.
pub(super) const CALLER: Duration = Duration::from_secs(1);

/// What both engines say in their errors of a statement that was stopped.
const WORDS: [&str; 2] = ["statement timeout", "vigia_within"];

diesel::define_sql_function! {
    /// Whether a statement that began then (µs) may go on; `seq` ties the question to each row.
    fn vigia_within(seq: BigInt, began: BigInt) -> Bool;
}

/// When some work of several statements began: they share one limit on the embedded database.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocked {
    embedded: bool,
    /// µs UTC
    began: i64,
}

impl Clocked {
    pub(super) fn now(conn: &Conn) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|d| i64::try_from(d.as_micros()).ok());
        // Without a clock there is no limit.
        Self { embedded: matches!(conn, Conn::Sqlite(_)) && now.is_some(), began: now.unwrap_or(0) }
    }

    /// Work that began then.
    #[cfg(test)]
    pub(super) fn since(conn: &Conn, began: i64) -> Self {
        Self { embedded: matches!(conn, Conn::Sqlite(_)), began }
    }

    /// When it began, if the embedded database is to be asked.
    pub(super) fn began(self) -> Option<i64> {
        self.embedded.then_some(self.began)
    }

    /// The question with the time left out; always true where the engine has a limit of its own.
    pub(super) fn question(self, embedded: &'static str) -> &'static str {
        if self.embedded { embedded } else { "(0 <= " }
    }

    pub(super) fn time(self) -> i64 {
        self.began
    }
}

/// A condition for the first place of a statement: `$table` is asked row by row whether time is up.
macro_rules! within {
    ($clocked:expr, $table:literal) => {
        diesel::dsl::sql::<diesel::sql_types::Bool>($clocked.question(concat!("vigia_within(", $table, ".seq, ")))
            .bind::<diesel::sql_types::BigInt, _>($clocked.time())
            .sql(")")
    };
}
pub(super) use within;

#[derive(Debug)]
enum Within {
    Time,
    NoTime,
}

impl ToSql<Bool, Sqlite> for Within {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        match self {
            Self::Time => {
                out.set_value(1_i32);
                Ok(IsNull::No)
            }
            Self::NoTime => Err("vigia_within: out of time".into()),
        }
    }
}

/// Gives the connection the function; with no limit it always says yes.
pub(super) fn register(conn: &mut SqliteConnection, limit: Option<Duration>) -> QueryResult<()> {
    vigia_within_utils::register_nondeterministic_impl(conn, move |_seq: i64, began: i64| {
        let since = |now: Duration| i64::try_from(now.as_micros()).ok()?.checked_sub(began);
        let spent = SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(since).unwrap_or(0);
        let late = limit.is_some_and(|limit| u128::try_from(spent).is_ok_and(|spent| spent > limit.as_micros()));
        if late { Within::NoTime } else { Within::Time }
    })
}

/// Whether a database error says that time was up.
pub(super) fn is_timeout(message: &str) -> bool {
    WORDS.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use diesel::dsl::sql;
    use diesel::sql_types::Integer;

    use super::*;

    #[test]
    fn a_statement_that_began_too_long_ago_is_stopped() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        for (limit, stopped) in [(None, false), (Some(Duration::from_secs(1)), true)] {
            register(&mut conn, limit).unwrap();
            let asked = diesel::select(sql::<Integer>("1")).filter(vigia_within(1, 0)).get_result::<i32>(&mut conn);
            match asked {
                Ok(one) => assert!(!stopped && one == 1),
                Err(error) => assert!(stopped && is_timeout(&error.to_string()), "{error}"),
            }
        }
    }
}
