//! The real binary as its own process: for what a test inside the process cannot show.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use vigia::auth::token::TokenKeys;
use vigia::clock::Clock;

use super::client::{Actor, Client};
use super::eventually;
use super::place::{PUBLIC_URL, Place};

pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
    pub(crate) mllp: SocketAddr,
    log: PathBuf,
    keys: TokenKeys,
}

impl Process {
    /// `vigia serve` on this data, with a log that shows so much.
    pub(crate) async fn serve(place: &Place, filter: &str) -> Self {
        let directory = place.directory.path();
        let (config, log) = (directory.join("vigia.toml"), directory.join("vigia.log"));
        std::fs::write(&config, settings(place, filter)).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_vigia"))
            .arg("--config")
            .arg(&config)
            .arg("serve")
            .env_clear()
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let text = || std::fs::read_to_string(&log).unwrap();
        let (address, mllp) = eventually("it serves", || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", text());
            let found = text().lines().find_map(addresses);
            async move { found }
        })
        .await;
        let pem = std::fs::read_to_string(place.key_file("signing-key.pem")).unwrap();
        let keys = TokenKeys::from_pem(&pem, PUBLIC_URL, &format!("{PUBLIC_URL}/fhir")).unwrap();
        Self { child, address, mllp, log, keys }
    }

    fn with(&self, actor: Actor) -> Client {
        Client { http: reqwest::Client::new(), address: self.address, actor }
    }

    pub(crate) fn anonymous(&self) -> Client {
        self.with(Actor::Nobody)
    }

    /// A machine with these scopes.
    pub(crate) fn client(&self, scope: &str) -> Client {
        let claims = self.keys.claims("test-client", scope, None, Clock::default().now_seconds(), 3600);
        self.with(Actor::Token(self.keys.mint(&claims).unwrap()))
    }

    /// SIGKILL: no time for anything.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and what it had to say.
    pub(crate) async fn stop(mut self) -> String {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
        let ended = eventually("it ends", || {
            let ended = self.child.try_wait().unwrap();
            async move { ended }
        })
        .await;
        assert!(ended.success(), "{ended}");
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only when a test failed: nothing is left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// HTTP and MLLP addresses, from the line that tells them.
fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let http = line["http"].as_str()?.parse().ok()?;
    let mllp = line["hl7"].as_str()?.strip_prefix("[(\"default\", ")?.strip_suffix(")]")?.parse().ok()?;
    Some((http, mllp))
}

fn settings(place: &Place, filter: &str) -> String {
    let (data, url) = (place.directory.path().display(), &place.url);
    format!(
        r#"data_dir = "{data}"
[server]
bind = "127.0.0.1:0"
workers = 2
public_url = "{PUBLIC_URL}"
[database]
url = "{url}"
[[hl7.channel]]
bind = "127.0.0.1:0"
[hl7.channel.assigning_authorities]
WARD = "{}"
[log]
format = "json"
filter = "{filter}"
[secrets]
signing_key_file = "{data}/signing-key.pem"
seal_key_file = "{data}/seal-key"
"#,
        super::samples::RECORDS
    )
}
