//! Search of a type, of everything and of a compartment, by GET and by form. What is asked is read in `asked`, one
//! page of it is answered by `page`, all of it as lines by `stream`.

mod asked;
mod page;
mod stream;

use actix_web::{HttpRequest, HttpResponse, web};

use self::asked::{Asked, Search};
pub(super) use self::asked::{Place, belonging};
pub(super) use self::page::entries;
use super::kind;
use crate::api::caller::Caller;
use crate::api::reply::{Answer, Media, Wanted};
use crate::api::{Shared, State, body};
use crate::auth::access::Access;
use crate::error::Error;
use crate::store;

/// A query string in a form is no longer than this.
const MAX_FORM: usize = 64 * 1024;

/// Search. `_count`, `_sort`, `_total` and every parameter that the `CapabilityStatement` names.
#[utoipa::path(get, path = "/fhir/{type}", tag = "fhir", params(("type" = String, Path, description = "R4 resource type"),
        ("_count" = Option<u32>, Query), ("_sort" = Option<String>, Query), ("_total" = Option<String>, Query),
        ("_include" = Option<String>, Query), ("_revinclude" = Option<String>, Query),
        ("_summary" = Option<String>, Query), ("_elements" = Option<String>, Query)),
    responses((status = 200, description = "searchset Bundle, or lines of resources when ndjson is asked for",
               content((Object = "application/fhir+json"), (String = "application/fhir+ndjson"))),
              (status = 400, description = "A parameter that the type does not have, or a wrong value")))]
pub(crate) async fn by_url(state: Shared, caller: Caller, request: HttpRequest, path: web::Path<String>) -> Answer {
    answer(&state, &caller, &request, Place::Type(kind(&path)?), None).await
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
    answer(&state, &caller, &request, Place::Type(kind(&path)?), Some(payload)).await
}

/// Search of several types, or of all, by the parameters that all have.
#[utoipa::path(get, path = "/fhir", tag = "fhir", params(("_type" = Option<String>, Query), ("_count" = Option<u32>, Query)),
    responses((status = 200, content_type = "application/fhir+json", description = "searchset Bundle")))]
pub(crate) async fn system_by_url(state: Shared, caller: Caller, request: HttpRequest) -> Answer {
    answer(&state, &caller, &request, Place::System, None).await
}

/// The same with the parameters in a form.
#[utoipa::path(post, path = "/fhir/_search", tag = "fhir",
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, content_type = "application/fhir+json", description = "searchset Bundle")))]
pub(crate) async fn system_by_form(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    answer(&state, &caller, &request, Place::System, Some(payload)).await
}

/// Search of a compartment: one type of it, or all (`*`).
#[utoipa::path(get, path = "/fhir/{type}/{id}/{member}", tag = "fhir",
    params(("type" = String, Path, description = "Patient, Encounter, Device, Practitioner or RelatedPerson"),
        ("id" = String, Path), ("member" = String, Path, description = "R4 resource type, or *")),
    responses((status = 200, content_type = "application/fhir+json", description = "searchset Bundle"),
              (status = 400, description = "The type is never in this compartment"), (status = 404, description = "No compartment")))]
pub(crate) async fn compartment_by_url(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String, String)>,
) -> Answer {
    let place = Place::compartment(kind(&path.0)?, &path.1, &path.2)?;
    answer(&state, &caller, &request, place, None).await
}

/// The same with the parameters in a form.
#[utoipa::path(post, path = "/fhir/{type}/{id}/{member}/_search", tag = "fhir",
    params(("type" = String, Path), ("id" = String, Path), ("member" = String, Path)),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, content_type = "application/fhir+json", description = "searchset Bundle")))]
pub(crate) async fn compartment_by_form(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String, String)>,
    payload: web::Payload,
) -> Answer {
    let place = Place::compartment(kind(&path.0)?, &path.1, &path.2)?;
    answer(&state, &caller, &request, place, Some(payload)).await
}

/// All types of a compartment with the parameters in a form.
#[utoipa::path(post, path = "/fhir/{type}/{id}/_search", tag = "fhir", params(("type" = String, Path), ("id" = String, Path)),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, content_type = "application/fhir+json", description = "searchset Bundle")))]
pub(crate) async fn whole_compartment_by_form(
    state: Shared,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
) -> Answer {
    let place = Place::compartment(kind(&path.0)?, &path.1, "*")?;
    answer(&state, &caller, &request, place, Some(payload)).await
}

async fn answer(
    state: &State,
    access: &Access,
    request: &HttpRequest,
    place: Place,
    form: Option<web::Payload>,
) -> Answer {
    let mut pairs = pairs(request.query_string())?;
    if let Some(payload) = form {
        pairs.extend(form_pairs(request, payload).await?);
    }
    let wanted = Wanted::by(request.headers(), &pairs)?;
    let asked = Asked::read(&state.store.params(), place, pairs, lenient(request))?;
    if wanted.media == Media::Ndjson {
        return stream::lines(state, access, asked).await;
    }
    wanted.answer(HttpResponse::Ok(), page::bundle(state, access, asked).await?)
}

/// The parameters of a POST; none without a body.
async fn form_pairs(request: &HttpRequest, payload: web::Payload) -> Result<Vec<(String, String)>, Error> {
    let form = body::read(request, payload, MAX_FORM).await?;
    let form =
        std::str::from_utf8(&form).map_err(|_| Error::invalid("structure", "http.body", "the form is not UTF-8"))?;
    pairs(form)
}

/// `Prefer: handling=lenient`: what is not known is passed over, and said so.
fn lenient(request: &HttpRequest) -> bool {
    let headers = request.headers().get_all("Prefer").filter_map(|value| value.to_str().ok());
    headers.flat_map(|value| value.split([',', ';'])).any(|part| part.trim() == "handling=lenient")
}

/// The decoded pairs of a query string. What is no UTF-8 decodes to the sign for that, which nobody searches for.
pub(super) fn pairs(query: &str) -> Result<Vec<(String, String)>, Error> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let broken = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
    match pairs.iter().find(|(name, value)| broken(name) || broken(value)) {
        Some((name, _)) => {
            let name = if broken(name) { "query" } else { name };
            Err(Error::invalid("value", format!("http.{name}"), "this is no UTF-8"))
        }
        None => Ok(pairs),
    }
}

/// The searchset of an address inside a Bundle, as JSON.
pub(super) async fn run(state: &State, access: &Access, place: Place, query: &str) -> Result<Vec<u8>, Error> {
    page::bundle(state, access, Asked::read(&state.store.params(), place, pairs(query)?, false)?).await
}

/// Whether such a search can be read and the caller may make it; it is not made.
pub(super) fn could(state: &State, access: &Access, place: Place, query: &str) -> Result<(), Error> {
    match Asked::read(&state.store.params(), place, pairs(query)?, false)?.search {
        Search::One(query) => store::may_search(access, vec![*query], true),
        Search::Several(several) => store::may_search(access, several.queries, several.named),
    }
}
