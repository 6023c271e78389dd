//! Request bodies: read whole, unpacked (gzip, zstd), never beyond the limit, with errors of the catalogue.

use std::io::Read;

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde_json::Value;

use super::reply::media_format;
use crate::error::Error;

/// A window of this size (2^n bytes) is as much memory as a sender may make us keep.
const ZSTD_WINDOW: u32 = 23;

/// No batch of readings unpacks to more than so many times its size, unless it is short.
const RATIO: usize = 250;
const SHORT: usize = 256 * 1024;

/// The body is of a type, or in a character set, that is not read.
pub(super) const UNKNOWN_TYPE: Error = Error::UnsupportedMedia("Content-Type");

/// Bodies from this size on are read beside the threads that answer requests.
const LONG: usize = 64 * 1024;

/// Forms and orders are not larger.
pub(super) const SMALL: usize = 16 << 10;

#[derive(Clone, Copy)]
enum Coding {
    Gzip,
    Zstd,
}

/// All of it, after decompression at most `limit` bytes.
pub(super) async fn read(request: &HttpRequest, payload: web::Payload, limit: usize) -> Result<Bytes, Error> {
    only_utf8(request)?;
    read_bytes(request, payload, limit).await
}

/// The same of what anybody's device sends: a small body that would unpack to a large one is refused as well.
pub(super) async fn read_batch(request: &HttpRequest, payload: web::Payload, limit: usize) -> Result<Bytes, Error> {
    only_utf8(request)?;
    unpacked(request, payload, limit, Some(RATIO)).await
}

fn only_utf8(request: &HttpRequest) -> Result<(), Error> {
    if !request.headers().get(header::CONTENT_TYPE).is_none_or(|media| media.to_str().is_ok_and(is_utf8)) {
        return Err(UNKNOWN_TYPE);
    }
    Ok(())
}

/// The same of what may be written in any character set.
pub(super) async fn read_bytes(request: &HttpRequest, payload: web::Payload, limit: usize) -> Result<Bytes, Error> {
    unpacked(request, payload, limit, None).await
}

async fn unpacked(
    request: &HttpRequest,
    payload: web::Payload,
    limit: usize,
    ratio: Option<usize>,
) -> Result<Bytes, Error> {
    let headers = request.headers();
    if let Some(length) = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok())
        && length > limit
    {
        return Err(Error::TooLarge { limit });
    }
    let coding = match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => None,
        Some(b"gzip") => Some(Coding::Gzip),
        Some(b"zstd") => Some(Coding::Zstd),
        Some(_) => return Err(Error::UnsupportedMedia("Content-Encoding")),
    };
    let sent = whole(payload, limit).await?;
    match coding {
        None => Ok(sent),
        Some(coding) => {
            let limit = ratio.map_or(limit, |ratio| limit.min(sent.len().saturating_mul(ratio).max(SHORT)));
            tokio::task::spawn_blocking(move || unpack(coding, &sent, limit)).await.map_err(Error::internal)?
        }
    }
}

/// No character set named, or UTF-8, of which ASCII is a part.
fn is_utf8(media: &str) -> bool {
    media.split(';').skip(1).filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
        let value = value.trim().trim_matches('"');
        let known = ["utf-8", "utf8", "us-ascii"].iter().any(|own| value.eq_ignore_ascii_case(own));
        known || !name.trim().eq_ignore_ascii_case("charset")
    })
}

async fn whole(mut payload: web::Payload, limit: usize) -> Result<Bytes, Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| unreadable())?;
        if body.len() + chunk.len() > limit {
            return Err(Error::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Reads to the end that the packer wrote: what is cut short is an error, never a shorter body.
fn unpack(coding: Coding, packed: &[u8], limit: usize) -> Result<Bytes, Error> {
    let reader: Box<dyn Read + '_> = match coding {
        Coding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(packed)),
        Coding::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(packed).map_err(Error::internal)?;
            decoder.window_log_max(ZSTD_WINDOW).map_err(Error::internal)?;
            Box::new(decoder)
        }
    };
    let mut body = Vec::new();
    let enough = u64::try_from(limit).map_err(Error::internal)?.saturating_add(1);
    reader.take(enough).read_to_end(&mut body).map_err(|_| unreadable())?;
    if body.len() > limit { Err(Error::TooLarge { limit }) } else { Ok(body.into()) }
}

fn unreadable() -> Error {
    Error::invalid("structure", "http.body", "the body is cut short or its compression is damaged")
}

/// The format that the body is in; none named is JSON, what is named must be FHIR's.
pub(super) fn format(request: &HttpRequest) -> Result<fhir_r4::Format, Error> {
    match request.headers().get(header::CONTENT_TYPE).map(|v| v.to_str()) {
        None => Ok(fhir_r4::Format::Json),
        Some(Ok(media)) => media_format(media).ok_or(UNKNOWN_TYPE),
        Some(Err(_)) => Err(UNKNOWN_TYPE),
    }
}

/// The body as a resource that is well formed; it is not checked yet.
pub(super) async fn resource(request: &HttpRequest, payload: web::Payload, limit: usize) -> Result<Value, Error> {
    let format = format(request)?;
    let bytes = read(request, payload, limit).await?;
    if bytes.len() < LONG {
        return Ok(fhir_r4::parse(&bytes, format)?);
    }
    let read = tokio::task::spawn_blocking(move || fhir_r4::parse(&bytes, format)).await.map_err(Error::internal)?;
    Ok(read?)
}
