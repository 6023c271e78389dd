//! What devices prove themselves by: claimed, used, replaced, ended; and what each lets its device do.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use vigia::clock::{Clock, new_id};

use crate::helpers::samples::{heart_rate, observation};
use crate::helpers::{Client, Place, TestApp, eventually, minutes_from_now};

const DOOR: &str = "/device/v1/observations";
const FORM: &str = "application/x-www-form-urlencoded";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const MINUTE: i64 = 60_000_000;

/// A key pair of P-256: what signs, and what is told.
fn key_pair() -> (EncodingKey, Value) {
    let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let key = EncodingKey::from_ec_der(pair.as_ref());
    let jwk = serde_json::to_value(Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap()).unwrap();
    (key, jwk)
}

async fn device(app: &TestApp, serial: &str) -> String {
    let device = json!({"resourceType": "Device", "status": "active", "identifier": [{"value": serial}]});
    app.gateway().post("/fhir/Device", &device).await.expect(201).json()["id"].as_str().unwrap().to_owned()
}

/// It comes to a patient, and has been there for a while.
async fn at(app: &TestApp, device: &str, patient: &str) {
    let start = vigia::fhir::time::instant(app.state.store.clock().now() - 60 * MINUTE);
    let comes = json!({"patient": format!("Patient/{patient}"), "start": start});
    app.gateway().post(&format!("/device/v1/devices/{device}/association"), &comes).await.expect(201);
}

async fn secret(manager: &Client, device: &str) -> (String, String) {
    let wish = json!({"secret": true, "label": "bed 3"});
    let given = manager.post(&format!("/device/v1/devices/{device}/credentials"), &wish).await.expect(201).json();
    (given["client_id"].as_str().unwrap().to_owned(), given["secret"].as_str().unwrap().to_owned())
}

/// An assertion of a client, with what is put on top.
fn assertion(app: &TestApp, key: &EncodingKey, client: &str, more: &Value) -> String {
    let now = app.state.store.clock().now_seconds();
    let audience = format!("{}/auth/token", app.state.settings.public_url);
    let mut claims = json!({"iss": client, "sub": client, "aud": audience, "exp": now + 60, "jti": new_id()});
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    encode(&Header::new(Algorithm::ES256), &claims, key).unwrap()
}

fn form(assertion: &str) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs([("grant_type", "client_credentials"), ("scope", "system/Observation.c")]);
    form.extend_pairs([("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)]).finish()
}

fn reading(value: u32) -> Value {
    json!({"patient": "urn:test:records|r1", "readings": [{"code": "8867-4", "value": value, "unit": "/min"}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_claims_a_key_signs_and_sends() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let (manager, phone) = (app.gateway(), app.anonymous());
    let device = device(&app, "sn-1").await;
    at(&app, &device, &id).await;
    let offered = manager.post(&format!("/device/v1/devices/{device}/claim"), &json!({})).await.expect(201).json();
    let code = offered["code"].as_str().unwrap();
    assert!(offered["link"].as_str().unwrap().ends_with(&format!("/bridge#code={code}")), "{offered}");
    assert!(offered["qr"].as_str().unwrap().contains("<svg"));

    let (key, jwk) = key_pair();
    let claim = json!({"code": code.to_lowercase().replace('-', " "), "jwk": jwk, "label": "phone"});
    let given = phone.post("/device/v1/claim", &claim).await.expect(201).json();
    assert_eq!((&given["device"], &given["kind"]), (&json!(format!("Device/{device}")), &json!("key")));
    phone.post("/device/v1/claim", &claim).await.expect(400);

    let client = given["client_id"].as_str().unwrap();
    let signed = assertion(&app, &key, client, &json!({}));
    let granted = phone.post_raw("/auth/token", FORM, form(&signed)).await.expect(200).json();
    assert_eq!((&granted["token_type"], &granted["expires_in"]), (&json!("bearer"), &json!(600)));
    let own = app.bearer(granted["access_token"].as_str().unwrap());
    let receipts = own.post(DOOR, &reading(71)).await.expect(200).json();
    let reference = receipts["items"][0]["reference"].as_str().unwrap();
    let read = manager.get(&format!("/fhir/{reference}")).await.expect(200).json();
    assert_eq!(read["device"]["reference"], format!("Device/{device}"));

    let now = app.state.store.clock().now_seconds();
    let (other, _) = key_pair();
    let fresh = |more: Value| assertion(&app, &key, client, &more);
    for (what, signed) in [
        ("used before", signed),
        ("of another key", assertion(&app, &other, client, &json!({}))),
        ("for another server", fresh(json!({"aud": "https://other.example/auth/token"}))),
        ("expired", fresh(json!({"exp": now - 60}))),
        ("good for too long", fresh(json!({"exp": now + 3600}))),
        ("not good yet", fresh(json!({"nbf": now + 60}))),
        ("of two", fresh(json!({"sub": "somebody"}))),
        ("of nobody", assertion(&app, &key, "nobody", &json!({}))),
        ("without an id", fresh(json!({"jti": ""}))),
        (
            "of no algorithm",
            format!(
                "{}.",
                fresh(json!({}))
                    .replacen("eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9", "eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0", 1)
                    .rsplit_once('.')
                    .unwrap()
                    .0
            ),
        ),
        ("nonsense", "nonsense".to_owned()),
    ] {
        let reply = phone.post_raw("/auth/token", FORM, form(&signed)).await;
        assert_eq!((reply.status, &reply.json()["error"]), (401, &json!("invalid_client")), "{what}");
    }
    for (body, status, error) in [
        ("grant_type=password", 400, "unsupported_grant_type"),
        ("grant_type=client_credentials", 401, "invalid_client"),
        ("grant_type=client_credentials&grant_type=client_credentials", 400, "invalid_request"),
        (&form(&fresh(json!({}))).replace("Observation.c", "Patient.rs"), 400, "invalid_scope"),
    ] {
        assert_eq!(phone.post_raw("/auth/token", FORM, body).await.expect(status).json()["error"], error, "{body}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_writes_its_own_readings_and_nothing_else() {
    let app = TestApp::start().await;
    let (id, manager) = (app.admit("r1", "Vega").await, app.gateway());
    let (device, other) = (device(&app, "sn-1").await, device(&app, "sn-2").await);
    at(&app, &device, &id).await;
    let own = app.bearer(&secret(&manager, &device).await.1);
    let mut of_another = reading(72);
    of_another["readings"][0]["device"] = json!(format!("Device/{other}"));
    let receipts = own.post(DOOR, &of_another).await.expect(422).json();
    assert_eq!(receipts["items"][0]["reason"]["issue"][0]["code"], "forbidden");
    own.post(DOOR, &reading(72)).await.expect(200);

    let resource = |device: Option<&str>| {
        let mut resource = observation(&id, "8867-4", "72", "/min", &minutes_from_now(-2));
        if let Some(device) = device {
            resource["device"] = json!({"reference": format!("Device/{device}")});
        }
        resource
    };
    own.post("/fhir/Observation", &resource(Some(&device))).await.expect(201);
    for (path, body) in [
        ("/fhir/Observation", resource(Some(&other))),
        ("/fhir/Observation", resource(None)),
        ("/fhir/Patient", json!({"resourceType": "Patient"})),
        (&format!("/device/v1/devices/{device}/claim"), json!({})),
        (&format!("/device/v1/devices/{device}/credentials"), json!({"secret": true})),
    ] {
        own.post(path, &body).await.expect(403);
    }
    // Nor by HL7: whom it is at is asked there too.
    let other_patient = app.admit("r2", "Sol").await;
    let message = |record: &str| {
        format!(
            "MSH|^~\\&|sn-1|W|||20260102080000+0000||ORU^R01^ORU_R01|{record}|P|2.6\rPID|||{record}\rOBR|1|||x\r\
             OBX|1|NM|8867-4^Heart rate^LN||72|/min^^UCUM|||||F|||{}\r",
            minutes_from_now(-3).replace(['-', ':'], "").replace('T', "").replace('Z', "+0000")
        )
    };
    let readings = |patient: &str| {
        let (manager, path) =
            (manager.clone(), format!("/fhir/Observation?patient={patient}&_total=accurate&_count=0"));
        async move { manager.get(&path).await.expect(200).json()["total"].as_u64().unwrap() }
    };
    let before = readings(&id).await;
    for record in ["r1", "r2"] {
        own.post_raw("/hl7/v2", "application/hl7-v2", message(record)).await;
    }
    assert_eq!((readings(&id).await, readings(&other_patient).await), (before + 1, 0));
    for path in
        [format!("/fhir/Patient/{id}"), "/fhir/Observation".into(), format!("/device/v1/devices/{device}/credentials")]
    {
        own.get(&path).await.expect(403);
    }
    for wish in
        [json!({}), json!({"secret": true, "certificate": "ab"}), json!({"certificate": "ab"}), json!({"key": 1})]
    {
        manager.post(&format!("/device/v1/devices/{device}/credentials"), &wish).await.expect(400);
    }
    manager.post("/device/v1/devices/nobody/claim", &json!({})).await.expect(404);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_replaced_and_ended() {
    let clock = Clock::fixed(Clock::default().now());
    let app = TestApp::on(Place::new().await, clock.clone(), |config| {
        (config.device.readings_per_s, config.device.burst) = (1, 4);
    })
    .await;
    let id = app.admit("r1", "Vega").await;
    let manager = app.gateway();
    let device = device(&app, "sn-1").await;
    at(&app, &device, &id).await;
    let list = format!("/device/v1/devices/{device}/credentials");
    let (first_id, first) = secret(&manager, &device).await;
    let first = app.bearer(&first);
    first.post(DOOR, &reading(70)).await.expect(200);
    let wish = json!({"secret": true, "overlap_s": 120});
    let second = first.post("/device/v1/credentials", &wish).await.expect(201).json();
    let (second_id, second) = (second["client_id"].clone(), app.bearer(second["secret"].as_str().unwrap()));
    first.post(DOOR, &reading(71)).await.expect(200);
    second.post(DOOR, &reading(72)).await.expect(200);
    clock.advance(3 * MINUTE);
    first.post(DOOR, &reading(73)).await.expect(401);
    second.post(DOOR, &reading(74)).await.expect(200);

    // Too much at once.
    let many: Vec<Value> = (0..4).map(|at| json!({"code": "8867-4", "value": at + 60, "unit": "/min"})).collect();
    let many = json!({"patient": "urn:test:records|r1", "readings": many});
    let reply = second.post(DOOR, &many).await.expect(429);
    assert_eq!(reply.header("retry-after"), "1");
    clock.advance(MINUTE);
    second.post(DOOR, &many).await.expect(200);
    clock.advance(MINUTE);

    manager.delete(&format!("{list}/{}", second_id.as_str().unwrap())).await.expect(204);
    manager.delete(&format!("{list}/{}", second_id.as_str().unwrap())).await.expect(404);
    second.post(DOOR, &reading(75)).await.expect(401);
    let lines = manager.get(&list).await.expect(200).json();
    let states: Vec<(&Value, bool)> = lines["credentials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (&line["id"], line.get("revoked").is_some()))
        .collect();
    assert!(states.contains(&(&second_id, true)) && states.contains(&(&json!(first_id), false)), "{states:?}");
    assert!(!lines.to_string().contains("vgd_"), "no key is shown again");

    // A code is good for a quarter of an hour, and guessing is cut off.
    let offered = manager.post(&format!("/device/v1/devices/{device}/claim"), &json!({})).await.expect(201).json();
    clock.advance(16 * MINUTE);
    let claim = json!({"code": offered["code"], "secret": true});
    app.anonymous().post("/device/v1/claim", &claim).await.expect(400);
    let guess = json!({"code": "AAAAA-AAAAA", "secret": true});
    let mut answers = std::collections::BTreeSet::new();
    for _ in 0..40 {
        answers.insert(app.anonymous().post("/device/v1/claim", &guess).await.status);
    }
    assert_eq!(answers.into_iter().collect::<Vec<_>>(), [400, 429]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_node_ends_is_over_within_a_second() {
    let app = TestApp::start().await;
    app.admit("r1", "Vega").await;
    let (device, manager) = (device(&app, "sn-1").await, app.gateway());
    let (id, key) = secret(&manager, &device).await;
    let own = app.bearer(&key);
    own.post(DOOR, &heart_rate("nobody", 71, &minutes_from_now(-1))).await.expect(422);
    // As another node does it: in the database, and nowhere else.
    let now = app.state.store.clock().now();
    assert_eq!(app.state.store.revoke_credentials(&format!("Device/{device}"), Some(id), now).await.unwrap(), 1);
    let started = std::time::Instant::now();
    eventually("the key is refused", || async { (own.post(DOOR, &reading(72)).await.status == 401).then_some(()) })
        .await;
    assert!(started.elapsed().as_secs() < 5, "the memory of it lasts half a second");
    app.stop().await;
}
