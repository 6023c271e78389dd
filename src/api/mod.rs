//! HTTP: actix handlers and nothing else. Modules mirror URLs. A handler authorises, checks, works, answers;
//! what it works with are the rooms below. Nothing is decided here that is not about HTTP.

#[expect(unused_qualifications, reason = "utoipa's macro spells out the type of the query")]
pub mod alert;
mod body;
mod caller;
pub mod device;
pub mod fhir;
mod headers;
pub mod health;
#[expect(unused_qualifications, reason = "utoipa's macro spells out the type of the query")]
pub mod hl7;
#[expect(unused_qualifications, reason = "utoipa's macro spells out the type of the query")]
pub mod live;
pub mod openapi;
mod pages;
mod reply;
mod request_log;
pub mod session;
pub mod smart;

use std::sync::Arc;

use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{self, ServiceConfig};

use crate::alert::lifecycle::Policy;
use crate::auth::device::Devices;
use crate::auth::sessions::Sessions;
use crate::auth::smart::Smart;
use crate::auth::token::Verifier;
use crate::deliver::contact::Contacts;
use crate::deliver::days::Days;
use crate::deliver::latest::Latest;
use crate::deliver::live::Live;
use crate::deliver::strip::Strips;
use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::store::Store;
use crate::telemetry::Metrics;

/// What handlers work with.
#[derive(Clone)]
pub struct State {
    pub pipeline: Pipeline,
    pub store: Store,
    pub verifier: Arc<Verifier>,
    pub sessions: Sessions,
    pub devices: Devices,
    pub smart: Smart,
    pub live: Live,
    pub latest: Latest,
    pub days: Days,
    pub contacts: Contacts,
    pub strips: Strips,
    pub hl7: hl7::Hl7,
    pub metrics: Metrics,
    pub settings: Arc<Settings>,
}

/// The few settings that handlers look at.
#[derive(Debug)]
pub struct Settings {
    /// The public address, without a slash at its end.
    pub public_url: String,
    pub max_body_bytes: usize,
    pub max_bundle_entries: usize,
    pub max_live_clients: usize,
    /// The `CapabilityStatement`'s date: when this server was started.
    pub started: String,
    /// Cookies only over TLS.
    pub secure_cookies: bool,
    /// Set when the server is about to stop: readiness answers 503.
    pub stopping: std::sync::atomic::AtomicBool,
    pub session_lifetime_s: u64,
    /// Who is called when nobody answers an alert.
    pub escalation: Policy,
}

/// The address of the FHIR endpoint.
impl State {
    fn fhir_base(&self) -> String {
        format!("{}/fhir", self.settings.public_url)
    }
}

type Shared = web::Data<State>;

/// Every route of the server.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(
            web::scope("/fhir")
                .wrap(from_fn(reply::outcomes_in_form))
                .wrap(Compress::default())
                .wrap(from_fn(reply::varied))
                .configure(fhir::routes),
        )
        .service(web::scope("/alert/v1").configure(alert::routes))
        .service(web::scope("/device/v1").configure(device::routes))
        .service(web::scope("/api/v1").configure(device::uploader::routes))
        .service(web::scope("/hl7").configure(hl7::routes))
        .service(web::scope("/auth").configure(session::routes).configure(smart::routes))
        .service(web::scope("/live").configure(live::routes))
        .route("/.well-known/openid-configuration", web::get().to(smart::discovery::openid))
        .configure(health::routes)
        .configure(openapi::routes)
        .configure(pages::routes)
        .default_service(web::to(reply::unknown_address));
}

/// The whole application's middleware and state.
pub fn app(state: &State) -> impl Fn(&mut ServiceConfig) + Clone + use<> {
    let state = web::Data::new(state.clone());
    move |config: &mut ServiceConfig| {
        config.app_data(state.clone()).app_data(query_config()).service(
            web::scope("")
                .wrap(from_fn(smart::cors::shared))
                .wrap(from_fn(headers::strict))
                .wrap(from_fn(request_log::log))
                .configure(routes),
        );
    }
}

/// A query string that cannot be read is answered like every other mistake.
fn query_config() -> web::QueryConfig {
    web::QueryConfig::default().error_handler(|_, _| {
        Error::invalid("value", "http.query", "a parameter is missing, not known, or has a wrong value").into()
    })
}
