//! `near`: rows whose place lies in the box around another, and of these the ones that are no farther. A row holds the
//! latitude as `canonical`, by which it is found, and the longitude as `value`.

use super::sql::{Bind, Sql};
use crate::fhir::globe::{self, Area};
use crate::fhir::query::Operand;
use crate::store::conn::Conn;
use crate::store::globe::haversine;

/// Writes one place and its distance; false for anything else.
pub(super) fn write(sql: &mut Sql, conn: &Conn, operand: &Operand) -> bool {
    let Operand::Near { latitude, longitude, metres } = operand else {
        sql.push("1 = 0");
        return false;
    };
    let Area { latitudes, longitudes } = globe::around(*latitude, *longitude, *metres);
    between(sql, "canonical", latitudes);
    for (at, span) in longitudes.iter().enumerate() {
        sql.push(if at == 0 { " AND (" } else { " OR " });
        between(sql, "value", *span);
    }
    sql.push(if longitudes.is_empty() { "" } else { ")" });
    if let Some(most) = globe::haversine_of(*metres) {
        let (text, binds) = haversine(conn, *latitude, *longitude);
        sql.binds.extend(binds.into_iter().map(Bind::Float));
        sql.push(" AND ").push(text).push(" <= ").bind(Bind::Float(most));
    }
    true
}

fn between(sql: &mut Sql, column: &str, (from, to): (f64, f64)) {
    sql.push(column).push(" >= ").bind(Bind::Float(from));
    sql.push(" AND ").push(column).push(" <= ").bind(Bind::Float(to));
}
