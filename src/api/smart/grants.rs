//! What the user who is signed in has granted to apps: seen, and ended.

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::Shared;
use super::super::caller::SignedIn;
use super::super::reply::{Answer, NO_STORE};
use crate::auth::smart::grant::Granted;
use crate::error::Error;
use crate::fhir::time;

#[derive(Serialize, ToSchema)]
pub(crate) struct Given {
    id: String,
    client_id: String,
    client_name: String,
    scope: String,
    patient: Option<String>,
    since: String,
    until: String,
}

/// The user's own grants, the newest first.
#[utoipa::path(get, path = "/auth/grants", tag = "smart", responses((status = 200, body = Vec<Given>)))]
pub(crate) async fn list(state: Shared, SignedIn(person): SignedIn) -> Answer {
    let mut all = Vec::new();
    for grant in state.store.grants_of(&person.id, state.store.clock().now()).await? {
        let granted: Granted = serde_json::from_str(&grant.body).map_err(Error::internal)?;
        let client = state.smart.clients.find(&grant.client).await?;
        all.push(Given {
            id: grant.id,
            client_name: client.map_or_else(|| grant.client.clone(), |client| client.registration.client_name.clone()),
            client_id: grant.client,
            scope: granted.scope,
            patient: granted.context.patient,
            since: time::instant(grant.created),
            until: time::instant(grant.expires),
        });
    }
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(all))
}

/// Ends one: all tokens that came of it.
#[utoipa::path(delete, path = "/auth/grants/{id}", tag = "smart", params(("id" = String, Path)),
    responses((status = 204), (status = 404, description = "No grant of this user")))]
pub(crate) async fn end(state: Shared, path: Path<String>, SignedIn(person): SignedIn) -> Answer {
    let own = state.store.grants_of(&person.id, state.store.clock().now()).await?;
    if !own.iter().any(|grant| grant.id == *path) {
        return Err(Error::not_found("Grant", path.into_inner()));
    }
    state.smart.end_grant(path.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}
