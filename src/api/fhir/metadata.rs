//! `GET /fhir/metadata`: what this server can do. The one FHIR address that needs no authentication.

use actix_web::{HttpRequest, HttpResponse};

use crate::api::Shared;
use crate::api::reply::{Answer, resource};
use crate::fhir::capability;

/// The `CapabilityStatement`.
#[utoipa::path(get, path = "/fhir/metadata", tag = "fhir", responses(
    (status = 200, content_type = "application/fhir+json", description = "CapabilityStatement")))]
pub(crate) async fn metadata(state: Shared, request: HttpRequest) -> Answer {
    let statement = capability::statement(&state.store.params(), &state.fhir_base(), &state.settings.started);
    resource(&request, HttpResponse::Ok(), statement)
}
