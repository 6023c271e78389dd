//! Apps and their users: from the first request to the last refresh.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use vigia::clock::Clock;

use super::{FORM, Way, parameter, public, register, token, written};
use crate::helpers::{Place, TestApp, ids};

const SCOPE: &str = "openid fhirUser launch/patient offline_access patient/*.rs";

#[tokio::test(flavor = "multi_thread")]
async fn a_standalone_app_from_leave_to_its_end() {
    let app = TestApp::start().await;
    let (root, nora) = (app.administrator().await, app.clinician().await);
    let (own, other) = (app.admit("r1", "Vega").await, app.admit("r2", "Soto").await);
    app.heart_rates(&own, &[80]).await;
    app.heart_rates(&other, &[90]).await;
    let client = register(&root, &public(SCOPE)).await;
    let way = Way::of(&app, &client, SCOPE);
    let handle = way.ask().await;
    let offer = nora.get(&format!("/auth/authorize/{handle}")).await.expect(200).json();
    assert_eq!((&offer["client_name"], &offer["returns_to"]), (&json!("Growth chart"), &json!("app.example")));
    assert_eq!(
        (&offer["patient"], &offer["encounter"], &offer["user"]),
        (&json!("choose"), &json!("none"), &json!("Nora Test"))
    );
    let code = way.agree(&nora, Some(&own)).await;
    let reply = way.token(way.form(&code, &[])).await.expect(200);
    assert_eq!((reply.header("cache-control").as_str(), reply.header("pragma").as_str()), ("no-store", "no-cache"));
    let told = reply.json();
    assert_eq!(
        (&told["token_type"], &told["scope"], &told["expires_in"]),
        (&json!("Bearer"), &json!(SCOPE), &json!(3600))
    );
    assert_eq!((&told["patient"], &told["need_patient_banner"]), (&json!(own), &json!(false)));

    let mine = app.bearer(told["access_token"].as_str().unwrap());
    assert_eq!(ids(&mine.get("/fhir/Patient").await.expect(200).json()), std::slice::from_ref(&own));
    assert_eq!(ids(&mine.get("/fhir/Observation").await.expect(200).json()).len(), 1);
    mine.get(&format!("/fhir/Patient/{other}")).await.expect(404);
    mine.post("/fhir/Observation", &json!({"resourceType": "Observation"})).await.expect(403);

    // Who the user is: signed by a key that is published, and readable.
    let who = identity(&app, told["id_token"].as_str().unwrap(), &client.id).await;
    assert_eq!((&who["nonce"], &who["iss"]), (&json!("n-1"), &json!(app.state.settings.public_url)));
    let own_page = who["fhirUser"].as_str().unwrap().split("/fhir/").nth(1).unwrap();
    let practitioner = mine.get(&format!("/fhir/{own_page}")).await.expect(200).json();
    assert_eq!(
        (&practitioner["resourceType"], &practitioner["name"][0]["text"]),
        (&json!("Practitioner"), &json!("Nora Test"))
    );

    // A refresh, as fhirclient asks: without saying who it is.
    let first = told["refresh_token"].as_str().unwrap();
    let refresh = |token: &str, scope: &str| {
        written(&[("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)])
    };
    let narrow = "patient/Observation.r";
    assert_eq!(
        error(&token(&app, &client, refresh(first, "patient/*.cruds")).await.expect(400).json()),
        "invalid_scope"
    );
    let second = token(&app, &client, refresh(first, narrow)).await.expect(200).json();
    assert_eq!((&second["scope"], &second["patient"]), (&json!(narrow), &json!(own)));
    let narrowed = app.bearer(second["access_token"].as_str().unwrap());
    narrowed.get("/fhir/Observation").await.expect(403);
    let third = token(&app, &client, refresh(second["refresh_token"].as_str().unwrap(), "")).await.expect(200).json();
    assert_eq!(third["scope"], SCOPE, "what was granted is not lost by asking for less once");
    let who = identity(&app, third["id_token"].as_str().unwrap(), &client.id).await;
    assert_eq!(who["nonce"], Value::Null);

    // One that comes a second time ends all of it.
    assert_eq!(error(&token(&app, &client, refresh(first, "")).await.expect(400).json()), "invalid_grant");
    let last = third["refresh_token"].as_str().unwrap();
    assert_eq!(error(&token(&app, &client, refresh(last, "")).await.expect(400).json()), "invalid_grant");
    for token in [&told, &second, &third] {
        let over = app.bearer(token["access_token"].as_str().unwrap()).get("/fhir/Patient").await.expect(401);
        assert_eq!(over.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    }
    app.stop().await;
}

fn error(told: &Value) -> &str {
    assert!(told["error_description"].as_str().is_some_and(|text| !text.is_empty()), "{told}");
    told["error"].as_str().unwrap()
}

/// The claims, verified as an app does: with the keys that `OpenID` Connect's discovery leads to.
async fn identity(app: &TestApp, token: &str, audience: &str) -> Value {
    let found = app.anonymous().get("/.well-known/openid-configuration").await.expect(200).json();
    let issuer = found["issuer"].as_str().unwrap();
    let keys = found["jwks_uri"].as_str().unwrap().strip_prefix(issuer).unwrap();
    let keys: JwkSet = serde_json::from_value(app.anonymous().get(keys).await.expect(200).json()).unwrap();
    let header = decode_header(token).unwrap();
    assert_eq!(header.alg, Algorithm::RS256);
    let key = keys.find(&header.kid.unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[audience]);
    validation.set_issuer(&[issuer]);
    validation.set_required_spec_claims(&["exp", "iss", "sub", "aud"]);
    decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap().claims
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_launched_from_a_patients_page() {
    let app = TestApp::start().await;
    let (root, nora) = (app.administrator().await, app.clinician().await);
    let (own, other) = (app.admit("r1", "Vega").await, app.admit("r2", "Soto").await);
    let stay = ids(&app.gateway().get(&format!("/fhir/Encounter?patient={own}")).await.json()).remove(0);
    let elsewhere = ids(&app.gateway().get(&format!("/fhir/Encounter?patient={other}")).await.json()).remove(0);
    let mut metadata = public("launch openid fhirUser online_access patient/*.read user/Encounter.rs");
    metadata["token_endpoint_auth_method"] = json!("client_secret_basic");
    let client = register(&root, &metadata).await;
    assert_eq!(nora.get("/auth/apps").await.expect(200).json()[0]["client_id"], json!(client.id));

    for (wish, status) in [
        (json!({"client_id": "nobody", "patient": own}), 422),
        (json!({"client_id": client.id, "patient": "none"}), 404),
        (json!({"client_id": client.id, "patient": own, "encounter": elsewhere}), 422),
        (json!({"client_id": client.id, "fhirContext": [{"role": "x"}]}), 422),
    ] {
        nora.post("/auth/launch", &wish).await.expect(status);
    }
    let wish = json!({"client_id": client.id, "patient": own, "encounter": stay, "intent": "reconcile", "tenant": "north",
        "fhirContext": [{"reference": "DiagnosticReport/1"}], "need_patient_banner": true});
    let launched = nora.post("/auth/launch", &wish).await.expect(201).json();
    let url = launched["url"].as_str().unwrap();
    assert!(url.starts_with("https://app.example/launch?"), "{url}");
    assert_eq!(parameter(url, "iss"), format!("{}/fhir", app.state.settings.public_url));
    assert_eq!(parameter(url, "launch"), launched["launch"]);

    let mut way = Way::of(&app, &client, "launch openid fhirUser online_access patient/*.read user/Encounter.rs");
    way.launch = Some(parameter(url, "launch"));
    let handle = way.ask().await;
    let offer = nora.get(&format!("/auth/authorize/{handle}")).await.expect(200).json();
    assert_eq!((&offer["patient"], &offer["encounter"]), (&json!({"fixed": own}), &json!({"fixed": stay})));
    assert_eq!(
        root.get(&format!("/auth/authorize/{handle}")).await.expect(403).issues(),
        "forbidden",
        "another user's launch"
    );
    let told = way.granted(&nora, Some(&other)).await;
    assert_eq!(
        (&told["patient"], &told["encounter"]),
        (&json!(own), &json!(stay)),
        "what was launched, not what is said"
    );
    assert_eq!(
        (&told["intent"], &told["tenant"], &told["need_patient_banner"]),
        (&json!("reconcile"), &json!("north"), &json!(true))
    );
    assert_eq!(told["fhirContext"], json!([{"reference": "DiagnosticReport/1"}]));
    assert!(told["scope"].as_str().unwrap().contains("patient/*.read"), "as it was asked, in version 1");
    let mine = app.bearer(told["access_token"].as_str().unwrap());
    assert_eq!(ids(&mine.get("/fhir/Observation?_total=accurate").await.expect(200).json()).len(), 0);
    assert_eq!(
        ids(&mine.get("/fhir/Encounter").await.expect(200).json()).len(),
        2,
        "user/ reaches what the user may see"
    );

    // Online: with the session.
    let refresh =
        written(&[("grant_type", "refresh_token"), ("refresh_token", told["refresh_token"].as_str().unwrap())]);
    let told = token(&app, &client, refresh).await.expect(200).json();
    nora.post("/auth/logout", &json!({})).await.expect(204);
    let refresh =
        written(&[("grant_type", "refresh_token"), ("refresh_token", told["refresh_token"].as_str().unwrap())]);
    assert_eq!(token(&app, &client, refresh).await.expect(400).json()["error"], "invalid_grant");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_record_system_launches() {
    let app = TestApp::start().await;
    let (root, nora) = (app.administrator().await, app.clinician().await);
    let own = app.admit("r1", "Vega").await;
    let client = register(&root, &public("launch patient/*.rs")).await;
    let wish = json!({"client_id": client.id, "patient": own});
    app.machine("system/Patient.rs").post("/auth/launch", &wish).await.expect(403);
    let system = app.machine("system/Patient.rs system/Encounter.rs smart/orchestrate_launch");
    let launched = system.post("/auth/launch", &wish).await.expect(201).json();
    let mut way = Way::of(&app, &client, "launch patient/*.rs");
    way.launch = launched["launch"].as_str().map(str::to_owned);
    assert_eq!(way.granted(&nora, None).await["patient"], json!(own));
    let mut stolen = Way::of(&app, &register(&root, &public("launch patient/*.rs")).await, "launch patient/*.rs");
    stolen.launch.clone_from(&way.launch);
    let sent =
        app.anonymous().get(&format!("/auth/authorize?{}", stolen.request(&[]))).await.expect(303).header("location");
    assert_eq!(parameter(&sent, "error"), "invalid_request", "another app's launch");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_gives_less_or_nothing() {
    let app = TestApp::start().await;
    let (root, nora) = (app.administrator().await, app.clinician().await);
    let own = app.admit("r1", "Vega").await;
    let scope = "launch/patient launch/encounter patient/Observation.rs patient/Condition.rs";
    let client = register(&root, &public(scope)).await;
    let way = Way::of(&app, &client, scope);
    let handle = way.ask().await;
    let path = format!("/auth/authorize/{handle}");
    for (decision, issue) in [
        (json!({"scopes": ["patient/*.cruds"], "patient": own}), "value scopes"),
        (json!({"scopes": ["patient/Observation.rs"]}), "required patient"),
        (json!({"scopes": ["patient/Observation.rs"], "patient": "none"}), "not-found"),
        (json!({"scopes": ["patient/Observation.rs"], "patient": own, "encounter": "none"}), "not-found"),
    ] {
        let refused = nora.post(&path, &decision).await;
        assert_eq!(refused.issues(), issue, "{decision}");
    }
    // A foreign page has the cookie sent, but not the header.
    let crate::helpers::Actor::Session(cookie) = nora.actor.clone() else { panic!("a session") };
    let decision = json!({"scopes": ["patient/Observation.rs"], "patient": own});
    app.anonymous().with_header("Cookie", &cookie).post(&path, &decision).await.expect(403);
    let sent = nora.post(&path, &decision).await.expect(200).json();
    let code = parameter(sent["location"].as_str().unwrap(), "code");
    nora.post(&path, &decision).await.expect(409);
    nora.get(&path).await.expect(409);
    let told = way.token(way.form(&code, &[])).await.expect(200).json();
    assert_eq!(told["scope"], "patient/Observation.rs");
    let mine = app.bearer(told["access_token"].as_str().unwrap());
    mine.get("/fhir/Observation").await.expect(200);
    let denied = mine.get("/fhir/Condition").await.expect(403);
    assert_eq!(denied.header("www-authenticate"), "Bearer error=\"insufficient_scope\"");

    let path = format!("/auth/authorize/{}", way.ask().await);
    let sent = nora.delete(&path).await.expect(200).json();
    let location = sent["location"].as_str().unwrap();
    assert_eq!(parameter(location, "error"), "access_denied");
    assert!(location.ends_with("state=a+b%2Bc%26%C3%A9%25"), "{location}");
    nora.delete(&path).await.expect(409);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_is_seen_asked_about_and_ended() {
    let clock = Clock::fixed(Clock::default().now());
    let app = TestApp::on(Place::new().await, clock.clone(), |_| {}).await;
    let (root, nora) = (app.administrator().await, app.clinician().await);
    let own = app.admit("r1", "Vega").await;
    let client = register(&root, &public(SCOPE)).await;
    let other = register(&root, &public(SCOPE)).await;
    let way = Way::of(&app, &client, SCOPE);
    let ask = |token: String, who: Option<String>| {
        let (app, form) = (&app, written(&[("token", &token), ("client_id", who.as_deref().unwrap_or_default())]));
        async move { app.anonymous().post_raw("/auth/introspect", FORM, form).await }
    };
    let told = way.granted(&nora, Some(&own)).await;
    let access = told["access_token"].as_str().unwrap().to_owned();
    let known = ask(access.clone(), Some(client.id.clone())).await.expect(200).json();
    for (name, value) in [
        ("active", json!(true)),
        ("scope", told["scope"].clone()),
        ("client_id", json!(client.id)),
        ("patient", json!(own)),
    ] {
        assert_eq!(known[name], value, "{name}");
    }
    assert!(
        known["exp"].is_i64() && known["sub"].is_string() && known["iss"].is_string() && known["fhirUser"].is_string(),
        "{known}"
    );
    // Anybody else learns nothing.
    assert_eq!(ask(access.clone(), Some(other.id.clone())).await.expect(200).json(), json!({"active": false}));
    assert_eq!(ask("bogus".into(), Some(client.id.clone())).await.expect(200).json(), json!({"active": false}));
    ask(access.clone(), None).await.expect(401);
    let by_bearer = app.machine("system/*.rs").post_raw("/auth/introspect", FORM, written(&[("token", &access)])).await;
    assert_eq!(by_bearer.expect(200).json()["active"], true);
    let refresh = told["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(ask(refresh.clone(), Some(client.id.clone())).await.expect(200).json()["active"], true);

    let revoke = |token: &str, client: &str| {
        let (nobody, form) = (app.anonymous(), written(&[("token", token), ("client_id", client)]));
        async move { nobody.post_raw("/auth/revoke", FORM, form).await }
    };
    revoke(&refresh, &other.id).await.expect(200);
    assert_eq!(ask(access.clone(), Some(client.id.clone())).await.json()["active"], true, "not its own");
    revoke("bogus", &client.id).await.expect(200);
    revoke(&refresh, &client.id).await.expect(200);
    assert_eq!(ask(access.clone(), Some(client.id.clone())).await.json(), json!({"active": false}));
    app.bearer(&access).get("/fhir/Patient").await.expect(401);

    // The user sees what was given, and takes it back.
    let told = way.granted(&nora, Some(&own)).await;
    let mine = app.bearer(told["access_token"].as_str().unwrap());
    mine.get("/fhir/Patient").await.expect(200);
    let given = nora.get("/auth/grants").await.expect(200).json();
    assert_eq!(
        (given.as_array().unwrap().len(), &given[0]["client_name"], &given[0]["patient"]),
        (1, &json!("Growth chart"), &json!(own))
    );
    let path = format!("/auth/grants/{}", given[0]["id"].as_str().unwrap());
    root.delete(&path).await.expect(404);
    nora.delete(&path).await.expect(204);
    mine.get("/fhir/Patient").await.expect(401);

    // An hour later the token is over, a quarter later the refresh token.
    let told = way.granted(&nora, Some(&own)).await;
    clock.advance(3_700_000_000);
    app.bearer(told["access_token"].as_str().unwrap()).get("/fhir/Patient").await.expect(401);
    let again = |token: &Value| {
        written(&[("grant_type", "refresh_token"), ("refresh_token", token["refresh_token"].as_str().unwrap())])
    };
    let told = token(&app, &client, again(&told)).await.expect(200).json();
    clock.advance(91 * 86_400_000_000);
    assert_eq!(error(&token(&app, &client, again(&told)).await.expect(400).json()), "invalid_grant");
    app.stop().await;
}
