//! Histories: of one resource, of a type, of everything; newest first, page by page.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::kind;
use super::search::pairs;
use crate::api::caller::Caller;
use crate::api::reply::{Answer, resource};
use crate::api::{Shared, State};
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::bundle::Writer;
use crate::fhir::query::{DEFAULT_COUNT, MAX_COUNT};
use crate::fhir::shape::{self, Summary, View};
use crate::fhir::time;
use crate::store::{self, HistoryQuery, Stored};

/// Every version of one resource.
#[utoipa::path(get, path = "/fhir/{type}/{id}/_history", tag = "fhir", params(("type" = String, Path), ("id" = String, Path)),
    responses((status = 200, content_type = "application/fhir+json", description = "history Bundle"), (status = 404, description = "Not known")))]
pub(crate) async fn of_instance(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Answer {
    let (kind, id) = (kind(&path.0)?, path.1.as_str());
    answer(&state, &caller, &request, Some(kind), Some(id)).await
}

/// Every version of every resource of one type.
#[utoipa::path(get, path = "/fhir/{type}/_history", tag = "fhir", params(("type" = String, Path)),
    responses((status = 200, content_type = "application/fhir+json", description = "history Bundle")))]
pub(crate) async fn of_type(state: Shared, caller: Caller, request: HttpRequest, path: web::Path<String>) -> Answer {
    answer(&state, &caller, &request, Some(kind(&path)?), None).await
}

/// Every version of everything.
#[utoipa::path(get, path = "/fhir/_history", tag = "fhir",
    responses((status = 200, content_type = "application/fhir+json", description = "history Bundle")))]
pub(crate) async fn system(state: Shared, caller: Caller, request: HttpRequest) -> Answer {
    answer(&state, &caller, &request, None, None).await
}

async fn answer(
    state: &State,
    access: &Access,
    request: &HttpRequest,
    kind: Option<&'static str>,
    id: Option<&str>,
) -> Answer {
    resource(request, HttpResponse::Ok(), run(state, access, kind, id, request.query_string()).await?)
}

/// The history as JSON.
pub(super) async fn run(
    state: &State,
    access: &Access,
    kind: Option<&'static str>,
    id: Option<&str>,
    query: &str,
) -> Result<Vec<u8>, Error> {
    let pairs = pairs(query)?;
    let (asked, view) = (asked(&pairs)?, view(kind, &pairs)?);
    let page = state.store.history(access, kind, id, asked).await?;
    let page = page.ok_or_else(|| Error::not_found(kind.unwrap_or_default(), id.unwrap_or_default()))?;
    let place: String = [kind, id].into_iter().flatten().flat_map(|part| ["/", part]).collect();
    let address = format!("{}{place}/_history", state.fhir_base());
    let mut links = vec![("self", link(&address, &pairs))];
    if let Some(next) = page.next {
        let mut pairs = pairs;
        pairs.retain(|(name, _)| name != "_cursor");
        pairs.push(("_cursor".to_owned(), next));
        links.push(("next", link(&address, &pairs)));
    }
    let mut writer = Writer::new("history", page.total, &links);
    for version in &page.versions {
        entry(&mut writer, &state.fhir_base(), &view, version)?;
    }
    Ok(writer.finish())
}

/// Whether such a history can be read and the caller may ask for it; it is not asked for.
pub(super) fn try_out(access: &Access, kind: Option<&'static str>, id: Option<&str>, query: &str) -> Result<(), Error> {
    let pairs = pairs(query)?;
    asked(&pairs)?;
    view(kind, &pairs)?;
    store::may_follow(access, kind, id).map(|_| ())
}

fn link(address: &str, pairs: &[(String, String)]) -> String {
    if pairs.is_empty() {
        return address.to_owned();
    }
    format!("{address}?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
}

/// The parameters of a history. One that is not known would show more than is asked for.
fn asked(pairs: &[(String, String)]) -> Result<HistoryQuery, Error> {
    let mut asked = HistoryQuery { count: DEFAULT_COUNT, ..HistoryQuery::default() };
    for (name, value) in pairs {
        let wrong = |text: &str| Error::invalid("value", format!("http.{name}"), text);
        let range =
            || time::range(&value.replace(' ', "+")).ok_or_else(|| wrong("this is no FHIR date, dateTime or instant"));
        match name.as_str() {
            "_count" => {
                let count: usize = value.parse().map_err(|_| wrong("_count must be a whole number"))?;
                asked.count = count.clamp(1, MAX_COUNT);
            }
            "_since" => asked.since = Some(range()?.start),
            "_at" => asked.at = range().map(|range| Some((range.start, range.end)))?,
            "_cursor" => asked.cursor = Some(value.clone()),
            "_sort" if value == "-_lastUpdated" => {}
            "_sort" => return Err(wrong("a history is sorted by -_lastUpdated")),
            "_format" | "_pretty" => {}
            name if shape::is_one(name) => {}
            _ => {
                let text = "history takes _count, _since, _at, _summary, _elements and its own page links";
                return Err(Error::invalid("not-supported", format!("http.{name}"), text));
            }
        }
    }
    Ok(asked)
}

/// How much of each version is wanted.
fn view(kind: Option<&'static str>, pairs: &[(String, String)]) -> Result<View, Error> {
    let view = match kind {
        Some(kind) => View::read(pairs, &[kind])?,
        None => View::read(pairs, fhir_r4::resource_types())?,
    };
    if view.summary() == Summary::Count {
        return Err(Error::invalid("value", "http._summary", "a count is of searches alone"));
    }
    Ok(view)
}

/// Whether the server has made up this id: then the first version came by POST.
fn is_ours(id: &str) -> bool {
    uuid::Uuid::try_parse(id).is_ok_and(|id| matches!(id.get_version_num(), 7 | 8))
}

fn entry(writer: &mut Writer, base: &str, view: &View, version: &Stored) -> Result<(), Error> {
    let own = format!("{}/{}", version.resource_type, version.id);
    let (method, url, status) = match (version.deleted, version.version) {
        (true, _) => ("DELETE", own.clone(), "204 No Content"),
        (false, 1) if is_ours(&version.id) => ("POST", version.resource_type.to_owned(), "201 Created"),
        (false, 1) => ("PUT", own.clone(), "201 Created"),
        (false, _) => ("PUT", own.clone(), "200 OK"),
    };
    let content = if version.deleted { None } else { Some(view.of_bytes(version.json()?).map_err(Error::internal)?) };
    let response = json!({"status": status, "etag": format!("W/\"{}\"", version.version), "lastModified": time::instant(version.updated)});
    writer.entry(
        Some(&format!("{base}/{own}")),
        content.as_deref(),
        &[("request", json!({"method": method, "url": url})), ("response", response)],
    );
    Ok(())
}
