//! What the store promises to everybody: one order, nothing lost, nothing without end.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use serde_json::{Value, json};
use vigia::auth::access::Access;
use vigia::clock::Clock;
use vigia::error::Error;
use vigia::pipeline::Intent;
use vigia::store::{CursorMove, READER_LOST, Store};

use crate::helpers::samples::{bundle, entry, heart_rate, observation, patient, plain_observation};
use crate::helpers::{Place, TestApp, eventually, minutes_from_now};
use crate::mllp::{Sender, oru};

/// Writes of every kind through the doors of one server.
async fn write_at_every_door(app: &TestApp, id: &str, rounds: usize, name: &str) {
    let gateway = app.gateway();
    let creates = async {
        for _ in 0..rounds {
            gateway
                .post("/fhir/Observation", &observation(id, "8867-4", "72", "/min", &minutes_from_now(0)))
                .await
                .expect(201);
        }
    };
    let updates = async {
        let other = format!("{name}-updated");
        for round in 0..rounds {
            let body = patient(&other, &other, &format!("Round{round}"));
            gateway.put(&format!("/fhir/Patient/{other}"), &body).await;
            let reading = plain_observation("x", &json!({"id": other}));
            gateway.put(&format!("/fhir/Observation/{other}"), &reading).await;
            if round % 5 == 4 {
                gateway.delete(&format!("/fhir/Patient/{other}")).await.expect(204);
            }
        }
    };
    let bundles = async {
        for round in 0..rounds {
            let kind = if round % 2 == 0 { "batch" } else { "transaction" };
            let mut entries: Vec<Value> =
                (0..7).map(|_| entry("POST", "Observation", &plain_observation("y", &json!({})))).collect();
            if round % 3 == 0 {
                // What is refused takes no number.
                entries.push(entry("DELETE", "Patient/never", &Value::Null));
            }
            gateway.post("/fhir", &bundle(kind, &entries)).await;
        }
    };
    let uploads = async {
        for round in 0..rounds {
            let minute = i64::try_from(round).unwrap();
            app.upload(&json!([
                heart_rate(id, 72, &minutes_from_now(-minute)),
                heart_rate(id, 73, &minutes_from_now(-minute))
            ]))
            .await;
        }
    };
    let messages = async {
        let mut sender = Sender::connect(app.mllp).await;
        for round in 0..rounds {
            sender.send(&oru(&format!("{name}-{round}"), "r1", "74")).await;
        }
    };
    tokio::join!(creates, updates, bundles, uploads, messages);
}

/// Follows the log until the writers are done and its end is reached; how many entries there were.
async fn follow(store: Store, done: Arc<AtomicBool>) -> i64 {
    let mut seq = 0;
    loop {
        let finished = done.load(Ordering::SeqCst);
        let entries = store.log_after(seq, 17).await.unwrap();
        for entry in &entries {
            assert_eq!(entry.seq, seq + 1, "every number once, in order, none left out");
            seq = entry.seq;
        }
        if entries.is_empty() {
            if finished {
                assert_eq!(seq, store.log_head().await.unwrap());
                return seq;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_log_sees_every_commit_in_order() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    // On PostgreSQL a second server writes to the same database.
    let second = match app.place.beside() {
        Some(place) => Some(TestApp::on(place, Clock::default(), |_| {}).await),
        None => None,
    };
    let done = Arc::new(AtomicBool::new(false));
    let stores = std::iter::once(&app).chain(second.as_ref()).map(|app| app.state.store.clone());
    let readers: Vec<_> = stores.map(|store| tokio::spawn(follow(store, done.clone()))).collect();
    match &second {
        Some(second) => {
            tokio::join!(write_at_every_door(&app, &id, 20, "one"), write_at_every_door(second, &id, 20, "two"));
        }
        None => write_at_every_door(&app, &id, 30, "one").await,
    }
    app.judged().await;
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        assert!(reader.await.unwrap() > 300);
    }
    if let Some(second) = second {
        second.stop().await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_one_database_alert_once_and_create_once() {
    let app = TestApp::start().await;
    let Some(beside) = app.place.beside() else { return drop(app.stop().await) };
    let second = TestApp::on(beside, Clock::default(), |_| {}).await;
    let id = app.admit("r1", "Vega").await;
    for (minute, value) in [(-9, 80), (-8, 115), (-7, 116), (-6, 135), (-5, 136), (-4, 90), (-3, 88), (-2, 86)] {
        let node = if minute % 2 == 0 { &app } else { &second };
        node.upload(&heart_rate(&id, value, &minutes_from_now(minute))).await;
    }
    let over = second.alert_becomes(&id, "over", |alert| alert["identifiedPeriod"]["end"].is_string()).await;
    app.judged().await;
    assert_eq!(app.alerts(&id).await, [over]);
    let tries = (0..40).map(|n| {
        let gateway = if n % 2 == 0 { app.gateway() } else { second.gateway() };
        tokio::spawn(async move {
            let ask = gateway.with_header("If-None-Exist", "identifier=urn:test:records|race");
            ask.post("/fhir/Patient", &patient("x", "race", "Vega")).await.status
        })
    });
    let mut created = 0;
    for one in tries.collect::<Vec<_>>() {
        created += usize::from(one.await.unwrap() == 201);
    }
    assert_eq!(created, 1);

    // The node that watched goes; the other takes over.
    let other = second.admit("r2", "Soto").await;
    let _place = app.stop().await;
    second.heart_rates(&other, &[140, 141]).await;
    second.alert_becomes(&other, "raised by the node that is left", |alert| alert["status"] == "preliminary").await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_away_is_found_again() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    if !app.place.cut_connections().await {
        return drop(app.stop().await);
    }
    let (gateway, device) = (app.gateway(), app.machine("system/Observation.c"));
    for (minute, value) in [(-3, 140), (-2, 141)] {
        eventually("a reading is taken again", || async {
            let reply =
                device.post("/device/v1/observations", &heart_rate(&id, value, &minutes_from_now(minute))).await;
            assert!([200, 503].contains(&reply.status), "never a fault of ours: {} {}", reply.status, reply.text());
            (reply.status == 200).then_some(())
        })
        .await;
    }
    eventually("and can be read", || async {
        let reply = gateway.get(&format!("/fhir/Observation?patient={id}&_count=0")).await;
        (reply.status == 200 && reply.json()["total"] == 2).then_some(())
    })
    .await;
    eventually("and is judged", || async {
        let reply = gateway.get(&format!("/fhir/DetectedIssue?patient={id}")).await;
        (reply.status == 200 && reply.json()["entry"].is_array()).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_says_come_later_and_never_grows() {
    let app = TestApp::with(|config| config.database.lane_queue = 20).await;
    let id = app.admit("r1", "Vega").await;
    let (device, system) = (app.machine("system/Observation.c"), Access::system("test"));
    let upload = |n: usize| {
        let (device, id) = (device.clone(), id.clone());
        let reading = |k: usize| {
            let mut reading = heart_rate(&id, 72, &minutes_from_now(-1));
            reading["id"] = json!(format!("{n}-{k}"));
            reading
        };
        let batch: Vec<Value> = (0..50).map(reading).collect();
        async move { device.post("/device/v1/observations", &json!(batch)).await }
    };
    // While somebody else holds the database, one write is in the lane's hands and one batch waits: that is all.
    let held = app.place.hold_writes().await;
    let reading = observation(&id, "8867-4", "72", "/min", &minutes_from_now(-1));
    let intent = Intent::Create { resource: fhir_r4::check(reading.clone()).unwrap(), id: "first".into(), guard: None };
    let pipeline = app.state.pipeline.clone();
    let mut first = std::pin::pin!(pipeline.write(&system, intent));
    // Asked once, it is in the queue; from there the lane takes it.
    assert!(poll_fn(|context| Poll::Ready(first.as_mut().poll(context).is_pending())).await);
    eventually("the lane is busy", || async { (app.state.store.queue_depth() == 0).then_some(()) }).await;
    let second = tokio::spawn(upload(2));
    eventually("one waits", || async { (app.state.store.queue_depth() == 50).then_some(()) }).await;
    let gateway = app.gateway();
    for refused in [
        upload(3).await,
        gateway.post("/fhir/Observation", &reading).await,
        gateway.post("/fhir", &bundle("transaction", &[entry("POST", "Observation", &reading)])).await,
        gateway.post("/fhir", &bundle("batch", &[entry("POST", "Observation", &reading)])).await,
    ] {
        let refused = refused.expect(429);
        assert_eq!(refused.issues(), "throttled");
        assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    }
    let answer = Sender::connect(app.mllp).await.send(&oru("m1", "r1", "72")).await;
    assert!(answer.contains("MSA|AE|m1"), "not stored, not accepted: {answer}");
    assert_eq!(app.state.store.queue_depth(), 50, "what is refused does not wait");
    held.release();
    assert_eq!(first.await.unwrap().version, 1);
    assert_eq!(second.await.unwrap().expect(200).json()["created"], 50);
    upload(3).await.expect(200);
    let total = gateway.get(&format!("/fhir/Observation?patient={id}&_count=0")).await.json();
    assert_eq!(total["total"], 101, "what was acknowledged is stored, what was refused is not");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gave_a_reader_up_cannot_hold_it_again() {
    // Time stands still: no lease ends by itself.
    let app = TestApp::on(Place::new().await, Clock::fixed(Clock::default().now()), |_| {}).await;
    let (store, house) = (&app.state.store, Access::system("test"));
    let taken = store.take_reader("test", "one", 5_000_000).await.unwrap().unwrap();
    store.release_reader("test", "one").await.unwrap();
    // What was on its way when it stopped.
    let leased = store.clock().now() + 5_000_000;
    let late = CursorMove { reader: "test".to_owned(), epoch: taken.epoch, seq: 5, leased };
    let late = app.state.pipeline.conclude(&house, vec![], late).await;
    assert!(matches!(late, Err(Error::Conflict(READER_LOST))), "{late:?}");
    let other = store.take_reader("test", "other", 5_000_000).await.unwrap();
    assert_eq!(other.map(|taken| taken.seq), Some(0));
    app.stop().await;
}
