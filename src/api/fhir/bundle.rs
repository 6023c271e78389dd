//! `POST /fhir`: batch (every entry for itself) and transaction (all or nothing, references between entries
//! resolved).

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, web};
use fhir_r4::Checked;
use serde_json::{Value, json};

use super::kind;
use super::write::{condition, same_id};
use crate::api::caller::Caller;
use crate::api::reply::{Answer, etag, format, resource};
use crate::api::{Shared, State, body};
use crate::auth::access::Access;
use crate::clock::new_id;
use crate::error::Error;
use crate::fhir::bundle::{Method, Request, Writer, requests, rewrite};
use crate::fhir::time;
use crate::pipeline::Intent;
use crate::store::{CONDITION_CHANGED, Outcome, Written};

/// How often a transaction is planned again when what a condition finds changed on the way.
const ATTEMPTS: usize = 5;

/// A batch or a transaction.
#[utoipa::path(post, path = "/fhir", tag = "fhir", request_body(content = Object, content_type = "application/fhir+json"),
    responses((status = 200, content_type = "application/fhir+json", description = "batch-response or transaction-response"),
              (status = 400, description = "No valid Bundle, or an entry of a transaction that cannot be carried out; the outcome names it")))]
pub(crate) async fn process(state: Shared, caller: Caller, request: HttpRequest, payload: web::Payload) -> Answer {
    format(&request)?;
    let bundle = body::resource(&request, payload, state.settings.max_body_bytes).await?;
    if bundle.get("resourceType").and_then(Value::as_str) != Some("Bundle") {
        return Err(Error::invalid("invalid", "resourceType", "this address takes a Bundle"));
    }
    let issues = fhir_r4::check_bundle_shell(&bundle);
    if issues.iter().any(|issue| issue.severity == fhir_r4::Severity::Error) {
        return Err(Error::from(issues));
    }
    let kind = bundle.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let entries = requests(bundle);
    if entries.len() > state.settings.max_bundle_entries {
        let text = format!("a Bundle may have {} entries here", state.settings.max_bundle_entries);
        return Err(Error::invalid("too-long", "Bundle.entry", text));
    }
    let answer = match kind.as_str() {
        "batch" => batch(&state, &caller, entries).await?,
        "transaction" => transaction(&state, &caller, entries).await?,
        _ => return Err(Error::invalid("value", "Bundle.type", "this address takes a batch or a transaction")),
    };
    resource(&request, HttpResponse::Ok(), answer)
}

/// What an entry comes to.
enum Step {
    Write(Box<Intent>),
    /// A read or a search, done when everything is written.
    Look(String),
}

fn place(at: usize) -> String {
    format!("Bundle.entry[{at}]")
}

/// An entry's resource, checked; its issues name their place in the Bundle.
async fn checked(state: &State, request: &mut Request, at: usize, kind: &str) -> Result<Checked, Error> {
    let place = format!("{}.resource", place(at));
    let resource = request.resource.take();
    let resource = resource.ok_or_else(|| Error::invalid("required", place.clone(), "this entry needs a resource"))?;
    let checked = state.pipeline.profiles().check(resource).await;
    let checked = checked.map_err(|issues| Error::from(issues).under(&place))?;
    if checked.resource_type() == kind {
        Ok(checked)
    } else {
        Err(Error::invalid(
            "value",
            format!("{place}.resourceType"),
            "the resource is of another type than request.url",
        ))
    }
}

/// `Patient` or `Patient/1` as type and id.
fn address(request: &Request, at: usize) -> Result<(&'static str, Option<String>), Error> {
    let wrong = || Error::invalid("value", format!("{}.request.url", place(at)), "no address of this server");
    let mut parts = request.url.trim_start_matches('/').split('/');
    let kind = kind(parts.next().unwrap_or_default()).map_err(|_| wrong())?;
    let id = parts.next().map(str::to_owned);
    if parts.next().is_some() { Err(wrong()) } else { Ok((kind, id)) }
}

/// What an entry asks for. `id`: what a created resource will be called.
async fn step(
    state: &State,
    access: &Access,
    request: &mut Request,
    at: usize,
    id: Option<String>,
) -> Result<Step, Error> {
    let under = |error: Error| located(error, at);
    match request.method {
        Method::Get | Method::Head => Ok(Step::Look(request.url.clone())),
        Method::Post => {
            let (kind, None) = address(request, at)? else {
                return Err(under(Error::NotSupported("POST takes the address of a type here.".to_owned())));
            };
            let unless =
                request.if_none_exist.as_deref().map(|text| condition(kind, text)).transpose().map_err(under)?;
            let checked = checked(state, request, at, kind).await?;
            let mut intent = state.pipeline.plan_create(access, checked, unless.as_ref()).await.map_err(under)?;
            match (&mut intent, id) {
                (Intent::Create { id: own, .. }, Some(id)) => *own = id,
                // Found only now: the other entries already refer to another id.
                (Intent::Keep { id: found, .. }, Some(id)) if *found != id => {
                    return Err(Error::Conflict(CONDITION_CHANGED));
                }
                _ => {}
            }
            Ok(Step::Write(Box::new(intent)))
        }
        Method::Put => {
            let (kind, Some(id)) = address(request, at)? else {
                return Err(under(Error::NotSupported("Conditional update is not supported.".to_owned())));
            };
            let expect = request.if_match.as_deref().map(etag).transpose().map_err(under)?;
            let checked = checked(state, request, at, kind).await?;
            same_id(checked.value(), kind, &id).map_err(|e| e.under(&format!("{}.resource", place(at))))?;
            Ok(Step::Write(Box::new(Intent::Update { resource: checked, id, expect })))
        }
        Method::Delete => {
            let (kind, Some(id)) = address(request, at)? else {
                return Err(under(Error::NotSupported("Conditional delete is not supported.".to_owned())));
            };
            let expect = request.if_match.as_deref().map(etag).transpose().map_err(under)?;
            Ok(Step::Write(Box::new(Intent::Delete { kind, id, expect })))
        }
        Method::Patch => Err(under(Error::NotSupported("PATCH is not supported.".to_owned()))),
    }
}

/// An error that is about an entry as a whole names it. What is about the server stays what it is.
fn located(error: Error, at: usize) -> Error {
    let about_the_server = error.view().status >= 500
        || matches!(error, Error::TooMany { .. } | Error::Forbidden(_) | Error::Unauthenticated(_));
    if about_the_server { error } else { error.at(place(at)) }
}

async fn batch(state: &State, access: &Access, entries: Vec<Option<Request>>) -> Result<Vec<u8>, Error> {
    let mut steps = Vec::with_capacity(entries.len());
    for (at, entry) in entries.into_iter().enumerate() {
        steps.push(match entry {
            None => Err(no_request(at)),
            Some(mut request) => step(state, access, &mut request, at, None).await,
        });
    }
    let (mut intents, mut plan) = (Vec::new(), Vec::with_capacity(steps.len()));
    for step in steps {
        plan.push(match step {
            Err(error) => Planned::Failed(error),
            Ok(Step::Look(url)) => Planned::Look(url),
            Ok(Step::Write(intent)) => {
                if let Err(error) = authorised(access, &intent) {
                    Planned::Failed(error)
                } else {
                    let planned = Planned::Written(intent_kind(&intent), is_delete(&intent));
                    intents.push(*intent);
                    planned
                }
            }
        });
    }
    let written = if intents.is_empty() { vec![] } else { state.pipeline.each(access, intents).await? };
    let mut written = written.into_iter();
    let mut writer = Writer::new("batch-response", None, &[]);
    for planned in plan {
        match planned {
            Planned::Failed(error) => failed(&mut writer, &error),
            Planned::Look(url) => look(state, access, &url, &mut writer).await,
            Planned::Written(kind, deleted) => match written.next() {
                Some(Ok(done)) => written_entry(state, &mut writer, kind, &done, deleted),
                Some(Err(error)) => failed(&mut writer, &error),
                None => failed(&mut writer, &Error::internal("an entry without an answer")),
            },
        }
    }
    Ok(writer.finish())
}

enum Planned {
    Failed(Error),
    Look(String),
    Written(&'static str, bool),
}

fn no_request(at: usize) -> Error {
    Error::invalid("required", format!("{}.request", place(at)), "this entry has no request that can be read")
}

/// In a batch a forbidden entry fails by itself.
fn authorised(access: &Access, intent: &Intent) -> Result<(), Error> {
    use crate::auth::access::Action;
    let action = match intent {
        Intent::Create { .. } | Intent::Keep { .. } => Action::Create,
        Intent::Update { .. } => Action::Update,
        Intent::Delete { .. } => Action::Delete,
    };
    access.check(action, intent_kind(intent)).map(|_| ()).map_err(Error::from)
}

fn intent_kind(intent: &Intent) -> &'static str {
    match intent {
        Intent::Create { resource, .. } | Intent::Update { resource, .. } => resource.resource_type(),
        Intent::Delete { kind, .. } | Intent::Keep { kind, .. } => kind,
    }
}

fn is_delete(intent: &Intent) -> bool {
    matches!(intent, Intent::Delete { .. })
}

async fn transaction(state: &State, access: &Access, entries: Vec<Option<Request>>) -> Result<Vec<u8>, Error> {
    let requests: Vec<Request> = entries
        .into_iter()
        .enumerate()
        .map(|(at, entry)| entry.ok_or_else(|| no_request(at)))
        .collect::<Result<_, _>>()?;
    // Without conditions there is nothing that could change on the way.
    if requests.iter().all(|request| request.if_none_exist.is_none()) {
        return attempt(state, access, requests).await;
    }
    for _ in 0..ATTEMPTS {
        match attempt(state, access, requests.clone()).await {
            Err(Error::Conflict(CONDITION_CHANGED)) => {}
            done => return done,
        }
    }
    Err(Error::Conflict(CONDITION_CHANGED))
}

async fn attempt(state: &State, access: &Access, mut requests: Vec<Request>) -> Result<Vec<u8>, Error> {
    let (ids, targets) = name_entries(state, access, &requests).await?;
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_key(|at| requests.get(*at).map(|r| r.method));
    let (mut intents, mut places, mut looks) = (Vec::new(), Vec::new(), Vec::new());
    let mut named: HashMap<(&'static str, String), usize> = HashMap::new();
    for at in order {
        let Some(request) = requests.get_mut(at) else { continue };
        if let Some(resource) = &mut request.resource {
            rewrite(resource, &targets);
        }
        match step(state, access, request, at, ids.get(at).cloned().flatten()).await? {
            Step::Look(url) => looks.push((at, url)),
            Step::Write(intent) => {
                let kind = intent_kind(&intent);
                if let Intent::Update { id, .. } | Intent::Delete { id, .. } = &*intent
                    && named.insert((kind, id.clone()), at).is_some()
                {
                    return Err(located(Error::Conflict("One resource is changed twice in one transaction."), at));
                }
                places.push((at, kind, is_delete(&intent)));
                intents.push(*intent);
            }
        }
    }
    let written = if intents.is_empty() {
        vec![]
    } else {
        state.pipeline.transaction(access, intents).await.map_err(|error| whose(error, &named))?
    };
    let mut answers: Vec<(usize, Done)> = looks.into_iter().map(|(at, url)| (at, Done::Look(url))).collect();
    answers
        .extend(places.into_iter().zip(written).map(|((at, kind, deleted), w)| (at, Done::Written(kind, w, deleted))));
    answers.sort_by_key(|(at, _)| *at);
    let mut writer = Writer::new("transaction-response", None, &[]);
    for (_, done) in answers {
        match done {
            Done::Look(url) => look(state, access, &url, &mut writer).await,
            Done::Written(kind, written, deleted) => written_entry(state, &mut writer, kind, &written, deleted),
        }
    }
    Ok(writer.finish())
}

/// The lane names the resource that stood against the transaction: the entry that asked for it is told.
fn whose(error: Error, named: &HashMap<(&'static str, String), usize>) -> Error {
    let (Error::VersionConflict { resource_type, id }
    | Error::NotFound { resource_type, id }
    | Error::Gone { resource_type, id }) = &error
    else {
        return error;
    };
    let entry = named.iter().find(|((kind, own), _)| kind == resource_type && own == id).map(|(_, at)| *at);
    match entry {
        Some(at) => located(error, at),
        None => error,
    }
}

enum Done {
    Look(String),
    Written(&'static str, Written, bool),
}

/// What each created entry will be called, and what its `fullUrl` therefore means in the others.
async fn name_entries(
    state: &State,
    access: &Access,
    requests: &[Request],
) -> Result<(Vec<Option<String>>, HashMap<String, String>), Error> {
    let (mut ids, mut targets) = (Vec::with_capacity(requests.len()), HashMap::new());
    for (at, request) in requests.iter().enumerate() {
        let id = match request.method {
            Method::Post => {
                let (kind, _) = address(request, at)?;
                let found = match &request.if_none_exist {
                    None => None,
                    Some(text) => {
                        let mut query = condition(kind, text).map_err(|error| located(error, at))?;
                        query.count = 1;
                        state.store.search(access, query).await?.hits.pop().map(|hit| hit.id)
                    }
                };
                Some(found.unwrap_or_else(new_id))
            }
            Method::Put => address(request, at)?.1,
            _ => None,
        };
        if let (Some(url), Some(id)) = (&request.full_url, &id)
            && url.starts_with("urn:")
        {
            let target = format!("{}/{id}", address(request, at)?.0);
            if targets.insert(url.clone(), target).is_some() {
                return Err(Error::invalid("value", format!("{}.fullUrl", place(at)), "two entries have this fullUrl"));
            }
        }
        ids.push(id);
    }
    Ok((ids, targets))
}

fn written_entry(state: &State, writer: &mut Writer, kind: &str, written: &Written, deleted: bool) {
    let status = match written.outcome {
        _ if deleted => "204 No Content",
        Outcome::Created => "201 Created",
        Outcome::Updated | Outcome::Known => "200 OK",
    };
    let mut response = json!({"status": status, "etag": format!("W/\"{}\"", written.version), "lastModified": time::instant(written.updated)});
    if let (false, Some(members)) = (deleted, response.as_object_mut()) {
        let location = format!("{}/{kind}/{}/_history/{}", state.fhir_base(), written.id, written.version);
        members.insert("location".into(), location.into());
    }
    writer.entry(None, None, &[("response", response)]);
}

fn failed(writer: &mut Writer, error: &Error) {
    let response = json!({"status": error.view().status.to_string(), "outcome": error.outcome()});
    writer.entry(None, None, &[("response", response)]);
}

/// A read or a search of an entry.
async fn look(state: &State, access: &Access, url: &str, writer: &mut Writer) {
    match super::look::look(state, access, url).await {
        Ok(json) => writer.entry(None, Some(&json), &[("response", json!({"status": "200 OK"}))]),
        Err(error) => failed(writer, &error),
    }
}
