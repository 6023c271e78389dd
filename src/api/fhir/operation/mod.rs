//! `$operations`: what is asked is read once, here, from the address or from a `Parameters` body; each operation
//! has a file of its own that works on the `Call` and answers JSON, whether HTTP or an entry of a Bundle asks. The
//! table of what exists is `fhir::operation`.

mod alert;
mod convert;
mod downsample;
mod everything;
mod input;
mod lastn;
mod match_;
mod meta;
mod reindex;
mod series;
mod stats;
mod terminology;
mod trial;
mod validate;
mod vitals;

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use super::kind;
use super::write::criterion::if_match;
use crate::api::caller::Caller;
use crate::api::reply::{Answer, Wanted};
use crate::api::{Shared, State, body};
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::operation::{Level, Operation, find};
use crate::pipeline::Match;

/// One call of an operation.
pub(super) struct Call<'a> {
    pub state: &'a State,
    pub access: &'a Access,
    /// The query string of the address.
    pub query: &'a str,
    pub kind: Option<&'static str>,
    pub id: Option<String>,
    /// What a POST brings: a `Parameters`, or the resource that the operation is about.
    pub body: Option<Value>,
    /// The version that the caller means.
    pub if_match: Option<Match>,
}

impl Call<'_> {
    /// The entries of this name in a `Parameters` body.
    pub(super) fn parameters<'v>(&'v self, name: &'v str) -> impl Iterator<Item = &'v Value> {
        let all = self.body.as_ref().and_then(|body| body.get("parameter")?.as_array()).map_or(&[][..], Vec::as_slice);
        all.iter().filter(move |parameter| parameter.get("name").is_some_and(|own| own == name))
    }
}

/// The `value[x]` of a parameter.
pub(super) fn value_of(parameter: &Value) -> Option<&Value> {
    parameter.as_object()?.iter().find(|(name, _)| name.starts_with("value")).map(|(_, value)| value)
}

/// An operation at the base of the server.
#[utoipa::path(method(get, post), path = "/fhir/${operation}", tag = "fhir", params(("operation" = String, Path)),
    responses((status = 200, content_type = "application/fhir+json", description = "What the operation returns"), (status = 404, description = "No such operation here")))]
pub(crate) async fn on_system(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
) -> Answer {
    run(&state, &caller, &request, None, None, &path, payload).await
}

/// An operation of a type.
#[utoipa::path(method(get, post), path = "/fhir/{type}/${operation}", tag = "fhir", params(("type" = String, Path), ("operation" = String, Path)),
    responses((status = 200, content_type = "application/fhir+json", description = "What the operation returns"), (status = 404, description = "No such operation here")))]
pub(crate) async fn on_type(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
) -> Answer {
    run(&state, &caller, &request, Some(kind(&path.0)?), None, &path.1, payload).await
}

/// An operation of one resource.
#[utoipa::path(method(get, post), path = "/fhir/{type}/{id}/${operation}", tag = "fhir", params(("type" = String, Path), ("id" = String, Path), ("operation" = String, Path)),
    responses((status = 200, content_type = "application/fhir+json", description = "What the operation returns"), (status = 404, description = "No such operation here")))]
pub(crate) async fn on_instance(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String, String)>,
    payload: web::Payload,
) -> Answer {
    run(&state, &caller, &request, Some(kind(&path.0)?), Some(path.1.clone()), &path.2, payload).await
}

async fn run(
    state: &State,
    access: &Access,
    request: &HttpRequest,
    kind: Option<&'static str>,
    id: Option<String>,
    name: &str,
    payload: web::Payload,
) -> Answer {
    let level = match (kind, &id) {
        (None, _) => Level::System,
        (Some(_), None) => Level::Type,
        _ => Level::Instance,
    };
    let operation = find(name, kind, level).ok_or(Error::UnknownEndpoint)?;
    let body = body_of(state, request, operation, payload).await?;
    let if_match = if_match(request.headers())?;
    let call = Call { state, access, query: request.query_string(), kind, id, body, if_match };
    let wanted = Wanted::by(request.headers(), &of_the_answer(&call)?)?;
    // Before anything is done.
    wanted.format()?;
    let json = dispatch(operation, &call).await?;
    let mut response = HttpResponse::Ok();
    if operation.name == "reindex" {
        // It goes on; the address tells how far it has come.
        response = HttpResponse::Accepted();
        response.insert_header(("Content-Location", format!("{}/$reindex-status", state.fhir_base())));
    }
    wanted.answer(response, json)
}

/// `_format` and `_pretty`, from the address or from a `Parameters`.
fn of_the_answer(call: &Call<'_>) -> Result<Vec<(String, String)>, Error> {
    let mut pairs = super::search::pairs(call.query)?;
    for name in ["_format", "_pretty"] {
        let texts = call.parameters(name).filter_map(value_of).filter_map(Value::as_str);
        pairs.extend(texts.map(|text| (name.to_owned(), text.to_owned())));
    }
    Ok(pairs)
}

/// The operation that an address of a Bundle's entry names, if it names one. `path` is below the FHIR base.
pub(super) fn at(path: &[&str], posted: bool) -> Option<Result<Target, Error>> {
    let name = path.last()?.strip_prefix('$')?;
    let place = match path {
        [_] => Ok((None, None, Level::System)),
        [kind_name, _] => kind(kind_name).map(|kind| (Some(kind), None, Level::Type)),
        [kind_name, id, _] => kind(kind_name).map(|kind| (Some(kind), Some((*id).to_owned()), Level::Instance)),
        _ => Err(Error::UnknownEndpoint),
    };
    Some(place.and_then(|(kind, id, level)| {
        let operation = find(name, kind, level).ok_or(Error::UnknownEndpoint)?;
        if posted || operation.safe { Ok(Target { operation, kind, id }) } else { Err(Error::MethodNotAllowed("POST")) }
    }))
}

/// An operation with what it is asked about.
pub(super) struct Target {
    operation: &'static Operation,
    kind: Option<&'static str>,
    id: Option<String>,
}

impl Target {
    /// Whether it writes: then it cannot be one with the other entries of a transaction.
    pub(super) fn changes(&self) -> bool {
        self.operation.changes()
    }

    pub(super) async fn run(
        self,
        state: &State,
        access: &Access,
        query: &str,
        body: Option<Value>,
    ) -> Result<Vec<u8>, Error> {
        let Self { operation, kind, id } = self;
        dispatch(operation, &Call { state, access, query, kind, id, body, if_match: None }).await
    }
}

/// The one place where an operation meets its work.
async fn dispatch(operation: &Operation, call: &Call<'_>) -> Result<Vec<u8>, Error> {
    match operation.name {
        "convert" => convert::run(call),
        "expand" => terminology::expand(call).await,
        "lookup" => terminology::lookup(call).await,
        "match" => match_::run(call).await,
        "validate-code" if call.kind == Some("ValueSet") => terminology::validate_in_set(call).await,
        "validate-code" => terminology::validate_in_system(call).await,
        "lastn" => lastn::run(call).await,
        "stats" => stats::run(call).await,
        "downsample" => downsample::run(call).await,
        "everything" => everything::run(call).await,
        "meta" => meta::read(call).await,
        "meta-add" => meta::add(call).await,
        "meta-delete" => meta::delete(call).await,
        "reindex" => reindex::start(call).await,
        "reindex-status" => reindex::status(call).await,
        "validate" => validate::run(call).await,
        "vitals-summary" => vitals::run(call).await,
        "dry-run" => trial::dry_run(call).await,
        "back-test" => trial::back_test(call).await,
        "acknowledge" => alert::acknowledge(call).await,
        "silence" => alert::silence(call).await,
        "escalate" => alert::escalate(call).await,
        "resolve" => alert::resolve(call).await,
        _ => Err(Error::UnknownEndpoint),
    }
}

/// What a POST brings, well formed but not checked. GET is for what changes nothing.
async fn body_of(
    state: &State,
    request: &HttpRequest,
    operation: &Operation,
    payload: web::Payload,
) -> Result<Option<Value>, Error> {
    match *request.method() {
        Method::GET | Method::HEAD if operation.safe => Ok(None),
        Method::POST if request.headers().get("Content-Type").is_none() => {
            let bytes = body::read(request, payload, state.settings.max_body_bytes).await?;
            if bytes.is_empty() { Ok(None) } else { Err(body::UNKNOWN_TYPE) }
        }
        Method::POST => body::resource(request, payload, state.settings.max_body_bytes).await.map(Some),
        _ => Err(Error::MethodNotAllowed(if operation.safe { "GET, HEAD, POST" } else { "POST" })),
    }
}
