//! Wiring, and the order of starting and stopping. Nothing is decided here: every part is built with what it
//! needs and handed to the others.

mod gate;

use std::fs::{DirBuilder, File, TryLockError};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::HttpServer;
use actix_web::dev::ServerHandle;
use anyhow::{Context, Result, bail};
use secrecy::ExposeSecret;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::gate::Doorkeeper;
use crate::alert::engine::Engine;
use crate::alert::lifecycle::Policy;
use crate::alert::seed;
use crate::api::{self, hl7::Hl7};
use crate::auth::device::Devices;
use crate::auth::sessions::Sessions;
use crate::auth::smart::Smart;
use crate::auth::token::{TokenKeys, Verifier};
use crate::clock::{Clock, new_id};
use crate::config::{self, Config};
use crate::deliver;
use crate::deliver::contact::Contacts;
use crate::deliver::days::Days;
use crate::deliver::hl7::Feeder;
use crate::deliver::latest::Latest;
use crate::deliver::live::Live;
use crate::deliver::notify::{Notifier, Sender};
use crate::deliver::strip::Strips;
use crate::fhir::time;
use crate::ingest::hl7::channels;
use crate::ingest::hl7::keep::Keeper;
use crate::ingest::hl7::listener::{self, Listener};
use crate::ingest::hl7::order::Order;
use crate::ingest::hl7::receive::Receiver;
use crate::ingest::mqtt::bridge::Bridge;
use crate::ingest::mqtt::{House, listener as mqtt};
use crate::pipeline::Pipeline;
use crate::profiles::Profiles;
use crate::store::{self, Store};
use crate::telemetry::Metrics;

/// The server, built and bound, not yet serving.
pub struct App {
    config: Config,
    state: api::State,
    http: TcpListener,
    hl7: Vec<Listener>,
    mqtt: Option<mqtt::Listener>,
    bridges: Vec<Bridge>,
    /// When anybody is to be told of alerts.
    notifier: Option<Notifier>,
    /// Held as long as the embedded database is ours.
    _lock: Option<File>,
}

impl App {
    /// Opens everything that can fail: secrets, sockets, database.
    pub async fn build(config: Config, clock: Clock) -> Result<Self> {
        let http = TcpListener::bind(config.server.bind)
            .with_context(|| format!("server.bind: cannot listen on {}", config.server.bind))?;
        let channels = channels(&config.hl7)?;
        deliver::hl7::check(&config.hl7.destination)?;
        let public_url = config.server.public_url.clone().unwrap_or(format!("http://{}", http.local_addr()?));
        let lock = lock(config.database.url.expose())?;
        let metrics = Metrics::new()?;
        let settings = store::Settings {
            url: config.database.url.expose().to_owned(),
            readers: config.database.readers,
            statement_limit: config.database.statement_limit(),
            queue_rows: config.database.lane_queue,
            seal_key: config.secrets.seal_key()?,
            base: format!("{public_url}/fhir"),
        };
        let (opening, their_clock, their_metrics) = (settings, clock.clone(), metrics.clone());
        let store = tokio::task::spawn_blocking(move || {
            fhir_r4::warm_up();
            Store::open(&opening, their_clock, their_metrics)
        })
        .await?
        .context("database.url: the database cannot be opened")?;
        let profiles = Profiles::new(store.clone(), &config.validation);
        profiles.reload().await.context("the loaded definitions cannot be read")?;
        let pipeline = Pipeline::new(store.clone(), profiles, metrics.clone());
        seed::seed(&pipeline).await.context("the default rules cannot be stored")?;
        let keys = token_keys(&config, &public_url)?;
        let receiver = Receiver {
            pipeline: pipeline.clone(),
            metrics: metrics.clone(),
            order: Order::default(),
            channels: channels.clone().into(),
        };
        let hl7 = listener::bind(&config.hl7, &channels, &receiver)?;
        let verifier = Arc::new(Verifier::new(keys));
        let state = api::State {
            pipeline: pipeline.clone(),
            smart: Smart::new(&pipeline, verifier.clone(), &config.smart, &config.secrets.seal_key()?)?,
            verifier,
            devices: Devices::new(store.clone(), &config.device),
            sessions: Sessions::new(store.clone(), &config.session),
            live: Live::new(store.clone(), metrics.clone()),
            latest: Latest::new(store.clone()),
            days: Days::new(store.clone()),
            contacts: Contacts::new(store.clone()),
            strips: Strips::default(),
            hl7: Hl7 { receiver, channels },
            metrics,
            settings: Arc::new(api::Settings {
                secure_cookies: public_url.starts_with("https://"),
                public_url,
                max_body_bytes: config.server.max_body_bytes,
                max_bundle_entries: config.validation.max_bundle_entries,
                max_live_clients: config.live.max_clients,
                started: time::instant(clock.now()),
                stopping: AtomicBool::new(false),
                session_lifetime_s: config.session.lifetime_s,
                escalation: Policy::of(&config.alert.escalation),
            }),
            store,
        };
        let notifier = notifier(&config, &state)?;
        let mqtt = mqtt::Listener::bind(&config.mqtt, house(&state))?;
        let bridges = bridges(&config, &state)?;
        Ok(Self { config, state, http, hl7, mqtt, bridges, notifier, _lock: lock })
    }

    /// Where HTTP is served.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.http.local_addr()?)
    }

    /// Where HL7 messages are taken over MLLP: the channels that have an address, in the order of the settings.
    pub fn hl7_addresses(&self) -> Result<Vec<(String, SocketAddr)>> {
        self.hl7.iter().map(Listener::address).collect()
    }

    /// Where MQTT is spoken, if anywhere.
    pub fn mqtt_address(&self) -> Result<Option<SocketAddr>> {
        self.mqtt.as_ref().map(mqtt::Listener::address).transpose()
    }

    /// What handlers work with: for commands and tests that work beside them.
    pub fn state(&self) -> &api::State {
        &self.state
    }

    /// Serves until cancelled, then stops in order: no new work, work in hand answered, last commit, readers
    /// (they go on from their cursors at the next start).
    pub async fn run(self, cancelled: CancellationToken) -> Result<()> {
        let Self { config, state, http, hl7, mqtt, bridges, notifier, _lock } = self;
        let (readers, doors) = (CancellationToken::new(), CancellationToken::new());
        let (reading, receiving) = (TaskTracker::new(), TaskTracker::new());
        if config.alert.enabled {
            let engine =
                Engine::new(state.pipeline.clone(), state.metrics.clone(), new_id(), state.settings.escalation.clone());
            reading.spawn(engine.run(readers.clone()));
        }
        if let Some(notifier) = notifier {
            reading.spawn(notifier.run(readers.clone()));
        }
        for to in config.hl7.destination.clone() {
            let feeder = Feeder::new(state.pipeline.clone(), state.metrics.clone(), new_id(), to);
            reading.spawn(feeder.run(readers.clone()));
        }
        reading.spawn(state.live.clone().run(readers.clone()));
        if state.store.is_shared() {
            reading.spawn(state.store.clone().follow_others(readers.clone()));
            reading.spawn(state.pipeline.profiles().clone().follow(readers.clone()));
        } else if let Err(error) = state.store.go_on_reindexing().await {
            tracing::error!(%error, "a run of $reindex that was left behind does not go on");
        }
        reading.spawn(state.latest.clone().run(readers.clone()));
        reading.spawn(state.contacts.clone().run(readers.clone()));
        reading.spawn(state.pipeline.clone().run_quarantine(readers.clone()));
        reading.spawn(state.days.clone().run(readers.clone()));
        let keeper = Keeper { store: state.store.clone(), metrics: state.metrics.clone(), days: config.hl7.keep_days };
        reading.spawn(keeper.run(readers.clone()));
        for listener in hl7 {
            receiving.spawn(listener.run(doors.clone()));
        }
        if let Some(listener) = mqtt {
            receiving.spawn(listener.run(doors.clone()));
        }
        for bridge in bridges {
            receiving.spawn(bridge.run(doors.clone()));
        }
        let (handle, serving) = serve(&config.server, http, &state)?;

        cancelled.cancelled().await;
        tracing::info!("stopping");
        state.settings.stopping.store(true, Ordering::Relaxed);
        doors.cancel();
        receiving.close();
        let _ = tokio::time::timeout(Duration::from_secs(config.server.shutdown_s), receiving.wait()).await;
        // Live streams never end by themselves: their reader goes first.
        readers.cancel();
        reading.close();
        reading.wait().await;
        state.live.close();
        handle.stop(true).await;
        serving.await??;
        state.store.close().await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// The embedded database belongs to one server: a second one on the same file is refused.
pub(crate) fn lock(url: &str) -> Result<Option<File>> {
    let Some(path) = url.strip_prefix("sqlite:") else { return Ok(None) };
    let path = PathBuf::from(format!("{}.lock", path.trim_start_matches("//")));
    if let Some(dir) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => bail!("database.url: another server is running on this database"),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

/// The key that signs tokens, and those that did before.
fn token_keys(config: &Config, public_url: &str) -> Result<TokenKeys> {
    let own = config.secrets.signing_key()?;
    let mut keys = TokenKeys::from_pem(own.expose_secret(), public_url, &format!("{public_url}/fhir"))?;
    for retired in config.secrets.retired_signing_keys()? {
        keys = keys.and_retired(retired.expose_secret())?;
    }
    Ok(keys)
}

/// Starts the HTTP server: the handle that stops it, and its end.
fn serve(
    config: &config::Server,
    http: TcpListener,
    state: &api::State,
) -> Result<(ServerHandle, JoinHandle<std::io::Result<()>>)> {
    let application = api::app(state);
    let mut server = HttpServer::new(move || actix_web::App::new().configure(application.clone()))
        .disable_signals()
        .shutdown_timeout(config.shutdown_s);
    if config.workers > 0 {
        server = server.workers(config.workers);
    }
    let server = server.listen(http)?.run();
    Ok((server.handle(), tokio::spawn(server)))
}

/// What the doors beside HTTP work with.
fn house(state: &api::State) -> House {
    let (devices, verifier, clock) = (state.devices.clone(), state.verifier.clone(), state.store.clock().clone());
    House { pipeline: state.pipeline.clone(), gate: Arc::new(Doorkeeper { devices, verifier, clock }) }
}

/// The error names the key.
fn bridges(config: &Config, state: &api::State) -> Result<Vec<Bridge>> {
    let numbered = config.mqtt.broker.iter().enumerate();
    let each = numbered.map(|(at, broker)| {
        Bridge::new(broker.clone(), house(state), state.metrics.clone()).with_context(|| format!("mqtt.broker[{at}]"))
    });
    each.collect()
}

/// None when nobody is to be told.
fn notifier(config: &Config, state: &api::State) -> Result<Option<Notifier>> {
    if config.notify.recipient.is_empty() {
        return Ok(None);
    }
    let sender = Sender::new(config.notify.clone(), state.settings.public_url.clone()).map_err(anyhow::Error::msg)?;
    let (pipeline, metrics) = (state.pipeline.clone(), state.metrics.clone());
    Ok(Some(Notifier::new(pipeline, metrics, new_id(), state.settings.escalation.clone(), sender)))
}
