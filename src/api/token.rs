//! The token endpoint of OAuth 2.0: a device signs who it is and gets a token for some minutes.

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::reply::{Answer, NO_STORE, at};
use super::{Shared, body};
use crate::auth::access::DEVICE_SCOPES;
use crate::auth::device::assertion::TOKEN_S;
use crate::error::Error;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(at("/token", "POST").route(web::post().to(token)));
}

#[derive(Default, ToSchema)]
pub(crate) struct TokenRequest {
    /// `client_credentials`
    grant_type: String,
    scope: String,
    client_assertion_type: String,
    client_assertion: String,
}

impl TokenRequest {
    /// None when a parameter stands twice; others mean nothing.
    fn read(form: &[u8]) -> Option<Self> {
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(form) {
            let slot = match name.as_ref() {
                "grant_type" => &mut read.grant_type,
                "scope" => &mut read.scope,
                "client_assertion_type" => &mut read.client_assertion_type,
                "client_assertion" => &mut read.client_assertion,
                _ => continue,
            };
            if !slot.is_empty() {
                return None;
            }
            *slot = value.into_owned();
        }
        Some(read)
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Granted {
    access_token: String,
    /// bearer
    token_type: &'static str,
    /// s
    expires_in: i64,
    scope: &'static str,
}

/// RFC 6749, section 5.2.
#[derive(Serialize, ToSchema)]
pub(crate) struct Refused {
    error: &'static str,
    error_description: String,
}

/// A token for a device, for an assertion that its key has signed (`private_key_jwt`, ES256 or `EdDSA`).
#[utoipa::path(post, path = "/auth/token", tag = "device",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Granted), (status = 400, body = Refused), (status = 401, body = Refused)))]
pub(crate) async fn token(state: Shared, request: HttpRequest, payload: web::Payload) -> Answer {
    let bytes = body::read(&request, payload, body::SMALL).await?;
    let Some(form) = TokenRequest::read(&bytes) else {
        return Ok(refuse(400, "invalid_request", "a parameter stands twice"));
    };
    if form.grant_type != "client_credentials" {
        return Ok(refuse(400, "unsupported_grant_type", "client_credentials is taken"));
    }
    if form.client_assertion_type != JWT_BEARER || form.client_assertion.is_empty() {
        return Ok(refuse(400, "invalid_request", "client_assertion and its type are needed"));
    }
    if !form.scope.split_ascii_whitespace().all(|scope| scope == DEVICE_SCOPES) {
        return Ok(refuse(400, "invalid_scope", DEVICE_SCOPES));
    }
    let audience = format!("{}/auth/token", state.settings.public_url);
    let keys = state.verifier.keys();
    let claims = match state.devices.asserted(&form.client_assertion, &audience, keys).await {
        Ok(claims) => claims,
        Err(Error::Unauthenticated(why)) => return Ok(refuse(401, "invalid_client", why.unwrap_or_default())),
        Err(error) => return Err(error),
    };
    let access_token = keys.mint(&claims).map_err(Error::internal)?;
    let token = Granted { access_token, token_type: "bearer", expires_in: TOKEN_S, scope: DEVICE_SCOPES };
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(token))
}

fn refuse(status: u16, error: &'static str, why: &str) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(status).unwrap_or(actix_web::http::StatusCode::BAD_REQUEST);
    let refused = Refused { error, error_description: why.to_owned() };
    HttpResponse::build(status).insert_header(NO_STORE).json(refused)
}
