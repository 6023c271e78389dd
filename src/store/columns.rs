//! Many rows in one statement on PostgreSQL: each bind is a whole column (`unnest`), so the statement is the same for
//! any number of rows, and planned once for a connection. SQLite has no round trips and takes row by row.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Binary, Bool, Double, Integer, Nullable, SmallInt, Text};

use super::oddity::OddityRow;
use super::prepare::{ComponentRow, DateRow, ObservationRow, PairRow, QuantityRow, StringRow, TermRow, WaveRow};
use super::write::{HistoryRow, ResourceRow};

/// A statement that inserts all rows of a kind into the table of this name.
macro_rules! columns {
    ($name:ident of $row:ident into $table:literal: $($field:ident $rust:ty as $sql:ty),+ $(,)?) => {
        pub(super) struct $name<'a> {
            $($field: Vec<&'a $rust>,)+
        }

        impl<'a> From<&'a [$row]> for $name<'a> {
            fn from(rows: &'a [$row]) -> Self {
                Self { $($field: rows.iter().map(|row| &row.$field).collect(),)+ }
            }
        }

        impl QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl QueryFragment<Pg> for $name<'_> {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
                out.push_sql(concat!("INSERT INTO ", $table));
                for (at, name) in [$(stringify!($field)),+].iter().enumerate() {
                    out.push_sql(if at == 0 { " (" } else { ", " });
                    out.push_identifier(name)?;
                }
                out.push_sql(") SELECT * FROM unnest");
                let mut before = "(";
                $(
                    out.push_sql(std::mem::replace(&mut before, ", "));
                    out.push_bind_param::<Array<$sql>, _>(&self.$field)?;
                )+
                out.push_sql(")");
                Ok(())
            }
        }

        impl RunQueryDsl<PgConnection> for $name<'_> {}
    };
}

columns!(Observations of ObservationRow into "observation":
    seq i64 as BigInt, id Vec<u8> as Binary, version i32 as Integer, updated i64 as BigInt, deleted bool as Bool,
    subject Option<i64> as Nullable<BigInt>, concept Option<i64> as Nullable<BigInt>, starts i64 as BigInt,
    ends i64 as BigInt, value Option<f64> as Nullable<Double>, unit Option<i64> as Nullable<BigInt>,
    canonical Option<f64> as Nullable<Double>, status i16 as SmallInt, category Option<i64> as Nullable<BigInt>,
    device Option<i64> as Nullable<BigInt>, encounter Option<i64> as Nullable<BigInt>, body Vec<u8> as Binary,
    profile Option<i64> as Nullable<BigInt>,
);
columns!(Resources of ResourceRow into "resource":
    seq i64 as BigInt, rtype i16 as SmallInt, id Vec<u8> as Binary, version i32 as Integer, updated i64 as BigInt,
    deleted bool as Bool, body Vec<u8> as Binary,
);
columns!(Versions of HistoryRow into "history":
    seq i64 as BigInt, rtype i16 as SmallInt, id Vec<u8> as Binary, version i32 as Integer, updated i64 as BigInt,
    deleted bool as Bool, body Vec<u8> as Binary,
);
columns!(Terms of TermRow into "ix_term": param i64 as BigInt, term i64 as BigInt, seq i64 as BigInt);
columns!(Strings of StringRow into "ix_string":
    param i64 as BigInt, folded String as Text, exact String as Text, seq i64 as BigInt,
);
columns!(Dates of DateRow into "ix_date": param i64 as BigInt, starts i64 as BigInt, ends i64 as BigInt, seq i64 as BigInt);
columns!(Quantities of QuantityRow into "ix_quantity":
    param i64 as BigInt, canonical f64 as Double, value f64 as Double, unit i64 as BigInt, seq i64 as BigInt,
);
columns!(Pairs of PairRow into "ix_pair":
    param i64 as BigInt, first i64 as BigInt, second i64 as BigInt, low f64 as Double, high f64 as Double,
    unit i64 as BigInt, seq i64 as BigInt,
);
columns!(Components of ComponentRow into "component":
    seq i64 as BigInt, n i16 as SmallInt, concept i64 as BigInt, value Option<f64> as Nullable<Double>,
    unit Option<i64> as Nullable<BigInt>, canonical Option<f64> as Nullable<Double>,
    value_concept Option<i64> as Nullable<BigInt>,
);
columns!(Waves of WaveRow into "wave":
    seq i64 as BigInt, lead i16 as SmallInt, subject i64 as BigInt, concept i64 as BigInt, panel i64 as BigInt,
    starts i64 as BigInt, ends i64 as BigInt, low f64 as Double, high f64 as Double,
    unit Option<i64> as Nullable<BigInt>,
);
columns!(Oddities of OddityRow into "oddity": seq i64 as BigInt, issues String as Text);
