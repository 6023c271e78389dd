//! Launching an app from a patient's page: ours, or another record system's.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::super::caller::{Caller, SignedIn};
use super::super::reply::{Answer, NO_STORE};
use super::super::{Shared, body};
use crate::auth::smart::grant::Context;
use crate::error::Error;

/// What an app is launched with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    client_id: String,
    /// Logical ids.
    patient: Option<String>,
    encounter: Option<String>,
    intent: Option<String>,
    tenant: Option<String>,
    /// Other resources, as in the token's answer.
    #[serde(default, rename = "fhirContext")]
    #[schema(value_type = Vec<Object>)]
    fhir_context: Vec<Value>,
    /// Whether the app must show whose record it is.
    #[serde(default)]
    need_patient_banner: bool,
}

/// Where the browser goes.
#[derive(Serialize, ToSchema)]
pub(crate) struct Launched {
    launch: String,
    /// The app's launch address with `iss` and `launch`, where it registered one.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

/// An app that can be launched.
#[derive(Serialize, ToSchema)]
pub(crate) struct App {
    client_id: String,
    name: String,
}

/// Makes a launch: by the user who is signed in, or by a record system with the scope `smart/orchestrate_launch`.
#[utoipa::path(post, path = "/auth/launch", tag = "smart", request_body = Wish, responses((status = 201, body = Launched)))]
pub(crate) async fn launch(state: Shared, request: HttpRequest, caller: Caller, payload: web::Payload) -> Answer {
    let bytes = body::read(&request, payload, body::SMALL).await?;
    let wish: Wish =
        serde_json::from_slice(&bytes).map_err(|_| Error::invalid("structure", "http.body", "a launch is expected"))?;
    let context = Context {
        patient: wish.patient,
        encounter: wish.encounter,
        intent: wish.intent,
        tenant: wish.tenant,
        fhir_context: wish.fhir_context,
        need_patient_banner: wish.need_patient_banner,
    };
    let launched = state.smart.launch(&caller, &wish.client_id, context).await?;
    let told = Launched { launch: launched.handle, url: launched.url };
    Ok(HttpResponse::Created().insert_header(NO_STORE).json(told))
}

/// Apps that can be launched from a patient's page.
#[utoipa::path(get, path = "/auth/apps", tag = "smart", responses((status = 200, body = Vec<App>)))]
pub(crate) async fn apps(state: Shared, _: SignedIn) -> Answer {
    let all = state.smart.clients.all().await?.into_iter();
    let open = all.filter(|client| client.disabled.is_none() && client.registration.initiate_login_uri.is_some());
    let apps: Vec<App> =
        open.map(|client| App { client_id: client.id, name: client.registration.client_name }).collect();
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(apps))
}
