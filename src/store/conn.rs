//! Connections: which engine the URL names, how a connection is set up, the pool of readers, migrations.
//! The one place where the two engines differ by more than a line.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{deadline, globe};
use crate::error::Error;

const SQLITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// One connection to either engine. Everything that both can do the same way is written once against it.
#[derive(diesel::MultiConnection)]
pub(super) enum Conn {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

/// The same expression for both engines, for what the enum itself cannot do: `ON CONFLICT`, multi-row
/// insert, row locks (diesel's `MultiConnection` leaves them out).
macro_rules! each {
    ($conn:expr, $c:ident => $body:expr) => {
        match $conn {
            $crate::store::conn::Conn::Postgres($c) => $body,
            $crate::store::conn::Conn::Sqlite($c) => $body,
        }
    };
}
pub(super) use each;

/// Which engine, and where: `sqlite:path/to/file.db` or `postgres://…`.
#[derive(Clone, Debug)]
pub(super) enum Location {
    Sqlite(String),
    Postgres(String),
}

/// What a connection is for: only the lane writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A statement may take so long.
    Read {
        limit: Option<Duration>,
    },
    Write,
}

impl Purpose {
    /// For searches alone: the lane makes none but those of guards.
    fn search_limit(self) -> Option<Duration> {
        match self {
            Self::Read { limit } => limit,
            Self::Write => Some(deadline::GUARDS),
        }
    }

    /// For every statement.
    fn limit(self) -> Option<Duration> {
        match self {
            Self::Read { limit } => limit,
            Self::Write => None,
        }
    }
}

impl Location {
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            return Ok(Self::Sqlite(path.trim_start_matches("//").to_owned()));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.to_owned()));
        }
        Err(Error::internal("database.url must start with sqlite: or postgres://"))
    }

    pub(super) fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    pub(super) fn connect(&self, purpose: Purpose) -> Result<Conn, Error> {
        match self {
            Self::Sqlite(path) => {
                let mut conn = SqliteConnection::establish(path).map_err(unavailable)?;
                conn.batch_execute(sqlite_settings(purpose)).map_err(unavailable)?;
                deadline::register(&mut conn, purpose.search_limit()).map_err(unavailable)?;
                globe::register(&mut conn).map_err(unavailable)?;
                Ok(Conn::Sqlite(conn))
            }
            Self::Postgres(url) => {
                let mut conn = PgConnection::establish(url).map_err(unavailable)?;
                conn.batch_execute(postgres_settings(purpose)).map_err(unavailable)?;
                if let Some(limit) = purpose.limit() {
                    let text = format!("SET statement_timeout = {}", limit.as_millis());
                    conn.batch_execute(&text).map_err(unavailable)?;
                }
                Ok(Conn::Postgres(conn))
            }
        }
    }

    /// Brings the schema up to date. On PostgreSQL under a lock, so that nodes that start together wait in turn.
    pub(super) fn migrate(&self) -> Result<(), Error> {
        if let Self::Sqlite(path) = self {
            make_private(path).map_err(unavailable)?;
        }
        match self.connect(Purpose::Write)? {
            Conn::Sqlite(mut c) => {
                c.run_pending_migrations(SQLITE_MIGRATIONS).map_err(Error::internal)?;
            }
            Conn::Postgres(mut c) => {
                c.batch_execute("SELECT pg_advisory_lock(7310993)").map_err(super::database)?;
                let done = c.run_pending_migrations(POSTGRES_MIGRATIONS).map(|_| ()).map_err(Error::internal);
                c.batch_execute("SELECT pg_advisory_unlock(7310993)").map_err(super::database)?;
                done?;
            }
        }
        Ok(())
    }
}

/// Makes the database's directory and file where there are none. What lies in them is about patients: nobody else on
/// the machine may look. The files beside it (`-wal`, `-shm`) get the mode of the database from SQLite.
fn make_private(path: &str) -> std::io::Result<()> {
    if path == ":memory:" || path.starts_with("file:") {
        return Ok(());
    }
    if let Some(dir) = Path::new(path).parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// FULL: an acknowledged reading survives a power cut; group commit pays for the sync. A large
/// `wal_autocheckpoint` keeps the checkpoint off most commits, `journal_size_limit` keeps the file bounded.
fn sqlite_settings(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Write => {
            "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA wal_autocheckpoint = 20000; PRAGMA journal_size_limit = 268435456; \
             PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;"
        }
        Purpose::Read { .. } => {
            "PRAGMA busy_timeout = 10000; PRAGMA query_only = ON; PRAGMA cache_size = -8192; \
             PRAGMA mmap_size = 268435456; PRAGMA temp_store = MEMORY;"
        }
    }
}

/// Search statements are planned for their values each time: after five executions PostgreSQL may else
/// choose a generic plan that reads a whole table.
fn postgres_settings(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Write => "SET synchronous_commit = on; SET client_min_messages = warning;",
        Purpose::Read { .. } => {
            "SET plan_cache_mode = force_custom_plan; SET client_min_messages = warning; SET jit = off;"
        }
    }
}

/// Several statements that read one state. Nothing in them writes.
pub(super) fn snapshot<T>(conn: &mut Conn, work: impl FnOnce(&mut Conn) -> Result<T, Error>) -> Result<T, Error> {
    match conn {
        Conn::Postgres(c) => {
            AnsiTransactionManager::begin_transaction_sql(c, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        }
        Conn::Sqlite(c) => AnsiTransactionManager::begin_transaction_sql(c, "BEGIN"),
    }
    .map_err(super::database)?;
    let done = work(conn);
    each!(conn, c => AnsiTransactionManager::rollback_transaction(c)).map_err(super::database)?;
    done
}

/// What went wrong is for the log; a caller learns only that the database is away.
fn unavailable(error: impl std::fmt::Display) -> Error {
    tracing::error!(%error, "database not reachable");
    Error::Unavailable("The database is not reachable.")
}

/// Whether the server on the other side is gone. Asked after a failure, and then the pool knows as well.
pub(super) fn is_lost(conn: &mut Conn) -> bool {
    conn.batch_execute("SELECT 1").is_err()
}

pub(super) type Pool = r2d2::Pool<Readers>;

/// The pool's manager of read connections.
pub(super) struct Readers {
    location: Location,
    limit: Option<Duration>,
}

pub(super) fn pool(location: &Location, size: u32, limit: Option<Duration>) -> Result<Pool, Error> {
    r2d2::Pool::builder()
        .max_size(size)
        .min_idle(Some(1))
        .test_on_check_out(false)
        .connection_timeout(Duration::from_secs(5))
        .build(Readers { location: location.clone(), limit })
        .map_err(unavailable)
}

impl r2d2::ManageConnection for Readers {
    type Connection = Conn;
    type Error = Error;

    fn connect(&self) -> Result<Conn, Error> {
        self.location.connect(Purpose::Read { limit: self.limit })
    }

    fn is_valid(&self, conn: &mut Conn) -> Result<(), Error> {
        conn.batch_execute("SELECT 1").map_err(super::database)
    }

    fn has_broken(&self, conn: &mut Conn) -> bool {
        each!(conn, c => diesel::r2d2::R2D2Connection::is_broken(c))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_database_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let open = |path: &Path| {
            let location = Location::parse(&format!("sqlite:{}", path.display())).unwrap();
            location.migrate().unwrap();
            location.connect(Purpose::Write).unwrap()
        };
        let new = dir.path().join("new.db");
        let mut conn = open(&new);
        conn.batch_execute("CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1);").unwrap();
        for name in ["new.db", "new.db-wal", "new.db-shm"] {
            assert_eq!(mode(&dir.path().join(name)), 0o600, "{name}");
        }
        let old = dir.path().join("old.db");
        std::fs::write(&old, "").unwrap();
        std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o640)).unwrap();
        open(&old);
        assert_eq!(mode(&old), 0o640, "what is there keeps what its owner gave it");
    }
}
