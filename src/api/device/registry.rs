//! Devices and what they prove themselves by: claim codes, credentials, rotation, revocation. The devices themselves are
//! resources (`/fhir/Device`).

use actix_web::web::{self, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use qrcode::QrCode;
use qrcode::render::svg;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::super::caller::Caller;
use super::super::reply::{Answer, NO_STORE, at};
use super::super::{Shared, State, body};
use crate::auth::access::{Access, Action};
use crate::auth::device::Issued;
use crate::auth::device::proof::Proof;
use crate::error::Error;
use crate::fhir::time;
use crate::store::Credential;

const MAX_LABEL: usize = 100;
const DAY_S: i64 = 86_400;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(at("/claim", "POST").route(web::post().to(claim)))
        .service(at("/credentials", "POST").route(web::post().to(rotate)))
        .service(at("/devices/{id}/claim", "POST").route(web::post().to(offer)))
        .service(
            at("/devices/{id}/credentials", "GET, POST, DELETE")
                .route(web::get().to(credentials))
                .route(web::post().to(issue))
                .route(web::delete().to(revoke_all)),
        )
        .service(at("/devices/{id}/credentials/{credential}", "DELETE").route(web::delete().to(revoke)));
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Offered {
    /// Good once.
    code: String,
    expires: String,
    /// Where a phone becomes the device's gateway; the code is in its fragment.
    link: String,
    /// The link as a picture (SVG), to be scanned.
    qr: String,
}

/// What a device shall prove itself by: one of `jwk`, `secret`, `certificate`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    /// The code of a claim; nowhere else.
    code: Option<String>,
    /// A public key of P-256 or Ed25519.
    #[schema(value_type = Option<Object>)]
    jwk: Option<Value>,
    /// true: a key is made, and told this once.
    #[serde(default)]
    secret: bool,
    /// SHA-256 of the certificate that it connects with, in hexadecimal.
    certificate: Option<String>,
    /// What people call it.
    #[serde(default)]
    label: String,
    /// When it ends, a FHIR instant.
    expires: Option<String>,
    /// How long the credential before it is still good, s; a day unless it is said, a week at most.
    overlap_s: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Given {
    device: String,
    /// What an assertion names as its issuer and subject.
    client_id: String,
    kind: String,
    /// Shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct CredentialList {
    credentials: Vec<CredentialLine>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct CredentialLine {
    id: String,
    /// key, secret or certificate
    kind: String,
    label: String,
    made_by: String,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<String>,
}

impl Wish {
    async fn read(request: &HttpRequest, payload: web::Payload) -> Result<Self, Error> {
        let bytes = body::read(request, payload, body::SMALL).await?;
        let wish: Self = serde_json::from_slice(&bytes).map_err(|_| {
            Error::invalid(
                "structure",
                "http.body",
                "expected {\"jwk\": …}, {\"secret\": true} or {\"certificate\": …}",
            )
        })?;
        if wish.label.chars().count() > MAX_LABEL || wish.label.contains(char::is_control) {
            return Err(Error::invalid("value", "label", "a line of at most 100 characters"));
        }
        Ok(wish)
    }

    fn proof(&self) -> Result<Proof, Error> {
        match (&self.jwk, self.secret, &self.certificate) {
            (Some(jwk), false, None) => Proof::of_jwk(jwk),
            (None, true, None) => Ok(Proof::Secret),
            (None, false, Some(fingerprint)) => Proof::of_fingerprint(fingerprint),
            _ => Err(Error::invalid("structure", "http.body", "one of jwk, secret and certificate is needed")),
        }
    }
}

/// A code for a device, good once and for 15 minutes: whoever knows it becomes the device.
#[utoipa::path(post, path = "/device/v1/devices/{id}/claim", tag = "device", params(("id" = String, Path)),
    responses((status = 201, body = Offered), (status = 404, description = "No such Device")))]
pub(crate) async fn offer(state: Shared, caller: Caller, id: Path<String>) -> Answer {
    let device = managed(&state, &caller, &id).await?;
    let code = state.devices.offer(&device, &caller).await?;
    let link = format!("{}/bridge#code={}", state.settings.public_url, code.code);
    let picture = QrCode::new(&link).map_err(Error::internal)?;
    let qr = picture.render::<svg::Color<'_>>().min_dimensions(240, 240).build();
    let offered = Offered { code: code.code, expires: time::instant(code.expires), link, qr };
    Ok(HttpResponse::Created().insert_header(NO_STORE).json(offered))
}

/// A device takes its credential with its code. Nobody needs to be signed in.
#[utoipa::path(post, path = "/device/v1/claim", tag = "device", request_body = Wish,
    responses((status = 201, body = Given), (status = 400, description = "The code is not good"),
              (status = 429, description = "Too many wrong codes")))]
pub(crate) async fn claim(state: Shared, request: HttpRequest, payload: web::Payload) -> Answer {
    let wish = Wish::read(&request, payload).await?;
    let code = wish.code.as_deref().ok_or_else(|| Error::invalid("required", "code", "the code is missing"))?;
    let issued = state.devices.claim(code, wish.proof()?, &wish.label).await?;
    Ok(given(issued))
}

/// What a device may prove itself by, and what it might before.
#[utoipa::path(get, path = "/device/v1/devices/{id}/credentials", tag = "device", params(("id" = String, Path)),
    responses((status = 200, body = CredentialList), (status = 404, description = "No such Device")))]
pub(crate) async fn credentials(state: Shared, caller: Caller, id: Path<String>) -> Answer {
    let device = managed(&state, &caller, &id).await?;
    let credentials = state.devices.credentials(&device).await?.into_iter().map(line).collect();
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(CredentialList { credentials }))
}

/// Another credential for a device.
#[utoipa::path(post, path = "/device/v1/devices/{id}/credentials", tag = "device", params(("id" = String, Path)),
    request_body = Wish, responses((status = 201, body = Given), (status = 404, description = "No such Device")))]
pub(crate) async fn issue(
    state: Shared,
    caller: Caller,
    id: Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let device = managed(&state, &caller, &id).await?;
    let wish = Wish::read(&request, payload).await?;
    let instant = |text: &str| time::range(text).map(|range| range.start);
    let unreadable = || Error::invalid("value", "expires", "this is no instant");
    let expires = wish.expires.as_deref().map(|text| instant(text).ok_or_else(unreadable)).transpose()?;
    Ok(given(state.devices.issue(&device, wish.proof()?, &wish.label, expires, &caller).await?))
}

/// A device takes another credential; the one that it calls with is good for `overlap_s` more.
#[utoipa::path(post, path = "/device/v1/credentials", tag = "device", request_body = Wish,
    responses((status = 201, body = Given), (status = 403, description = "The caller is no device")))]
pub(crate) async fn rotate(state: Shared, caller: Caller, request: HttpRequest, payload: web::Payload) -> Answer {
    let wish = Wish::read(&request, payload).await?;
    let overlap = wish.overlap_s.unwrap_or(DAY_S).clamp(0, 7 * DAY_S);
    Ok(given(state.devices.rotate(&caller, wish.proof()?, &wish.label, overlap).await?))
}

/// Ends a credential: within a second nothing is taken from it any more.
#[utoipa::path(delete, path = "/device/v1/devices/{id}/credentials/{credential}", tag = "device",
    params(("id" = String, Path), ("credential" = String, Path)),
    responses((status = 204, description = "Ended"), (status = 404, description = "No such credential, or it has ended")))]
pub(crate) async fn revoke(state: Shared, caller: Caller, path: Path<(String, String)>) -> Answer {
    let (id, credential) = path.into_inner();
    let device = managed(&state, &caller, &id).await?;
    match state.devices.revoke(&device, Some(&credential)).await? {
        0 => Err(Error::not_found("credential", credential)),
        _ => Ok(HttpResponse::NoContent().finish()),
    }
}

/// Ends all credentials of a device.
#[utoipa::path(delete, path = "/device/v1/devices/{id}/credentials", tag = "device", params(("id" = String, Path)),
    responses((status = 204, description = "Ended"), (status = 404, description = "No such Device")))]
pub(crate) async fn revoke_all(state: Shared, caller: Caller, id: Path<String>) -> Answer {
    let device = managed(&state, &caller, &id).await?;
    state.devices.revoke(&device, None).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The device that is meant, for who may change devices.
async fn managed(state: &State, access: &Access, id: &str) -> Result<String, Error> {
    access.check(Action::Update, "Device")?;
    let found = state.store.find(&Access::system("devices"), "Device", id).await?;
    Ok(format!("Device/{}", found.id))
}

fn given(Issued { credential, secret }: Issued) -> HttpResponse {
    let given = Given { device: credential.device, client_id: credential.id, kind: credential.kind, secret };
    HttpResponse::Created().insert_header(NO_STORE).json(given)
}

fn line(one: Credential) -> CredentialLine {
    CredentialLine {
        id: one.id,
        kind: one.kind,
        label: one.label,
        made_by: one.made_by,
        created: time::instant(one.created),
        expires: one.expires.map(time::instant),
        revoked: one.revoked.map(time::instant),
    }
}
