//! A request for leave (`/auth/authorize`): read, checked, and kept until its user decides. Only a client that is known,
//! at an address of its own, is answered there; all others are told on a page of ours, so that nobody is led astray.

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use super::client::Client;
use super::launch::Launch;
use super::refusal::Refusal;
use super::registration::GrantType;
use super::{SECOND, Smart, ticket};
use crate::auth::access::scope::{self, Context, OTHER_SCOPES, Scope};
use crate::error::Error;

/// How long a user may take to decide, µs.
const GOOD: i64 = 15 * 60 * SECOND;
const MAX_STATE: usize = 2048;
const MAX_SCOPE: usize = 4096;
const MAX_NONCE: usize = 512;
const MAX_SCOPES: usize = 100;
/// What `OpenID` Connect knows besides and this server has nothing to say to.
const UNUSED: [&str; 3] = ["email", "phone", "address"];

/// A request that waits for its user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    pub client: String,
    pub redirect_uri: String,
    /// As it stands in an address.
    pub state: String,
    pub scopes: Vec<String>,
    /// PKCE, S256
    pub challenge: String,
    pub nonce: Option<String>,
    pub launch: Option<Launch>,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Asked {
    /// The user is asked; this is what the request is found by.
    Waiting(String),
    /// The client is told, at its address.
    Redirect(String),
    /// The user is told: whoever sent this is not to be trusted with an answer.
    Page(Refusal),
}

/// The parameters of a request, none of them twice.
#[derive(Default)]
struct Form {
    pairs: Vec<(String, Vec<u8>)>,
}

impl Form {
    /// An error names the parameter that stands twice.
    fn read(raw: &str) -> Result<Self, Refusal> {
        let mut pairs: Vec<(String, Vec<u8>)> = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).collect::<Vec<u8>>();
            let Ok(name) = String::from_utf8(decode(name)) else { continue };
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(Refusal::request(format!("the parameter {} stands twice", scope::printable(&name))));
            }
            pairs.push((name, decode(value)));
        }
        Ok(Self { pairs })
    }

    fn bytes(&self, name: &str) -> &[u8] {
        self.pairs.iter().find(|(known, _)| known == name).map_or(&[], |(_, value)| value)
    }

    fn text(&self, name: &str) -> &str {
        std::str::from_utf8(self.bytes(name)).unwrap_or_default()
    }
}

impl Smart {
    /// `raw`: the query, or the form's content.
    pub async fn ask(&self, raw: &str) -> Result<Asked, Error> {
        let form = match Form::read(raw) {
            Ok(form) => form,
            Err(refusal) => return Ok(Asked::Page(refusal)),
        };
        let Some(client) = self.clients.find(form.text("client_id")).await? else {
            return Ok(Asked::Page(Refusal::client("this app is not registered here (client_id)")));
        };
        let redirect_uri = form.text("redirect_uri");
        if !client.registration.has_redirect(redirect_uri) {
            return Ok(Asked::Page(Refusal::request(
                "the address to return to (redirect_uri) is not one that this app registered",
            )));
        }
        if form.bytes("state").len() > MAX_STATE {
            return Ok(Asked::Page(Refusal::request("state is longer than 2048 bytes")));
        }
        let state: String = form_urlencoded::byte_serialize(form.bytes("state")).collect();
        match self.checked(&form, &client, state.clone()).await? {
            Ok(request) => {
                let now = self.store.clock().now();
                let (handle, row) = ticket::make(ticket::REQUEST, &request, now + GOOD)?;
                self.store.add_ticket(row, now).await?;
                Ok(Asked::Waiting(handle))
            }
            Err(refusal) => Ok(Asked::Redirect(refused_at(redirect_uri, &state, &refusal))),
        }
    }

    async fn checked(&self, form: &Form, client: &Client, state: String) -> Result<Result<Request, Refusal>, Error> {
        let scopes = match plain_checks(form, client, self.fhir_base()) {
            Ok(scopes) => scopes,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let launch = match form.text("launch") {
            "" => None,
            handle => match self.launched(&client.id, handle).await? {
                Some(launch) => Some(launch),
                None => return Ok(Err(Refusal::request("launch is not known, or too old"))),
            },
        };
        if launch.is_none() && scopes.iter().any(|scope| scope == "launch") {
            return Ok(Err(Refusal::request("the scope launch needs the parameter launch")));
        }
        let nonce = Some(form.text("nonce").to_owned()).filter(|nonce| !nonce.is_empty());
        Ok(Ok(Request {
            client: client.id.clone(),
            redirect_uri: form.text("redirect_uri").to_owned(),
            state,
            scopes,
            challenge: form.text("code_challenge").to_owned(),
            nonce,
            launch,
        }))
    }
}

/// The scopes that may be asked for, or what is wrong.
fn plain_checks(form: &Form, client: &Client, fhir_base: &str) -> Result<Vec<String>, Refusal> {
    if form.text("response_type") != "code" {
        return Err(Refusal::new("unsupported_response_type", "response_type must be code"));
    }
    if !client.registration.may(GrantType::AuthorizationCode) {
        return Err(Refusal::new("unauthorized_client", "this client is not registered for authorization_code"));
    }
    if form.bytes("state").is_empty() {
        return Err(Refusal::request("state is missing"));
    }
    if form.text("code_challenge_method") != "S256" {
        return Err(Refusal::request("PKCE is needed: code_challenge_method must be S256"));
    }
    let challenge = form.text("code_challenge");
    if challenge.len() != 43 || !challenge.bytes().all(is_base64url) {
        return Err(Refusal::request("code_challenge must be the SHA-256 of the verifier, base64url, 43 characters"));
    }
    let audience =
        [form.text("aud"), form.text("resource")].into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    if audience.trim_end_matches('/') != fhir_base {
        return Err(Refusal::request(format!("aud must be {fhir_base}")));
    }
    if form.bytes("nonce").len() > MAX_NONCE {
        return Err(Refusal::request("nonce is too long"));
    }
    if form.text("prompt") == "none" {
        return Err(Refusal::new("interaction_required", "the user is always asked"));
    }
    scopes(form.text("scope"), client)
}

pub(super) fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Those that the client may ask for, in their order, none twice. One that cannot be enforced refuses the request: to
/// leave it out would be one thing, to grant it without its constraint quite another, and the client cannot tell.
fn scopes(asked: &str, client: &Client) -> Result<Vec<String>, Refusal> {
    if asked.len() > MAX_SCOPE || asked.split_ascii_whitespace().count() > MAX_SCOPES {
        return Err(Refusal::scope("there are too many scopes"));
    }
    let mut scopes: Vec<String> = Vec::new();
    for text in asked.split_ascii_whitespace().filter(|text| !UNUSED.contains(text)) {
        let parsed = parsed(text)?;
        if parsed.as_ref().is_some_and(|scope| scope.context == Context::System) {
            return Err(Refusal::scope("system/ scopes are granted without a user: by client_credentials"));
        }
        if client.registration.may_ask(text, parsed.as_ref()) && !scopes.iter().any(|known| known == text) {
            scopes.push(text.to_owned());
        }
    }
    scope::parse_all(&scopes.join(" ")).map_err(|denied| Refusal::scope(denied.to_string()))?;
    if scopes.is_empty() {
        return Err(Refusal::scope("none of these scopes is registered for this client"));
    }
    Ok(scopes)
}

/// A resource scope; none for those about the login.
pub(super) fn parsed(text: &str) -> Result<Option<Scope>, Refusal> {
    if OTHER_SCOPES.contains(&text) {
        return Ok(None);
    }
    scope::parse(text).map(Some).map_err(|denied| Refusal::scope(denied.to_string()))
}

/// The client's address with these parameters; `state` is written already.
pub(super) fn back(redirect_uri: &str, state: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    let joint = if redirect_uri.contains('?') { '&' } else { '?' };
    let state = if state.is_empty() { String::new() } else { format!("&state={state}") };
    format!("{redirect_uri}{joint}{}{state}", query.finish())
}

pub(super) fn refused_at(redirect_uri: &str, state: &str, refusal: &Refusal) -> String {
    back(redirect_uri, state, &[("error", refusal.error), ("error_description", &refusal.description)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_byte_for_byte() {
        for raw in ["abc", "a%20b", "a+b", "a%2Bb", "%C3%A9%26%3D%23", "%FF%FE", "a%25b"] {
            let form = Form::read(&format!("state={raw}&x=1")).unwrap();
            let written: String = form_urlencoded::byte_serialize(form.bytes("state")).collect();
            let again = Form::read(&format!("state={written}")).unwrap();
            assert_eq!(form.bytes("state"), again.bytes("state"), "{raw}");
            assert_eq!(
                back("https://a/cb?x=1", &written, &[("code", "c&d")]),
                format!("https://a/cb?x=1&code=c%26d&state={written}")
            );
        }
        assert!(Form::read("a=1&b=2&a=3").is_err());
        assert_eq!(Form::read("a=1&b").unwrap().text("b"), "");
    }
}
