//! Apps and services that ask for leave: SMART App Launch, Backend Services, OAuth 2.0, `OpenID` Connect.

mod apps;
mod reach;
mod refused;
mod registered;
mod services;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use vigia::auth::token::pem_of;
use vigia::clock::new_id;

use crate::helpers::{Client, Reply, TestApp};

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
pub(crate) const BACK: &str = "https://app.example/back";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk-verifier";

pub(crate) fn written(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// An app that is registered.
#[derive(Clone)]
pub(crate) struct Registered {
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
}

/// Registers by the API, as an administrator does.
pub(crate) async fn register(root: &Client, metadata: &Value) -> Registered {
    let told = root.post("/auth/clients", metadata).await.expect(201).json();
    let text = |name: &str| told[name].as_str().map(str::to_owned);
    Registered { id: text("client_id").unwrap(), secret: text("client_secret") }
}

/// A public app that may ask for this.
pub(crate) fn public(scope: &str) -> Value {
    json!({"client_name": "Growth chart", "redirect_uris": [BACK], "scope": scope, "origins": ["https://app.example"],
        "initiate_login_uri": "https://app.example/launch"})
}

/// One way of an app through the server; each step can be bent.
pub(crate) struct Way<'a> {
    pub(crate) app: &'a TestApp,
    pub(crate) client: Registered,
    pub(crate) scope: String,
    pub(crate) launch: Option<String>,
}

impl<'a> Way<'a> {
    pub(crate) fn of(app: &'a TestApp, client: &Registered, scope: &str) -> Self {
        Self { app, client: client.clone(), scope: scope.to_owned(), launch: None }
    }

    /// The parameters of a request; `change` replaces some, and leaves out those that are empty.
    pub(crate) fn request(&self, change: &[(&str, &str)]) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER.as_bytes()));
        let audience = format!("{}/fhir", self.app.state.settings.public_url);
        let mut pairs: Vec<(&str, &str)> = vec![
            ("response_type", "code"),
            ("client_id", &self.client.id),
            ("redirect_uri", BACK),
            ("scope", &self.scope),
            ("state", "a b+c&é%"),
            ("aud", &audience),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("nonce", "n-1"),
        ];
        pairs.extend(self.launch.as_deref().map(|launch| ("launch", launch)));
        for (name, value) in change {
            pairs.retain(|(known, _)| known != name);
            pairs.push((name, value));
        }
        pairs.retain(|(_, value)| !value.is_empty());
        written(&pairs)
    }

    /// Asks; what the page that asks the user is found by.
    pub(crate) async fn ask(&self) -> String {
        let path = format!("/auth/authorize?{}", self.request(&[]));
        let sent = self.app.anonymous().get(&path).await.expect(303).header("location");
        sent.strip_prefix("/consent#").unwrap_or_else(|| panic!("{sent}")).to_owned()
    }

    /// The user agrees to all that is asked; the code.
    pub(crate) async fn agree(&self, user: &Client, patient: Option<&str>) -> String {
        let handle = self.ask().await;
        let offer = user.get(&format!("/auth/authorize/{handle}")).await.expect(200).json();
        let scopes: Vec<&Value> = offer["scopes"].as_array().unwrap().iter().map(|scope| &scope["scope"]).collect();
        let decision = json!({"scopes": scopes, "patient": patient});
        let sent = user.post(&format!("/auth/authorize/{handle}"), &decision).await.expect(200).json();
        let location = sent["location"].as_str().unwrap().to_owned();
        // Byte for byte as it was sent.
        assert!(location.starts_with(BACK) && location.ends_with("&state=a+b%2Bc%26%C3%A9%25"), "{location}");
        parameter(&location, "code")
    }

    pub(crate) fn form(&self, code: &str, change: &[(&str, &str)]) -> String {
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", BACK),
            ("code_verifier", VERIFIER),
        ];
        if self.client.secret.is_none() {
            pairs.push(("client_id", &self.client.id));
        }
        for (name, value) in change {
            pairs.retain(|(known, _)| known != name);
            pairs.push((name, value));
        }
        pairs.retain(|(_, value)| !value.is_empty());
        written(&pairs)
    }

    pub(crate) async fn token(&self, form: String) -> Reply {
        token(self.app, &self.client, form).await
    }

    /// The whole way: what the token endpoint answers.
    pub(crate) async fn granted(&self, user: &Client, patient: Option<&str>) -> Value {
        let code = self.agree(user, patient).await;
        self.token(self.form(&code, &[])).await.expect(200).json()
    }
}

/// Asks the token endpoint as this client: with its secret where it has one.
pub(crate) async fn token(app: &TestApp, client: &Registered, form: String) -> Reply {
    let anonymous = app.anonymous();
    let ask = anonymous.with_header("Content-Type", FORM);
    let ask = match &client.secret {
        Some(secret) => {
            let both = STANDARD.encode(format!("{}:{secret}", client.id));
            ask.with_header("Authorization", &format!("Basic {both}"))
        }
        None => ask,
    };
    ask.send(reqwest::Method::POST, "/auth/token", Some(form.into_bytes())).await
}

pub(crate) fn parameter(location: &str, name: &str) -> String {
    let (_, query) = location.split_once('?').unwrap();
    let found = form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("{name} in {location}")).1.into_owned()
}

/// What signs, and the public key.
pub(crate) fn p384(kid: &str) -> (EncodingKey, Value) {
    let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let key = EncodingKey::from_ec_der(pair.as_ref());
    (key.clone(), public_key(&key, Algorithm::ES384, kid))
}

pub(crate) fn rsa(kid: &str) -> (EncodingKey, Value) {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let key = EncodingKey::from_rsa_pem(pem_of(pair.as_der().unwrap().as_ref()).as_bytes()).unwrap();
    (key.clone(), public_key(&key, Algorithm::RS384, kid))
}

fn public_key(key: &EncodingKey, algorithm: Algorithm, kid: &str) -> Value {
    let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
    jwk.common.key_id = Some(kid.to_owned());
    serde_json::to_value(jwk).unwrap()
}

pub(crate) fn header(algorithm: Algorithm, kid: &str) -> Header {
    let mut header = Header::new(algorithm);
    header.kid = Some(kid.to_owned());
    header
}

/// An assertion of a client, with what is put on top.
pub(crate) fn assertion(app: &TestApp, header: &Header, key: &EncodingKey, client: &str, more: &Value) -> String {
    let now = app.state.store.clock().now_seconds();
    let audience = format!("{}/auth/token", app.state.settings.public_url);
    let mut claims = json!({"iss": client, "sub": client, "aud": audience, "exp": now + 60, "jti": new_id()});
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    encode(header, &claims, key).unwrap()
}

/// A service's form.
pub(crate) fn service_form(assertion: &str, scope: &str) -> String {
    written(&[
        ("grant_type", "client_credentials"),
        ("scope", scope),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion),
    ])
}
