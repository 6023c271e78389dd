//! What can go wrong with a database, told in the words of the catalogue.

use super::deadline;
use crate::error::Error;

/// A database error as ours. Its text goes to the log once, where the error is handled; it holds no values.
pub(super) fn database(error: diesel::result::Error) -> Error {
    use diesel::result::{DatabaseErrorKind, Error as Diesel};
    match error {
        Diesel::DatabaseError(DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand, _) => {
            Error::Unavailable("The database is not reachable.")
        }
        Diesel::DatabaseError(_, information) if connection_lost(information.message()) => {
            Error::Unavailable("The database is not reachable.")
        }
        Diesel::DatabaseError(_, information) if deadline::is_timeout(information.message()) => Error::Timeout,
        Diesel::DatabaseError(kind, information) => {
            Error::internal(format!("database: {kind:?}: {}", information.message()))
        }
        Diesel::BrokenTransactionManager => Error::Unavailable("The database is not reachable."),
        other => Error::internal(format!("database: {other}")),
    }
}

/// How libpq says that the server went away while it was asked; diesel has no kind for it.
fn connection_lost(message: &str) -> bool {
    ["terminating connection", "server closed the connection", "connection to server", "no connection to the server"]
        .iter()
        .any(|text| message.contains(text))
}
