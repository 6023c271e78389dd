//! The OpenAPI document, made of the handlers' own annotations, and its page.

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_swagger_ui::SwaggerUi;

use super::{device, fhir, health, live, session};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Vigía",
        description = "A FHIR-native, real-time patient-monitoring and interoperability server. The FHIR API serves every R4 resource type; /fhir/metadata says what each can do."
    ),
    paths(
        fhir::metadata::metadata, fhir::bundle::process, fhir::read::read, fhir::read::version,
        fhir::write::create, fhir::write::update, fhir::write::delete,
        fhir::search::by_url, fhir::search::by_form,
        fhir::history::of_instance, fhir::history::of_type, fhir::history::system,
        device::observations, live::events, live::series,
        session::login, session::logout, session::me,
        health::live, health::ready, health::metrics,
    ),
    modifiers(&Security),
    security(("token" = []), ("session" = [])),
    tags(
        (name = "fhir", description = "FHIR R4 REST"),
        (name = "device", description = "Readings from devices"),
        (name = "live", description = "The ward as it is now"),
        (name = "session", description = "Signing in"),
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
    config
        .route("/docs", web::get().to(to_page))
        .service(SwaggerUi::new("/docs/{_:.*}").url("/openapi.json", Document::openapi()));
}

async fn to_page() -> HttpResponse {
    HttpResponse::SeeOther().insert_header(("Location", "/docs/")).finish()
}
