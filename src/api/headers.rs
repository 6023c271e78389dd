//! What every answer tells a browser: that it is what it says it is, that nothing frames it, that its address is told to
//! nobody; that what was answered to one caller is kept by nobody on the way; over TLS, never to come without it again.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web;

use super::State;

/// Two years, as browsers' preload lists ask.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");
/// Documents may say more; what is no page loads nothing.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// Middleware.
pub(super) async fn strict(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let over_tls = request.app_data::<web::Data<State>>().is_some_and(|state| state.settings.secure_cookies);
    let mut answer = next.call(request).await?;
    let headers = answer.headers_mut();
    unless_said(headers, header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    unless_said(headers, header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    unless_said(headers, header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    let page = headers.get(header::CONTENT_TYPE).is_some_and(|media| media.as_bytes().starts_with(b"text/html"));
    if !page {
        unless_said(headers, header::CONTENT_SECURITY_POLICY, NOTHING);
    }
    if over_tls {
        unless_said(headers, header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    Ok(answer)
}

fn unless_said(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    if !headers.contains_key(&name) {
        headers.insert(name, value);
    }
}
