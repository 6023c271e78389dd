//! Messages about one patient are taken one after the other, those about others at the same time; answers come in the
//! order of the messages; nothing that is not stored is answered as if it were.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use vigia::auth::access::Access;
use vigia::error::Error;
use vigia::pipeline::Intent;
use vigia::store::Written;

use crate::helpers::place::Held;
use crate::helpers::samples::observation;
use crate::helpers::{TestApp, eventually, minutes_from_now};
use crate::mllp::{Sender, framed, oru};

/// Rows that one message of three readings takes in the lane.
const ROWS: usize = 4;

/// The lane in the hands of a write that cannot go on until this is let go.
async fn busy<'a>(
    app: &TestApp,
    access: &'a Access,
    patient: &str,
) -> (Held, Pin<Box<dyn Future<Output = Result<Written, Error>> + 'a>>) {
    let held = app.place.hold_writes().await;
    let reading = observation(patient, "8867-4", "72", "/min", &minutes_from_now(-1));
    let intent = Intent::Create { resource: fhir_r4::check(reading).unwrap(), id: "first".into(), guard: None };
    let pipeline = app.state.pipeline.clone();
    let mut first: Pin<Box<dyn Future<Output = _>>> = Box::pin(async move { pipeline.write(access, intent).await });
    assert!(poll_fn(|context| Poll::Ready(first.as_mut().poll(context).is_pending())).await);
    eventually("the lane is busy", || async { (app.state.store.queue_depth() == 0).then_some(()) }).await;
    (held, first)
}

#[tokio::test(flavor = "multi_thread")]
async fn patients_wait_for_themselves_alone() {
    let app = TestApp::start().await;
    let (vega, _) = (app.admit("r1", "Vega").await, app.admit("r2", "Lyra").await);
    let access = Access::system("test");
    let (held, first) = busy(&app, &access, &vega).await;
    let (mut one, mut other) = (Sender::connect(app.mllp).await, Sender::connect(app.mllp).await);
    let both = [("m1", "r1"), ("m2", "r1"), ("m3", "r2")].map(|(id, who)| framed(oru(id, who, "72").as_bytes()));
    one.write(&both.concat()).await;
    eventually("one message of each waits", || async { (app.state.store.queue_depth() == 2 * ROWS).then_some(()) })
        .await;
    other.write(&framed(oru("m4", "r1", "72").as_bytes())).await;
    other.write(&framed(oru("m5", "r2", "72").as_bytes())).await;
    assert_eq!(app.state.store.queue_depth(), 2 * ROWS, "what is about them waits behind");
    held.release();
    first.await.unwrap();
    for (sender, ids) in [(&mut one, &["m1", "m2", "m3"][..]), (&mut other, &["m4", "m5"])] {
        for id in ids {
            let answer = sender.answer().await.unwrap();
            assert!(answer.contains(&format!("\rMSA|AA|{id}\r")), "{id}: {answer}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_are_sent_at_once_they_are_kept_in_their_order() {
    let app = TestApp::start().await;
    let patients = ["r1", "r2", "r3"];
    for record in patients {
        app.admit(record, "Vega").await;
    }
    let messages: Vec<(String, &str)> = (100..160).map(|n| (format!("m{n}"), patients[n % 3])).collect();
    let mut sender = Sender::connect(app.mllp).await;
    let all: Vec<u8> = messages.iter().flat_map(|(id, who)| framed(oru(id, who, "72").as_bytes())).collect();
    sender.write(&all).await;
    for (id, _) in &messages {
        let answer = sender.answer().await.unwrap();
        assert!(answer.contains(&format!("\rMSA|AA|{id}\r")), "{id}: {answer}");
    }
    let list = app.administrator().await.get("/hl7/messages?count=100").await.expect(200).json();
    let mut kept: Vec<&str> =
        list["messages"].as_array().unwrap().iter().map(|m| m["control"].as_str().unwrap()).collect();
    kept.reverse();
    for record in patients {
        let own = |id: &&str| messages.iter().any(|(own, who)| own == id && *who == record);
        let kept: Vec<&str> = kept.iter().copied().filter(own).collect();
        assert_eq!(kept.len(), 20);
        assert!(kept.is_sorted(), "{record}: {kept:?}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_never_accepted() {
    let app = TestApp::with(|config| config.hl7.channel[0].answer_timeout_s = 1).await;
    let id = app.admit("r1", "Vega").await;
    let access = Access::system("test");
    let (held, first) = busy(&app, &access, &id).await;
    let mut sender = Sender::connect(app.mllp).await;
    let enhanced = oru("m2", "r1", "73").replace("|P|2.6", "|P|2.6|||AL|NE");
    let answer = sender.send(&oru("m1", "r1", "72")).await;
    assert!(answer.contains("\rMSA|AE|m1\r") && answer.contains("|207^"), "the disk does not answer: {answer}");
    let answer = sender.send(&enhanced).await;
    assert!(answer.contains("\rMSA|CE|m2\r"), "{answer}");
    let reply = app.gateway().post_raw("/hl7/v2", "application/hl7-v2", oru("m1", "r1", "72")).await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    held.release();
    first.await.unwrap();
    for (message, code) in [(oru("m1", "r1", "72"), "AA|m1"), (enhanced, "CA|m2")] {
        let answer = sender.send(&message).await;
        assert!(answer.contains(&format!("\rMSA|{code}\r")), "sent again: {answer}");
    }
    let gateway = app.gateway();
    let address = format!("/fhir/Observation?patient={id}&code=8867-4&_summary=count");
    assert_eq!(gateway.get(&address).await.expect(200).json()["total"], 3, "each once");
    // The database refuses what is written.
    app.place.execute("ALTER TABLE message RENAME TO elsewhere").await;
    let answer = sender.send(&oru("m5", "r1", "74")).await;
    assert!(answer.contains("\rMSA|AE|m5\r"), "{answer}");
    assert_eq!(gateway.get(&address).await.expect(200).json()["total"], 3, "nothing of it is there");
    app.place.execute("ALTER TABLE elsewhere RENAME TO message").await;
    assert!(sender.send(&oru("m5", "r1", "74")).await.contains("\rMSA|AA|m5\r"));
    // The database is gone for good: there is an answer all the same.
    app.state.store.close().await;
    let answer = sender.send(&oru("m3", "r1", "72")).await;
    assert!(answer.contains("\rMSA|AE|m3\r"), "{answer}");
    let answer = sender.send(&oru("m4", "r1", "72").replace("|P|2.6", "|P|2.6|||AL|NE")).await;
    assert!(answer.contains("\rMSA|CE|m4\r"), "{answer}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_hand_at_a_stop_is_answered() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let access = Access::system("test");
    let (held, first) = busy(&app, &access, &id).await;
    let mut sender = Sender::connect(app.mllp).await;
    sender.write(&framed(oru("m1", "r1", "72").as_bytes())).await;
    eventually("it waits", || async { (app.state.store.queue_depth() == ROWS).then_some(()) }).await;
    // The beginning of another one, which nobody will ever end.
    sender.write(&framed(oru("m2", "r1", "73").as_bytes())[..40]).await;
    let (state, stopping) = (app.state.clone(), tokio::spawn(app.stop()));
    eventually("it is stopping", || async {
        state.settings.stopping.load(std::sync::atomic::Ordering::Relaxed).then_some(())
    })
    .await;
    held.release();
    first.await.unwrap();
    let answer = sender.answer().await.unwrap();
    assert!(answer.contains("\rMSA|AA|m1\r"), "{answer}");
    assert_eq!(sender.answer().await, None, "then it is closed");
    drop(state);
    stopping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_one_too_many_waits_for_a_place() {
    let app = TestApp::with(|config| config.hl7.channel[0].max_connections = 1).await;
    app.admit("r1", "Vega").await;
    let mut one = Sender::connect(app.mllp).await;
    assert!(one.send(&oru("m1", "r1", "72")).await.contains("\rMSA|AA|m1\r"));
    let mut other = Sender::connect(app.mllp).await;
    other.write(&framed(oru("m2", "r1", "73").as_bytes())).await;
    assert!(one.send(&oru("m3", "r1", "74")).await.contains("\rMSA|AA|m3\r"), "one goes on");
    drop(one);
    assert!(other.answer().await.unwrap().contains("\rMSA|AA|m2\r"), "then it is the other's turn");
    let list = app.administrator().await.get("/hl7/messages").await.expect(200).json();
    assert_eq!((&list["messages"][0]["control"], &list["messages"][1]["control"]), (&"m2".into(), &"m3".into()));
    app.stop().await;
}
