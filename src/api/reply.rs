//! How handlers answer: errors as `OperationOutcomes` with the status of the catalogue, resources in the format
//! that the caller accepts, versions as `ETags`.

use std::future::ready;

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, Resource, ResponseError, web};
use serde_json::Value;

use crate::error::Error;
use crate::fhir::shape::View;
use crate::fhir::time;
use crate::store::Stored;

pub(super) type Answer = Result<HttpResponse, Error>;

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.view().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let status = self.status_code();
        if status.is_server_error() {
            tracing::error!(error = %self, "request failed");
        }
        let mut response = HttpResponse::build(status);
        for (name, value) in self.headers() {
            response.insert_header((name, value));
        }
        response.content_type(JSON).body(self.outcome().to_string())
    }
}

/// What was answered to one caller is kept by nobody on the way.
pub(super) const NO_STORE: (&str, &str) = ("Cache-Control", "no-store");
pub(super) const JSON: &str = "application/fhir+json; charset=utf-8";
const XML: &str = "application/fhir+xml; charset=utf-8";
pub(super) const NDJSON: &str = "application/fhir+ndjson";

/// A form that resources are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    Xml,
    /// One resource a line: of searches alone, to their end.
    Ndjson,
}

/// How the caller wants to read the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub media: Media,
    pretty: bool,
}

impl Wanted {
    /// What these parameters and the headers say: `_format` before `Accept`.
    pub(super) fn by(headers: &HeaderMap, pairs: &[(String, String)]) -> Result<Self, Error> {
        let value = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let pretty = value("_pretty") == Some("true");
        let media = match value("_format") {
            Some(format) => media(format).ok_or(Error::NotAcceptable)?,
            None => accepted(headers)?,
        };
        Ok(Self { media, pretty })
    }

    /// The same of the address alone.
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Error> {
        let pairs: Vec<_> = form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect();
        Self::by(request.headers(), &pairs)
    }

    /// One resource cannot be answered as lines.
    pub(super) fn format(self) -> Result<fhir_r4::Format, Error> {
        match self.media {
            Media::Json => Ok(fhir_r4::Format::Json),
            Media::Xml => Ok(fhir_r4::Format::Xml),
            Media::Ndjson => Err(Error::NotAcceptable),
        }
    }

    /// JSON bytes in this form.
    pub(super) fn answer(self, mut response: HttpResponseBuilder, json: Vec<u8>) -> Answer {
        match self.format()? {
            fhir_r4::Format::Json if self.pretty => {
                let value: Value = serde_json::from_slice(&json).map_err(Error::internal)?;
                Ok(response.content_type(JSON).body(serde_json::to_vec_pretty(&value).map_err(Error::internal)?))
            }
            fhir_r4::Format::Json => Ok(response.content_type(JSON).body(json)),
            fhir_r4::Format::Xml => {
                let value: Value = serde_json::from_slice(&json).map_err(Error::internal)?;
                let xml = fhir_r4::write_xml(&value).map_err(|issue| Error::internal(issue.diagnostics))?;
                Ok(response.content_type(XML).body(xml))
            }
        }
    }
}

/// The form of the greatest weight in `Accept`; among equals the first. What is not named is not sent.
fn accepted(headers: &HeaderMap) -> Result<Media, Error> {
    let ranges: Vec<&str> = headers.get_all(header::ACCEPT).filter_map(|value| value.to_str().ok()).collect();
    let ranges: Vec<(&str, u16)> =
        ranges.iter().flat_map(|value| value.split(',')).filter(|r| !r.trim().is_empty()).map(weighed).collect();
    if ranges.is_empty() {
        return Ok(Media::Json);
    }
    let refused = |media: Media| ranges.iter().any(|(range, weight)| *weight == 0 && self::media(range) == Some(media));
    let mut best: Option<(Media, u16)> = None;
    for (range, weight) in ranges.iter().filter(|(_, weight)| *weight > 0) {
        let bare = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let any = matches!(bare.as_str(), "*/*" | "application/*");
        let wild = || [Media::Json, Media::Xml].into_iter().find(|media| any && !refused(*media));
        if let Some(media) = media(range).or_else(wild)
            && best.is_none_or(|(_, own)| *weight > own)
        {
            best = Some((media, *weight));
        }
    }
    // Pages of a browser are for people, who can read JSON.
    let page = || ranges.iter().any(|(range, weight)| *weight > 0 && range.trim().starts_with("text/html"));
    best.map(|(media, _)| media).or_else(|| page().then_some(Media::Json)).ok_or(Error::NotAcceptable)
}

/// A range of `Accept` and its weight in thousandths.
fn weighed(range: &str) -> (&str, u16) {
    let weight = range.split(';').skip(1).find_map(|parameter| thousandths(parameter.trim().strip_prefix("q=")?));
    (range, weight.unwrap_or(1000))
}

/// `0.85` is 850. At most three digits, never more than one.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let fraction: u16 = if fraction.len() <= 3 { format!("{fraction:0<3}").parse().ok()? } else { return None };
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

/// A form by any of the names that R4 gives it. Another version of FHIR is not spoken.
fn media(text: &str) -> Option<Media> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().replace(' ', "+").to_ascii_lowercase();
    if parts.filter_map(|part| part.strip_prefix("fhirVersion=")).any(|version| !version.starts_with("4.0")) {
        return None;
    }
    match name.as_str() {
        "json" | "application/json" | "application/fhir+json" | "text/json" => Some(Media::Json),
        "xml" | "application/xml" | "application/fhir+xml" | "text/xml" => Some(Media::Xml),
        "ndjson" | "application/ndjson" | "application/fhir+ndjson" => Some(Media::Ndjson),
        _ => None,
    }
}

/// The format that the caller wants to read.
pub(super) fn format(request: &HttpRequest) -> Result<fhir_r4::Format, Error> {
    Wanted::of(request)?.format()
}

/// JSON or XML of a body, by any of the names that R4 gives them.
pub(super) fn media_format(text: &str) -> Option<fhir_r4::Format> {
    match media(text)? {
        Media::Json => Some(fhir_r4::Format::Json),
        Media::Xml => Some(fhir_r4::Format::Xml),
        Media::Ndjson => None,
    }
}

/// JSON bytes in the form that the caller wants.
pub(super) fn resource(request: &HttpRequest, response: HttpResponseBuilder, json: Vec<u8>) -> Answer {
    Wanted::of(request)?.answer(response, json)
}

/// A stored version, with its `ETag` and time, as much of it as is wanted.
pub(super) fn stored(request: &HttpRequest, stored: &Stored, view: &View) -> Answer {
    let mut response = HttpResponse::Ok();
    version_headers(&mut response, stored.version, stored.updated);
    resource(request, response, view.of_bytes(stored.json()?).map_err(Error::internal)?)
}

pub(super) fn version_headers(response: &mut HttpResponseBuilder, version: i32, updated: i64) {
    response.insert_header((header::ETAG, format!("W/\"{version}\"")));
    response.insert_header((header::LAST_MODIFIED, time::http_date(updated)));
}

/// The version that a weak or strong tag names: `W/"3"`, `"3"` or `3`.
pub(super) fn etag(text: &str) -> Result<i32, Error> {
    let bare = text.trim().trim_start_matches("W/").trim_matches('"');
    bare.parse().map_err(|_| bad_etag())
}

fn bad_etag() -> Error {
    Error::invalid("value", "http.If-Match", "If-Match must name one version, like W/\"3\"")
}

/// Middleware: an outcome is told in the form that was asked for, too.
pub(super) async fn outcomes_in_form<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let wanted = Wanted::of(request.request());
    let answer = next.call(request).await?;
    let error = answer.response().error().and_then(|error| error.as_error::<Error>());
    let (Ok(Wanted { media: Media::Xml, .. }), Some(error)) = (wanted, error) else {
        return Ok(answer.map_into_left_body());
    };
    let Ok(xml) = fhir_r4::write_xml(&error.outcome()) else { return Ok(answer.map_into_left_body()) };
    let mut response = HttpResponse::build(error.status_code());
    for (name, value) in error.headers() {
        response.insert_header((name, value));
    }
    let response = response.content_type(XML).body(xml);
    Ok(answer.into_response(response).map_into_boxed_body().map_into_right_body())
}

/// Middleware: every answer depends on what the caller can read, packed or not.
pub(super) async fn varied<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let mut answer = next.call(request).await?;
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    Ok(answer)
}

pub(super) async fn unknown_address() -> Answer {
    Err(Error::UnknownEndpoint)
}

/// An address that knows its methods: others are answered with these.
pub(super) fn at(path: &str, methods: &'static str) -> Resource {
    of(web::resource(path), methods)
}

/// The same of several addresses.
pub(super) fn of(resource: Resource, methods: &'static str) -> Resource {
    resource.default_service(web::to(move || ready(Answer::Err(Error::MethodNotAllowed(methods)))))
}
