//! Signing in and out of the server's own pages.

use actix_web::cookie::{Cookie, SameSite, time::Duration};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{COOKIE, SignedIn, not_forged, session_token};
use super::reply::{Answer, NO_STORE, at};
use super::{Shared, body};
use crate::error::Error;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(at("/login", "POST").route(web::post().to(login)))
        .service(at("/logout", "POST").route(web::post().to(logout)))
        .service(at("/me", "GET").route(web::get().to(me)));
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    username: String,
    password: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    username: String,
    name: String,
    /// administrator, clinician or device
    role: &'static str,
}

/// Opens a session: the answer sets its cookie. Needs the header `X-Requested-With: vigia`.
#[utoipa::path(post, path = "/auth/login", tag = "session", request_body = Credentials, responses(
    (status = 204, description = "Signed in; the session cookie is set"),
    (status = 401, description = "User name or password is wrong"),
    (status = 429, description = "Too many failures; try again after Retry-After")))]
pub(crate) async fn login(state: Shared, request: HttpRequest, payload: web::Payload) -> Answer {
    not_forged(&request)?;
    let bytes = body::read(&request, payload, body::SMALL).await?;
    let credentials: Credentials = serde_json::from_slice(&bytes)
        .map_err(|_| Error::invalid("structure", "http.body", "expected {\"username\": …, \"password\": …}"))?;
    let token = state.sessions.sign_in(&credentials.username, &credentials.password).await?;
    let lifetime = i64::try_from(state.settings.session_lifetime_s).unwrap_or(i64::MAX);
    Ok(HttpResponse::NoContent().cookie(cookie(&state, token, Duration::seconds(lifetime))).finish())
}

/// Ends the session.
#[utoipa::path(post, path = "/auth/logout", tag = "session", responses((status = 204, description = "Signed out")))]
pub(crate) async fn logout(state: Shared, request: HttpRequest) -> Answer {
    not_forged(&request)?;
    if let Some(token) = session_token(&request) {
        state.sessions.sign_out(&token).await?;
    }
    Ok(HttpResponse::NoContent().cookie(cookie(&state, String::new(), Duration::ZERO)).finish())
}

/// Who is signed in.
#[utoipa::path(get, path = "/auth/me", tag = "session", responses(
    (status = 200, body = Me), (status = 401, description = "Nobody is")))]
pub(crate) async fn me(SignedIn(person): SignedIn) -> Answer {
    let me = Me { username: person.username, name: person.name, role: person.role.name() };
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(me))
}

fn cookie(state: &Shared, token: String, age: Duration) -> Cookie<'static> {
    Cookie::build(COOKIE, token)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(state.settings.secure_cookies)
        .max_age(age)
        .finish()
}
