//! How handlers answer: errors as `OperationOutcomes` with the status of the catalogue, resources in the format
//! that the caller accepts, versions as `ETags`.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use serde_json::Value;

use crate::error::Error;
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

pub(super) const JSON: &str = "application/fhir+json; charset=utf-8";
const XML: &str = "application/fhir+xml; charset=utf-8";

/// The format that the caller wants to read: `_format` before `Accept`.
pub(super) fn format(request: &HttpRequest) -> Result<fhir_r4::Format, Error> {
    let asked = request.query_string().split('&').find_map(|pair| pair.strip_prefix("_format="));
    let asked =
        asked.map(|value| value.replace("%2F", "/").replace("%2f", "/").replace("%2B", "+").replace("%2b", "+"));
    if let Some(asked) = asked {
        return media_format(&asked).ok_or(Error::NotAcceptable);
    }
    let Some(accept) = request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok()) else {
        return Ok(fhir_r4::Format::Json);
    };
    // In the order of the header; weights are for browsers, which take anything.
    let known = accept.split(',').find_map(|range| {
        let media = range.split(';').next().unwrap_or_default().trim();
        if media == "*/*" || media == "application/*" { Some(fhir_r4::Format::Json) } else { media_format(media) }
    });
    known.or(accept.contains("text/html").then_some(fhir_r4::Format::Json)).ok_or(Error::NotAcceptable)
}

/// JSON or XML, by any of the names that R4 gives them.
pub(super) fn media_format(media: &str) -> Option<fhir_r4::Format> {
    let media = media.split(';').next().unwrap_or_default().trim().replace(' ', "+");
    match media.to_ascii_lowercase().as_str() {
        "json" | "application/json" | "application/fhir+json" | "text/json" => Some(fhir_r4::Format::Json),
        "xml" | "application/xml" | "application/fhir+xml" | "text/xml" => Some(fhir_r4::Format::Xml),
        _ => None,
    }
}

/// JSON bytes in the format that the caller wants.
pub(super) fn resource(request: &HttpRequest, mut response: actix_web::HttpResponseBuilder, json: Vec<u8>) -> Answer {
    match format(request)? {
        fhir_r4::Format::Json => Ok(response.content_type(JSON).body(json)),
        fhir_r4::Format::Xml => {
            let value: Value = serde_json::from_slice(&json).map_err(Error::internal)?;
            let xml = fhir_r4::write_xml(&value).map_err(|issue| Error::internal(issue.diagnostics))?;
            Ok(response.content_type(XML).body(xml))
        }
    }
}

/// A stored version, with its `ETag` and time.
pub(super) fn stored(request: &HttpRequest, stored: &Stored) -> Answer {
    let mut response = HttpResponse::Ok();
    version_headers(&mut response, stored.version, stored.updated);
    resource(request, response, stored.json()?)
}

pub(super) fn version_headers(response: &mut actix_web::HttpResponseBuilder, version: i32, updated: i64) {
    response.insert_header((header::ETAG, format!("W/\"{version}\"")));
    response.insert_header((header::LAST_MODIFIED, time::http_date(updated)));
}

/// The version that `If-Match` names: `W/"3"`, `"3"` or `3`.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<i32>, Error> {
    headers
        .get(header::IF_MATCH)
        .map(HeaderValue::to_str)
        .transpose()
        .map_or_else(|_| Err(bad_etag()), |text| text.map(etag).transpose())
}

pub(super) fn etag(text: &str) -> Result<i32, Error> {
    let bare = text.trim().trim_start_matches("W/").trim_matches('"');
    bare.parse().map_err(|_| bad_etag())
}

fn bad_etag() -> Error {
    Error::invalid("value", "http.If-Match", "If-Match must name one version, like W/\"3\"")
}

pub(super) async fn unknown_address() -> Answer {
    Err(Error::UnknownEndpoint)
}

pub(super) async fn wrong_method() -> Answer {
    Err(Error::MethodNotAllowed)
}
