//! The OpenAPI document, made of the handlers' own annotations, and its page.

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, ServiceConfig};
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::caller::Caller;
use super::{alert, device, fhir, health, hl7, live, session, smart};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Vigía",
        description = "A FHIR-native, real-time patient-monitoring and interoperability server. The FHIR API serves every R4 resource type; /fhir/metadata says what each can do."
    ),
    paths(
        fhir::metadata::metadata, fhir::bundle::process, fhir::read::read, fhir::read::version,
        fhir::write::create, fhir::write::update, fhir::write::patch, fhir::write::delete,
        fhir::write::conditional::update, fhir::write::conditional::patch, fhir::write::conditional::delete,
        fhir::search::by_url, fhir::search::by_form, fhir::search::system_by_url, fhir::search::system_by_form,
        fhir::search::compartment_by_url, fhir::search::compartment_by_form, fhir::search::whole_compartment_by_form,
        fhir::history::of_instance, fhir::history::of_type, fhir::history::system,
        fhir::operation::on_system, fhir::operation::on_type, fhir::operation::on_instance,
        alert::report, device::observations::observations, device::gatt::gatt, device::omh::omh, device::csv::csv,
        device::uploader::entries, device::uploader::telemetry, device::waves::waves,
        device::registry::offer, device::registry::claim, device::registry::credentials, device::registry::issue,
        device::registry::rotate, device::registry::revoke, device::registry::revoke_all,
        device::list::devices, device::place::associate, device::place::dissociate, device::place::held, device::place::set_right, device::place::discard,
        hl7::message, hl7::messages, hl7::one, hl7::replay, hl7::replay_many, hl7::settle, hl7::waiting, hl7::attach,
        live::events, live::series, live::strip::waves,
        smart::discovery::smart, smart::discovery::openid, smart::discovery::jwks,
        smart::authorize::by_address, smart::authorize::by_form, smart::authorize::offer, smart::authorize::agree,
        smart::authorize::refuse, smart::token::token, smart::token::introspect, smart::token::revoke,
        smart::launch::launch, smart::launch::apps, smart::grants::list, smart::grants::end,
        smart::clients::list, smart::clients::register, smart::clients::one, smart::clients::change,
        smart::clients::disable, smart::clients::secret,
        session::login, session::logout, session::me, session::change_password, session::sessions, session::end,
        health::live, health::ready, health::metrics,
    ),
    modifiers(&Security),
    security(("token" = []), ("session" = [])),
    tags(
        (name = "fhir", description = "FHIR R4 REST"),
        (name = "alert", description = "What the alarms of a hospital come to"),
        (name = "device", description = "Readings from devices"),
        (name = "hl7", description = "HL7 v2 messages over HTTP, and those that are kept"),
        (name = "live", description = "The ward as it is now"),
        (name = "session", description = "Signing in"),
        (name = "smart", description = "Leave for apps and services: SMART App Launch 2.2, OAuth 2.0, OpenID Connect"),
        (name = "health", description = "Health and metrics")
    )
)]
struct Document;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Default::default);
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        components.add_security_scheme("token", SecurityScheme::Http(token));
        let secret = ApiKey::Header(ApiKeyValue::new("api-secret"));
        components.add_security_scheme("api-secret", SecurityScheme::ApiKey(secret));
        let cookie = ApiKey::Cookie(ApiKeyValue::new(super::caller::COOKIE));
        components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    }
}

/// The document as it is checked in.
pub fn document() -> String {
    let mut text = Document::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

pub(super) fn routes(config: &mut ServiceConfig) {
    let page = SwaggerUi::new("/{_:.*}").config(Config::new(["/openapi.json"]));
    config
        .route("/openapi.json", web::get().to(openapi))
        .route("/docs", web::get().to(to_page))
        .service(web::scope("/docs").wrap(from_fn(known_callers_only)).service(page));
}

async fn openapi(_: Caller) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document())
}

async fn known_callers_only(
    _: Caller,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    next.call(request).await
}

async fn to_page() -> HttpResponse {
    HttpResponse::SeeOther().insert_header(("Location", "/docs/")).finish()
}
