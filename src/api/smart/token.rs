//! The token endpoint of OAuth 2.0, introspection and revocation. Devices ask here as well: with an assertion that their
//! own key has signed.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::super::caller::Caller;
use super::super::reply::Answer;
use super::super::{Shared, body};
use super::{Form, Refused, told};
use crate::auth::access::{DEVICE_SCOPES, Principal};
use crate::auth::assertion::{self, JWT_BEARER};
use crate::auth::device::assertion::TOKEN_S;
use crate::auth::smart::refusal::{Failure, Refusal};
use crate::auth::smart::token::Answer as Token;
use crate::error::Error;

/// What stands in the form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the OpenAPI document is made of it")]
pub(crate) struct TokenRequest {
    /// `authorization_code`, `refresh_token` or `client_credentials`
    grant_type: String,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
    refresh_token: Option<String>,
    scope: Option<String>,
    client_id: Option<String>,
    client_assertion_type: Option<String>,
    client_assertion: Option<String>,
}

/// What is answered; the launch context (`patient`, `encounter`, `fhirContext` …) stands beside.
#[derive(Serialize, ToSchema)]
pub(crate) struct Granted {
    access_token: String,
    /// Bearer
    token_type: &'static str,
    /// s
    expires_in: i64,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
}

/// One token to be looked at, or ended.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the OpenAPI document is made of it")]
pub(crate) struct OneToken {
    token: String,
    token_type_hint: Option<String>,
    client_id: Option<String>,
    client_assertion_type: Option<String>,
    client_assertion: Option<String>,
}

/// A token: for a code or a refresh token of a SMART app, for the assertion of a service (RS384, ES384), or for that of a
/// device (ES256, `EdDSA`).
#[utoipa::path(post, path = "/auth/token", tag = "smart",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Granted), (status = 400, body = Refused), (status = 401, body = Refused)))]
pub(crate) async fn token(state: Shared, request: HttpRequest, payload: web::Payload) -> Answer {
    let bytes = body::read(&request, payload, body::SMALL).await?;
    let form = match Form::read(&bytes) {
        Ok(form) => form,
        Err(refusal) => return told::<Token>(Err(refusal.into()), false),
    };
    let basic = super::basic(&request).is_some();
    if let Some(device) = device(&state, &form).await? {
        return told(device, basic);
    }
    told(granted(&state, &request, &form).await, basic)
}

async fn granted(state: &Shared, request: &HttpRequest, form: &Form) -> Result<Token, Failure> {
    let grant_type = form.needed("grant_type")?;
    if !["authorization_code", "refresh_token", "client_credentials"].contains(&grant_type) {
        let why = "authorization_code, refresh_token and client_credentials are taken";
        return Err(Refusal::new("unsupported_grant_type", why).into());
    }
    let smart = &state.smart;
    let client = smart.client_of(&form.credentials(request)).await?;
    if grant_type == "refresh_token" {
        return smart.refresh(client.as_deref(), form.needed("refresh_token")?, form.get("scope")).await;
    }
    let client = client.ok_or_else(|| Refusal::client("the client does not say who it is"))?;
    if grant_type == "client_credentials" {
        return smart.serve(&client, form.needed("scope")?).await;
    }
    let (code, verifier) = (form.needed("code")?, form.needed("code_verifier")?);
    smart.exchange(&client, code, form.needed("redirect_uri")?, verifier).await
}

/// A device's token, when the assertion is a device's.
async fn device(state: &Shared, form: &Form) -> Result<Option<Result<Granted, Failure>>, Error> {
    if form.get("grant_type") != "client_credentials" || form.get("client_assertion_type") != JWT_BEARER {
        return Ok(None);
    }
    let text = form.get("client_assertion");
    let Ok(named) = assertion::look(text) else { return Ok(None) };
    if !state.devices.is_signer(&named.issuer).await? {
        return Ok(None);
    }
    if !form.get("scope").split_ascii_whitespace().all(|scope| scope == DEVICE_SCOPES) {
        return Ok(Some(Err(Refusal::scope(format!("a device may have {DEVICE_SCOPES}")).into())));
    }
    let keys = state.verifier.keys();
    let claims = match state.devices.asserted(text, &state.smart.token_url(), keys).await {
        Ok(claims) => claims,
        Err(Error::Unauthenticated(why)) => return Ok(Some(Err(Refusal::client(why.unwrap_or_default()).into()))),
        Err(error) => return Err(error),
    };
    Ok(Some(Ok(Granted {
        access_token: keys.mint(&claims).map_err(Error::internal)?,
        token_type: "bearer",
        expires_in: TOKEN_S,
        scope: DEVICE_SCOPES.to_owned(),
        refresh_token: None,
        id_token: None,
    })))
}

/// What a token is worth (RFC 7662). Who asks proves itself as a client does, or by a bearer token.
#[utoipa::path(post, path = "/auth/introspect", tag = "smart",
    request_body(content = OneToken, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "active, and what it was given for"), (status = 401, body = Refused)))]
pub(crate) async fn introspect(
    state: Shared,
    request: HttpRequest,
    caller: Result<Caller, Error>,
    payload: web::Payload,
) -> Answer {
    let bytes = body::read(&request, payload, body::SMALL).await?;
    let form = match Form::read(&bytes) {
        Ok(form) => form,
        Err(refusal) => return told::<Value>(Err(refusal.into()), false),
    };
    let asker = match caller {
        Ok(caller) => asker(&caller),
        Err(_) => match client(&state, &request, &form).await {
            Ok(asker) => asker,
            Err(Failure::Error(error)) => return Err(error),
            Err(refused) => return told::<Value>(Err(refused), super::basic(&request).is_some()),
        },
    };
    told(Ok(state.smart.introspect(form.get("token"), asker.as_deref()).await?), false)
}

/// An app asks about its own tokens; a service of this house about any.
fn asker(caller: &Caller) -> Option<String> {
    match caller.principal() {
        Principal::User { .. } if !caller.is_administrator() => Some(caller.client().unwrap_or_default().to_owned()),
        Principal::Device { credential, .. } => Some(credential.clone()),
        _ => None,
    }
}

async fn client(state: &Shared, request: &HttpRequest, form: &Form) -> Result<Option<String>, Failure> {
    let client = state.smart.client_of(&form.credentials(request)).await?;
    let client = client.ok_or_else(|| Refusal::client("whoever asks must prove itself"))?;
    // Anybody can say the name of a public client: it learns of its own tokens only.
    let public = !client.registration.is_confidential();
    Ok(public.then(|| client.id.clone()))
}

/// Ends what a token came of (RFC 7009): the access tokens, the refresh tokens, all of it.
#[utoipa::path(post, path = "/auth/revoke", tag = "smart",
    request_body(content = OneToken, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "It holds no longer, if it ever did"), (status = 401, body = Refused)))]
pub(crate) async fn revoke(state: Shared, request: HttpRequest, payload: web::Payload) -> Answer {
    let bytes = body::read(&request, payload, body::SMALL).await?;
    let basic = super::basic(&request).is_some();
    let work = async {
        let form = Form::read(&bytes)?;
        let client = state.smart.client_of(&form.credentials(&request)).await?;
        let client = client.ok_or_else(|| Refusal::client("the client does not say who it is"))?;
        state.smart.revoke(&client, form.needed("token")?).await?;
        Ok(())
    };
    match work.await {
        Ok(()) => Ok(HttpResponse::Ok().finish()),
        Err(failure) => told::<Value>(Err(failure), basic),
    }
}
