//! Order, page size and page links: every row once, whoever writes meanwhile.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::helpers::samples::{bundle, entry, patient, plain_observation};
use crate::helpers::{Client, TestApp, ids};

fn next(bundle: &Value) -> Option<String> {
    let link = bundle["link"].as_array()?.iter().find(|link| link["relation"] == "next")?;
    Some(link["url"].as_str()?.replace("http://localhost", ""))
}

/// All ids, page after page.
pub(super) async fn walk(client: &Client, first: &str) -> Vec<String> {
    let (mut path, mut seen) = (Some(first.to_owned()), Vec::new());
    while let Some(address) = path {
        let page = client.get(&address).await.expect(200).json();
        seen.extend(ids(&page));
        path = next(&page);
    }
    seen
}

/// So many readings of one patient, at times that do not follow the order of their ids.
async fn fill(client: &Client, from: usize, count: usize) {
    let reading = |n: usize| {
        let minute = n * 7 % 60;
        let resource = plain_observation(
            "x",
            &json!({
                "id": format!("o{n:04}"), "subject": {"reference": "Patient/p"},
                "effectiveDateTime": format!("2026-01-{:02}T03:{minute:02}:00Z", n % 28 + 1)
            }),
        );
        entry("PUT", &format!("Observation/o{n:04}"), &resource)
    };
    let entries: Vec<Value> = (from..from + count).map(reading).collect();
    client.post("/fhir", &bundle("batch", &entries)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_once_in_every_order_while_others_write() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    gateway.put("/fhir/Patient/p", &patient("p", "r1", "Vega")).await.expect(201);
    fill(&gateway, 0, 300).await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (gateway, done) = (gateway.clone(), done.clone());
        tokio::spawn(async move {
            let mut from = 1000;
            while !done.load(Ordering::Relaxed) && from < 3000 {
                fill(&gateway, from, 5).await;
                from += 5;
            }
        })
    };
    let queries = [
        ("patient=p", 7),
        ("patient=p", 100),
        ("code=urn:test|x", 13),
        ("_sort=date", 50),
        ("_sort=-date", 50),
        ("_sort=_lastUpdated", 64),
        ("_sort=-_lastUpdated", 64),
        ("patient=p&_sort=date&status=final", 33),
    ];
    for (query, count) in queries {
        let seen = walk(&gateway, &format!("/fhir/Observation?{query}&_count={count}")).await;
        let old: Vec<&String> = seen.iter().filter(|id| id.as_str() < "o1000").collect();
        assert_eq!(old.len(), 300, "{query}");
        let different: HashSet<&String> = seen.iter().collect();
        assert_eq!(different.len(), seen.len(), "{query}: a row came twice");
    }
    done.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sorted_as_asked() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    fill(&gateway, 0, 60).await;
    let times = |bundle: Value| -> Vec<String> {
        let entries = bundle["entry"].as_array().unwrap().clone();
        entries.iter().map(|e| e["resource"]["effectiveDateTime"].as_str().unwrap().to_owned()).collect()
    };
    for (sort, rising) in [("_sort=date", true), ("_sort=-date", false), ("patient=p", false)] {
        let page = times(gateway.get(&format!("/fhir/Observation?{sort}&_count=60")).await.json());
        let mut sorted = page.clone();
        sorted.sort();
        if !rising {
            sorted.reverse();
        }
        assert_eq!((page.len(), page), (60, sorted), "{sort}");
    }
    for (id, family, born) in
        [("c", "Álvarez", "1990-01-01"), ("a", "Zapata", "1980-05-05"), ("b", "mora", "2001-12-31")]
    {
        let mut person = patient(id, id, family);
        person["birthDate"] = json!(born);
        gateway.put(&format!("/fhir/Patient/{id}"), &person).await.expect(201);
    }
    for (sort, order) in [
        ("family", "c b a"),
        ("-family", "a b c"),
        ("birthdate", "a c b"),
        ("-birthdate", "b c a"),
        ("_lastUpdated", "c a b"),
        ("-_lastUpdated", "b a c"),
    ] {
        for count in [1, 2, 10] {
            let seen = walk(&gateway, &format!("/fhir/Patient?_sort={sort}&_count={count}")).await;
            assert_eq!(seen.join(" "), order, "{sort} by {count}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_totals() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    fill(&gateway, 0, 120).await;
    let page = |query: &'static str| {
        let gateway = gateway.clone();
        async move { gateway.get(&format!("/fhir/Observation?{query}")).await.expect(200).json() }
    };
    for (query, entries, total, more) in [
        ("code=urn:test|x", 50, Value::Null, true),
        ("code=urn:test|x&_count=120", 120, Value::Null, false),
        ("code=urn:test|x&_count=119&_total=accurate", 119, json!(120), true),
        ("code=urn:test|x&_count=100000&_total=estimate", 120, json!(120), false),
        ("code=urn:test|x&_count=0", 0, json!(120), false),
        ("code=urn:test|x&_total=none", 50, Value::Null, true),
        ("code=urn:test|none&_total=accurate", 0, json!(0), false),
        ("code=urn:test|none", 0, Value::Null, false),
        ("date=2026-01-01&_total=accurate&_count=2", 2, json!(5), true),
    ] {
        let bundle = page(query).await;
        let shown = bundle["entry"].as_array().map_or(0, Vec::len);
        assert_eq!((shown, &bundle["total"], next(&bundle).is_some()), (entries, &total, more), "{query}");
        assert_eq!(bundle["link"][0]["relation"], "self");
        fhir_r4::check(bundle).unwrap_or_else(|issues| panic!("{query}: {issues:?}"));
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_link_is_good_for_its_own_search_only() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    fill(&gateway, 0, 10).await;
    let first = gateway.get("/fhir/Observation?code=urn:test|x&_count=3").await.json();
    let address = next(&first).unwrap();
    let cursor = address.split("_cursor=").nth(1).unwrap().to_owned();
    gateway.get(&format!("/fhir/Observation?code=urn:test|x&_cursor={cursor}&_count=5")).await.expect(200);
    let flipped: String = cursor.chars().rev().collect();
    let changed = format!("{}{}", if cursor.starts_with('A') { "B" } else { "A" }, cursor.get(1..).unwrap());
    for wrong in [
        format!("code=urn:test|x&_cursor={flipped}"),
        format!("code=urn:test|x&_cursor={changed}"),
        "code=urn:test|x&_cursor=AAAA".to_owned(),
        "code=urn:test|x&_cursor=".to_owned(),
        format!("code=urn:test|y,urn:test|x&_cursor={cursor}"),
        format!("code=urn:test|x&_sort=date&_cursor={cursor}"),
        format!("_cursor={cursor}"),
    ] {
        let reply = gateway.get(&format!("/fhir/Observation?{wrong}")).await.expect(400);
        assert_eq!(reply.issues(), "value http._cursor", "{wrong}");
    }
    app.stop().await;
}

/// Monitors send many readings with one time; what is corrected between two pages keeps its place among them.
#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_is_corrected_between_pages_is_not_skipped() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let reading = |id: &str, text: &str| {
        let more = json!({"id": id, "subject": {"reference": "Patient/p"}, "effectiveDateTime": "2026-01-01T03:00:00Z", "valueString": text});
        plain_observation("x", &more)
    };
    let all = ["a", "b", "c", "d", "e"];
    for sort in ["", "&_sort=-date", "&_sort=date", "&_sort=code", "&_sort=-status,date"] {
        for id in all {
            gateway.put(&format!("/fhir/Observation/{id}"), &reading(id, "first")).await;
        }
        let (mut path, mut seen) = (Some(format!("/fhir/Observation?patient=p&_count=1{sort}")), Vec::new());
        while let Some(address) = path {
            let page = gateway.get(&address).await.expect(200).json();
            seen.extend(ids(&page));
            // Whatever has not been told yet and whatever has: each is corrected after every page.
            for id in all {
                gateway.put(&format!("/fhir/Observation/{id}"), &reading(id, "corrected")).await.expect(200);
            }
            path = next(&page);
        }
        seen.sort_unstable();
        assert_eq!(seen, all, "{sort}");
    }
    app.stop().await;
}
