//! The configuration: defaults, then `vigia.toml`, then variables `VIGIA__SECTION__KEY`.
//! The only room that reads the environment; everything else is handed the part it needs.
//! Secrets are typed, so that no log line and no `check-config` can show them.

pub mod alert;
pub mod destination;
pub mod device;
pub mod hl7;
pub mod mqtt;
pub mod notify;
mod secret;
pub mod smart;
mod source;

pub use alert::Alert;
use anyhow::{Result, anyhow, ensure};
pub use device::Device;
use figment::Figment;
use figment::providers::{Format, Toml};
pub use hl7::Hl7;
pub use mqtt::Mqtt;
pub use notify::Notify;
pub use secret::{DEMO_KEY_LINE, DEMO_SEAL_PREFIX, DatabaseUrl, Secrets};
use serde::{Deserialize, Serialize};
pub use smart::Smart;
use source::{Environment, explain, source, write_table};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The whole configuration, one part per concern.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Everything that this server keeps on disk. `VIGIA__DATA_DIR`
    pub data_dir: PathBuf,
    pub server: Server,
    pub database: Database,
    pub hl7: Hl7,
    pub device: Device,
    pub mqtt: Mqtt,
    pub alert: Alert,
    pub notify: Notify,
    pub live: Live,
    pub session: Session,
    pub smart: Smart,
    pub validation: Validation,
    pub log: Log,
    pub secrets: Secrets,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "vigia-data".into(),
            server: Server::default(),
            database: Database::default(),
            hl7: Hl7::default(),
            device: Device::default(),
            mqtt: Mqtt::default(),
            alert: Alert::default(),
            notify: Notify::default(),
            live: Live::default(),
            session: Session::default(),
            smart: Smart::default(),
            validation: Validation::default(),
            log: Log::default(),
            secrets: Secrets::default(),
        }
    }
}

/// The HTTP server.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port; port 0 takes a free one. `VIGIA__SERVER__BIND`
    pub bind: SocketAddr,
    /// Threads that serve requests; 0 is one per core. `VIGIA__SERVER__WORKERS`
    pub workers: usize,
    /// Largest request content, after decompression. `VIGIA__SERVER__MAX_BODY_BYTES`
    pub max_body_bytes: usize,
    /// Address by which others reach this server, without a slash at the end:
    /// `https://vigia.hospital.example`. Issuer and audience of tokens. `VIGIA__SERVER__PUBLIC_URL`
    pub public_url: Option<String>,
    /// How long requests in hand may take when the server stops. `VIGIA__SERVER__SHUTDOWN_S`
    pub shutdown_s: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 8080)),
            workers: 0,
            max_body_bytes: 16 << 20,
            public_url: None,
            shutdown_s: 30,
        }
    }
}

/// The store.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite:PATH` or `postgres://user:password@host/name`; unless set, `vigia.db` in
    /// `data_dir`. `VIGIA__DATABASE__URL`
    pub url: DatabaseUrl,
    /// Connections that read. `VIGIA__DATABASE__READERS`
    pub readers: u32,
    /// A statement that reads may take so long; 0 is without limit. `VIGIA__DATABASE__STATEMENT_TIMEOUT_MS`
    pub statement_timeout_ms: u64,
    /// Rows that may wait for a write lane before callers are told to come later.
    /// `VIGIA__DATABASE__LANE_QUEUE`
    pub lane_queue: usize,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: DatabaseUrl::new("sqlite:vigia-data/vigia.db"),
            readers: 8,
            statement_timeout_ms: 10_000,
            lane_queue: 4096,
        }
    }
}

impl Database {
    /// How long a statement may take, if there is a limit.
    pub fn statement_limit(&self) -> Option<Duration> {
        (self.statement_timeout_ms > 0).then(|| Duration::from_millis(self.statement_timeout_ms))
    }
}

/// The live feed.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Live {
    /// `VIGIA__LIVE__MAX_CLIENTS`
    pub max_clients: usize,
}

impl Default for Live {
    fn default() -> Self {
        Self { max_clients: 1000 }
    }
}

/// Sessions of the pages.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Session {
    /// A session ends after so long in any case. `VIGIA__SESSION__LIFETIME_S`
    pub lifetime_s: u64,
    /// After so many wrong passwords in a row a name is held off. `VIGIA__SESSION__FAILURES`
    pub failures: u32,
    /// For so long. `VIGIA__SESSION__HELD_OFF_S`
    pub held_off_s: u32,
}

impl Default for Session {
    fn default() -> Self {
        Self { lifetime_s: 12 * 3600, failures: 5, held_off_s: 60 }
    }
}

/// Limits of what is read as FHIR.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Validation {
    /// Entries of one Bundle. `VIGIA__VALIDATION__MAX_BUNDLE_ENTRIES`
    pub max_bundle_entries: usize,
    /// What becomes of a resource that breaks a profile which it claims and which is loaded.
    /// `VIGIA__VALIDATION__PROFILES`
    pub profiles: ProfilePolicy,
    /// Of one that claims a profile which nobody loaded. `VIGIA__VALIDATION__UNKNOWN_PROFILES`
    pub unknown_profiles: ProfilePolicy,
    /// Single profiles by their canonical URL: `[validation.profile] "http://…" = "accept-with-warning"`
    pub profile: BTreeMap<String, ProfilePolicy>,
}

impl Default for Validation {
    fn default() -> Self {
        Self {
            max_bundle_entries: 10_000,
            profiles: ProfilePolicy::Reject,
            unknown_profiles: ProfilePolicy::AcceptWithWarning,
            profile: BTreeMap::new(),
        }
    }
}

/// How strictly a profile is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProfilePolicy {
    #[default]
    Reject,
    /// The resource is taken; what is wrong is told as warnings.
    AcceptWithWarning,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Pretty,
    Json,
}

/// The log.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `pretty` or `json`. `VIGIA__LOG__FORMAT`
    pub format: LogFormat,
    /// What is logged, as `tracing` filters say it: `info,vigia::store=debug`. `VIGIA__LOG__FILTER`
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Pretty, filter: "info".into() }
    }
}

impl Config {
    /// Reads defaults, the file (`vigia.toml` in the working directory, when there is one, or
    /// the named file, which then must exist) and the environment.
    pub fn load(path: Option<&Path>) -> Result<Self> {
        let variables = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.to_string_lossy().into_owned())));
        Self::from_parts(path, variables.collect())
    }

    fn from_parts(path: Option<&Path>, variables: Vec<(String, String)>) -> Result<Self> {
        if let Some(path) = path {
            ensure!(path.is_file(), "the configuration file {} does not exist", path.display());
        }
        let file = path.unwrap_or(Path::new("vigia.toml"));
        let mut figment = Figment::new();
        if file.is_file() {
            figment = figment.merge(Toml::file_exact(file));
        }
        let figment = figment.merge(Environment(variables));
        let mut config: Self = figment.extract().map_err(explain)?;
        if config.database.url == Database::default().url {
            config.database.url = DatabaseUrl::new(format!("sqlite:{}", config.data_dir.join("vigia.db").display()));
        }
        config.check().map_err(|(key, why)| {
            // Lists are found as a whole.
            let place = key.split_once('[').map_or(key.as_str(), |(list, _)| list);
            let from =
                figment.find_metadata(place).map_or("the defaults".to_owned(), |metadata| source(metadata, place));
            anyhow!("{key} (from {from}): {why}")
        })?;
        Ok(config)
    }

    /// What types cannot say. The key, and what is wrong with its value.
    fn check(&self) -> Result<(), (String, &'static str)> {
        let url = self.database.url.expose();
        let known = ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
        let web = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        let table = [
            (known, "database.url", "it begins with none of sqlite:, postgres://"),
            (self.database.readers > 0, "database.readers", "at least 1 is needed"),
            (self.database.lane_queue >= 1000, "database.lane_queue", "one batch alone may hold 1000 rows"),
            (self.server.max_body_bytes >= 1024, "server.max_body_bytes", "at least 1024 are needed"),
            (self.server.public_url.as_ref().is_none_or(web), "server.public_url", "it is no http(s) URL"),
            (self.session.lifetime_s > 0, "session.lifetime_s", "at least 1 is needed"),
            (self.validation.max_bundle_entries > 0, "validation.max_bundle_entries", "at least 1 is needed"),
        ];
        table.into_iter().find(|(fine, ..)| !fine).map_or(Ok(()), |(_, key, why)| Err((key.to_owned(), why)))?;
        self.alert.check().and_then(|()| self.notify.check()).map_err(|(key, why)| (key.to_owned(), why))?;
        self.hl7.check()
    }

    /// The address by which others reach this server.
    pub fn public_url(&self) -> String {
        match &self.server.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.server.bind),
        }
    }

    /// The effective configuration as TOML, without secrets.
    pub fn redacted(&self) -> String {
        let mut text = String::new();
        if let Ok(serde_json::Value::Object(all)) = serde_json::to_value(self) {
            write_table(&mut text, "", &all);
        }
        text
    }

    /// Why this configuration is not fit for patients; empty when it is. `vigia serve` refuses
    /// to start while anything stands here.
    pub fn production_problems(&self) -> Vec<String> {
        let mut problems = self.secrets.problems();
        match &self.server.public_url {
            None => problems.push(
                "server.public_url (VIGIA__SERVER__PUBLIC_URL) is not set: the https:// address by which others \
                 reach this server, through whatever ends TLS in front of it"
                    .to_owned(),
            ),
            Some(url) if url.starts_with("http://") && !is_loopback(url) => problems.push(
                "server.public_url (VIGIA__SERVER__PUBLIC_URL) is not https://: passwords and readings would cross \
                 the network in clear"
                    .to_owned(),
            ),
            Some(_) => {}
        }
        problems
    }
}

fn is_loopback(url: &str) -> bool {
    let host = url.strip_prefix("http://").unwrap_or(url);
    ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|own| host.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(toml: &str, variables: &[(&str, &str)]) -> Result<Config> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("vigia.toml");
        std::fs::write(&file, toml)?;
        let variables = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Config::from_parts(Some(&file), variables.collect())
    }

    #[test]
    fn variables_win_over_the_file_and_the_file_over_defaults() {
        let toml = "[server]\nworkers = 7\nshutdown_s = 7\n[hl7]\nkeep_days = 7";
        let variables = [("VIGIA__HL7__KEEP_DAYS", "9"), ("VIGIA__SERVER__BIND", "0.0.0.0:0"), ("PATH", "/bin")];
        let config = load(toml, &variables).unwrap();
        assert_eq!((config.server.workers, config.server.shutdown_s, config.hl7.keep_days), (7, 7, 9));
        assert_eq!(config.server.bind.to_string(), "0.0.0.0:0");
        assert_eq!(config.server.max_body_bytes, Server::default().max_body_bytes);
    }

    #[test]
    fn a_missing_file_is_only_wrong_when_it_was_named() {
        assert!(Config::from_parts(Some(Path::new("/nonexistent/vigia.toml")), Vec::new()).is_err());
        assert!(Config::from_parts(None, Vec::new()).is_ok());
    }

    #[test]
    fn the_database_follows_the_data_directory_unless_named() {
        let config = load("data_dir = \"/srv/v\"", &[]).unwrap();
        assert_eq!(config.database.url.expose(), "sqlite:/srv/v/vigia.db");
        let config = load("", &[("VIGIA__DATABASE__URL", "postgres://h/v"), ("VIGIA__DATA_DIR", "/srv/v")]).unwrap();
        assert_eq!(config.database.url.expose(), "postgres://h/v");
    }

    #[test]
    fn errors_name_the_key_and_where_it_came_from() {
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);
        let table: [Case; 7] = [
            ("[server]\nbindd = 1", &[], &["server", "bindd", "vigia.toml"]),
            ("", &[("VIGIA__SERVER__BINDD", "x")], &["bindd", "VIGIA__SERVER", "bind, "]),
            ("", &[("VIGIA__SERVER__BIND", "nonsense")], &["server.bind", "VIGIA__SERVER__BIND"]),
            ("[server]\nworkers = \"many\"", &[], &["server.workers", "vigia.toml"]),
            ("[log]\nformat = \"xml\"", &[], &["log.format", "pretty"]),
            ("", &[("VIGIA__DATABASE__URL", "mysql://u:canary@h/d")], &["database.url", "VIGIA__DATABASE__URL"]),
            ("[live]\nmax_clients = -1", &[], &["live.max_clients"]),
        ];
        for (toml, variables, words) in table {
            let error = format!("{:#}", load(toml, variables).unwrap_err());
            for word in words {
                assert!(error.contains(word), "{word} is not in: {error}");
            }
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn no_secret_is_told_by_an_error_or_the_redacted_text() {
        let wrong = ["[secrets]\nseal_key = [\"canary\"]", "[secrets]\nseal_key = \"canary", "[secrets]\ncanary = 1 2"];
        for toml in wrong {
            let error = format!("{:#}", load(toml, &[]).unwrap_err());
            assert!(!error.contains("canary"), "{error}");
        }
        let variables = [
            ("VIGIA__SECRETS__SEAL_KEY", "canary"),
            ("VIGIA__DATABASE__URL", "postgres://vigia:ca@nary@db/v?sslmode=require&sslpassword=canary"),
        ];
        let config = load("", &variables).unwrap();
        for text in [config.redacted(), format!("{config:?}")] {
            assert!(!text.contains("canary") && !text.contains("nary"), "{text}");
        }
        let text = config.redacted();
        assert!(text.contains("seal_key = \"********\""), "{text}");
        assert!(
            text.contains("url = \"postgres://vigia:********@db/v?sslmode=require&sslpassword=********\""),
            "{text}"
        );
        assert!(text.contains("# signing_key_file is not set") && text.contains("[validation.profile]"));
    }

    #[test]
    fn who_is_told_is_checked_and_shown_without_secrets() {
        let recipient =
            "[[notify.recipient]]\nname = \"icu\"\nwebhook = \"https://x.example/a\"\nsecret = \"canary\"\n";
        let config = load(recipient, &[]).unwrap();
        let text = config.redacted();
        assert!(!text.contains("canary") && text.contains("name = \"icu\""), "{text}");
        assert_eq!(load(&text, &[]).unwrap().redacted(), text);
        let table = [
            ("[[notify.recipient]]\nname = \"a\"", "notify.recipient"),
            ("[[notify.recipient]]\nname = \"a\"\nemail = \"a@b\"", "notify.smtp"),
            ("[[notify.recipient]]\nname = \"a\"\nwebhook = \"https://x\"", "secret"),
            ("[[alert.escalation.critical.steps]]\nafter_s = 1", "alert.escalation.critical"),
            (
                "[alert.escalation.warning]\nsteps = [{ after_s = 9, roles = [\"a\"] }, { after_s = 1, roles = [\"a\"] }]",
                "order",
            ),
            ("[alert.escalation.warning]\nlops = 2", "lops"),
        ];
        for (toml, word) in table {
            let error = format!("{:#}", load(toml, &[]).unwrap_err());
            assert!(error.contains(word), "{word} is not in: {error}");
        }
        let quiet = [
            ("from = \"25:00\"\nto = \"06:00\"", "quiet"),
            ("from = \"22:00\"\nto = \"06:00\"\ndays = [\"day\"]", "days"),
        ];
        for (quiet, word) in quiet {
            let error =
                format!("{:#}", load(&format!("{recipient}[[notify.recipient.quiet]]\n{quiet}"), &[]).unwrap_err());
            assert!(error.contains(word), "{word} is not in: {error}");
        }
    }

    #[test]
    fn the_redacted_text_is_a_configuration_again() {
        let channel = "[[hl7.channel]]\nname = \"icu\"\nbind = \"0.0.0.0:2575\"\nnetworks = [\"10.0.0.0/8\"]\n\
                       [hl7.channel.assigning_authorities]\n\"ADT 1\" = \"urn:\\\"x\"\n[hl7.channel.tls]\ncert = \"c\"";
        let config = load(channel, &[]).unwrap();
        let again = load(&config.redacted(), &[]).unwrap();
        assert_eq!(again.hl7.channel[0].assigning_authorities["ADT 1"], "urn:\"x");
        assert_eq!(again.redacted(), config.redacted());
    }

    #[test]
    fn production_wants_keys_of_its_own_and_a_public_address() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let pem = "-----BEGIN PRIVATE KEY-----\n";
        let hex = "0123456789abcdef".repeat(4);
        let mut config = Config::default();
        let problems = config.production_problems();
        assert_eq!(problems.len(), 3, "{problems:?}");
        for (problem, variable) in problems.iter().zip(["SIGNING_KEY_FILE", "SEAL_KEY", "PUBLIC_URL"]) {
            assert!(problem.contains(variable), "{problem}");
        }
        config.secrets.signing_key_file = file("demo.pem", &format!("{DEMO_KEY_LINE}\n{pem}"));
        config.secrets.seal_key_file = file("demo.seal", &format!("{DEMO_SEAL_PREFIX}{hex}\n"));
        config.server.public_url = Some("http://vigia.example".into());
        let problems = config.production_problems();
        assert_eq!(problems.iter().filter(|p| p.contains("demonstration")).count(), 2, "{problems:?}");
        assert!(problems.iter().any(|p| p.contains("https")), "{problems:?}");
        assert!(config.secrets.seal_key().is_ok(), "the demonstration itself can use it");
        config.secrets.signing_key_file = file("real.pem", pem);
        config.secrets.seal_key_file = file("real.seal", &format!("{hex}\n"));
        for url in ["https://vigia.example/", "http://localhost:8080", "http://127.0.0.1"] {
            config.server.public_url = Some(url.into());
            assert_eq!(config.production_problems(), Vec::<String>::new());
        }
        assert_eq!(config.public_url(), "http://127.0.0.1");
        config.secrets.seal_key = Some("00".repeat(32).into());
        assert!(config.production_problems().concat().contains("both set"));
        config.secrets.seal_key_file = None;
        assert!(config.production_problems().concat().contains("guessed"));
        config.server.public_url = Some("http://localhost.evil.example".into());
        assert!(config.production_problems().concat().contains("https"));
    }

    #[test]
    fn a_channel_that_is_wrong_is_told_with_its_place() {
        let table = [
            ("zone = \"CET\"", "hl7.channel[1].zone"),
            ("name = \"a\"", "hl7.channel[1].name"),
            ("name = \" \"", "hl7.channel[1].name"),
            ("acks = \"sometimes\"", "hl7.channel.1.acks"),
            ("networks = [\"10.1.0.0/40\"]", "hl7.channel.1.networks.0"),
            ("bind = \"2575\"", "hl7.channel.1.bind"),
            ("tls = { cert = \"c\", key = \"k\" }", "hl7.channel[1].tls "),
            ("bind = \"[::]:1\"\ntls = { cert = \"c\", key = \"k\", clients = [\"x\"] }", "hl7.channel[1].tls.clients"),
            ("senders = [\"A|B|C\"]", "hl7.channel[1].senders"),
            ("senders = [\"|\"]", "hl7.channel[1].senders"),
            ("max_frame_bytes = 1", "hl7.channel[1].max_frame_bytes"),
            ("max_connections = 0", "hl7.channel[1].max_connections"),
            ("port = 1", "port"),
        ];
        for (line, word) in table {
            let toml = format!("[[hl7.channel]]\nname = \"a\"\n[[hl7.channel]]\n{line}");
            let error = format!("{:#}", load(&toml, &[]).unwrap_err());
            assert!(error.contains(word) && error.contains("vigia.toml"), "{word} is not in: {error}");
        }
    }
}
