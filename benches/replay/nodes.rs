//! The servers of a replay: one on SQLite, one or two on a PostgreSQL database. They can be killed and started again
//! at any moment; who asks takes whichever is there.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use vigia::clock::Clock;
use vigia::fhir::time;

use crate::client::{Connection, Requests};
use crate::recording;
use crate::server::Server;

/// How the ids of patients begin who are there for this program alone.
pub(crate) const FENCE: &str = "fence-";
const FHIR: &str = "application/fhir+json";
/// How long something may take to come true.
const PATIENCE: Duration = Duration::from_mins(20);

/// Where a node is asked.
pub(crate) struct Door {
    pub(crate) address: String,
    pub(crate) requests: Requests,
}

/// The nodes that are up.
#[derive(Default)]
pub(crate) struct Doors(Mutex<Vec<Option<Arc<Door>>>>);

impl Doors {
    fn set(&self, at: usize, door: Option<Door>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() <= at {
            all.resize_with(at + 1, || None);
        }
        if let Some(place) = all.get_mut(at) {
            *place = door.map(Arc::new);
        }
    }

    /// One that is up, another one for another n.
    pub(crate) fn pick(&self, n: usize) -> Option<Arc<Door>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let up: Vec<&Arc<Door>> = all.iter().flatten().collect();
        up.get(n % up.len().max(1)).map(|door| Arc::clone(door))
    }
}

pub(crate) struct Nodes {
    binary: PathBuf,
    database: Option<String>,
    places: Vec<PathBuf>,
    servers: Vec<Option<Server>>,
    pub(crate) doors: Arc<Doors>,
}

impl Nodes {
    /// Starts so many, in directories below this one.
    pub(crate) async fn start(
        binary: PathBuf,
        directory: PathBuf,
        database: Option<String>,
        count: usize,
    ) -> Result<Self> {
        let places: Vec<PathBuf> = (0..count).map(|at| directory.join(format!("node-{at}"))).collect();
        let servers = places.iter().map(|_| None).collect();
        let mut nodes = Self { binary, database, places, servers, doors: Arc::default() };
        for at in 0..count {
            nodes.up(at).await?;
        }
        Ok(nodes)
    }

    pub(crate) fn count(&self) -> usize {
        self.places.len()
    }

    /// Starts one on what is there.
    pub(crate) async fn up(&mut self, at: usize) -> Result<()> {
        let (Some(place), Some(first)) = (self.places.get(at), self.places.first()) else { bail!("no such node") };
        if !place.exists() {
            std::fs::create_dir_all(place)?;
            // All nodes of a database have the keys of the first.
            for key in ["signing-key.pem", "seal-key"].iter().filter(|_| at > 0) {
                std::fs::copy(first.join(key), place.join(key))?;
            }
        }
        let server = Server::start(&self.binary, place, self.database.as_deref()).await?;
        self.doors.set(at, Some(Door { address: server.http.clone(), requests: server.requests() }));
        if let Some(slot) = self.servers.get_mut(at) {
            *slot = Some(server);
        }
        Ok(())
    }

    /// SIGKILL: no time for anything.
    pub(crate) fn kill(&mut self, at: usize) {
        self.doors.set(at, None);
        if let Some(slot) = self.servers.get_mut(at) {
            drop(slot.take());
        }
    }

    /// Stops all in order.
    pub(crate) fn stop(self) -> Result<()> {
        self.servers.into_iter().flatten().try_for_each(Server::stop)
    }

    /// Asks for something and gets it with this status.
    pub(crate) async fn call(&self, make: impl Fn(&Requests) -> Vec<u8>, status: &[u16]) -> Result<Value> {
        let door = self.doors.pick(0).context("no node is up")?;
        let mut connection = Connection::open(&door.address).await?;
        let answer = connection.call(&make(&door.requests)).await?;
        let body = || String::from_utf8_lossy(answer.body.get(..answer.body.len().min(2000)).unwrap_or_default());
        ensure!(status.contains(&answer.status), "status {}: {}", answer.status, body());
        serde_json::from_slice(answer.body).or(Ok(Value::Null))
    }

    pub(crate) async fn put(&self, resource: &Value) -> Result<()> {
        let name = |member: &str| resource.get(member).and_then(Value::as_str).unwrap_or_default();
        let path = format!("/fhir/{}/{}", name("resourceType"), name("id"));
        self.call(|requests| requests.send("PUT", &path, FHIR, &resource.to_string()), &[200, 201]).await.map(|_| ())
    }

    /// All resources of a search, page by page.
    pub(crate) async fn all(&self, path: &str) -> Result<Vec<Value>> {
        let (mut all, mut path) = (Vec::new(), path.to_owned());
        loop {
            let page = self.call(|requests| requests.get(&path), &[200]).await?;
            let entries = page.get("entry").and_then(Value::as_array).into_iter().flatten();
            all.extend(entries.filter_map(|entry| entry.get("resource").cloned()));
            let mut links = page.get("link").and_then(Value::as_array).into_iter().flatten();
            let next = links.find(|link| link.get("relation").is_some_and(|relation| relation == "next"));
            let Some(url) = next.and_then(|link| link.get("url")?.as_str()) else { return Ok(all) };
            let at = url.find("/fhir").context("a link to elsewhere")?;
            url.get(at..).unwrap_or_default().clone_into(&mut path);
        }
    }

    /// Waits until the engine has judged everything that was sent: twice two readings that must alarm are sent after
    /// it, of a patient of their own. The log is judged in the order of its commits, so their alert comes last; what
    /// scores wait for at the end of an instant is over between the two.
    pub(crate) async fn judged(&self) -> Result<Duration> {
        let began = Instant::now();
        self.fence().await?;
        tokio::time::sleep(Duration::from_secs(4)).await;
        self.fence().await?;
        Ok(began.elapsed().saturating_sub(Duration::from_secs(4)))
    }

    async fn fence(&self) -> Result<()> {
        let now = Clock::default().now();
        let id = format!("{FENCE}{now}");
        self.put(&recording::patient(&id)).await?;
        for ago in [20, 10] {
            let time = time::instant(now - ago * 1_000_000);
            let reading = json!({"patient": format!("Patient/{id}"), "code": "8867-4", "value": 250, "unit": "/min", "time": time});
            let body = reading.to_string();
            self.call(|requests| requests.post("/device/v1/observations", "application/json", &body), &[200]).await?;
        }
        let began = Instant::now();
        let path = format!("/fhir/DetectedIssue?patient={id}");
        while self.all(&path).await?.is_empty() {
            ensure!(began.elapsed() < PATIENCE, "the alert engine does not catch up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}
