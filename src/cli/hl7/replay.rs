//! `vigia hl7 replay`: dead letters by filter, through the server's API and as one of its administrators.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::cli::{output, secret_file};
use crate::config::Config;

/// A thousand messages may take so long.
const TIMEOUT: Duration = Duration::from_mins(10);
const PAGE: &str = "1000";

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// The server; that of the settings unless named.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// An administrator.
    #[arg(long, value_name = "NAME", value_parser = crate::cli::name)]
    user: String,
    /// The file with the password, on its first line; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    password_file: PathBuf,
    /// Show the messages, and send none again.
    #[arg(long)]
    dry_run: bool,
    /// Only this message, by its number in the list.
    #[arg(long, conflicts_with_all = ["channel", "kind", "sender", "control", "verdict", "start", "end"])]
    id: Option<i64>,
    #[arg(long)]
    channel: Option<String>,
    /// MSH-9: ORU^R01
    #[arg(long)]
    kind: Option<String>,
    /// MSH-3 and MSH-4: MONITOR|ICU
    #[arg(long)]
    sender: Option<String>,
    /// MSH-10
    #[arg(long)]
    control: Option<String>,
    /// AE or AR
    #[arg(long)]
    verdict: Option<String>,
    /// Received from this date or time on.
    #[arg(long)]
    start: Option<String>,
    /// Received before the end of this date or time.
    #[arg(long)]
    end: Option<String>,
}

impl Options {
    fn query(&self) -> Vec<(&'static str, &str)> {
        let filters = [
            ("channel", &self.channel),
            ("kind", &self.kind),
            ("sender", &self.sender),
            ("control", &self.control),
            ("verdict", &self.verdict),
            ("start", &self.start),
            ("end", &self.end),
        ];
        let given = filters.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        given.chain([("settled", "false"), ("count", PAGE)]).collect()
    }
}

pub(super) async fn run(config: &Config, options: Options) -> Result<()> {
    let base = options.server.clone().unwrap_or_else(|| config.public_url());
    let session = Session::open(base.trim_end_matches('/'), &options.user, &options.password_file).await?;
    if options.dry_run {
        let listed = match options.id {
            Some(id) => json!({"messages": [session.get(&format!("/hl7/messages/{id}"), &[]).await?]}),
            None => session.get("/hl7/messages", &options.query()).await?,
        };
        let count = show(&listed);
        output::line(format!("{count} messages would be sent again"));
        return Ok(());
    }
    let told = match options.id {
        Some(id) => session.post(&format!("/hl7/messages/{id}/replay"), &[]).await?,
        None => session.post("/hl7/messages/replay", &options.query()).await?,
    };
    show(&told);
    let number = |name: &str| told.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (sent, accepted) = (number("sent"), number("accepted"));
    output::line(format!("{sent} sent again, {accepted} accepted"));
    if told.get("more").and_then(Value::as_bool) == Some(true) {
        output::line("There are more: put right what is wrong with these, or narrow the choice.");
    }
    ensure!(sent == accepted, "not everything was accepted");
    Ok(())
}

/// A line a message, with what is wrong.
fn show(told: &Value) -> usize {
    let messages = told.get("messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for message in messages {
        let text = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
        let id = message.get("id").and_then(Value::as_i64).unwrap_or_default();
        output::line(format!(
            "{id}\t{}\t{}\t{}\t{}\t{}",
            text("received"),
            text("channel"),
            text("kind"),
            text("control"),
            text("verdict")
        ));
        for issue in message.get("issues").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| issue.get(name).and_then(Value::as_str).unwrap_or_default();
            output::line(format!("  {}: {}", text("place"), text("text")));
        }
    }
    messages.len()
}

/// Signed in, as a page would be.
struct Session {
    http: Client,
    base: String,
    cookie: String,
}

impl Session {
    async fn open(base: &str, user: &str, file: &Path) -> Result<Self> {
        let http = Client::builder().timeout(TIMEOUT).build().context("no HTTP client")?;
        let body = json!({"username": user, "password": secret_file::first_line(file, "--password-file")?});
        let login = http.post(format!("{base}/auth/login")).header("X-Requested-With", "vigia").json(&body);
        let reply = login.send().await.with_context(|| format!("cannot reach {base}"))?;
        ensure!(reply.status().is_success(), "{user} is not let in: {}", reply.status());
        let cookie = reply.headers().get("set-cookie").and_then(|value| value.to_str().ok());
        let cookie = cookie.and_then(|text| text.split(';').next()).context("the server opened no session")?;
        Ok(Self { http, base: base.to_owned(), cookie: cookie.to_owned() })
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        self.ask(self.http.get(self.address(path, query))).await
    }

    async fn post(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        self.ask(self.http.post(self.address(path, query))).await
    }

    fn address(&self, path: &str, query: &[(&str, &str)]) -> String {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        format!("{}{path}?{query}", self.base)
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let request = request.header("Cookie", &self.cookie).header("X-Requested-With", "vigia");
        let reply = request.send().await.context("the server does not answer")?;
        if reply.status().is_success() {
            return reply.json().await.context("an answer that cannot be read");
        }
        bail!("{}", reason(reply).await)
    }
}

async fn reason(reply: Response) -> String {
    let status = reply.status();
    let outcome: Value = reply.json().await.unwrap_or_default();
    let why = outcome.pointer("/issue/0/diagnostics").and_then(Value::as_str).unwrap_or_default();
    format!("{status}: {why}")
}
