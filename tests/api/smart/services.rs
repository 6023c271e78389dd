//! Services that prove themselves by a signature: Backend Services.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use vigia::clock::{Clock, new_id};

use super::{FORM, Registered, assertion, header, p384, register, rsa, service_form, token};
use crate::helpers::{Place, TestApp};

const SCOPE: &str = "system/Observation.rs system/Patient.rs";

fn service(keys: &[&Value]) -> Value {
    json!({"client_name": "Warehouse", "grant_types": ["client_credentials"], "scope": SCOPE,
        "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": keys}})
}

#[tokio::test(flavor = "multi_thread")]
async fn both_algorithms_and_every_way_to_be_wrong() {
    let app = TestApp::start().await;
    let root = app.administrator().await;
    let own = app.admit("r1", "Vega").await;
    let ((ec, ec_public), (rs, rs_public)) = (p384("one"), rsa("one"));
    let client = register(&root, &service(&[&ec_public, &rs_public])).await;
    let id = client.id.as_str();
    let ask = |assertion: &str, scope: &str| token(&app, &client, service_form(assertion, scope)).boxed();
    for (algorithm, key) in [(Algorithm::ES384, &ec), (Algorithm::RS384, &rs)] {
        let good = assertion(&app, &header(algorithm, "one"), key, id, &json!({}));
        let told = ask(&good, SCOPE).await.expect(200).json();
        assert_eq!(
            (&told["token_type"], &told["scope"], &told["expires_in"]),
            (&json!("bearer"), &json!(SCOPE), &json!(300))
        );
        assert_eq!(told["refresh_token"], Value::Null);
        let service = app.bearer(told["access_token"].as_str().unwrap());
        service.get(&format!("/fhir/Patient/{own}")).await.expect(200);
        service.get("/fhir/Encounter").await.expect(403);
        let again = ask(&good, SCOPE).await.expect(401).json();
        assert_eq!(again["error"], "invalid_client", "used before");
    }
    let now = app.state.store.clock().now_seconds();
    let es = || header(Algorithm::ES384, "one");
    let mut with_jku = es();
    with_jku.jku = Some("https://evil.example/jwks".into());
    let (stranger, _) = p384("one");
    for (what, text) in [
        ("stranger", assertion(&app, &es(), &stranger, id, &json!({}))),
        ("kid", assertion(&app, &header(Algorithm::ES384, "two"), &ec, id, &json!({}))),
        ("no kid", assertion(&app, &Header::new(Algorithm::ES384), &ec, id, &json!({}))),
        ("jku", assertion(&app, &with_jku, &ec, id, &json!({}))),
        ("RS256", assertion(&app, &header(Algorithm::RS256, "one"), &rs, id, &json!({}))),
        ("aud", assertion(&app, &es(), &ec, id, &json!({"aud": "https://elsewhere.example/token"}))),
        ("no aud", assertion(&app, &es(), &ec, id, &json!({"aud": null}))),
        ("iss", assertion(&app, &es(), &ec, id, &json!({"iss": "another"}))),
        ("sub", assertion(&app, &es(), &ec, id, &json!({"sub": "another"}))),
        ("expired", assertion(&app, &es(), &ec, id, &json!({"exp": now - 10}))),
        ("far", assertion(&app, &es(), &ec, id, &json!({"exp": now + 3600}))),
        ("not yet", assertion(&app, &es(), &ec, id, &json!({"nbf": now + 60}))),
        ("no jti", assertion(&app, &es(), &ec, id, &json!({"jti": ""}))),
        ("none", unsigned(&app, id)),
        ("confusion", confused(&app, id, &rs_public)),
        ("junk", "a.b.c".to_owned()),
        ("long", "x".repeat(9000)),
    ] {
        let told = ask(&text, SCOPE).await.expect(401).json();
        assert_eq!(told["error"], "invalid_client", "{what}");
    }
    let good = || assertion(&app, &es(), &ec, id, &json!({}));
    for scope in
        ["system/*.rs", "system/Observation.cruds", "patient/Observation.rs", "user/Observation.rs", "openid", "", "x"]
    {
        let told = ask(&good(), scope).await.expect(400).json();
        assert!(["invalid_scope", "invalid_request"].contains(&told["error"].as_str().unwrap()), "{scope}: {told}");
    }
    let wrong_type = service_form(&good(), SCOPE).replace("jwt-bearer", "saml2-bearer");
    token(&app, &client, wrong_type).await.expect(401);

    // Eight with the same jti at once: one.
    let same = assertion(&app, &es(), &ec, id, &json!({"jti": new_id()}));
    let eight = futures_util::future::join_all((0..8).map(|_| ask(&same, SCOPE))).await;
    assert_eq!(eight.iter().filter(|reply| reply.status == 200).count(), 1);

    // Shut out: no new token, and the one that it has is worth nothing.
    let told = ask(&good(), SCOPE).await.expect(200).json();
    let service = app.bearer(told["access_token"].as_str().unwrap());
    root.delete(&format!("/auth/clients/{id}")).await.expect(204);
    ask(&good(), SCOPE).await.expect(401);
    service.get(&format!("/fhir/Patient/{own}")).await.expect(401);
    app.stop().await;
}

fn claims(app: &TestApp, client: &str) -> Value {
    let audience = format!("{}/auth/token", app.state.settings.public_url);
    let exp = app.state.store.clock().now_seconds() + 60;
    json!({"iss": client, "sub": client, "aud": audience, "exp": exp, "jti": new_id()})
}

fn unsigned(app: &TestApp, client: &str) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(json!({"alg": "none", "kid": "one", "typ": "JWT"})), part(claims(app, client)))
}

/// A MAC made with what is public.
fn confused(app: &TestApp, client: &str, public: &Value) -> String {
    let key = EncodingKey::from_secret(public.to_string().as_bytes());
    jsonwebtoken::encode(&header(Algorithm::HS256, "one"), &claims(app, client), &key).unwrap()
}

/// A host of key sets: answers every request with this, once it has waited.
async fn key_host(body: Vec<u8>, answers: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/jwks", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if !answers {
                open.push(stream);
                continue;
            }
            let body = body.clone();
            tokio::spawn(async move {
                let mut asked = [0; 4096];
                let _ = stream.read(&mut asked).await;
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(&body).await;
            });
        }
    });
    address
}

async fn at(root: &crate::helpers::Client, address: &str) -> Registered {
    let mut metadata = service(&[]);
    metadata.as_object_mut().unwrap().remove("jwks");
    metadata["jwks_uri"] = json!(address);
    register(root, &metadata).await
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_at_an_address_of_the_client() {
    let place = Place::new().await;
    let app = TestApp::on(place, Clock::default(), |config| config.smart.inside_hosts = vec!["127.0.0.1".into()]).await;
    let root = app.administrator().await;
    let (key, public) = p384("one");
    let set = json!({"keys": [public]}).to_string();
    let good = key_host(set.clone().into_bytes(), true).await;
    let client = at(&root, &good).await;
    let es = header(Algorithm::ES384, "one");
    for _ in 0..2 {
        let form = service_form(&assertion(&app, &es, &key, &client.id, &json!({})), SCOPE);
        token(&app, &client, form).await.expect(200);
    }
    let mut own_jku = es.clone();
    own_jku.jku = Some(good.clone());
    let form = service_form(&assertion(&app, &own_jku, &key, &client.id, &json!({})), SCOPE);
    token(&app, &client, form).await.expect(200);

    let twins = json!({"keys": [public, public]}).to_string().into_bytes();
    for (what, body, answers) in [
        ("large", vec![b' '; 10 << 20], true),
        ("junk", b"<html>".to_vec(), true),
        ("twins", twins, true),
        ("slow", Vec::new(), false),
    ] {
        let client = at(&root, &key_host(body, answers).await).await;
        let form = service_form(&assertion(&app, &es, &key, &client.id, &json!({})), SCOPE);
        let told = token(&app, &client, form).await.expect(401).json();
        assert_eq!(told["error"], "invalid_client", "{what}");
    }
    let place = app.stop().await;

    // Unless the settings name it, nothing inside the house is asked.
    let app = TestApp::on(place, Clock::default(), |_| {}).await;
    let form = service_form(&assertion(&app, &es, &key, &client.id, &json!({})), SCOPE);
    assert_eq!(token(&app, &client, form).await.expect(401).json()["error"], "invalid_client");
    let by_name = register_at(&app, "http://localhost:1/jwks").await;
    let form = service_form(&assertion(&app, &es, &key, &by_name.id, &json!({})), SCOPE);
    assert_eq!(app.anonymous().post_raw("/auth/token", FORM, form).await.expect(401).json()["error"], "invalid_client");
    app.stop().await;
}

async fn register_at(app: &TestApp, address: &str) -> Registered {
    let password = vigia::auth::password::generate();
    let role = vigia::auth::access::Role::Administrator;
    app.state.sessions.create_account("root2", "Root", role, &password).await.unwrap();
    let login = json!({"username": "root2", "password": password});
    let reply = app.anonymous().with_header("X-Requested-With", "vigia").post("/auth/login", &login).await.expect(204);
    let cookie = reply.header("set-cookie").split(';').next().unwrap().to_owned();
    let root = crate::helpers::Client { actor: crate::helpers::Actor::Session(cookie), ..app.anonymous() };
    at(&root, address).await
}
