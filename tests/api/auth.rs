//! `/auth` and every door's lock: who is nobody gets nothing, who is somebody gets what was granted.

use serde_json::{Value, json};
use vigia::auth::token::{TokenKeys, generate_pem};
use vigia::clock::Clock;

use crate::helpers::place::PUBLIC_URL;
use crate::helpers::samples::{bundle, entry, heart_rate, observation, patient};
use crate::helpers::{Client, Place, TestApp, ids, minutes_from_now};

/// What needs no credentials.
const OPEN: [&str; 13] = [
    "GET /fhir/metadata",
    "GET /health/live",
    "GET /health/ready",
    "POST /auth/login",
    // Who asks proves who it is by what it sends.
    "POST /auth/token",
    "POST /auth/revoke",
    // Refuses in the words of OAuth; told in smart.rs.
    "POST /auth/introspect",
    "GET /auth/authorize",
    "POST /auth/authorize",
    "GET /auth/jwks",
    "GET /.well-known/openid-configuration",
    "GET /fhir/.well-known/smart-configuration",
    "POST /device/v1/claim",
];
/// Ends a session if there is one; says nothing to anybody.
const HARMLESS: &str = "POST /auth/logout";

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_nothing() {
    let app = TestApp::start().await;
    let document: Value = serde_json::from_str(&vigia::api::openapi::document()).unwrap();
    let mut walked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let address = path
            .replace("{type}", "Patient")
            .replace("{id}", "x")
            .replace("{version}", "1")
            .replace("{operation}", "meta")
            .replace("{credential}", "c")
            .replace("{token}", "t")
            .replace("{request}", "r")
            .replace("{member}", "Observation");
        assert!(!address.contains('{'), "{path}");
        for method in methods.as_object().unwrap().keys().map(|m| m.to_uppercase()) {
            let name = format!("{method} {path}");
            if OPEN.contains(&name.as_str()) || name == HARMLESS {
                continue;
            }
            for body in [None, Some(b"{}".to_vec()), Some(b"garbage".to_vec())] {
                let ask = app.anonymous();
                let ask = ask.with_header("Content-Type", "application/json").with_header("X-Requested-With", "vigia");
                let reply = ask.send(method.parse().unwrap(), &address, body).await;
                assert_eq!(reply.status, 401, "{name}: {}", reply.text());
                assert_eq!(reply.issues(), "login", "{name}");
                // What stands in the address is refused, what is missing is asked for.
                let refused = if path.contains("{token}") { "Bearer error=\"invalid_token\"" } else { "Bearer" };
                assert_eq!(reply.header("www-authenticate"), refused, "{name}");
            }
            walked += 1;
        }
    }
    assert!(walked > 15, "{walked}");
    for path in [
        "/metrics",
        "/openapi.json",
        "/docs/",
        "/docs/index.html",
        "/fhir/Patient?_format=xml",
        "/fhir/_history",
        "/live",
    ] {
        app.anonymous().get(path).await.expect(401);
    }
    for path in
        ["/health/live", "/health/ready", "/fhir/metadata", "/login", "/bridge", "/bridge-worker.js", "/ui/login.html"]
    {
        app.anonymous().get(path).await.expect(200);
    }
    assert_eq!(app.anonymous().get("/").await.expect(303).header("location"), "/login");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_not_ours_or_over() {
    let clock = Clock::fixed(Clock::default().now());
    let app = TestApp::on(Place::new().await, clock.clone(), |_| {}).await;
    let scope = "system/*.cruds";
    let other = |issuer: &str, audience: &str| {
        let keys = TokenKeys::from_pem(&generate_pem().unwrap(), issuer, audience).unwrap();
        keys.mint(&keys.claims("x", scope, None, clock.now_seconds(), 3600)).unwrap()
    };
    let good = app.token(scope, None, 60);
    let own_key = std::fs::read_to_string(app.place.key_file("signing-key.pem")).unwrap();
    let elsewhere = TokenKeys::from_pem(&own_key, "http://elsewhere.test", "http://elsewhere.test/fhir").unwrap();
    let elsewhere = elsewhere.mint(&elsewhere.claims("x", scope, None, clock.now_seconds(), 3600)).unwrap();
    let mut tampered: Vec<&str> = good.split('.').collect();
    let more = app.token("system/Observation.c", None, 60);
    tampered[1] = more.split('.').nth(1).unwrap();
    for (what, token) in [
        ("another key", other(PUBLIC_URL, &format!("{PUBLIC_URL}/fhir"))),
        ("another server", elsewhere),
        ("tampered", tampered.join(".")),
        ("nonsense", "nonsense".to_owned()),
        ("empty", String::new()),
        ("long", "x".repeat(5000)),
    ] {
        let reply = app.bearer(&token).get("/fhir/Patient").await.expect(401);
        assert_eq!(reply.issues(), "login", "{what}");
    }
    for scheme in ["Basic dXNlcjpwYXNz", "Bearer", "bearer  "] {
        app.anonymous().with_header("Authorization", scheme).get("/fhir/Patient").await.expect(401);
    }
    app.bearer(&good).get("/fhir/Patient").await.expect(200);
    clock.advance(66_000_000);
    let over = app.bearer(&good).get("/fhir/Patient").await.expect(401);
    assert_eq!(over.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_say_what_may_be_done() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let reading = observation(&id, "8867-4", "72", "/min", &minutes_from_now(-1));
    let writer = app.machine("system/Observation.c");
    let written = writer.post("/fhir/Observation", &reading).await.expect(201).id();
    writer.post("/device/v1/observations", &heart_rate(&id, 72, &minutes_from_now(-2))).await.expect(200);
    for path in [
        format!("/fhir/Observation/{written}"),
        format!("/fhir/Observation/{written}/_history/1"),
        format!("/fhir/Observation/{written}/_history"),
        format!("/fhir/Observation?patient={id}"),
        "/fhir/Observation/_history".into(),
        "/fhir/_history".into(),
        "/fhir/Patient".into(),
        format!("/live/series?patient={id}&code=8867-4"),
    ] {
        assert_eq!(writer.get(&path).await.expect(403).issues(), "forbidden", "{path}");
    }
    let mut own = reading.clone();
    own["id"] = json!(written);
    writer.put(&format!("/fhir/Observation/{written}"), &own).await.expect(403);
    writer.delete(&format!("/fhir/Observation/{written}")).await.expect(403);
    writer.post("/fhir/Patient", &patient("x", "r2", "Soto")).await.expect(403);
    // A condition is a search, and would tell what is there.
    writer.with_header("If-None-Exist", "code=8867-4").post("/fhir/Observation", &reading).await.expect(403);
    let both = || [entry("POST", "Observation", &reading), entry("POST", "Patient", &patient("x", "r2", "Soto"))];
    writer.post("/fhir", &bundle("transaction", &both())).await.expect(403);
    let answer = writer.post("/fhir", &bundle("batch", &both())).await.expect(200).json();
    let status = |at: usize| answer["entry"][at]["response"]["status"].as_str().unwrap().split(' ').next().unwrap();
    assert_eq!((status(0), status(1)), ("201", "403"));

    let reader = app.machine("system/Observation.rs");
    reader.get(&format!("/fhir/Observation/{written}")).await.expect(200);
    reader.post("/fhir/Observation", &reading).await.expect(403);
    reader.post("/device/v1/observations", &heart_rate(&id, 72, &minutes_from_now(-3))).await.expect(403);
    reader.get("/fhir/Patient").await.expect(403);
    let total = app.gateway().get(&format!("/fhir/Observation?patient={id}&_count=0")).await.json();
    assert_eq!(total["total"], 3, "what was forbidden left nothing");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_patient_is_all_that_a_patients_app_sees() {
    let app = TestApp::start().await;
    let (own, other) = (app.admit("r1", "Vega").await, app.admit("r2", "Soto").await);
    let gateway = app.gateway();
    let mut readings = Vec::new();
    for id in [&own, &other] {
        app.heart_rates(id, &[80, 140, 141]).await;
        app.alert_becomes(id, "raised", |_| true).await;
        readings.push(ids(&gateway.get(&format!("/fhir/Observation?patient={id}&_count=1")).await.json()).remove(0));
    }
    let mine = app.patient_app("patient/*.rs", &own);
    for (query, expected) in [
        ("Observation", 3),
        ("Observation?_total=accurate", 3),
        ("DetectedIssue", 1),
        ("Encounter", 1),
        ("Patient", 1),
        ("Patient?family=soto", 0),
        (&format!("Observation?patient={other}"), 0),
        (&format!("Observation?subject=Patient/{other},Patient/{own}"), 3),
        (&format!("Observation?_id={},{}", readings[0], readings[1]), 1),
        ("Observation?code:not=1", 3),
        (&format!("Patient?_id={other}"), 0),
    ] {
        let found = mine.get(&format!("/fhir/{query}")).await.expect(200);
        assert_eq!(ids(&found.json()).len(), expected, "{query}: {}", found.text());
        assert!(!found.json()["entry"].to_string().contains(&other), "{query}");
    }
    mine.get(&format!("/fhir/Observation/{}", readings[0])).await.expect(200);
    mine.get(&format!("/fhir/Patient/{own}")).await.expect(200);
    for hidden in [
        format!("Observation/{}", readings[1]),
        format!("Observation/{}/_history/1", readings[1]),
        format!("Patient/{other}"),
        format!("Patient/{other}/_history/1"),
    ] {
        assert_eq!(
            mine.get(&format!("/fhir/{hidden}")).await.expect(404).issues(),
            "not-found",
            "as if it were not there: {hidden}"
        );
    }
    for whole in [
        "/fhir/_history",
        "/fhir/Observation/_history",
        "/fhir/Patient/_history",
        "/fhir/PlanDefinition",
        "/fhir/Device",
    ] {
        mine.get(whole).await.expect(403);
    }
    let series = mine.get(&format!("/live/series?patient={other}&code=8867-4")).await.expect(200).json();
    assert_eq!(series["points"], json!([]));

    let writer = app.patient_app("patient/Observation.c", &own);
    let about = |id: &str| observation(id, "8867-4", "72", "/min", &minutes_from_now(-1));
    writer.post("/fhir/Observation", &about(&own)).await.expect(201);
    writer.post("/fhir/Observation", &about(&other)).await.expect(403);
    writer.post("/device/v1/observations", &heart_rate(&other, 72, &minutes_from_now(-1))).await.expect(403);
    let mut nobody = about(&own);
    nobody.as_object_mut().unwrap().remove("subject");
    nobody.as_object_mut().unwrap().remove("category");
    nobody["code"]["coding"][0]["code"] = "8889-8".into();
    writer.post("/fhir/Observation", &nobody).await.expect(403);

    // What is another's is refused by itself; its neighbours are stored.
    let entries = [&own, &other, &own].map(|id| entry("POST", "Observation", &about(id)));
    let batch = writer.post("/fhir", &bundle("batch", &entries)).await.expect(200).json();
    let statuses = ["201 Created", "403 Forbidden", "201 Created"];
    for (at, status) in statuses.iter().enumerate() {
        assert_eq!(batch["entry"][at]["response"]["status"], *status, "{batch}");
    }
    let items = json!([heart_rate(&own, 73, &minutes_from_now(-1)), heart_rate(&other, 73, &minutes_from_now(-1))]);
    let receipt = writer.post("/device/v1/observations", &items).await.json();
    assert_eq!(
        (&receipt["items"][0]["outcome"], &receipt["items"][1]["outcome"]),
        (&json!("created"), &json!("rejected")),
        "{receipt}"
    );
    app.stop().await;
}

async fn sign_in(app: &TestApp, username: &str, password: &str) -> crate::helpers::Reply {
    let login = json!({"username": username, "password": password});
    app.anonymous().with_header("X-Requested-With", "vigia").post("/auth/login", &login).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_from_the_door_to_the_end() {
    let clock = Clock::fixed(Clock::default().now());
    let app = TestApp::on(Place::new().await, clock.clone(), |config| config.session.lifetime_s = 600).await;
    let nora = app.clinician().await;
    let me = nora.get("/auth/me").await.expect(200).json();
    assert_eq!((&me["username"], &me["role"]), (&json!("nora"), &json!("clinician")));
    nora.get("/").await.expect(200);

    // The cookie alone, as a foreign page would make the browser send it.
    let crate::helpers::Actor::Session(cookie) = nora.actor.clone() else { panic!("a session") };
    let forged = |method: &'static str, path: &'static str| {
        let (anonymous, cookie) = (app.anonymous(), cookie.clone());
        async move {
            let ask = anonymous.with_header("Cookie", &cookie).with_header("Content-Type", "application/fhir+json");
            ask.send(method.parse().unwrap(), path, Some(b"{}".to_vec())).await
        }
    };
    for (method, path) in [
        ("POST", "/fhir/Observation"),
        ("PUT", "/fhir/Patient/x"),
        ("DELETE", "/fhir/Patient/x"),
        ("POST", "/fhir"),
        ("POST", "/device/v1/observations"),
        ("POST", "/auth/logout"),
    ] {
        assert_eq!(forged(method, path).await.expect(403).issues(), "forbidden", "{method} {path}");
    }
    nora.get("/auth/me").await.expect(200);

    nora.post("/auth/logout", &json!({})).await.expect(204);
    nora.get("/auth/me").await.expect(401);
    nora.get("/fhir/Patient").await.expect(401);
    let root = app.administrator().await;
    root.get("/fhir/Patient").await.expect(200);
    clock.advance(601_000_000);
    root.get("/fhir/Patient").await.expect(401);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_is_for_the_browser_alone() {
    let app = TestApp::with(|config| config.server.public_url = Some("https://vigia.test".into())).await;
    let password = "correct horse";
    let role = vigia::auth::access::Role::Clinician;
    app.state.sessions.create_account("nora", "Nora", role, password).await.unwrap();
    let cookie = sign_in(&app, "nora", password).await.expect(204).header("set-cookie");
    for part in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_down() {
    let clock = Clock::fixed(Clock::default().now());
    let app = TestApp::on(Place::new().await, clock.clone(), |_| {}).await;
    let role = vigia::auth::access::Role::Clinician;
    app.state.sessions.create_account("nora", "Nora", role, "right").await.unwrap();
    let login = json!({"username": "nora", "password": "right"});
    app.anonymous().post("/auth/login", &login).await.expect(403);
    for name in ["nora", "nobody"] {
        for _ in 0..5 {
            assert_eq!(sign_in(&app, name, "wrong").await.expect(401).issues(), "login");
        }
        let held_off = sign_in(&app, name, "right").await.expect(429);
        assert!(held_off.header("retry-after").parse::<u32>().unwrap() > 0, "the right password does not help now");
    }
    clock.advance(61_000_000);
    sign_in(&app, "nora", "right").await.expect(204);
    for body in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"username":"nora"}"#,
        r#"{"username":"nora","password":"right","more":1}"#,
        r#"{"username":7,"password":"x"}"#,
    ] {
        let ask = app.anonymous();
        let ask = ask.with_header("X-Requested-With", "vigia").with_header("Content-Type", "application/json");
        ask.send(reqwest::Method::POST, "/auth/login", Some(body.into())).await.expect(400).issues();
    }
    for name in ["nul\u{0}", "' OR 1=1 --", "💉", &"x".repeat(1000), ""] {
        let reply = sign_in(&app, name, "wrong").await;
        assert!([400, 401].contains(&reply.status), "{name:?}: {} {}", reply.status, reply.text());
    }
    sign_in(&app, "nora", &"x".repeat(3000)).await.expect(401);
    sign_in(&app, "nora", &"x".repeat(17_000)).await.expect(413);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lockout_is_as_strict_as_the_settings_say() {
    let app = TestApp::with(|config| config.session.failures = 2).await;
    for status in [401, 401, 429] {
        sign_in(&app, "nobody", "wrong").await.expect(status);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_their_sessions_and_change_their_password() {
    let app = TestApp::start().await;
    let role = vigia::auth::access::Role::Nurse;
    app.state.sessions.create_account("nora", "Nora", role, "the old one").await.unwrap();
    let mut browsers = Vec::new();
    for agent in ["Firefox", "Safari"] {
        let login = json!({"username": "nora", "password": "the old one"});
        let anonymous = app.anonymous();
        let ask = anonymous.with_header("X-Requested-With", "vigia").with_header("User-Agent", agent);
        let cookie = ask.post("/auth/login", &login).await.expect(204).header("set-cookie");
        let actor = crate::helpers::Actor::Session(cookie.split(';').next().unwrap().to_owned());
        browsers.push(Client { actor, ..app.anonymous() });
    }
    let [first, second] = browsers.as_slice() else { panic!("two") };
    let open = first.get("/auth/sessions").await.expect(200).json();
    let agents: Vec<(&Value, &Value)> =
        open.as_array().unwrap().iter().map(|one| (&one["agent"], &one["current"])).collect();
    assert_eq!(agents, [(&json!("Safari"), &json!(false)), (&json!("Firefox"), &json!(true))]);
    let other = format!("/auth/sessions/{}", open[0]["id"].as_str().unwrap());
    app.administrator().await.delete(&other).await.expect(404);
    for (old, new, status) in [
        ("wrong", "a good new one", 403),
        ("the old one", "short", 422),
        ("the old one", "nora", 422),
        ("the old one", "a good new one", 204),
    ] {
        first.post("/auth/password", &json!({"old": old, "new": new})).await.expect(status);
    }
    second.get("/auth/me").await.expect(401);
    first.get("/auth/me").await.expect(200);
    sign_in(&app, "nora", "the old one").await.expect(401);
    sign_in(&app, "nora", "a good new one").await.expect(204);
    let open = first.get("/auth/sessions").await.expect(200).json();
    let newest = format!("/auth/sessions/{}", open[0]["id"].as_str().unwrap());
    first.delete(&newest).await.expect(204);
    first.delete(&newest).await.expect(404);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_tell_browsers_to_be_careful() {
    let app = TestApp::with(|config| config.server.public_url = Some("https://vigia.test".into())).await;
    for path in ["/fhir/metadata", "/fhir/Patient", "/auth/me", "/login", "/consent", "/nowhere", "/health/live"] {
        let reply = app.anonymous().get(path).await;
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{path}");
        assert!(reply.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert!(reply.header("strict-transport-security").starts_with("max-age=63072000"), "{path}");
        assert!(!reply.header("cache-control").is_empty(), "{path}");
    }
    app.stop().await;
    let app = TestApp::start().await;
    let found = app.gateway().get("/fhir/Patient").await.expect(200);
    assert_eq!(found.header("cache-control"), "private, no-store");
    assert_eq!(found.header("strict-transport-security"), "", "without TLS it would lock people out");
    app.stop().await;
}

async fn may(client: &Client, method: &str, path: &str, body: &Value) -> bool {
    let ask = client.with_header("Content-Type", "application/fhir+json");
    let reply = ask.send(method.parse().unwrap(), path, Some(body.to_string().into_bytes())).await;
    assert_ne!(reply.status, 401, "{method} {path}");
    reply.status != 403
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_bound_what_people_do() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let (nora, root) = (app.clinician().await, app.administrator().await);
    let reading = observation(&id, "8867-4", "72", "/min", &minutes_from_now(-1));
    let device = json!({"resourceType": "Device"});
    for (method, path, body, clinician) in [
        ("GET", "/fhir/Patient", &Value::Null, true),
        ("POST", "/fhir/Observation", &reading, true),
        ("PUT", &format!("/fhir/Patient/{id}"), &patient(&id, "r1", "Vega"), true),
        ("POST", "/fhir/Device", &device, false),
        ("DELETE", &format!("/fhir/Patient/{id}"), &Value::Null, false),
        ("GET", "/fhir/AuditEvent", &Value::Null, false),
    ] {
        assert_eq!(may(&nora, method, path, body).await, clinician, "{method} {path}");
        assert!(may(&root, method, path, body).await, "{method} {path}");
    }
    app.stop().await;
}
