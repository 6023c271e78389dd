//! Which pages of other origins may call (CORS): any for what is public, those that a client registered for the rest.
//! Cookies are never part of it.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, web};

use super::super::State;

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const HEADERS: &str = "Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Exist, If-None-Match, Prefer, \
                       X-Request-Id";
const EXPOSED: &str = "Content-Location, ETag, Last-Modified, Location, Retry-After, X-Request-Id";
/// What anybody may read from anywhere.
const PUBLIC: [&str; 4] =
    ["/fhir/metadata", "/fhir/.well-known/smart-configuration", "/.well-known/openid-configuration", "/auth/jwks"];

/// Middleware: answers the browser's question before the call, and says with the answer who may read it.
pub(in crate::api) async fn shared<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, actix_web::Error> {
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let allowed = allowed(&request, &origin).await;
    // What a page is made of is the same for all: a copy that a browser keeps of it fits whoever asks.
    let of_apps = is_of_apps(request.path());
    let asks = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut answer = if asks && request.method() == Method::OPTIONS {
        request.into_response(HttpResponse::NoContent().finish()).map_into_right_body()
    } else {
        next.call(request).await?.map_into_left_body()
    };
    let headers = answer.headers_mut();
    if of_apps {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    if let Some(allowed) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        if asks {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
    }
    Ok(answer)
}

async fn allowed(request: &ServiceRequest, origin: &HeaderValue) -> Option<HeaderValue> {
    let path = request.path();
    if PUBLIC.contains(&path) {
        return Some(HeaderValue::from_static("*"));
    }
    let state = request.app_data::<web::Data<State>>().filter(|_| is_of_apps(path))?;
    match state.smart.clients.is_origin(origin.to_str().ok()?).await {
        Ok(true) => Some(origin.clone()),
        Ok(false) => None,
        Err(error) => {
            tracing::warn!(%error, "the origins of clients cannot be read");
            None
        }
    }
}

/// Apps of other origins call here; whether they may depends on who they are.
fn is_of_apps(path: &str) -> bool {
    let token = ["/auth/token", "/auth/introspect", "/auth/revoke"].contains(&path);
    token || (path.starts_with("/fhir") && !PUBLIC.contains(&path))
}
