//! People and systems outside are told of alerts: once, signed, in spite of trouble, and not when they sleep.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use vigia::clock::Clock;
use vigia::config::Config;
use vigia::config::notify::{AtLeast, Content, Quiet, Recipient, SmtpTls};

use crate::helpers::samples::{heart_rate, observation};
use crate::helpers::stubs::{MailServer, Post, Receiver};
use crate::helpers::{Place, TestApp, eventually, minutes_from_now, resources};

const KEY: &[u8] = b"a key of more than sixteen bytes";
const MINUTE: i64 = 60_000_000;

fn webhook(name: &str, receiver: &Receiver) -> Recipient {
    let secret = format!("whsec_{}", STANDARD.encode(KEY));
    Recipient {
        name: name.to_owned(),
        webhook: Some(receiver.url()),
        secret: Some(secret.into()),
        first: true,
        ..Recipient::default()
    }
}

/// With these recipients, and nothing waited for.
fn telling(recipients: Vec<Recipient>) -> impl FnOnce(&mut Config) {
    move |config| {
        config.notify.recipient = recipients;
        config.notify.group_wait_s = 0;
    }
}

async fn posts(receiver: &Receiver, count: usize) -> Vec<Post> {
    let what = format!("{count} messages");
    eventually(&what, || async { Some(receiver.posts()).filter(|posts| posts.len() >= count) }).await
}

/// Heart rates, each at its minute from now.
async fn readings(app: &TestApp, patient: &str, values: &[(i64, u32)]) {
    for (minute, value) in values {
        app.upload(&heart_rate(patient, *value, &minutes_from_now(*minute))).await;
    }
}

/// The notices of an alert, each with its status.
async fn notices(app: &TestApp, alert: &Value) -> Vec<Value> {
    let query = format!("/fhir/Communication?about=DetectedIssue/{}", alert["id"].as_str().unwrap());
    resources(&app.gateway().get(&query).await.expect(200).json())
}

fn statuses(notices: &[Value]) -> Vec<&str> {
    notices.iter().map(|notice| notice["status"].as_str().unwrap()).collect()
}

fn occasions(posts: &[Post]) -> Vec<String> {
    posts.iter().map(|post| post.body()["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_is_signed_recorded_and_says_no_more_than_it_must() {
    let (ward, office) = (Receiver::start(&[]).await, Receiver::start(&[]).await);
    let all = vec![
        Recipient { resolved: true, ..webhook("ward", &ward) },
        Recipient { content: Content::Full, at_least: AtLeast::Critical, ..webhook("office", &office) },
    ];
    let app = TestApp::with(telling(all)).await;
    let patient = app.admit("r1", "Vega").await;
    app.heart_rates(&patient, &[115, 116]).await;
    let alert = app.alert_becomes(&patient, "raised", |a| a["status"] == "preliminary").await;
    let post = posts(&ward, 1).await.remove(0);
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
    mac.update(format!("{}.{}.{}", post.id, post.timestamp, post.text).as_bytes());
    assert_eq!(post.signature, format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())));
    let told = &post.body()["data"]["alerts"][0];
    assert_eq!(
        (&told["id"], &told["severity"], &told["occasion"]),
        (&alert["id"], &json!("moderate"), &json!("raised"))
    );
    for hidden in ["Vega", patient.as_str(), "116", "resource"] {
        assert!(!post.text.contains(hidden), "{hidden} is told: {}", post.text);
    }

    readings(&app, &patient, &[(1, 135), (2, 136)]).await;
    let full = posts(&office, 1).await.remove(0);
    assert_eq!(full.body()["data"]["alerts"][0]["resource"]["patient"]["reference"], format!("Patient/{patient}"));
    let until = "the record says that both were told";
    let told = eventually(until, || async {
        let told = notices(&app, &alert).await;
        (told.len() == 3 && told.iter().all(|n| n["status"] == "completed" && n["sent"].is_string())).then_some(told)
    })
    .await;
    assert!(told.iter().all(|n| n["subject"]["reference"] == format!("Patient/{patient}")));
    let mut names: Vec<_> = told.iter().map(|n| n["recipient"][0]["identifier"]["value"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["office", "ward", "ward"]);
    let audited = app.administrator().await.get("/fhir/AuditEvent?_count=50").await.expect(200).text();
    assert!(audited.contains("\"disclose\"") && audited.contains("\"office\""), "{audited}");

    readings(&app, &patient, &[(3, 80), (4, 80)]).await;
    let acknowledge = format!("/fhir/DetectedIssue/{}/$acknowledge", alert["id"].as_str().unwrap());
    app.clinician().await.post(&acknowledge, &json!({"resourceType": "Parameters"})).await.expect(200);
    assert_eq!(occasions(&posts(&ward, 3).await), ["alert.raised", "alert.worse", "alert.resolved"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_delays_and_never_forgets() {
    // Nobody listens yet; then the receiver fails twice.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let nowhere = Receiver::start(&[410]).await;
    let mut late = webhook("late", &nowhere);
    late.webhook = Some(format!("http://{address}/x"));
    let app = TestApp::with(telling(vec![late, webhook("gone", &nowhere)])).await;
    let patient = app.admit("r1", "Vega").await;
    app.heart_rates(&patient, &[115, 116]).await;
    let alert = app.alert_becomes(&patient, "raised", |_| true).await;
    eventually("an attempt in vain", || async {
        notices(&app, &alert).await.iter().any(|n| n.to_string().contains("notify-error")).then_some(())
    })
    .await;
    let receiver = Receiver::on(TcpListener::bind(address).await.unwrap(), &[500, 503]);
    let all = posts(&receiver, 3).await;
    assert!(all.iter().all(|post| post.id == all[0].id), "the same message however often it is sent");
    let ended = eventually("both are done with", || async {
        let told = notices(&app, &alert).await;
        let mut ended = statuses(&told).join(" ");
        if ended == "stopped completed" {
            ended = "completed stopped".to_owned();
        }
        (ended == "completed stopped").then_some(told)
    })
    .await;
    let stopped = ended.iter().find(|n| n["status"] == "stopped").unwrap();
    assert!(stopped["statusReason"]["text"].as_str().unwrap().contains("410"), "{stopped}");
    assert_eq!(posts(&nowhere, 1).await.len(), 1, "who wants no more hears no more");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_what_is_silenced_on_trial_late_or_while_asleep() {
    let receiver = Receiver::start(&[]).await;
    let night = Quiet { from: "00:00".into(), to: "23:59".into(), below: AtLeast::Critical, ..Quiet::default() };
    let other = Quiet { from: "23:59".into(), to: "00:00".into(), below: AtLeast::Critical, ..Quiet::default() };
    let asleep = Recipient { quiet: vec![night, other], ..webhook("asleep", &receiver) };
    let app = TestApp::with(telling(vec![asleep])).await;
    let gateway = app.gateway();
    let (warned, late, critical) =
        (app.admit("r1", "Vega").await, app.admit("r2", "Luna").await, app.admit("r3", "Sol").await);
    app.heart_rates(&warned, &[115, 116]).await;
    let alert = app.alert_becomes(&warned, "raised", |_| true).await;
    eventually("it is on record that nobody was told", || async {
        (statuses(&notices(&app, &alert).await) == ["not-done"]).then_some(())
    })
    .await;
    readings(&app, &late, &[(-300, 140), (-299, 141)]).await;
    app.alert_becomes(&late, "late", |a| a.to_string().contains("alert-late")).await;
    let mut plan = gateway.get("/fhir/PlanDefinition/limits-59408-5").await.expect(200).json();
    plan["action"][0]["extension"]
        .as_array_mut()
        .unwrap()
        .push(json!({"url": "https://vigia.dev/fhir/StructureDefinition/alert-shadow", "valueBoolean": true}));
    gateway.put("/fhir/PlanDefinition/limits-59408-5", &plan).await.expect(200);
    for minute in [-2, -1] {
        let mut reading = observation(&late, "59408-5", "85", "%", &minutes_from_now(minute));
        reading["code"]["coding"].as_array_mut().unwrap().push(json!({"system": "http://loinc.org", "code": "2708-6"}));
        gateway.post("/fhir/Observation", &reading).await.expect(201);
    }
    eventually("a rule on trial has raised an alert", || async { (app.alerts(&late).await.len() == 2).then_some(()) })
        .await;
    // What is urgent enough is told at any hour; all that came before it was looked at by then.
    app.heart_rates(&critical, &[140, 141]).await;
    let all = posts(&receiver, 1).await;
    assert_eq!((all.len(), &all[0].body()["data"]["alerts"][0]["severity"]), (1, &json!("high")));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_escalation_calls_those_whom_the_policy_names() {
    let (nurse, doctor, desk) = (Receiver::start(&[]).await, Receiver::start(&[]).await, Receiver::start(&[]).await);
    let called = |name: &str, role: &str, receiver: &Receiver| Recipient {
        first: false,
        roles: vec![role.to_owned()],
        ..webhook(name, receiver)
    };
    let all = || {
        vec![
            called("nurse", "charge-nurse", &nurse),
            called("doctor", "physician", &doctor),
            Recipient { fallback: true, ..called("desk", "none", &desk) },
        ]
    };
    let configure = || {
        let recipients = all();
        move |config: &mut Config| {
            telling(recipients)(config);
            let steps = [(1, "charge-nurse"), (2, "physician"), (3, "nobody has this role")];
            config.alert.escalation.critical.steps = steps
                .map(|(minutes, role)| vigia::config::alert::Step {
                    after_s: minutes * 60,
                    roles: vec![role.to_owned()],
                    ..vigia::config::alert::Step::default()
                })
                .into();
        }
    };
    let clock = Clock::fixed(Clock::default().now());
    let app = TestApp::on(Place::new().await, clock.clone(), configure()).await;
    let patient = app.admit("r1", "Vega").await;
    app.heart_rates(&patient, &[135, 136]).await;
    let alert = app.alert_becomes(&patient, "raised", |_| true).await;
    clock.advance(MINUTE);
    let first = posts(&nurse, 1).await;
    assert_eq!(
        (occasions(&first).as_slice(), &first[0].body()["data"]["alerts"][0]["step"]),
        (&["alert.escalated".to_owned()][..], &json!(1))
    );
    let place = app.stop().await;
    clock.advance(MINUTE);
    let app = TestApp::on(place, clock.clone(), configure()).await;
    assert_eq!(
        posts(&doctor, 1).await[0].body()["data"]["alerts"][0]["step"],
        2,
        "timers and notices survive a restart"
    );
    clock.advance(MINUTE);
    assert_eq!(posts(&desk, 1).await[0].body()["data"]["alerts"][0]["step"], 3, "somebody always hears");
    let counts = [&nurse, &doctor, &desk].map(|receiver| receiver.posts().len());
    assert_eq!(counts, [1, 1, 1]);
    eventually("the record is complete", || async {
        (statuses(&notices(&app, &alert).await) == ["completed"; 3]).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_of_one_patient_are_one_message_and_what_is_answered_is_not_told() {
    let receiver = Receiver::start(&[]).await;
    let clock = Clock::fixed(Clock::default().now());
    let recipients = vec![webhook("ward", &receiver)];
    let app = TestApp::on(Place::new().await, clock.clone(), |config| {
        config.notify.recipient = recipients;
        config.notify.group_wait_s = 30;
    })
    .await;
    let (one, other) = (app.admit("r1", "Vega").await, app.admit("r2", "Luna").await);
    let gateway = app.gateway();
    app.heart_rates(&one, &[115, 116]).await;
    for minute in [-1, 0] {
        let temperature = observation(&one, "8310-5", "38.5", "Cel", &minutes_from_now(minute));
        gateway.post("/fhir/Observation", &temperature).await.expect(201);
    }
    app.heart_rates(&other, &[115, 116]).await;
    let answered = app.alert_becomes(&other, "raised", |_| true).await;
    let path = format!("/fhir/DetectedIssue/{}/$acknowledge", answered["id"].as_str().unwrap());
    app.clinician().await.post(&path, &json!({"resourceType": "Parameters"})).await.expect(200);
    eventually("three notices wait", || async {
        let waiting = gateway.get("/fhir/Communication?status=preparation").await.expect(200).json();
        (resources(&waiting).len() == 3).then_some(())
    })
    .await;
    assert!(receiver.posts().is_empty(), "it is waited for what else there is");
    clock.advance(MINUTE);
    let post = posts(&receiver, 1).await.remove(0);
    assert_eq!(post.body()["data"]["alerts"].as_array().unwrap().len(), 2, "{}", post.text);
    let stopped = eventually("the answered one is not told", || async {
        notices(&app, &answered).await.into_iter().find(|notice| notice["status"] == "stopped")
    })
    .await;
    assert_eq!(stopped["statusReason"]["text"], "somebody has answered");
    assert_eq!(receiver.posts().len(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_by_mail() {
    let server = MailServer::start().await;
    let (host, port) = (server.address.ip().to_string(), server.address.port());
    let app = TestApp::with(move |config| {
        let nurse = Recipient {
            name: "nurse".into(),
            email: Some("nurse@ward.test".into()),
            first: true,
            ..Recipient::default()
        };
        telling(vec![nurse])(config);
        config.notify.smtp.host = Some(host);
        config.notify.smtp.port = Some(port);
        config.notify.smtp.tls = SmtpTls::None;
        config.notify.smtp.from = "vigia@hospital.test".into();
    })
    .await;
    let patient = app.admit("r1", "Vega").await;
    app.heart_rates(&patient, &[135, 136]).await;
    let mail = eventually("a mail", || async { server.mails().into_iter().next() }).await;
    assert!(mail.contains("To: nurse@ward.test") && mail.contains("Message-ID: <"), "{mail}");
    assert!(mail.contains("critical alert raised") && mail.contains("/fhir/DetectedIssue/"), "{mail}");
    assert!(!mail.contains("Vega") && !mail.contains(&patient), "{mail}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_tell_once() {
    let receiver = Receiver::start(&[]).await;
    let place = Place::new().await;
    let Some(beside) = place.beside() else { return };
    let configure = || telling(vec![webhook("ward", &receiver)]);
    let one = TestApp::on(place, Clock::default(), configure()).await;
    let other = TestApp::on(beside, Clock::default(), configure()).await;
    let patients = [one.admit("r1", "Vega").await, one.admit("r2", "Luna").await, one.admit("r3", "Sol").await];
    for patient in &patients {
        other.heart_rates(patient, &[115, 116]).await;
        one.alert_becomes(patient, "raised", |_| true).await;
    }
    posts(&receiver, 3).await;
    let kept = one.stop().await;
    for patient in &patients {
        readings(&other, patient, &[(1, 135), (2, 136)]).await;
    }
    let all = posts(&receiver, 6).await;
    let ids: std::collections::BTreeSet<_> = all.iter().map(|post| post.id.clone()).collect();
    assert_eq!((all.len(), ids.len()), (6, 6), "{:?}", occasions(&all));
    other.stop().await;
    drop(kept);
}
