//! Where a server of a test lives: its keys and its database, which outlive the server, so that it can be started
//! again on the same data, and which are gone with the test.

use std::path::PathBuf;
use std::sync::{OnceLock, mpsc};
use std::thread::JoinHandle;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use tempfile::TempDir;
use vigia::app::App;
use vigia::auth::token::generate_pem;
use vigia::clock::{Clock, new_id};
use vigia::config::hl7::Channel;
use vigia::config::{Config, DatabaseUrl};

/// Issuer of tokens and base of links: the same whatever port a server gets.
pub(crate) const PUBLIC_URL: &str = "http://localhost";

/// The server that tests shall use, when they shall not use SQLite.
pub(crate) fn postgres() -> Option<String> {
    std::env::var_os("VIGIA_TEST_POSTGRES")?.into_string().ok().filter(|url| !url.is_empty())
}

pub(crate) struct Place {
    pub(crate) directory: TempDir,
    pub(crate) url: String,
    /// The name of a database of this test's own, to be dropped.
    database: Option<String>,
}

impl Place {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        write_keys(&directory);
        let (url, database) = match postgres() {
            None => (format!("sqlite:{}", directory.path().join("vigia.db").display()), None),
            Some(server) => {
                let name = tokio::task::spawn_blocking(move || clone_template(&server)).await.unwrap();
                (database_url(&postgres().unwrap(), &name), Some(name))
            }
        };
        Self { directory, url, database }
    }

    /// Ends every connection to the database, as a network or an administrator may; false where there is none.
    pub(crate) async fn cut_connections(&self) -> bool {
        let (Some(name), Some(server)) = (&self.database, postgres()) else { return false };
        let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        tokio::task::spawn_blocking(move || server_connection(&server).batch_execute(&cut).unwrap()).await.unwrap();
        true
    }

    /// Keeps everybody from writing until it is released, as a slow disk would.
    pub(crate) async fn hold_writes(&self) -> Held {
        let (url, (release, released), (ready, held)) = (self.url.clone(), mpsc::channel(), mpsc::channel());
        let holding = std::thread::spawn(move || {
            let hold = |begin: &mut dyn FnMut(&str)| {
                begin(if url.starts_with("sqlite:") {
                    "BEGIN IMMEDIATE"
                } else {
                    "BEGIN; SELECT seq FROM log_head FOR UPDATE"
                });
                ready.send(()).unwrap();
                // An end without a word is one too: the test has failed.
                let _ = released.recv();
                begin("COMMIT");
            };
            if let Some(path) = url.strip_prefix("sqlite:") {
                let mut connection = SqliteConnection::establish(path).unwrap();
                hold(&mut |sql| connection.batch_execute(sql).unwrap());
            } else {
                let mut connection = PgConnection::establish(&url).unwrap();
                hold(&mut |sql| connection.batch_execute(sql).unwrap());
            }
        });
        tokio::task::spawn_blocking(move || held.recv().unwrap()).await.unwrap();
        Held { release, holding }
    }

    /// For a second server on the same database; only PostgreSQL can have one.
    pub(crate) fn beside(&self) -> Option<Self> {
        self.database.as_ref()?;
        let directory = tempfile::tempdir().unwrap();
        for name in ["signing-key.pem", "seal-key"] {
            std::fs::copy(self.key_file(name), directory.path().join(name)).unwrap();
        }
        Some(Self { directory, url: self.url.clone(), database: None })
    }

    pub(crate) fn key_file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn config(&self) -> Config {
        config(&self.directory, &self.url)
    }

    /// Changes the tables behind the server's back.
    pub(crate) async fn execute(&self, sql: &'static str) {
        let url = self.url.clone();
        let run = move || match url.strip_prefix("sqlite:") {
            Some(path) => {
                let mut connection = SqliteConnection::establish(path).unwrap();
                connection.batch_execute(&format!("PRAGMA busy_timeout = 10000; {sql}")).unwrap();
            }
            None => PgConnection::establish(&url).unwrap().batch_execute(sql).unwrap(),
        };
        tokio::task::spawn_blocking(run).await.unwrap();
    }

    /// How far a reader of the log has stored that it has come.
    pub(crate) async fn reader_position(&self, name: &'static str) -> i64 {
        self.of_reader("seq", name).await
    }

    /// How often a reader of the log has been taken over.
    pub(crate) async fn reader_epoch(&self, name: &'static str) -> i64 {
        self.of_reader("epoch", name).await
    }

    async fn of_reader(&self, column: &'static str, name: &'static str) -> i64 {
        let url = self.url.clone();
        tokio::task::spawn_blocking(move || position(&url, column, name)).await.unwrap()
    }
}

/// Writes are held until this is released.
pub(crate) struct Held {
    release: mpsc::Sender<()>,
    holding: JoinHandle<()>,
}

impl Held {
    pub(crate) fn release(self) {
        self.release.send(()).unwrap();
        self.holding.join().unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let (Some(name), Some(server)) = (&self.database, postgres()) {
            let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            // Outside of the runtime that may be going down with a failed test.
            let _ = std::thread::spawn(move || server_connection(&server).batch_execute(&drop)).join();
        }
    }
}

#[derive(QueryableByName)]
struct Position {
    #[diesel(sql_type = BigInt)]
    seq: i64,
}

fn position(url: &str, column: &str, name: &str) -> i64 {
    let query = sql_query(format!("SELECT {column} AS seq FROM reader WHERE name = '{name}'"));
    let found: QueryResult<Position> = match url.strip_prefix("sqlite:") {
        Some(path) => query.get_result(&mut SqliteConnection::establish(path).unwrap()),
        None => query.get_result(&mut PgConnection::establish(url).unwrap()),
    };
    found.optional().unwrap().map_or(0, |row| row.seq)
}

fn write_keys(directory: &TempDir) {
    std::fs::write(directory.path().join("signing-key.pem"), generate_pem().unwrap()).unwrap();
    let seal: [u8; 32] = rand::random();
    let digits = seal.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    std::fs::write(directory.path().join("seal-key"), digits).unwrap();
}

fn config(directory: &TempDir, url: &str) -> Config {
    let any = || "127.0.0.1:0".parse().unwrap();
    let mut config = Config { data_dir: directory.path().into(), ..Config::default() };
    config.server.bind = any();
    config.server.workers = 2;
    config.server.shutdown_s = 5;
    config.server.public_url = Some(PUBLIC_URL.to_owned());
    config.database.url = DatabaseUrl::new(url);
    config.database.readers = 4;
    config.hl7.channel = vec![Channel {
        bind: Some(any()),
        assigning_authorities: [("WARD".into(), super::samples::RECORDS.into())].into(),
        ..Channel::default()
    }];
    config.secrets.signing_key_file = Some(directory.path().join("signing-key.pem"));
    config.secrets.seal_key_file = Some(directory.path().join("seal-key"));
    config
}

fn server_connection(server: &str) -> PgConnection {
    PgConnection::establish(server).expect("VIGIA_TEST_POSTGRES is the URL of a running server")
}

/// The URL of another database of the same server.
fn database_url(server: &str, name: &str) -> String {
    let (address, options) = server.split_once('?').map_or((server, None), |(a, o)| (a, Some(o)));
    let (scheme, rest) = address.split_once("://").expect("a URL");
    let base = format!("{scheme}://{}", rest.split('/').next().unwrap_or(rest));
    options.map_or_else(|| format!("{base}/{name}"), |options| format!("{base}/{name}?{options}"))
}

/// A fresh database, copied from one that is migrated once for the whole run.
fn clone_template(server: &str) -> String {
    static TEMPLATE: OnceLock<String> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| make_template(server));
    let name = format!("vigia_{}", new_id().replace('-', ""));
    let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
    // The connections that migrated the template may take a moment to be gone.
    let mut connection = server_connection(server);
    for _ in 0..100 {
        match connection.batch_execute(&create) {
            Ok(()) => return name,
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    }
    connection.batch_execute(&create).unwrap();
    name
}

fn make_template(server: &str) -> String {
    let name = format!("vigia_template_{}", new_id().replace('-', ""));
    server_connection(server).batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    write_keys(&directory);
    let config = config(&directory, &database_url(server, &name));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let app = App::build(config, Clock::default()).await.unwrap();
        app.state().store.close().await;
    });
    name
}
