//! Who calls: a machine by its bearer token, a device by its token or its key, or a person by the session cookie. A cookie alone never changes
//! anything: every such request must also carry a header that no foreign page can set.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::{Method, header};
use actix_web::{FromRequest, HttpRequest, web};

use super::State;
use crate::audit::trail::arrived;
use crate::auth::access::Access;
use crate::auth::device::proof::SECRET_PREFIX;
use crate::auth::sessions::Person;
use crate::auth::token::Bearer;
use crate::error::Error;

pub(super) const COOKIE: &str = "vigia_session";

/// The caller's rights. A handler that takes one is never reached without.
pub(crate) struct Caller(pub Access);

impl Deref for Caller {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.0
    }
}

/// A person who is signed in.
pub(crate) struct SignedIn(pub Person);

type Extracted<T> = Pin<Box<dyn Future<Output = Result<T, Error>>>>;

impl FromRequest for Caller {
    type Error = Error;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        let proved = async move {
            if let Some(token) = bearer(&request)? {
                let state = state(&request)?;
                if token.starts_with(SECRET_PREFIX) {
                    return Ok(Self(state.devices.by_secret(token).await?));
                }
                let access = match state.verifier.bearer(token, state.store.clock().now_seconds())? {
                    Bearer::Own(access) => {
                        state.devices.still(&access).await?;
                        access
                    }
                    Bearer::Granted(claims) => state.smart.access(&claims).await?,
                };
                return Ok(Self((*access).clone()));
            }
            Ok(Self(person(&request).await?.access))
        };
        Box::pin(async move { proved.await.inspect(|caller: &Self| arrived(&caller.0)) })
    }
}

impl FromRequest for SignedIn {
    type Error = Error;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Ok(Self(person(&request).await.inspect(|person| arrived(&person.access))?)) })
    }
}

fn state(request: &HttpRequest) -> Result<&State, Error> {
    let state = request.app_data::<web::Data<State>>().ok_or_else(|| Error::internal("no state"))?;
    Ok(state)
}

fn bearer(request: &HttpRequest) -> Result<Option<&str>, Error> {
    let Some(value) = request.headers().get(header::AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Error::Unauthenticated(Some("the Authorization header is unreadable")))?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(Error::Unauthenticated(Some("only bearer tokens are accepted"))),
    }
}

async fn person(request: &HttpRequest) -> Result<Person, Error> {
    let cookie = request.cookie(COOKIE).ok_or(Error::Unauthenticated(None))?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        not_forged(request)?;
    }
    state(request)?.sessions.find(cookie.value()).await
}

/// A form or an image of a foreign page cannot set this header without our consent (CORS).
pub(super) fn not_forged(request: &HttpRequest) -> Result<(), Error> {
    if request.headers().get("X-Requested-With").is_some_and(|v| v == "vigia") {
        return Ok(());
    }
    Err(Error::Forbidden("The header X-Requested-With: vigia is missing.".to_owned()))
}

/// The session's token, when there is one.
pub(super) fn session_token(request: &HttpRequest) -> Option<String> {
    request.cookie(COOKIE).map(|cookie| cookie.value().to_owned())
}
