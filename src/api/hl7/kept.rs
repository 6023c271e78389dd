//! The messages that are kept. Only for administrators: they hold names and values of everybody.

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use fhir_r4::Issue;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::caller::Caller;
use super::super::reply::{Answer, NO_STORE, at};
use super::super::{Shared, State};
use super::{HL7, content};
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::time;
use crate::ingest::hl7::receive::{Origin, Received};
use crate::store::{Kept, Opened, Verdict, WantedMessages};

const PAGE: i64 = 50;
/// Messages that one request sends again.
const MOST_REPLAYED: i64 = 1000;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(at("/messages", "GET").route(web::get().to(messages)))
        .service(at("/messages/replay", "POST").route(web::post().to(replay_many)))
        .service(at("/messages/{id}", "GET").route(web::get().to(one)))
        .service(at("/messages/{id}/replay", "POST").route(web::post().to(replay)))
        .service(at("/messages/{id}/settle", "POST").route(web::post().to(settle)));
}

#[derive(Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageQuery {
    /// false: those that somebody has to look at (dead letters).
    settled: Option<bool>,
    channel: Option<String>,
    /// MSH-9: ORU^R01
    kind: Option<String>,
    /// MSH-3 and MSH-4 with | between.
    sender: Option<String>,
    /// MSH-10
    control: Option<String>,
    /// AA, AE or AR
    verdict: Option<String>,
    /// The bed that results were sent from: ward^room^bed^facility.
    place: Option<String>,
    /// Received from this date or time on.
    start: Option<String>,
    /// Received before the end of this date or time.
    end: Option<String>,
    /// Older than this message: the last one of the page before.
    before: Option<i64>,
    /// 50 unless said, at most 1000.
    count: Option<i64>,
}

/// A message as it is listed.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageLine {
    id: i64,
    received: String,
    channel: String,
    /// The address or the client that it came from.
    peer: String,
    kind: String,
    sender: String,
    control: String,
    verdict: String,
    /// What was wrong, each with its place; no values.
    issues: Vec<MessageIssue>,
    /// The versions that it made.
    made: Vec<String>,
    settled: bool,
    /// The message that this one was sent again for.
    #[serde(skip_serializing_if = "Option::is_none")]
    replays: Option<i64>,
    /// The bed of the patient, of results that somebody has to look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    /// The message itself, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct MessageIssue {
    severity: &'static str,
    code: &'static str,
    place: String,
    text: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct MessageList {
    messages: Vec<MessageLine>,
    /// The address of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Replayed {
    sent: usize,
    accepted: usize,
    /// What became of each.
    messages: Vec<MessageLine>,
    /// There are more that fit.
    more: bool,
}

/// Messages as they were received, newest first; `settled=false` are the dead letters.
#[utoipa::path(get, path = "/hl7/messages", tag = "hl7", params(MessageQuery),
    responses((status = 200, body = MessageList), (status = 400, description = "A parameter is wrong"),
              (status = 403, description = "Only administrators may look at messages")))]
pub(crate) async fn messages(state: Shared, caller: Caller, asked: web::Query<MessageQuery>) -> Answer {
    let wanted = asked.wanted()?;
    let count = wanted.count;
    let found = state.store.messages(&caller, wanted).await?;
    let full = i64::try_from(found.len()).is_ok_and(|found| found == count);
    let next = found.last().filter(|_| full).map(|last| asked.page_after(last.id));
    let messages = found.into_iter().map(|kept| line(kept, None)).collect();
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(MessageList { messages, next }))
}

/// One message with its content; byte for byte with `Accept: application/hl7-v2`.
#[utoipa::path(get, path = "/hl7/messages/{id}", tag = "hl7", params(("id" = i64, Path)),
    responses((status = 200, body = MessageLine), (status = 403, description = "Only administrators may look at messages"),
              (status = 404, description = "There is no such message")))]
pub(crate) async fn one(state: Shared, caller: Caller, request: HttpRequest, id: web::Path<i64>) -> Answer {
    let Opened { kept, bytes } = state.store.message(&caller, *id).await?;
    let raw = request.headers().get("Accept").and_then(|value| value.to_str().ok()).is_some_and(|it| it.contains(HL7));
    if raw {
        return Ok(HttpResponse::Ok().insert_header(NO_STORE).content_type(HL7).body(bytes));
    }
    let content = String::from_utf8_lossy(&bytes).into_owned();
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(line(kept, Some(content))))
}

/// Takes a message once more: as it was, or as the body (`application/hl7-v2`) says it should have been. A control id
/// that is known does not stand against it.
#[utoipa::path(post, path = "/hl7/messages/{id}/replay", tag = "hl7", params(("id" = i64, Path)),
    request_body(content = Option<String>, content_type = "application/hl7-v2", description = "The message, put right"),
    responses((status = 200, body = Replayed), (status = 403, description = "Only administrators may"),
              (status = 404, description = "There is no such message")))]
pub(crate) async fn replay(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    id: web::Path<i64>,
    payload: web::Payload,
) -> Answer {
    let opened = state.store.message(&caller, *id).await?;
    let edited = content(&request, payload, state.settings.max_body_bytes).await?;
    let bytes = if edited.is_empty() { opened.bytes } else { edited.to_vec() };
    let line = again(&state, &caller, opened.kept, bytes).await?;
    let accepted = usize::from(line.settled);
    let told = Replayed { sent: 1, accepted, messages: vec![line], more: false };
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(told))
}

/// Takes once more, oldest first, the messages of a choice that somebody has to look at; at most 1000 at once.
#[utoipa::path(post, path = "/hl7/messages/replay", tag = "hl7", params(MessageQuery),
    responses((status = 200, body = Replayed), (status = 403, description = "Only administrators may")))]
pub(crate) async fn replay_many(state: Shared, caller: Caller, asked: web::Query<MessageQuery>) -> Answer {
    let count = asked.count.unwrap_or(MOST_REPLAYED).clamp(1, MOST_REPLAYED);
    let wanted = WantedMessages { settled: Some(false), count, ..asked.wanted()? };
    let mut found = state.store.messages(&caller, wanted).await?;
    let more = i64::try_from(found.len()).is_ok_and(|found| found == count);
    found.reverse();
    let mut lines = Vec::with_capacity(found.len());
    for kept in found {
        let opened = state.store.message(&caller, kept.id).await?;
        lines.push(again(&state, &caller, opened.kept, opened.bytes).await?);
    }
    let accepted = lines.iter().filter(|line| line.settled).count();
    let told = Replayed { sent: lines.len(), accepted, messages: lines, more };
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(told))
}

/// Nobody has to look at this message any more.
#[utoipa::path(post, path = "/hl7/messages/{id}/settle", tag = "hl7", params(("id" = i64, Path)),
    responses((status = 204, description = "Done"), (status = 403, description = "Only administrators may"),
              (status = 404, description = "There is no such message, or nobody had to look at it")))]
pub(crate) async fn settle(state: Shared, caller: Caller, id: web::Path<i64>) -> Answer {
    if state.store.settle_message(&caller, *id).await? {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(Error::UnknownEndpoint)
    }
}

/// A message once more, in the way of the channel that it came by; of one that is gone the first.
async fn again(state: &State, caller: &Caller, kept: Kept, bytes: Vec<u8>) -> Result<MessageLine, Error> {
    let channel = state.hl7.channel(Some(&kept.channel)).or_else(|_| state.hl7.channel(None))?;
    let peer = caller.principal().to_string();
    let origin = Origin { channel, peer, replays: Some(kept.id), patient: None };
    let (receiver, access) = (&state.hl7.receiver, Access::system("hl7 replay"));
    let arrived = receiver.arrive(bytes.into(), None, channel);
    let worst = receiver.take(&access, arrived, &origin).await.worst();
    let Received { id, judged, .. } = worst.ok_or(Error::invalid("required", "MSH[1]", "there is no message"))?;
    let id = id.ok_or(Error::Unavailable("The message could not be stored."))?;
    let settled = judged.verdict == Verdict::Accepted;
    let verdict = judged.verdict.code().to_owned();
    let (issues, made) = (judged.issues, judged.made);
    Ok(line(Kept { id, verdict, issues, made, settled, replays: Some(kept.id), ..kept }, None))
}

fn line(kept: Kept, content: Option<String>) -> MessageLine {
    let Kept { id, received, channel, peer, kind, sender, control, verdict, issues, made, settled, replays, place } =
        kept;
    let received = time::instant(received);
    let issues = issues.into_iter().map(issue).collect();
    MessageLine {
        id,
        received,
        channel,
        peer,
        kind,
        sender,
        control,
        verdict,
        issues,
        made,
        settled,
        replays,
        place,
        content,
    }
}

fn issue(issue: Issue) -> MessageIssue {
    let Issue { severity, code, expression, diagnostics } = issue;
    MessageIssue { severity: severity.code(), code, place: expression, text: diagnostics }
}

impl MessageQuery {
    fn wanted(&self) -> Result<WantedMessages, Error> {
        let wrong = |name: &str, why: &str| Error::invalid("value", format!("http.{name}"), why);
        let range = |name: &str, text: &Option<String>| match text {
            Some(text) => time::range(text).map(Some).ok_or_else(|| wrong(name, "this is no date or time")),
            None => Ok(None),
        };
        let verdict = match &self.verdict {
            Some(code) => Some(Verdict::from_code(code).ok_or_else(|| wrong("verdict", "must be AA, AE or AR"))?),
            None => None,
        };
        if [&self.channel, &self.kind, &self.sender, &self.control, &self.place]
            .into_iter()
            .flatten()
            .any(|t| t.contains('\0'))
        {
            return Err(wrong("query", "there is no such text in messages"));
        }
        let (start, end) = (range("start", &self.start)?, range("end", &self.end)?);
        Ok(WantedMessages {
            settled: self.settled,
            channel: self.channel.clone(),
            kind: self.kind.clone(),
            sender: self.sender.clone(),
            control: self.control.clone(),
            verdict,
            place: self.place.clone(),
            received: (start.map(|range| range.start), end.map(|range| range.end)),
            before: self.before,
            count: self.count.unwrap_or(PAGE).clamp(1, MOST_REPLAYED),
        })
    }

    fn page_after(&self, last: i64) -> String {
        let texts = [
            ("channel", &self.channel),
            ("kind", &self.kind),
            ("sender", &self.sender),
            ("control", &self.control),
            ("verdict", &self.verdict),
            ("place", &self.place),
            ("start", &self.start),
            ("end", &self.end),
        ];
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, text) in texts {
            if let Some(text) = text {
                query.append_pair(name, text);
            }
        }
        if let Some(settled) = self.settled {
            query.append_pair("settled", &settled.to_string());
        }
        if let Some(count) = self.count {
            query.append_pair("count", &count.to_string());
        }
        query.append_pair("before", &last.to_string());
        format!("/hl7/messages?{}", query.finish())
    }
}
