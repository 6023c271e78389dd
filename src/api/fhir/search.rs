//! Search of one type, by GET and by form, answered as a searchset with links to the next page.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::kind;
use crate::api::caller::Caller;
use crate::api::reply::{Answer, resource};
use crate::api::{Shared, State, body};
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::bundle::Writer;
use crate::fhir::query;

/// A query string in a form is no longer than this.
const MAX_FORM: usize = 64 * 1024;

/// Search. `_count`, `_sort`, `_total` and every parameter that the `CapabilityStatement` names.
#[utoipa::path(get, path = "/fhir/{type}", tag = "fhir", params(("type" = String, Path, description = "R4 resource type"),
        ("_count" = Option<u32>, Query), ("_sort" = Option<String>, Query), ("_total" = Option<String>, Query)),
    responses((status = 200, content_type = "application/fhir+json", description = "searchset Bundle"),
              (status = 400, description = "A parameter that the type does not have, or a wrong value")))]
pub(crate) async fn by_url(state: Shared, caller: Caller, request: HttpRequest, path: web::Path<String>) -> Answer {
    let bundle = run(&state, &caller, kind(&path)?, request.query_string(), lenient(&request)).await?;
    resource(&request, HttpResponse::Ok(), bundle)
}

/// The same with the parameters in a form, so that they do not stand in an address.
#[utoipa::path(post, path = "/fhir/{type}/_search", tag = "fhir", params(("type" = String, Path)),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, content_type = "application/fhir+json", description = "searchset Bundle")))]
pub(crate) async fn by_form(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
) -> Answer {
    let kind = kind(&path)?;
    let form = body::read(&request, payload, MAX_FORM).await?;
    let form =
        std::str::from_utf8(&form).map_err(|_| Error::invalid("structure", "http.body", "the form is not UTF-8"))?;
    let both = [request.query_string(), form].iter().filter(|q| !q.is_empty()).copied().collect::<Vec<_>>().join("&");
    let bundle = run(&state, &caller, kind, &both, lenient(&request)).await?;
    resource(&request, HttpResponse::Ok(), bundle)
}

fn lenient(request: &HttpRequest) -> bool {
    request
        .headers()
        .get("Prefer")
        .and_then(|v| v.to_str().ok())
        .is_some_and(|prefer| prefer.contains("handling=lenient"))
}

/// The decoded pairs of a query string.
pub(super) fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// The searchset as JSON.
pub(super) async fn run(
    state: &State,
    access: &Access,
    kind: &'static str,
    text: &str,
    lenient: bool,
) -> Result<Vec<u8>, Error> {
    let mut pairs = pairs(text);
    if lenient {
        // What is passed over is not claimed by the links either.
        pairs.retain(|(name, _)| query::is_known(kind, name));
    }
    let query = query::parse(kind, &pairs, lenient)?;
    let page = state.store.search(access, query).await?;
    let base = state.fhir_base();
    let address = |cursor: Option<&str>| {
        let mut link = form_urlencoded::Serializer::new(String::new());
        link.extend_pairs(pairs.iter().filter(|(name, _)| name != "_cursor"));
        link.extend_pairs(cursor.map(|cursor| ("_cursor", cursor)));
        format!("{base}/{kind}?{}", link.finish())
    };
    let shown = pairs.iter().find(|(name, _)| name == "_cursor").map(|(_, cursor)| cursor.as_str());
    let mut links = vec![("self", address(shown))];
    if let Some(next) = &page.next {
        links.push(("next", address(Some(next))));
    }
    let mut writer = Writer::new("searchset", page.total, &links);
    let matched = [("search", json!({"mode": "match"}))];
    for hit in &page.hits {
        let full_url = format!("{base}/{kind}/{}", hit.id);
        writer.entry(Some(&full_url), Some(&hit.json()?), &matched);
    }
    Ok(writer.finish())
}
