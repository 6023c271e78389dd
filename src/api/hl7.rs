//! HL7 over HTTP: messages from engines that speak it, and the messages that are kept: listed, looked at, sent again.
//! What a message means is decided below.

mod kept;
mod waiting;

use actix_web::http::StatusCode;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde::Deserialize;
use utoipa::IntoParams;

pub(crate) use kept::*;
pub(crate) use waiting::*;

use super::caller::Caller;
use super::reply::{Answer, at};
use super::{Shared, body};
use crate::auth::access::Action;
use crate::error::Error;
use crate::ingest::hl7::Channel;
use crate::ingest::hl7::receive::{Origin, Receiver};
use crate::store::Verdict;

/// What HL7 handlers work with.
#[derive(Clone)]
pub struct Hl7 {
    pub receiver: Receiver,
    /// The first is that of whoever names none.
    pub channels: Vec<Channel>,
}

impl Hl7 {
    fn channel(&self, name: Option<&str>) -> Result<&Channel, Error> {
        let named = |channel: &&Channel| name.is_none_or(|name| channel.name == name);
        let unknown = || Error::invalid("not-found", "http.channel", "there is no channel of this name");
        self.channels.iter().find(named).ok_or_else(unknown)
    }
}

const HL7: &str = "application/hl7-v2";

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(at("/v2", "POST").route(web::post().to(message)));
    kept::routes(config);
    waiting::routes(config);
}

/// A body that is a message, or none.
async fn content(request: &HttpRequest, payload: web::Payload, limit: usize) -> Result<Bytes, Error> {
    let media = request.headers().get("Content-Type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bytes = body::read_bytes(request, payload, limit).await?;
    let is_hl7 = media.split(';').next().unwrap_or_default().trim() == HL7;
    if bytes.is_empty() || is_hl7 { Ok(bytes) } else { Err(body::UNKNOWN_TYPE) }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// How the sender speaks; the first channel of the configuration unless named.
    channel: Option<String>,
}

/// One HL7 v2 message, or a batch of them (FHS, BHS). The answer is an HL7 acknowledgement, or a batch of them, given
/// after the commit; of a batch the message that fared worst says which: 200 AA or CA, 400 AR (not for this
/// server), 422 AE (something of it was not taken; the rest is stored), 503 AE (nothing was stored: send it again), 204
/// where the message asks for no answer.
#[utoipa::path(post, path = "/hl7/v2", tag = "hl7", params(Asked),
    request_body(content = String, content_type = "application/hl7-v2", description = "The message, in the character set of MSH-18"),
    responses((status = 200, content_type = "application/hl7-v2", body = String, description = "Stored"),
              (status = 204, description = "Stored, or refused, and no answer was asked for"),
              (status = 400, content_type = "application/hl7-v2", body = String, description = "Refused (AR)"),
              (status = 422, content_type = "application/hl7-v2", body = String, description = "Not all of it was taken (AE)"),
              (status = 503, content_type = "application/hl7-v2", body = String, description = "Nothing was stored (AE)")))]
pub(crate) async fn message(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    asked: web::Query<Asked>,
    payload: web::Payload,
) -> Answer {
    caller.check(Action::Create, "Observation")?;
    let channel = state.hl7.channel(asked.channel.as_deref())?;
    let bytes = content(&request, payload, channel.max_frame.min(state.settings.max_body_bytes)).await?;
    let origin = Origin { channel, peer: caller.principal().to_string(), replays: None, patient: None };
    let receiver = &state.hl7.receiver;
    let reply = receiver.take(&caller, receiver.arrive(bytes, None, channel), &origin).await;
    let answers = reply.answers(channel, state.store.clock().now());
    let status = match reply.worst().map(|worst| (worst.id, worst.judged.verdict)) {
        Some((None, _)) => StatusCode::SERVICE_UNAVAILABLE,
        Some((_, Verdict::Rejected)) => StatusCode::BAD_REQUEST,
        Some((_, Verdict::Error)) => StatusCode::UNPROCESSABLE_ENTITY,
        Some((_, Verdict::Accepted)) | None => StatusCode::OK,
    };
    // One message has one answer here: where both are asked for, the one that says more.
    Ok(match answers.into_iter().next_back() {
        Some(answer) => HttpResponse::build(status).content_type(HL7).body(answer),
        None => HttpResponse::NoContent().finish(),
    })
}
