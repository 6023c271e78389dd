//! One entry of a Bundle read as what it asks for: something to look at, or an interaction that writes. Every fault
//! is told with the entry's place.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fhir_r4::Checked;
use serde_json::Value;

use super::look::{Asks, Look};
use crate::api::fhir::kind;
use crate::api::fhir::patch::of_media;
use crate::api::fhir::write::criterion::{condition, nothing_match, version_match};
use crate::api::fhir::write::same_id;
use crate::error::Error;
use crate::fhir::bundle::{Method, Request};
use crate::fhir::patch::Patch;
use crate::fhir::query::Query;
use crate::fhir::registry::Params;
use crate::pipeline::{Interaction, Match, Work};
use crate::profiles::Profiles;

pub(super) enum Entry {
    /// A read, a search or an operation, done when everything is written.
    Look(Look),
    Write(Box<Write>),
}

/// An entry that writes. Its resource is not checked yet: links in it may have to be resolved first.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub at: usize,
    pub method: Method,
    pub kind: &'static str,
    /// The id in the address.
    pub id: Option<String>,
    pub criterion: Option<Query>,
    if_match: Option<Match>,
    pub full_url: Option<String>,
    pub resource: Option<Value>,
}

pub(super) fn place(at: usize) -> String {
    format!("Bundle.entry[{at}]")
}

/// An error that is about an entry as a whole names it. What is about the server stays what it is.
pub(super) fn located(error: Error, at: usize) -> Error {
    let about_the_server =
        error.view().status >= 500 || matches!(error, Error::TooMany { .. } | Error::Unauthenticated(_));
    // What names its place in the Bundle already has no need of it.
    let placed = matches!(&error, Error::At { .. })
        || error.issues().iter().any(|issue| issue.expression.starts_with("Bundle.entry["));
    if about_the_server || placed { error } else { error.at(place(at)) }
}

/// `base`: our own address, which an entry's may begin with.
pub(super) fn read(params: &Params, request: Option<Request>, at: usize, base: &str) -> Result<Entry, Error> {
    let request = request.ok_or_else(|| {
        Error::invalid("required", format!("{}.request", place(at)), "this entry has no request that can be read")
    })?;
    let Request { method, url, if_match, if_none_match, if_modified_since, if_none_exist, full_url, resource } =
        request;
    let url = url.strip_prefix(base).unwrap_or(&url).trim_start_matches('/').to_owned();
    let asks = match method {
        Method::Get => Some(Asks::Get),
        Method::Head => Some(Asks::Head),
        Method::Post if is_operation(&url) => Some(Asks::Post(resource.clone().map(Box::new))),
        _ => None,
    };
    if let Some(asks) = asks {
        return Ok(Entry::Look(Look { url, asks, if_none_match, if_modified_since }));
    }
    let wrong = || Error::invalid("value", format!("{}.request.url", place(at)), "no address of this server");
    let (path, query) = url.split_once('?').map_or((url.as_str(), None), |(path, query)| (path, Some(query)));
    let mut parts = path.trim_end_matches('/').split('/');
    let kind = kind(parts.next().unwrap_or_default()).map_err(|_| wrong())?;
    let id = parts.next().map(str::to_owned);
    if parts.next().is_some() {
        return Err(wrong());
    }
    let under = |error: Error| located(error, at);
    let criterion = match (method, &id) {
        (Method::Post, Some(_)) => {
            return Err(under(Error::NotSupported("POST takes the address of a type here.".to_owned())));
        }
        (Method::Post, None) => if_none_exist.map(|text| condition(params, kind, &text, "ifNoneExist")).transpose(),
        (_, None) => condition(params, kind, query.unwrap_or_default(), "request.url").map(Some),
        (_, Some(_)) => Ok(None),
    };
    let criterion = criterion.map_err(under)?;
    let mut if_match = if_match.as_deref().map(version_match).transpose().map_err(under)?;
    if let (Method::Put, Some(text)) = (method, if_none_match) {
        if_match = nothing_match(&text, if_match.is_some(), "request.ifNoneMatch").map_err(under)?;
    }
    Ok(Entry::Write(Box::new(Write { at, method, kind, id, criterion, if_match, full_url, resource })))
}

/// `Patient/$match?…`: the last part of the path is a name behind `$`.
fn is_operation(url: &str) -> bool {
    let path = url.split('?').next().unwrap_or(url).trim_end_matches('/');
    path.rsplit('/').next().is_some_and(|last| last.starts_with('$'))
}

impl Write {
    /// Whether what it comes to depends on what stands.
    pub(super) fn depends(&self) -> bool {
        self.criterion.is_some() || self.method == Method::Patch || self.if_match.as_ref().is_some_and(Match::depends)
    }

    /// The checked interaction. `name`: what a created resource will be called.
    pub(super) async fn interaction(self, profiles: &Profiles, name: Option<String>) -> Result<Interaction, Error> {
        let Self { at, method, kind, id, criterion, if_match, resource, .. } = self;
        let work = match method {
            Method::Post => Work::Create(checked(profiles, resource, at, kind).await?),
            Method::Put => {
                let checked = checked(profiles, resource, at, kind).await?;
                if let Some(id) = &id {
                    same_id(checked.value(), kind, id).map_err(|e| e.under(&format!("{}.resource", place(at))))?;
                }
                Work::Update(checked)
            }
            Method::Patch => Work::Patch(patch(resource, at)?),
            Method::Delete | Method::Get | Method::Head => Work::Delete,
        };
        Ok(Interaction { kind, id: name.or(id), criterion, if_match, work })
    }
}

fn given(resource: Option<Value>, at: usize) -> Result<Value, Error> {
    let place = || format!("{}.resource", place(at));
    resource.ok_or_else(|| Error::invalid("required", place(), "this entry needs a resource"))
}

/// An entry's resource, checked; its issues name their place in the Bundle.
async fn checked(profiles: &Profiles, resource: Option<Value>, at: usize, kind: &str) -> Result<Checked, Error> {
    let place = format!("{}.resource", place(at));
    let checked = profiles.check(given(resource, at)?).await;
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

/// A patch travels as a Binary that holds it, or as Parameters.
fn patch(resource: Option<Value>, at: usize) -> Result<Patch, Error> {
    let resource = given(resource, at)?;
    let text = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default();
    let wrong = |text| Error::invalid("value", format!("{}.resource", place(at)), text);
    match text("resourceType") {
        "Binary" => {
            let data = STANDARD.decode(text("data")).map_err(|_| wrong("the data of this Binary are no base64"))?;
            of_media(text("contentType"), &data).map_err(|error| located(error, at))
        }
        "Parameters" => {
            let place = format!("{}.resource", place(at));
            Patch::parameters(resource).map_err(|error| error.under(&place))
        }
        _ => Err(wrong("a patch is a Binary with a JSON Patch, or Parameters")),
    }
}
