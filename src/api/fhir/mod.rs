//! `/fhir`: the REST API of FHIR R4, for every resource type by the same handlers.

pub(crate) mod bundle;
pub(crate) mod history;
pub(crate) mod metadata;
pub(crate) mod operation;
pub(crate) mod read;
pub(crate) mod search;
pub(crate) mod write;

use actix_web::web::{self, ServiceConfig};
use actix_web::{Resource, Route};

use super::reply::{unknown_address, wrong_method};
use crate::error::Error;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/metadata").route(web::get().to(metadata::metadata)).default_service(web::to(wrong_method)),
        )
        .service(web::resource(["", "/"]).route(web::post().to(bundle::process)).default_service(web::to(wrong_method)))
        .service(
            web::resource("/_history").route(web::get().to(history::system)).default_service(web::to(wrong_method)),
        )
        .service(operation("/${operation}", web::to(operation::on_system)))
        .service(operation("/{kind}/${operation}", web::to(operation::on_type)))
        .service(operation("/{kind}/{id}/${operation}", web::to(operation::on_instance)))
        .service(
            web::resource("/{kind}")
                .route(web::get().to(search::by_url))
                .route(web::post().to(write::create))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/{kind}/_search")
                .route(web::post().to(search::by_form))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/{kind}/_history")
                .route(web::get().to(history::of_type))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/{kind}/{id}")
                .route(web::get().to(read::read))
                .route(web::put().to(write::update))
                .route(web::delete().to(write::delete))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/{kind}/{id}/_history")
                .route(web::get().to(history::of_instance))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/{kind}/{id}/_history/{version}")
                .route(web::get().to(read::version))
                .default_service(web::to(wrong_method)),
        )
        .default_service(web::to(unknown_address));
}

/// Which methods an operation takes is its own to say.
fn operation(path: &str, route: Route) -> Resource {
    web::resource(path).route(route)
}

/// The resource type of an address, as the tables spell it.
fn kind(text: &str) -> Result<&'static str, Error> {
    let index = fhir_r4::resource_type_index(text).ok_or(Error::UnknownEndpoint)?;
    fhir_r4::resource_types().get(index).copied().ok_or(Error::UnknownEndpoint)
}
