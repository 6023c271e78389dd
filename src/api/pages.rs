//! The server's own pages: static files, embedded in the binary, under a policy that lets them load nothing
//! from elsewhere and run nothing inline.

use actix_web::http::header;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rust_embed::{EmbeddedFile, RustEmbed};

use super::caller::SignedIn;
use super::reply::Answer;
use crate::error::Error;

#[derive(RustEmbed)]
#[folder = "src/ui"]
#[exclude = "tsconfig.json"]
#[exclude = "*.d.ts"]
struct Files;

pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
    font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/", web::get().to(ward))
        .route("/login", web::get().to(login))
        .route("/consent", web::get().to(consent))
        .route("/bridge", web::get().to(bridge))
        .route("/bridge-worker.js", web::get().to(bridge_worker))
        .route("/favicon.ico", web::get().to(icon))
        .route("/ui/{path:.*}", web::get().to(file));
}

/// The ward; whoever is not signed in is led to the sign-in page.
async fn ward(request: HttpRequest, signed_in: Result<SignedIn, Error>) -> Answer {
    match signed_in {
        Ok(_) => page(&request, "ward.html"),
        Err(Error::Unauthenticated(_)) => {
            Ok(HttpResponse::SeeOther().insert_header((header::LOCATION, "/login")).finish())
        }
        Err(error) => Err(error),
    }
}

async fn login(request: HttpRequest) -> Answer {
    page(&request, "login.html")
}

/// Where a user decides what an app may do; whoever is not signed in does so there.
async fn consent(request: HttpRequest) -> Answer {
    page(&request, "consent.html")
}

/// The gateway page. Nobody signs in to it: it has a claim code, and keys of its own.
async fn bridge(request: HttpRequest) -> Answer {
    page(&request, "bridge.html")
}

/// At the root, because a service worker may only serve pages below its own address.
async fn bridge_worker(request: HttpRequest) -> Answer {
    page(&request, "bridge-worker.js")
}

async fn icon(request: HttpRequest) -> Answer {
    page(&request, "icon.svg")
}

async fn file(request: HttpRequest, path: web::Path<String>) -> Answer {
    page(&request, &path)
}

fn page(request: &HttpRequest, name: &str) -> Answer {
    let file = Files::get(name).ok_or(Error::UnknownEndpoint)?;
    Ok(respond(request, file))
}

/// Always asked for again, answered with 304 while it is the same: a new version is seen at once.
fn respond(request: &HttpRequest, file: EmbeddedFile) -> HttpResponse {
    let hash = URL_SAFE_NO_PAD.encode(file.metadata.sha256_hash());
    let tag = format!("\"{hash}\"");
    let known = request.headers().get(header::IF_NONE_MATCH).is_some_and(|v| v == tag.as_str());
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .content_type(file.metadata.mimetype().to_owned())
        .insert_header((header::ETAG, tag))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"));
    // A 304 has no body: what came after it would be read as the next answer of the connection.
    if known { response.finish() } else { response.body(file.data.into_owned()) }
}
