//! `Observation/$lastn`: the newest readings of each kind, right after whatever was written before.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use vigia::auth::access::Access;
use vigia::store::Series;

use crate::helpers::samples::{LOINC, observation};
use crate::helpers::{Client, TestApp, ids, resources};

const MDC: &str = "urn:iso:std:iso:11073:10101";

fn at(minute: u32) -> String {
    format!("2026-03-01T{:02}:{:02}:00Z", minute / 60, minute % 60)
}

/// A reading with codings of our choice (`l:` LOINC, `m:` MDC, `"` a text).
fn reading(id: &str, patient: &str, codes: &str, minute: u32, more: &Value) -> Value {
    let coding = |code: &str| match code.split_once(':') {
        Some(("m", code)) => json!({"system": MDC, "code": code}),
        Some((_, code)) => json!({"system": LOINC, "code": code}),
        None => json!({"code": code}),
    };
    let code = match codes.strip_prefix('"') {
        Some(text) => json!({"text": text}),
        None => json!({"coding": codes.split(',').map(coding).collect::<Vec<_>>()}),
    };
    let mut reading = json!({"resourceType": "Observation", "id": id, "status": "final", "code": code,
        "category": [{"coding": [{"code": "lab"}]}],
        "subject": {"reference": format!("Patient/{patient}")}, "effectiveDateTime": at(minute)});
    for (name, value) in more.as_object().into_iter().flatten() {
        reading[name] = value.clone();
    }
    reading
}

async fn put(client: &Client, reading: &Value) {
    let reply = client.put(&format!("/fhir/Observation/{}", reading["id"].as_str().unwrap()), reading).await;
    assert!([200, 201].contains(&reply.status), "{}", reply.text());
}

async fn lastn(client: &Client, query: &str) -> String {
    let bundle = client.get(&format!("/fhir/Observation/$lastn?{query}")).await.expect(200).json();
    assert_eq!((&bundle["type"], &bundle["total"]), (&json!("searchset"), &json!(ids(&bundle).len())));
    ids(&bundle).join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_of_each_group_are_answered() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for patient in ["p", "q"] {
        gateway
            .put(&format!("/fhir/Patient/{patient}"), &json!({"resourceType": "Patient", "id": patient}))
            .await
            .expect(201);
    }
    let exam = json!({"category": [{"coding": [{"code": "exam"}]}]});
    for (id, patient, codes, minute, more) in [
        ("h1", "p", "l:8889-8", 1, &json!({})),
        ("h2", "p", "l:8889-8,m:147842", 2, &json!({})),
        ("h3", "p", "m:147842", 3, &json!({})),
        ("s1", "p", "l:59408-5", 4, &json!({"status": "entered-in-error"})),
        ("t1", "p", "l:8331-1", 5, &exam),
        ("t2", "p", "l:8331-1", 5, &exam),
        ("x1", "p", "\"pallor", 6, &json!({})),
        ("x2", "p", "\"Pallor", 7, &json!({})),
        ("o1", "q", "l:8889-8", 9, &json!({})),
    ] {
        put(&gateway, &reading(id, patient, codes, minute, more)).await;
    }
    for (query, expected) in [
        // Dual-coded: three spellings of the heart rate are one group.
        ("patient=p&category=lab", "x2 x1 s1 h3"),
        ("patient=p&category=lab&max=2", "x2 x1 s1 h3 h2"),
        ("subject=Patient/p&code=8889-8", "h2"),
        ("patient=p&code=http://loinc.org|8889-8,http://loinc.org|8331-1&max=9", "t2 t1 h2 h1"),
        // A tie at the end: both.
        ("patient=p&category=exam", "t2 t1"),
        // What is coded by MDC alone has the LOINC code that says the same.
        ("patient=p&code=http://loinc.org|", "t2 t1 s1 h3"),
        ("patient=Patient/p&code=nope", ""),
        ("patient=nobody&code=8889-8", ""),
        // Other search parameters filter first.
        ("patient=p&code=8889-8&date=lt2026-03-01T00:02:00Z", "h1"),
        ("patient=p&category=lab&status=final&max=1", "x2 x1 h3"),
        ("patient=p&category=lab&status:not=entered-in-error", "x2 x1 h3"),
        ("patient=p&category:not=exam", "x2 x1 s1 h3"),
        ("subject:Patient=p&category=exam&date=ge2026", "t2 t1"),
    ] {
        // By memory and, where a date is asked for that says nothing, by search.
        assert_eq!(lastn(&gateway, query).await, expected, "{query}");
        assert_eq!(lastn(&gateway, &format!("{query}&date=ge2000")).await, expected, "{query}, searched");
    }
    let body = json!({"resourceType": "Parameters", "parameter": [{"name": "max", "valuePositiveInt": 2},
        {"name": "patient", "valueString": "p"}, {"name": "code", "valueString": "8889-8"}]});
    let bundle = gateway.post("/fhir/Observation/$lastn", &body).await.expect(200).json();
    assert_eq!(ids(&bundle).join(" "), "h2 h1");
    let entry = &bundle["entry"][0];
    assert!(entry["fullUrl"].as_str().unwrap().ends_with("/fhir/Observation/h2") && entry["search"]["mode"] == "match");
    assert_eq!(entry["resource"], gateway.get("/fhir/Observation/h2").await.expect(200).json());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_make_no_sense_are_refused() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for (query, issue) in [
        ("code=8889-8", "required http.patient"),
        ("patient=p", "required http.code"),
        ("patient=p&date=ge2026", "required http.code"),
        ("patient=p&code=a&max=0", "value http.max"),
        ("patient=p&code=a&max=-1", "value http.max"),
        ("patient=p&code=a&max=x", "value http.max"),
        ("patient=p&code=a&max=1&max=2", "value http.max"),
        ("patient=p,q&code=a", "value http.patient"),
        ("patient=p&patient=q&code=a", "value http.patient"),
        ("subject=http://elsewhere/Patient/p&code=a", "value http.subject"),
        ("patient=p&code=a&_sort=date", "not-supported http._sort"),
        ("patient=p&code=a&nope=1", "not-supported http.nope"),
        ("patient=p&code=a%00", "value http.code"),
    ] {
        let reply = gateway.get(&format!("/fhir/Observation/$lastn?{query}")).await.expect(400);
        assert_eq!(reply.issues(), issue, "{query}");
    }
    gateway.get("/fhir/Patient/$lastn?patient=p&code=a").await.expect(404);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_see_one_patient_sees_that_one() {
    let app = TestApp::start().await;
    let (ana, eva) = (app.admit("m1", "Vega").await, app.admit("m2", "Luna").await);
    let gateway = app.gateway();
    for patient in [&ana, &eva] {
        gateway.post("/fhir/Observation", &observation(patient, "8889-8", "72", "/min", &at(1))).await.expect(201);
    }
    let own = app.patient_app("patient/Observation.rs", &ana);
    let reader = app.patient_app("patient/Observation.r", &ana);
    for extra in ["", "&date=ge2000"] {
        // The rings are warm with everybody.
        for patient in [&ana, &eva] {
            assert!(!lastn(&gateway, &format!("patient={patient}&code=8889-8{extra}")).await.is_empty());
        }
        for (query, seen) in [
            (format!("code=8889-8{extra}"), true),
            (format!("patient={ana}&code=8889-8{extra}"), true),
            (format!("patient={eva}&code=8889-8{extra}"), false),
            (format!("subject=Patient/{eva}&code=8889-8{extra}"), false),
        ] {
            let bundle = own.get(&format!("/fhir/Observation/$lastn?{query}")).await.expect(200).json();
            let subjects: Vec<Value> = resources(&bundle).iter().map(|r| r["subject"]["reference"].clone()).collect();
            let expected = if seen { vec![json!(format!("Patient/{ana}"))] } else { vec![] };
            assert_eq!(subjects, expected, "{query}");
        }
        reader.get(&format!("/fhir/Observation/$lastn?patient={ana}&code=8889-8{extra}")).await.expect(403);
    }
    app.anonymous().get(&format!("/fhir/Observation/$lastn?patient={ana}&code=8889-8")).await.expect(401);
    app.stop().await;
}

/// What a model of the same rules says: late readings, corrections, moves to another patient or code, deletions.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_written_the_next_answer_knows() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let mut rng = StdRng::seed_from_u64(7);
    for patient in ["p", "q"] {
        gateway
            .put(&format!("/fhir/Patient/{patient}"), &json!({"resourceType": "Patient", "id": patient}))
            .await
            .expect(201);
    }
    // id, patient, code, minute; in the order of their commits
    let mut model: Vec<(String, &str, &str, u32)> = Vec::new();
    for round in 0..250_u32 {
        let id = format!("o{}", rng.random_range(0..60));
        let known = model.iter().position(|(own, ..)| *own == id);
        if known.is_some() && rng.random_range(0..4) == 0 {
            gateway.delete(&format!("/fhir/Observation/{id}")).await;
        } else {
            let patient = ["p", "p", "q"][rng.random_range(0..3)];
            let code = ["a", "a", "b"][rng.random_range(0..3)];
            let minute = rng.random_range(0..1000);
            put(&gateway, &reading(&id, patient, code, minute, &json!({"note": [{"text": round.to_string()}]}))).await;
            model.push((id.clone(), patient, code, minute));
        }
        if let Some(known) = known {
            model.remove(known);
        }
        for patient in ["p", "q"] {
            let max = rng.random_range(1..7);
            let mut expected = Vec::new();
            for code in ["a", "b"] {
                let mut of: Vec<_> = model.iter().enumerate().filter(|(_, m)| m.1 == patient && m.2 == code).collect();
                of.sort_by_key(|(at, m)| std::cmp::Reverse((m.3, *at)));
                let last = of.get(max - 1).map_or(0, |(_, m)| m.3);
                expected.extend(of.into_iter().filter(|(_, m)| m.3 >= last));
            }
            expected.sort_by_key(|(at, m)| std::cmp::Reverse((m.3, *at)));
            let expected: Vec<&str> = expected.into_iter().map(|(_, m)| m.0.as_str()).collect();
            let answered = lastn(&gateway, &format!("patient={patient}&category=lab&max={max}")).await;
            assert_eq!(answered, expected.join(" "), "round {round}, {patient}, max {max}");
        }
    }
    app.stop().await;
}

/// Kinds with more readings than are kept in memory, of one category and of two.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_of_another_category_hides_nothing() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    gateway.put("/fhir/Patient/p", &json!({"resourceType": "Patient", "id": "p"})).await.expect(201);
    let exam = json!({"category": [{"coding": [{"code": "exam"}]}]});
    put(&gateway, &reading("b0", "p", "b", 0, &exam)).await;
    for minute in 1..30 {
        put(&gateway, &reading(&format!("a{minute}"), "p", "a", minute, &json!({}))).await;
        put(&gateway, &reading(&format!("b{minute}"), "p", "b", minute, &json!({}))).await;
    }
    put(&gateway, &reading("c1", "p", "c", 31, &exam)).await;
    for (query, expected) in [
        ("category=lab", "b29 a29"),
        ("category=exam", "c1 b0"),
        ("category=exam&max=3", "c1 b0"),
        ("category=nope", ""),
        ("category=lab&max=12&code=a", "a29 a28 a27 a26 a25 a24 a23 a22 a21 a20 a19 a18"),
    ] {
        for _ in 0..2 {
            assert_eq!(lastn(&gateway, &format!("patient=p&{query}")).await, expected, "{query}");
        }
    }
    // A late one of the category that the kind did not have.
    put(&gateway, &reading("late", "p", "a", 2, &exam)).await;
    assert_eq!(lastn(&gateway, "patient=p&category=exam").await, "c1 late b0");
    app.stop().await;
}

/// What is not in memory is read and taken apart where it holds no other request up.
#[tokio::test(flavor = "multi_thread")]
async fn many_readings_are_read_off_the_thread_that_asks() {
    let app = TestApp::start().await;
    let p = app.admit("m1", "Vega").await;
    let (house, subject) = (Access::system("test"), format!("Patient/{p}"));
    for code in ["8889-8", "9279-1"] {
        app.gateway().post("/fhir/Observation", &observation(&p, code, "72", "/min", &at(1))).await.expect(201);
    }
    let make = |series: Vec<Series>| Ok((series.len(), std::thread::current().id()));
    let (kinds, thread) = app.state.store.newest(&house, &subject, 1, 2, make).await.unwrap().unwrap();
    assert_eq!(kinds, 2);
    assert_ne!(thread, std::thread::current().id());
    assert!(app.state.store.newest(&house, &subject, 1, 1, make).await.unwrap().is_none(), "more kinds than asked for");
    app.stop().await;
}

/// Everybody who was told 201 finds the own reading at once, whoever else writes and asks.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_never_older_than_ones_own_write() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for patient in ["p", "q", "r"] {
        gateway
            .put(&format!("/fhir/Patient/{patient}"), &json!({"resourceType": "Patient", "id": patient}))
            .await
            .expect(201);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..9_usize {
        let client = gateway.clone();
        tasks.spawn(async move {
            let (patient, code) = (["p", "q", "r"][task % 3], format!("code-{task}"));
            for minute in 1..40 {
                let id = format!("t{task}-{minute}");
                put(&client, &reading(&id, patient, &code, minute, &json!({}))).await;
                let two = lastn(&client, &format!("patient={patient}&category=lab&code={code}&max=2")).await;
                let before = if minute > 1 { format!(" t{task}-{}", minute - 1) } else { String::new() };
                assert_eq!(two, format!("{id}{before}"));
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    app.stop().await;
}
