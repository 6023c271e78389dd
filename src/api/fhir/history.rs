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
use crate::fhir::time;
use crate::store::Stored;

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
    let (mut count, mut before) = (DEFAULT_COUNT, None);
    for (name, value) in pairs(query) {
        let number = value.parse::<i64>();
        match (name.as_str(), number) {
            ("_count", Ok(n)) => count = usize::try_from(n).unwrap_or(DEFAULT_COUNT).clamp(1, MAX_COUNT),
            ("_before", Ok(n)) => before = Some(n),
            ("_format" | "_pretty", _) => {}
            _ => {
                return Err(Error::invalid(
                    "not-supported",
                    format!("http.{name}"),
                    "history takes _count and its own page links",
                ));
            }
        }
    }
    let mut versions = state.store.history(access, kind, id, before, count + 1).await?;
    if versions.is_empty()
        && before.is_none()
        && let (Some(kind), Some(id)) = (kind, id)
    {
        return Err(Error::not_found(kind, id));
    }
    let more = versions.len() > count;
    versions.truncate(count);
    let place: String = [kind, id].into_iter().flatten().flat_map(|part| ["/", part]).collect();
    let address = format!("{}{place}/_history", state.fhir_base());
    let mut links = vec![("self", request_address(&address, query))];
    if let Some((seq, _)) = versions.last().filter(|_| more) {
        links.push(("next", format!("{address}?_count={count}&_before={seq}")));
    }
    let mut writer = Writer::new("history", None, &links);
    for (_, version) in &versions {
        entry(&mut writer, &state.fhir_base(), version)?;
    }
    Ok(writer.finish())
}

fn request_address(address: &str, query: &str) -> String {
    match query {
        "" => address.to_owned(),
        query => format!("{address}?{query}"),
    }
}

fn entry(writer: &mut Writer, base: &str, version: &Stored) -> Result<(), Error> {
    let own = format!("{}/{}", version.resource_type, version.id);
    let (method, url, status) = match (version.deleted, version.version) {
        (true, _) => ("DELETE", own.clone(), "204"),
        (false, 1) => ("POST", version.resource_type.to_owned(), "201"),
        (false, _) => ("PUT", own.clone(), "200"),
    };
    let content = if version.deleted { None } else { Some(version.json()?) };
    let response = json!({"status": status, "etag": format!("W/\"{}\"", version.version), "lastModified": time::instant(version.updated)});
    writer.entry(
        Some(&format!("{base}/{own}")),
        content.as_deref(),
        &[("request", json!({"method": method, "url": url})), ("response", response)],
    );
    Ok(())
}
