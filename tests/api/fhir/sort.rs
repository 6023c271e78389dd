//! Sorting by any parameter, and pages in such an order: every row once, whoever writes meanwhile.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::paging::walk;
use super::search::{coded, observation, quantity, store};
use crate::helpers::{TestApp, ids};

fn person(n: usize) -> Value {
    let gender = ["male", "female", "other"][n % 3];
    let mut person = json!({"resourceType": "Patient", "id": format!("p{n:03}"), "gender": gender,
        "identifier": [{"system": "urn:x", "value": format!("{}", n * 37 % 101)}]});
    if !n.is_multiple_of(4) {
        person["name"] = json!([{"family": format!("F{}", n * 13 % 7), "given": [format!("G{}", n % 5)]}]);
    }
    if !n.is_multiple_of(5) {
        person["birthDate"] = json!(format!("19{:02}-01", 40 + n % 9));
    }
    person
}

#[tokio::test(flavor = "multi_thread")]
async fn by_every_kind_of_value_missing_ones_last() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let reading = |id: &str, more: Value| observation(id, &more);
    store(
        &gateway,
        &[
            reading("a", json!({"subject": {"reference": "Patient/2"}, "status": "final", "code": coded(&[("urn:s", "z")]), "valueQuantity": quantity("37", "Cel"), "effectiveDateTime": "2026-01-02"})),
            reading("b", json!({"subject": {"reference": "Patient/1"}, "status": "amended", "code": coded(&[("urn:s", "B")]), "valueQuantity": quantity("102", "[degF]"), "effectiveDateTime": "2026-01-01"})),
            reading("c", json!({"status": "preliminary", "code": coded(&[("urn:s", "a")]), "method": coded(&[("urn:m", "1")])})),
            json!({"resourceType": "ValueSet", "id": "v1", "status": "draft", "url": "urn:b"}),
            json!({"resourceType": "ValueSet", "id": "v2", "status": "active", "url": "urn:a"}),
            json!({"resourceType": "ValueSet", "id": "v3", "status": "active"}),
        ],
    )
    .await;
    for (query, expected) in [
        ("Observation?_sort=date", "b a c"),
        ("Observation?_sort=-date", "a b c"),
        ("Observation?_sort=status", "b a c"),
        ("Observation?_sort=-status", "c a b"),
        ("Observation?_sort=code", "b c a"),
        ("Observation?_sort=value-quantity", "a b c"),
        ("Observation?_sort=-value-quantity", "b a c"),
        ("Observation?_sort=subject", "b a c"),
        ("Observation?_sort=-patient", "a b c"),
        ("Observation?_sort=_id", "a b c"),
        ("Observation?_sort=-_id", "c b a"),
        ("Observation?_sort=method,_id", "c a b"),
        ("ValueSet?_sort=url", "v2 v1 v3"),
        ("ValueSet?_sort=-url", "v1 v2 v3"),
        ("ValueSet?_sort=status,-_id", "v3 v2 v1"),
        ("ValueSet?_sort=-status,url", "v1 v2 v3"),
    ] {
        for count in [1, 2, 50] {
            let seen = walk(&gateway, &format!("/fhir/{query}&_count={count}")).await;
            assert_eq!(seen.join(" "), expected, "{query} {count}");
        }
    }
    for (query, total, shown) in [
        ("Observation?_count=0", Some(3), 0),
        ("Observation?_total=none", None, 3),
        ("Observation?_total=accurate&_count=1", Some(3), 1),
        ("Observation?_total=estimate&_count=1", Some(3), 1),
        ("Observation?code=none&_total=accurate", Some(0), 0),
        ("Observation?code=none&_count=0", Some(0), 0),
    ] {
        let page = gateway.get(&format!("/fhir/{query}")).await.expect(200).json();
        assert_eq!((page["total"].as_i64(), ids(&page).len()), (total, shown), "{query}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_once_in_orders_of_several_keys_while_others_write() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let people: Vec<Value> = (0..120).map(person).collect();
    store(&gateway, &people).await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (gateway, done) = (gateway.clone(), done.clone());
        tokio::spawn(async move {
            for n in 500..900 {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                gateway.put(&format!("/fhir/Patient/p{n}"), &person(n)).await.expect(201);
            }
        })
    };
    for (query, count) in [
        ("_sort=family,-birthdate", 7),
        ("_sort=-family,given,birthdate", 11),
        ("_sort=gender,-identifier", 13),
        ("_sort=-birthdate,_id", 50),
        ("_sort=family&gender=female", 6),
        ("_sort=gender,-_lastUpdated", 17),
    ] {
        let seen = walk(&gateway, &format!("/fhir/Patient?{query}&_count={count}")).await;
        let different: HashSet<&String> = seen.iter().collect();
        assert_eq!(different.len(), seen.len(), "{query}: a row came twice");
        let old = seen.iter().filter(|id| id.as_str() < "p500").count();
        assert_eq!(old, if query.contains("female") { 40 } else { 120 }, "{query}");
    }
    done.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    app.stop().await;
}
