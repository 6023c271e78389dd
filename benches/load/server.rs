//! The real server as a process of its own, with a data directory, keys and a token made for the run.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::client::{Connection, Requests};

const SCOPES: &str = "system/*.cruds";
/// Long enough for a database of many millions of rows to be opened.
const START: Duration = Duration::from_mins(10);

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) http: String,
    pub(crate) mllp: String,
    pub(crate) mqtt: String,
    pub(crate) token: String,
    /// From its start to the first answer of readiness.
    pub(crate) start: Duration,
}

/// CPU time and resident memory of the server at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_mb: f64,
}

impl Server {
    /// Starts a server on a data directory, which is filled with keys at the first start.
    pub(crate) async fn start(binary: &Path, data: &Path, database: Option<&str>) -> Result<Self> {
        let (http, mllp, mqtt) = (free_address()?, free_address()?, free_address()?);
        let system = crate::vitals::RECORD_SYSTEM;
        let channel = format!(
            "[mqtt]\nbind = \"{mqtt}\"\n[[hl7.channel]]\nbind = \"{mllp}\"\nassigning_authorities = {{ BENCH = \"{system}\" }}\n"
        );
        std::fs::write(data.join("hl7.toml"), channel)?;
        let command = || {
            let mut command = Command::new(binary);
            command.current_dir(data).stdin(Stdio::null());
            command.arg("--config").arg(data.join("hl7.toml"));
            let settings = [
                ("DATA_DIR", data.display().to_string()),
                ("SERVER__BIND", http.clone()),
                ("SERVER__PUBLIC_URL", "http://127.0.0.1".to_owned()),
                ("SECRETS__SIGNING_KEY_FILE", data.join("signing-key.pem").display().to_string()),
                ("SECRETS__SEAL_KEY_FILE", data.join("seal-key").display().to_string()),
            ];
            command.envs(settings.into_iter().map(|(key, value)| (format!("VIGIA__{key}"), value)));
            command.envs(database.map(|url| ("VIGIA__DATABASE__URL", url)));
            command
        };
        if !data.join("signing-key.pem").exists() {
            let made = command().arg("keygen").arg("--out").arg(data).stdout(Stdio::null()).status()?;
            ensure!(made.success(), "vigia keygen failed");
        }
        let token =
            command().args(["client", "token", "--client", "load", "--scope", SCOPES, "--hours", "24"]).output()?;
        ensure!(token.status.success(), "vigia client token failed: {}", String::from_utf8_lossy(&token.stderr));
        let token = String::from_utf8(token.stdout)?.trim().to_owned();
        let log = File::options().create(true).append(true).open(data.join("server.log"))?;
        let started = Instant::now();
        let child =
            command().arg("serve").stdout(Stdio::null()).stderr(log).spawn().context("the server does not start")?;
        let mut server = Self { child, http, mllp, mqtt, token, start: Duration::ZERO };
        while !server.ready().await {
            if let Some(status) = server.child.try_wait()? {
                let log = std::fs::read_to_string(data.join("server.log"))?;
                bail!("the server ended ({status}):\n{log}");
            }
            ensure!(started.elapsed() < START, "the server does not become ready");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        server.start = started.elapsed();
        Ok(server)
    }

    async fn ready(&self) -> bool {
        let Ok(mut connection) = Connection::open(&self.http).await else { return false };
        connection.call(&self.requests().get("/health/ready")).await.is_ok_and(|answer| answer.status == 200)
    }

    pub(crate) fn requests(&self) -> Requests {
        Requests::new(self.http.clone(), self.token.clone())
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The text of /metrics.
    pub(crate) async fn metrics(&self) -> Result<String> {
        let mut connection = Connection::open(&self.http).await?;
        let answer = connection.call(&self.requests().get("/metrics")).await?;
        Ok(String::from_utf8(answer.body.to_vec())?)
    }

    /// Waits until the alert engine has judged all that is stored.
    pub(crate) async fn judged(&self) -> Result<()> {
        while !self.metrics().await?.contains("\nvigia_alert_behind_seconds 0\n") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    pub(crate) fn usage(&self) -> Usage {
        let read =
            |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default();
        let stat = read("stat");
        // After the name in parentheses the fields are numbers; the 12th and 13th are ticks of 10 ms.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: f64 = fields.iter().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
        let status = read("status");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kb: f64 = resident.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0.0);
        Usage { cpu_seconds: ticks / 100.0, resident_mb: kb / 1024.0 }
    }

    /// Asks the server to stop and waits until it has: the database is closed then, and its files are whole.
    pub(crate) fn stop(mut self) -> Result<()> {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status()?;
        ensure!(asked.success(), "the server cannot be stopped");
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already stopped is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes the machine forget what it has read of files.
pub(crate) fn forget_files() -> Result<()> {
    ensure!(Command::new("sync").status()?.success(), "sync failed");
    std::fs::write("/proc/sys/vm/drop_caches", "3").context("only root may drop the page cache")
}

fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Bytes of the SQLite files in a data directory.
pub(crate) fn database_bytes(data: &Path) -> u64 {
    let files = std::fs::read_dir(data).into_iter().flatten().flatten();
    let own = files.filter(|file| file.file_name().to_string_lossy().starts_with("vigia.db"));
    own.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}
