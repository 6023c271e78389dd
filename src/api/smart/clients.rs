//! Registering apps and services: for administrators.

use actix_web::web::{self, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::caller::Caller;
use super::super::reply::{Answer, NO_STORE};
use super::super::{Shared, body};
use crate::auth::smart::client::Client;
use crate::auth::smart::registration::Registration;
use crate::error::Error;
use crate::fhir::time;

/// Key sets are larger than forms.
const MAX_BODY: usize = 256 << 10;

/// A client as it is registered.
#[derive(Serialize, ToSchema)]
pub(crate) struct Told {
    client_id: String,
    /// Shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled: Option<String>,
    #[serde(flatten)]
    registration: Registration,
}

/// A client to be registered.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Wish {
    /// Of one's own choice; made when not given.
    client_id: Option<String>,
    #[serde(flatten)]
    registration: serde_json::Map<String, serde_json::Value>,
}

fn told(client: Client, client_secret: Option<String>) -> Told {
    let Client { id, registration, created, disabled, .. } = client;
    Told {
        client_id: id,
        client_secret,
        since: time::instant(created),
        disabled: disabled.map(time::instant),
        registration,
    }
}

fn allowed(caller: &Caller) -> Result<(), Error> {
    if caller.is_administrator() {
        return Ok(());
    }
    Err(Error::Forbidden("Apps are registered by administrators.".to_owned()))
}

async fn read(request: &HttpRequest, payload: web::Payload) -> Result<(Option<String>, Registration), Error> {
    let bytes = body::read(request, payload, MAX_BODY).await?;
    let unreadable = |error: serde_json::Error| Error::invalid("structure", "http.body", error.to_string());
    let wish: Wish = serde_json::from_slice(&bytes).map_err(unreadable)?;
    let registration = serde_json::from_value(wish.registration.into()).map_err(unreadable)?;
    Ok((wish.client_id, registration))
}

/// All clients, the newest first.
#[utoipa::path(get, path = "/auth/clients", tag = "smart", responses((status = 200, body = Vec<Told>)))]
pub(crate) async fn list(state: Shared, caller: Caller) -> Answer {
    allowed(&caller)?;
    let all: Vec<Told> = state.smart.clients.all().await?.into_iter().map(|client| told(client, None)).collect();
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(all))
}

/// Registers a client, with the metadata of RFC 7591.
#[utoipa::path(post, path = "/auth/clients", tag = "smart", request_body = Registration,
    responses((status = 201, body = Told), (status = 409, description = "The id is taken"), (status = 422, description = "Not safe, or it could not work")))]
pub(crate) async fn register(state: Shared, request: HttpRequest, caller: Caller, payload: web::Payload) -> Answer {
    allowed(&caller)?;
    let (id, registration) = read(&request, payload).await?;
    let made = state.smart.clients.register(id, registration, &caller.principal().to_string()).await?;
    Ok(HttpResponse::Created().insert_header(NO_STORE).json(told(made.client, made.secret)))
}

/// One client.
#[utoipa::path(get, path = "/auth/clients/{id}", tag = "smart", params(("id" = String, Path)),
    responses((status = 200, body = Told), (status = 404, description = "None such")))]
pub(crate) async fn one(state: Shared, path: Path<String>, caller: Caller) -> Answer {
    allowed(&caller)?;
    let found = state.smart.clients.find(&path).await?.ok_or_else(|| Error::not_found("Client", path.into_inner()))?;
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(told((*found).clone(), None)))
}

/// Registers a client anew, under the same id.
#[utoipa::path(put, path = "/auth/clients/{id}", tag = "smart", params(("id" = String, Path)), request_body = Registration,
    responses((status = 200, body = Told), (status = 404, description = "None such"), (status = 409, description = "It would be another client")))]
pub(crate) async fn change(
    state: Shared,
    request: HttpRequest,
    path: Path<String>,
    caller: Caller,
    payload: web::Payload,
) -> Answer {
    allowed(&caller)?;
    let (_, registration) = read(&request, payload).await?;
    let client = state.smart.clients.change(&path, registration).await?;
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(told(client, None)))
}

/// Shuts a client out; all that it was granted ends.
#[utoipa::path(delete, path = "/auth/clients/{id}", tag = "smart", params(("id" = String, Path)),
    responses((status = 204), (status = 404, description = "None such")))]
pub(crate) async fn disable(state: Shared, path: Path<String>, caller: Caller) -> Answer {
    allowed(&caller)?;
    state.smart.disable_client(&path).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Another secret; the old one is no longer good.
#[utoipa::path(post, path = "/auth/clients/{id}/secret", tag = "smart", params(("id" = String, Path)),
    responses((status = 200, description = "client_secret, shown this once"), (status = 409, description = "It has none")))]
pub(crate) async fn secret(state: Shared, path: Path<String>, caller: Caller) -> Answer {
    allowed(&caller)?;
    let secret = state.smart.clients.new_secret(&path).await?;
    Ok(HttpResponse::Ok()
        .insert_header(NO_STORE)
        .json(serde_json::json!({"client_id": *path, "client_secret": secret})))
}
