//! How either engine is asked how far two places are from each other. PostgreSQL has the functions of angles; the
//! embedded database is compiled without them and gets ours.

use diesel::prelude::*;
use diesel::sql_types::Double;

use super::conn::Conn;
use crate::fhir::globe;

diesel::define_sql_function! {
    /// The haversine of the angle between two places.
    fn vigia_haversine(latitude: Double, longitude: Double, other_latitude: Double, other_longitude: Double) -> Double;
}

/// Gives the connection the function.
pub(super) fn register(conn: &mut SqliteConnection) -> QueryResult<()> {
    vigia_haversine_utils::register_impl(conn, globe::haversine)
}

/// The haversine between the place of an index row and another, of which the binds are in this order.
pub(super) fn haversine(conn: &Conn, latitude: f64, longitude: f64) -> (&'static str, Vec<f64>) {
    match conn {
        Conn::Sqlite(_) => ("vigia_haversine(canonical, value, $, $)", vec![latitude, longitude]),
        Conn::Postgres(_) => (
            "power(sin(radians(canonical - $) / 2), 2) \
             + cos(radians(canonical)) * cos(radians($)) * power(sin(radians(value - $) / 2), 2)",
            vec![latitude, latitude, longitude],
        ),
    }
}
