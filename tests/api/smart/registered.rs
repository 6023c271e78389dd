//! Registering apps, what everybody may know of this server, and pages of other origins.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Way, p384, public, register, written};
use crate::helpers::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn administrators_register_apps() {
    let app = TestApp::start().await;
    let (root, nora) = (app.administrator().await, app.clinician().await);
    let metadata = public("launch/patient patient/*.rs");
    for (who, status) in [(&nora, 403), (&app.gateway(), 403)] {
        who.post("/auth/clients", &metadata).await.expect(status);
        who.get("/auth/clients").await.expect(status);
        who.delete("/auth/clients/x").await.expect(status);
    }
    let mut named = metadata.clone();
    named["client_id"] = json!("growth-chart");
    named["token_endpoint_auth_method"] = json!("client_secret_basic");
    let client = register(&root, &named).await;
    assert_eq!(client.id, "growth-chart");
    root.post("/auth/clients", &named).await.expect(409);
    let told = root.get("/auth/clients/growth-chart").await.expect(200);
    assert!(
        !told.text().contains("secret\":") && !told.text().contains(client.secret.as_deref().unwrap()),
        "{}",
        told.text()
    );
    for (change, issue) in [
        (json!({"redirect_uris": ["http://app.example/back"]}), "value redirect_uris"),
        (json!({"scope": "patient/Observation.rs?date=2026"}), "value scope"),
        (json!({"client_id": "a b"}), "value client_id"),
        (json!({"surprise": 1}), "structure http.body"),
    ] {
        let mut metadata = metadata.clone();
        for (name, value) in change.as_object().unwrap() {
            metadata[name] = value.clone();
        }
        assert_eq!(root.post("/auth/clients", &metadata).await.issues(), issue, "{change}");
    }
    // Registered anew: other addresses, the same secret; never another way to prove itself.
    let mut moved = named.clone();
    moved["redirect_uris"] = json!(["https://app.example/moved"]);
    root.put("/auth/clients/growth-chart", &moved).await.expect(200);
    let way = Way::of(&app, &client, "launch/patient patient/*.rs");
    app.anonymous().get(&format!("/auth/authorize?{}", way.request(&[]))).await.expect(400);
    root.put("/auth/clients/growth-chart", &metadata).await.expect(409);
    root.put("/auth/clients/growth-chart", &named).await.expect(200);
    // Another secret; the first is no longer good.
    let (own, user) = (app.admit("r1", "Vega").await, &nora);
    let second = root.post("/auth/clients/growth-chart/secret", &json!({})).await.expect(200).json();
    let code = way.agree(user, Some(&own)).await;
    way.token(way.form(&code, &[])).await.expect(401);
    let mut renewed = Way::of(&app, &client, "launch/patient patient/*.rs");
    renewed.client.secret = second["client_secret"].as_str().map(str::to_owned);
    let token = renewed.granted(user, Some(&own)).await;
    let mine = app.bearer(token["access_token"].as_str().unwrap());
    mine.get("/fhir/Patient").await.expect(200);
    root.delete("/auth/clients/growth-chart").await.expect(204);
    root.delete("/auth/clients/growth-chart").await.expect(404);
    mine.get("/fhir/Patient").await.expect(401);
    assert!(root.get("/auth/clients").await.expect(200).json()[0]["disabled"].is_string());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_everybody_may_know() {
    let app = TestApp::start().await;
    let found = app
        .anonymous()
        .with_header("Accept", "text/html")
        .get("/fhir/.well-known/smart-configuration")
        .await
        .expect(200);
    assert!(found.header("content-type").starts_with("application/json"));
    let found = found.json();
    let url = &app.state.settings.public_url;
    for (name, path) in [
        ("authorization_endpoint", "/auth/authorize"),
        ("token_endpoint", "/auth/token"),
        ("introspection_endpoint", "/auth/introspect"),
        ("revocation_endpoint", "/auth/revoke"),
        ("jwks_uri", "/auth/jwks"),
    ] {
        assert_eq!(found[name], json!(format!("{url}{path}")));
    }
    assert_eq!((&found["issuer"], &found["code_challenge_methods_supported"]), (&json!(url), &json!(["S256"])));
    for capability in [
        "launch-ehr",
        "launch-standalone",
        "authorize-post",
        "client-public",
        "client-confidential-symmetric",
        "client-confidential-asymmetric",
        "sso-openid-connect",
        "context-banner",
        "context-ehr-patient",
        "context-ehr-encounter",
        "context-standalone-patient",
        "permission-offline",
        "permission-patient",
        "permission-user",
        "permission-v1",
        "permission-v2",
    ] {
        assert!(found["capabilities"].as_array().unwrap().contains(&json!(capability)), "{capability}");
    }
    let openid = app.anonymous().get("/.well-known/openid-configuration").await.expect(200).json();
    assert_eq!(openid["issuer"], found["issuer"]);
    for name in ["response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"] {
        assert!(openid[name].is_array(), "{name}");
    }
    let keys = app.anonymous().get("/auth/jwks").await.expect(200).json();
    let kinds: Vec<&str> = keys["keys"].as_array().unwrap().iter().map(|key| key["kty"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["RSA", "EC"]);
    assert!(keys["keys"].as_array().unwrap().iter().all(|key| key.get("d").is_none() && key["kid"].is_string()));
    // The statement names the same addresses, for clients of SMART 1.
    let statement = app.anonymous().get("/fhir/metadata").await.expect(200).json();
    let security = &statement["rest"][0]["security"];
    assert_eq!(
        (&security["cors"], &security["service"][0]["coding"][0]["code"]),
        (&json!(true), &json!("SMART-on-FHIR"))
    );
    let uris = security["extension"][0]["extension"].as_array().unwrap();
    let uri =
        |name: &str| uris.iter().find(|uri| uri["url"] == name).map_or(Value::Null, |uri| uri["valueUri"].clone());
    assert_eq!(
        (uri("authorize"), uri("token")),
        (found["authorization_endpoint"].clone(), found["token_endpoint"].clone())
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins() {
    let app = TestApp::start().await;
    let root = app.administrator().await;
    let (_, key) = p384("k");
    let service = json!({"client_name": "S", "grant_types": ["client_credentials"], "scope": "system/*.rs",
        "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key]}});
    register(&root, &service).await;
    let client = register(&root, &public("launch/patient patient/*.rs")).await;
    let nobody = app.anonymous();
    let allowed = |reply: &crate::helpers::Reply| reply.header("access-control-allow-origin");
    for path in
        ["/fhir/metadata", "/fhir/.well-known/smart-configuration", "/.well-known/openid-configuration", "/auth/jwks"]
    {
        let reply = nobody.with_header("Origin", "https://anybody.example").get(path).await.expect(200);
        assert_eq!(allowed(&reply), "*", "{path}");
    }
    for (origin, expected) in
        [("https://app.example", "https://app.example"), ("https://evil.example", ""), ("null", "")]
    {
        let asked = nobody.with_header("Origin", origin).with_header("Access-Control-Request-Method", "POST");
        let reply = asked.send(Method::OPTIONS, "/auth/token", None).await.expect(204);
        assert_eq!(allowed(&reply), expected, "{origin}");
        let form = written(&[("grant_type", "refresh_token"), ("refresh_token", "x"), ("client_id", &client.id)]);
        let asked = nobody.with_header("Origin", origin).with_header("Content-Type", super::FORM);
        let reply = asked.send(Method::POST, "/auth/token", Some(form.into_bytes())).await.expect(400);
        assert_eq!(allowed(&reply), expected, "{origin}");
        let reply = nobody.with_header("Origin", origin).get("/fhir/Patient/x").await.expect(401);
        assert_eq!(allowed(&reply), expected, "errors can be read as well: {origin}");
        // Where cookies are looked at nobody else's page may read.
        let reply = nobody.with_header("Origin", origin).get("/auth/me").await.expect(401);
        assert_eq!(allowed(&reply), "", "{origin}");
        assert_eq!(reply.header("access-control-allow-credentials"), "");
    }
    // What depends on who asks says so; a file of a page does not, or no copy of it that is kept would fit.
    for (path, expected) in [("/auth/token", true), ("/ui/js/boot.js", false), ("/fhir/metadata", false)] {
        let reply = nobody.with_header("Origin", "https://app.example").get(path).await;
        assert_eq!(reply.header("vary").contains("Origin"), expected, "{path}");
    }
    app.stop().await;
}
