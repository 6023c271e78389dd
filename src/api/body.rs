//! Request bodies: read whole, unpacked (gzip, zstd), never beyond the limit, with errors of the catalogue.

use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde_json::Value;

use super::reply::media_format;
use crate::error::Error;

/// All of it, after decompression at most `limit` bytes.
pub(super) async fn read(request: &HttpRequest, payload: web::Payload, limit: usize) -> Result<Bytes, Error> {
    if let Some(length) =
        request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok())
        && length > limit
    {
        return Err(Error::TooLarge { limit });
    }
    if let Some(coding) = request.headers().get(header::CONTENT_ENCODING)
        && !matches!(coding.as_bytes(), b"gzip" | b"zstd" | b"identity")
    {
        return Err(Error::UnsupportedMedia);
    }
    let mut stream = actix_web::dev::Decompress::from_headers(payload.into_inner(), request.headers());
    let mut body = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| unreadable(&error))?;
        if body.len() + chunk.len() > limit {
            return Err(Error::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn unreadable(error: &PayloadError) -> Error {
    tracing::debug!(kind = ?std::mem::discriminant(error), "body not readable");
    Error::invalid("structure", "http.body", "the body is cut short or its compression is damaged")
}

/// The format that the body is in; none named is JSON, what is named must be FHIR's.
pub(super) fn format(request: &HttpRequest) -> Result<fhir_r4::Format, Error> {
    match request.headers().get(header::CONTENT_TYPE).map(|v| v.to_str()) {
        None => Ok(fhir_r4::Format::Json),
        Some(Ok(media)) => media_format(media).ok_or(Error::UnsupportedMedia),
        Some(Err(_)) => Err(Error::UnsupportedMedia),
    }
}

/// The body as a resource that is well formed; it is not checked yet.
pub(super) async fn resource(request: &HttpRequest, payload: web::Payload, limit: usize) -> Result<Value, Error> {
    let format = format(request)?;
    let bytes = read(request, payload, limit).await?;
    Ok(fhir_r4::parse(&bytes, format)?)
}
