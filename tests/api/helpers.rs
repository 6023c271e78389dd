//! A running server for one test, and the people and machines that use it. Nothing here asserts about the
//! product; the stories do.

pub(crate) mod client;
pub(crate) mod place;
pub(crate) mod process;
pub(crate) mod samples;
pub(crate) mod stubs;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vigia::api::State;
use vigia::app::App;
use vigia::auth::access::Role;
use vigia::clock::{Clock, new_id};
use vigia::config::Config;

pub(crate) use client::{Actor, Client, Reply};
pub(crate) use place::Place;

/// How long a condition may take to come true. Far more than it needs: only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Asks again until there is an answer.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(Instant::now() < until, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The server under test.
pub(crate) struct TestApp {
    pub(crate) address: SocketAddr,
    /// The first channel.
    pub(crate) mllp: SocketAddr,
    /// All that listen, by their names.
    pub(crate) channels: Vec<(String, SocketAddr)>,
    /// Where MQTT is spoken.
    pub(crate) mqtt: Option<SocketAddr>,
    pub(crate) state: State,
    pub(crate) place: Place,
    http: reqwest::Client,
    stop: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With settings of its own.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::on(Place::new().await, Clock::default(), change).await
    }

    /// On data that is there already, at a time of one's choice.
    pub(crate) async fn on(place: Place, clock: Clock, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = place.config();
        change(&mut config);
        let app = App::build(config, clock).await.expect("the server can be built");
        let (address, channels) = (app.address().unwrap(), app.hl7_addresses().unwrap());
        let mqtt = app.mqtt_address().unwrap();
        let (state, stop) = (app.state().clone(), CancellationToken::new());
        let running = tokio::spawn(app.run(stop.clone()));
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let mllp = channels.first().unwrap().1;
        let app = Self { address, mllp, channels, mqtt, state, place, http, stop, running };
        eventually("the server is ready", || async {
            (app.anonymous().get("/health/ready").await.status == 200).then_some(())
        })
        .await;
        app
    }

    /// Stops in order; what it leaves behind can be started again.
    pub(crate) async fn stop(self) -> Place {
        let Self { state, place, http, stop, running, .. } = self;
        // Idle connections of this test would hold the server up until they time out.
        drop(http);
        stop.cancel();
        running.await.expect("no panic").expect("an orderly end");
        drop(state);
        place
    }

    /// Where a channel listens.
    pub(crate) fn channel(&self, name: &str) -> SocketAddr {
        self.channels.iter().find(|(own, _)| own == name).unwrap().1
    }

    fn client(&self, actor: Actor) -> Client {
        Client { http: self.http.clone(), address: self.address, actor }
    }

    pub(crate) fn anonymous(&self) -> Client {
        self.client(Actor::Nobody)
    }

    /// Somebody with any bearer token.
    pub(crate) fn bearer(&self, token: &str) -> Client {
        self.client(Actor::Token(token.to_owned()))
    }

    /// A machine with these scopes.
    pub(crate) fn machine(&self, scope: &str) -> Client {
        self.bearer(&self.token(scope, None, 3600))
    }

    /// A machine that may do everything.
    pub(crate) fn gateway(&self) -> Client {
        self.machine("system/*.cruds")
    }

    /// An app that was started for one patient.
    pub(crate) fn patient_app(&self, scope: &str, patient: &str) -> Client {
        self.bearer(&self.token(scope, Some(patient), 3600))
    }

    pub(crate) fn token(&self, scope: &str, patient: Option<&str>, lifetime_s: i64) -> String {
        let (keys, now) = (self.state.verifier.keys(), self.state.store.clock().now_seconds());
        let claims = keys.claims("test-client", scope, patient.map(str::to_owned), now, lifetime_s);
        keys.mint(&claims).unwrap()
    }

    pub(crate) async fn administrator(&self) -> Client {
        self.signed_in("root", Role::Administrator).await
    }

    pub(crate) async fn clinician(&self) -> Client {
        self.signed_in("nora", Role::Clinician).await
    }

    /// A new account, signed in at the door.
    async fn signed_in(&self, username: &str, role: Role) -> Client {
        let password = vigia::auth::password::generate();
        assert!(self.state.sessions.create_account(username, "Nora Test", role, &password).await.unwrap());
        let login = json!({"username": username, "password": password});
        let reply =
            self.anonymous().with_header("X-Requested-With", "vigia").post("/auth/login", &login).await.expect(204);
        let cookie = reply.header("set-cookie").split(';').next().unwrap().to_owned();
        self.client(Actor::Session(cookie))
    }

    /// A patient with a record number of the test's own, admitted to a bed; the logical id.
    pub(crate) async fn admit(&self, record: &str, family: &str) -> String {
        let gateway = self.gateway();
        let id = new_id();
        gateway.put(&format!("/fhir/Patient/{id}"), &samples::patient(&id, record, family)).await.expect(201);
        gateway.post("/fhir/Encounter", &samples::encounter(&id)).await.expect(201);
        id
    }

    /// Readings through the device door, all of which must be taken.
    pub(crate) async fn upload(&self, body: &Value) -> Value {
        let reply = self.machine("system/Observation.c").post("/device/v1/observations", body).await.expect(200).json();
        assert_eq!(reply["rejected"], 0, "{reply}");
        reply
    }

    /// Heart rates in the order of time, the last one now; one a minute.
    pub(crate) async fn heart_rates(&self, patient: &str, values: &[u32]) {
        let count = i64::try_from(values.len()).unwrap();
        for (at, value) in (1 - count..).zip(values) {
            self.upload(&samples::heart_rate(patient, *value, &minutes_from_now(at))).await;
        }
    }

    /// The alerts about a patient, newest first.
    pub(crate) async fn alerts(&self, patient: &str) -> Vec<Value> {
        let bundle = self.gateway().get(&format!("/fhir/DetectedIssue?patient={patient}")).await.expect(200).json();
        resources(&bundle)
    }

    /// Waits until the only alert about a patient is as asked.
    pub(crate) async fn alert_becomes(&self, patient: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || async {
            let alerts = self.alerts(patient).await;
            assert!(alerts.len() < 2, "one cause, one alert: {alerts:?}");
            alerts.into_iter().next().filter(|alert| fits(alert))
        })
        .await
    }

    /// Waits until the alert engine has judged everything that is committed.
    pub(crate) async fn judged(&self) {
        // An empty write to find where the log ends; the engine passes it only after everything before it.
        let head = self.state.store.log_head().await.unwrap();
        eventually("the alert engine has judged everything", || async {
            (self.place.reader_position("alert").await >= head).then_some(())
        })
        .await;
    }
}

/// The resources of a Bundle's entries.
pub(crate) fn resources(bundle: &Value) -> Vec<Value> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    entries.into_iter().map(|entry| entry["resource"].clone()).collect()
}

pub(crate) fn ids(bundle: &Value) -> Vec<String> {
    resources(bundle).iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect()
}

/// An instant so many minutes from now, as FHIR writes it.
pub(crate) fn minutes_from_now(minutes: i64) -> String {
    vigia::fhir::time::instant(Clock::default().now() + minutes * 60_000_000)
}
