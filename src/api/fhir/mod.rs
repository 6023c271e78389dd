//! `/fhir`: the REST API of FHIR R4, for every resource type by the same handlers.

pub(crate) mod bundle;
pub(crate) mod history;
mod look;
pub(crate) mod metadata;
pub(crate) mod operation;
mod patch;
pub(crate) mod read;
pub(crate) mod search;
pub(crate) mod write;

use actix_web::web::{self, ServiceConfig};
use actix_web::{Resource, Route, guard};

use super::reply::{at, of, unknown_address};
use super::smart;
use crate::error::Error;

const LOOK: &str = "GET, HEAD";

/// Every address. What can be read can also be asked for its headers alone.
pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(at("/metadata", LOOK).route(look().to(metadata::metadata)))
        .service(at("/.well-known/smart-configuration", LOOK).route(look().to(smart::discovery::smart)))
        .service(
            of(web::resource(["", "/"]), "GET, HEAD, POST")
                .route(look().to(search::system_by_url))
                .route(web::post().to(bundle::process)),
        )
        .service(at("/_search", "POST").route(web::post().to(search::system_by_form)))
        .service(at("/_history", LOOK).route(look().to(history::system)))
        .service(operation("/${operation}", web::to(operation::on_system)))
        .service(operation("/{kind}/${operation}", web::to(operation::on_type)))
        .service(operation("/{kind}/{id}/${operation}", web::to(operation::on_instance)))
        .service(
            at("/{kind}", "GET, HEAD, POST, PUT, PATCH, DELETE")
                .route(look().to(search::by_url))
                .route(web::post().to(write::create))
                .route(web::put().to(write::conditional::update))
                .route(web::patch().to(write::conditional::patch))
                .route(web::delete().to(write::conditional::delete)),
        )
        .service(at("/{kind}/_search", "POST").route(web::post().to(search::by_form)))
        .service(at("/{kind}/_history", LOOK).route(look().to(history::of_type)))
        .service(
            at("/{kind}/{id}", "GET, HEAD, PUT, PATCH, DELETE")
                .route(look().to(read::read))
                .route(web::put().to(write::update))
                .route(web::patch().to(write::patch))
                .route(web::delete().to(write::delete)),
        )
        .service(at("/{kind}/{id}/_history", LOOK).route(look().to(history::of_instance)))
        .service(at("/{kind}/{id}/_search", "POST").route(web::post().to(search::whole_compartment_by_form)))
        .service(at("/{kind}/{id}/_history/{version}", LOOK).route(look().to(read::version)))
        .service(at("/{kind}/{id}/{member}", LOOK).route(look().to(search::compartment_by_url)))
        .service(at("/{kind}/{id}/{member}/_search", "POST").route(web::post().to(search::compartment_by_form)))
        .default_service(web::to(unknown_address));
}

/// GET, and HEAD, which is the same without the body.
fn look() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// Which methods an operation takes is its own to say.
fn operation(path: &str, route: Route) -> Resource {
    web::resource(path).route(route)
}

/// The resource type of an address, as the tables spell it.
fn kind(text: &str) -> Result<&'static str, Error> {
    let index = fhir_r4::resource_type_index(text).ok_or_else(|| Error::UnknownType(text.to_owned()))?;
    fhir_r4::resource_types().get(index).copied().ok_or(Error::UnknownEndpoint)
}
