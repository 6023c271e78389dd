//! Somebody who asks the server over HTTP, and what they are answered.

use std::net::SocketAddr;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// Who asks.
#[derive(Clone)]
pub(crate) enum Actor {
    Nobody,
    Token(String),
    /// A browser: the cookie, and the header that our own pages send.
    Session(String),
}

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) address: SocketAddr,
    pub(crate) actor: Actor,
}

/// A request that is being put together.
pub(crate) struct Ask<'a> {
    client: &'a Client,
    headers: Vec<(String, String)>,
}

impl Client {
    pub(crate) fn with_header(&self, name: &str, value: &str) -> Ask<'_> {
        Ask { client: self, headers: vec![] }.with_header(name, value)
    }

    fn plain(&self) -> Ask<'_> {
        Ask { client: self, headers: vec![] }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.plain().get(path).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.plain().post(path, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Reply {
        self.plain().put(path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.plain().send(Method::DELETE, path, None).await
    }

    /// Bytes as they are.
    pub(crate) async fn post_raw(&self, path: &str, media: &str, body: impl Into<Vec<u8>>) -> Reply {
        self.with_header("Content-Type", media).send(Method::POST, path, Some(body.into())).await
    }

    /// The request with everything but a body: for streams.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let mut request = self.http.request(method, format!("http://{}{path}", self.address));
        match &self.actor {
            Actor::Nobody => {}
            Actor::Token(token) => request = request.header("Authorization", format!("Bearer {token}")),
            Actor::Session(cookie) => request = request.header("Cookie", cookie).header("X-Requested-With", "vigia"),
        }
        request
    }
}

impl Ask<'_> {
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) async fn get(self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(self, path: &str, body: &Value) -> Reply {
        self.json(Method::POST, path, body).await
    }

    pub(crate) async fn put(self, path: &str, body: &Value) -> Reply {
        self.json(Method::PUT, path, body).await
    }

    async fn json(self, method: Method, path: &str, body: &Value) -> Reply {
        let own = self.headers.iter().any(|(name, _)| name == "Content-Type");
        let media = if path.starts_with("/fhir") { "application/fhir+json" } else { "application/json" };
        let ask = if own { self } else { self.with_header("Content-Type", media) };
        ask.send(method, path, Some(body.to_string().into_bytes())).await
    }

    pub(crate) async fn send(self, method: Method, path: &str, body: Option<Vec<u8>>) -> Reply {
        let about = format!("{method} {path}");
        let mut request = self.client.request(method, path);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.unwrap_or_else(|error| panic!("{about}: {error:?}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.unwrap_or_else(|error| panic!("{about}: {error:?}")).to_vec();
        Reply { about, status, headers, body }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    about: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The reply, when it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.about, self.text());
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{}: {error}: {}", self.about, self.text()))
    }

    #[track_caller]
    pub(crate) fn id(&self) -> String {
        self.json()["id"].as_str().unwrap_or_else(|| panic!("{}: no id: {}", self.about, self.text())).to_owned()
    }

    /// A header's text; empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    /// An OperationOutcome's issues as `code expression`, joined.
    #[track_caller]
    pub(crate) fn issues(&self) -> String {
        let outcome = self.json();
        assert_eq!(outcome["resourceType"], "OperationOutcome", "{}: {outcome}", self.about);
        let issues = outcome["issue"].as_array().unwrap();
        let line = |issue: &Value| {
            assert!(issue["diagnostics"].as_str().is_some_and(|text| !text.is_empty()), "{}: {issue}", self.about);
            let place = issue["expression"][0].as_str().unwrap_or_default();
            format!("{} {place}", issue["code"].as_str().unwrap()).trim().to_owned()
        };
        issues.iter().map(line).collect::<Vec<_>>().join("; ")
    }
}
