//! `/auth` for apps: SMART App Launch over HTTP. What is decided is decided in `auth::smart`; here are forms, pages,
//! statuses and headers.

pub(crate) mod authorize;
pub(crate) mod clients;
pub(crate) mod cors;
pub(crate) mod discovery;
pub(crate) mod grants;
pub(crate) mod launch;
pub(crate) mod token;

use actix_web::http::{StatusCode, header};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::reply::{Answer, NO_STORE, at};
use crate::auth::smart::proof::Credentials;
use crate::auth::smart::refusal::{Failure, Refusal};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(
            at("/authorize", "GET, POST")
                .route(web::get().to(authorize::by_address))
                .route(web::post().to(authorize::by_form)),
        )
        .service(
            at("/authorize/{request}", "GET, POST, DELETE")
                .route(web::get().to(authorize::offer))
                .route(web::post().to(authorize::agree))
                .route(web::delete().to(authorize::refuse)),
        )
        .service(at("/token", "POST").route(web::post().to(token::token)))
        .service(at("/introspect", "POST").route(web::post().to(token::introspect)))
        .service(at("/revoke", "POST").route(web::post().to(token::revoke)))
        .service(at("/jwks", "GET").route(web::get().to(discovery::jwks)))
        .service(at("/launch", "POST").route(web::post().to(launch::launch)))
        .service(at("/apps", "GET").route(web::get().to(launch::apps)))
        .service(at("/grants", "GET").route(web::get().to(grants::list)))
        .service(at("/grants/{id}", "DELETE").route(web::delete().to(grants::end)))
        .service(
            at("/clients", "GET, POST").route(web::get().to(clients::list)).route(web::post().to(clients::register)),
        )
        .service(
            at("/clients/{id}", "GET, PUT, DELETE")
                .route(web::get().to(clients::one))
                .route(web::put().to(clients::change))
                .route(web::delete().to(clients::disable)),
        )
        .service(at("/clients/{id}/secret", "POST").route(web::post().to(clients::secret)));
}

/// RFC 6749, section 5.2.
#[derive(Serialize, ToSchema)]
pub(crate) struct Refused {
    error: &'static str,
    error_description: String,
}

/// A refusal as OAuth says it. `basic`: the client tried to prove itself in the header `Authorization`.
fn refused(refusal: Refusal, basic: bool) -> HttpResponse {
    let Refusal { error, description: error_description } = refusal;
    let unknown = error == "invalid_client";
    let mut answer = HttpResponse::build(if unknown { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST });
    if unknown && basic {
        answer.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"vigia\""));
    }
    answer.insert_header(NO_STORE).insert_header(NO_CACHE).json(Refused { error, error_description })
}

/// RFC 6749, 5.1, for what is older than HTTP/1.1.
const NO_CACHE: (&str, &str) = ("Pragma", "no-cache");

/// What an answer is, or why there is none.
fn told<T: Serialize>(answer: Result<T, Failure>, basic: bool) -> Answer {
    match answer {
        Ok(answer) => Ok(HttpResponse::Ok().insert_header(NO_STORE).insert_header(NO_CACHE).json(answer)),
        Err(Failure::Refused(refusal)) => Ok(refused(refusal, basic)),
        Err(Failure::Error(error)) => Err(error),
    }
}

/// A form of the token endpoint and its neighbours: known parameters, none of them twice.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(body).into_owned() {
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(Refusal::request("a parameter stands twice"));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    fn optional(&self, name: &str) -> Option<String> {
        Some(self.get(name)).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    fn needed(&self, name: &str) -> Result<&str, Refusal> {
        match self.get(name) {
            "" => Err(Refusal::request(format!("{name} is missing"))),
            value => Ok(value),
        }
    }

    /// What a client proves itself with.
    fn credentials(&self, request: &HttpRequest) -> Credentials {
        Credentials {
            basic: basic(request),
            client_id: self.optional("client_id"),
            assertion_type: self.optional("client_assertion_type"),
            assertion: self.optional("client_assertion"),
        }
    }
}

/// What stands behind `Authorization: Basic`.
fn basic(request: &HttpRequest) -> Option<String> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then(|| rest.to_owned())
}
