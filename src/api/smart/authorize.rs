//! The authorization endpoint: an app sends its user here, the user is asked on a page of ours (`/consent`), and goes
//! back to the app with a code. The page asks and answers by the addresses below `/auth/authorize/`.

use actix_web::http::header;
use actix_web::web::{self, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::caller::{SignedIn, session_token};
use super::super::pages::POLICY;
use super::super::reply::{Answer, NO_STORE};
use super::super::{Shared, body};
use crate::auth::password;
use crate::auth::smart::consent::{Decision, Offer};
use crate::auth::smart::refusal::Refusal;
use crate::auth::smart::request::Asked;
use crate::error::Error;

/// An address that is longer is no request of an app.
const MAX_QUERY: usize = 16 << 10;

/// Where the browser goes.
#[derive(Serialize, ToSchema)]
pub(crate) struct Onward {
    location: String,
}

/// Asks for leave (SMART App Launch 2.2): the user's browser comes here and is sent on.
#[utoipa::path(get, path = "/auth/authorize", tag = "smart",
    params(("response_type" = String, Query, description = "code"), ("client_id" = String, Query),
           ("redirect_uri" = String, Query), ("scope" = String, Query), ("state" = String, Query),
           ("aud" = String, Query, description = "The FHIR endpoint"), ("launch" = Option<String>, Query),
           ("code_challenge" = String, Query), ("code_challenge_method" = String, Query, description = "S256")),
    responses((status = 303, description = "To the page that asks the user, or back to the app with what is wrong"),
              (status = 400, description = "Not an app of this server, or not an address of it")))]
pub(crate) async fn by_address(state: Shared, request: HttpRequest) -> Answer {
    if request.query_string().len() > MAX_QUERY {
        return Ok(told(&Refusal::request("the address is too long")));
    }
    go(&state, request.query_string()).await
}

/// The same, as a form.
#[utoipa::path(post, path = "/auth/authorize", tag = "smart",
    responses((status = 303, description = "To the page that asks the user, or back to the app with what is wrong"),
              (status = 400, description = "Not an app of this server, or not an address of it")))]
pub(crate) async fn by_form(state: Shared, request: HttpRequest, payload: web::Payload) -> Answer {
    let bytes = body::read(&request, payload, MAX_QUERY).await?;
    match std::str::from_utf8(&bytes) {
        Ok(raw) => go(&state, raw).await,
        Err(_) => Ok(told(&Refusal::request("the form cannot be read"))),
    }
}

async fn go(state: &Shared, raw: &str) -> Answer {
    let location = match state.smart.ask(raw).await? {
        Asked::Waiting(handle) => format!("/consent#{handle}"),
        Asked::Redirect(location) => location,
        Asked::Page(refusal) => return Ok(told(&refusal)),
    };
    Ok(HttpResponse::SeeOther().insert_header((header::LOCATION, location)).insert_header(NO_STORE).finish())
}

/// A page for whoever came by a link that is not to be followed back.
fn told(refusal: &Refusal) -> HttpResponse {
    let plain = refusal.description.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Vigía</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"stylesheet\" href=\"/ui/css/base.css\"><link rel=\"stylesheet\" href=\"/ui/css/login.css\"></head>\n\
         <body><main class=\"login-card\"><h1>This app cannot be started · <span lang=\"es\">Esta aplicación no se puede iniciar</span></h1>\
         <p>{}: {plain}</p></main></body>\n</html>\n",
        refusal.error
    );
    HttpResponse::BadRequest()
        .content_type("text/html; charset=utf-8")
        .insert_header(NO_STORE)
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(page)
}

/// What the user is asked.
#[utoipa::path(get, path = "/auth/authorize/{request}", tag = "smart", params(("request" = String, Path)),
    responses((status = 200, body = Offer), (status = 401, description = "Nobody is signed in"),
              (status = 409, description = "Answered, or too old")))]
pub(crate) async fn offer(state: Shared, path: Path<String>, SignedIn(person): SignedIn) -> Answer {
    let offer = state.smart.offer(&path, &person).await?;
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(offer))
}

/// The user agrees.
#[utoipa::path(post, path = "/auth/authorize/{request}", tag = "smart", params(("request" = String, Path)),
    request_body = Decision, responses((status = 200, body = Onward), (status = 409, description = "Answered, or too old")))]
pub(crate) async fn agree(
    state: Shared,
    request: HttpRequest,
    path: Path<String>,
    SignedIn(person): SignedIn,
    payload: web::Payload,
) -> Answer {
    let bytes = body::read(&request, payload, body::SMALL).await?;
    let decision: Decision = serde_json::from_slice(&bytes)
        .map_err(|_| Error::invalid("structure", "http.body", "a decision is expected"))?;
    let session = session_token(&request).ok_or(Error::Unauthenticated(None))?;
    let location = state.smart.agree(&path, &person, &password::session_hash(&session), decision).await?;
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(Onward { location }))
}

/// The user does not agree.
#[utoipa::path(delete, path = "/auth/authorize/{request}", tag = "smart", params(("request" = String, Path)),
    responses((status = 200, body = Onward), (status = 409, description = "Answered, or too old")))]
pub(crate) async fn refuse(state: Shared, path: Path<String>, SignedIn(person): SignedIn) -> Answer {
    let location = state.smart.refuse(&path, &person).await?;
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(Onward { location }))
}
