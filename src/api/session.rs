//! Signing in and out of the server's own pages; one's sessions and one's password.

use actix_web::cookie::{Cookie, SameSite, time::Duration};
use actix_web::http::header;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{COOKIE, SignedIn, not_forged, session_token};
use super::reply::{Answer, NO_STORE, at};
use super::{Shared, body};
use crate::auth::password::session_hash;
use crate::error::Error;
use crate::fhir::time;
use crate::store::Session;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(at("/login", "POST").route(web::post().to(login)))
        .service(at("/logout", "POST").route(web::post().to(logout)))
        .service(at("/me", "GET").route(web::get().to(me)))
        .service(at("/password", "POST").route(web::post().to(change_password)))
        .service(at("/sessions", "GET").route(web::get().to(sessions)))
        .service(at("/sessions/{id}", "DELETE").route(web::delete().to(end)));
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
    let agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = state.sessions.sign_in(&credentials.username, &credentials.password, agent).await?;
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

/// A password in place of another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    old: String,
    new: String,
}

/// A browser that is signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct Open {
    id: String,
    opened: String,
    expires: String,
    /// What the browser says it is.
    agent: String,
    /// The one that asks.
    current: bool,
}

/// Sets another password of one's own. All other sessions, and what apps were granted, end.
#[utoipa::path(post, path = "/auth/password", tag = "session", request_body = Change, responses(
    (status = 204), (status = 403, description = "The old password is wrong"), (status = 422, description = "The new one is too short")))]
pub(crate) async fn change_password(
    state: Shared,
    request: HttpRequest,
    SignedIn(person): SignedIn,
    payload: web::Payload,
) -> Answer {
    let bytes = body::read(&request, payload, body::SMALL).await?;
    let Change { old, new } = serde_json::from_slice(&bytes)
        .map_err(|_| Error::invalid("structure", "http.body", "expected {\"old\": …, \"new\": …}"))?;
    let token = session_token(&request).ok_or(Error::Unauthenticated(None))?;
    state.sessions.change_password(&person, &token, &old, &new).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Where one is signed in, the newest first.
#[utoipa::path(get, path = "/auth/sessions", tag = "session", responses((status = 200, body = Vec<Open>)))]
pub(crate) async fn sessions(state: Shared, request: HttpRequest, SignedIn(person): SignedIn) -> Answer {
    let own = session_token(&request).map(|token| session_hash(&token));
    let open = state.sessions.of(&person).await?.into_iter().map(|session| Open {
        id: name(&session),
        opened: time::instant(session.opened),
        expires: time::instant(session.expires),
        current: own.is_some_and(|own| session.hash == own),
        agent: session.agent,
    });
    let open: Vec<Open> = open.collect();
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(open))
}

/// Signs another browser of one's own out.
#[utoipa::path(delete, path = "/auth/sessions/{id}", tag = "session", params(("id" = String, Path)),
    responses((status = 204), (status = 404, description = "None such")))]
pub(crate) async fn end(state: Shared, path: web::Path<String>, SignedIn(person): SignedIn) -> Answer {
    let open = state.sessions.of(&person).await?;
    let session = open.iter().find(|session| name(session) == *path);
    state.sessions.end(session.ok_or_else(|| Error::not_found("Session", path.into_inner()))?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A part of the hash of its token: tells sessions apart, opens none.
fn name(session: &Session) -> String {
    URL_SAFE_NO_PAD.encode(session.hash.get(..9).unwrap_or_default())
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
