//! What was, newest first, page by page.

use serde_json::{Value, json};

use crate::helpers::samples::{patient, plain_observation};
use crate::helpers::{Client, TestApp};

/// Every entry of a history, page after page, as `method url status`.
async fn walk(client: &Client, first: &str) -> Vec<String> {
    let (mut path, mut seen) = (first.to_owned(), Vec::new());
    loop {
        let bundle = client.get(&path).await.expect(200).json();
        assert_eq!(bundle["type"], "history");
        let line = |entry: &Value| {
            let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
            let deleted = text("/request/method") == "DELETE";
            assert_eq!(entry.get("resource").is_none(), deleted, "{entry}");
            format!("{} {} {}", text("/request/method"), text("/request/url"), text("/response/etag"))
        };
        seen.extend(bundle["entry"].as_array().unwrap_or(&vec![]).iter().map(line));
        let next = bundle["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next");
        match next {
            Some(link) => path = link["url"].as_str().unwrap().replace("http://localhost", ""),
            None => return seen,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_of_a_type_of_everything() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for name in ["A", "B", "C"] {
        gateway.put("/fhir/Patient/p", &patient("p", "r1", name)).await;
    }
    gateway.delete("/fhir/Patient/p").await.expect(204);
    let mut observation = plain_observation("x", &json!({"id": "o"}));
    gateway.put("/fhir/Observation/o", &observation).await.expect(201);
    observation["status"] = json!("amended");
    gateway.put("/fhir/Observation/o", &observation).await.expect(200);
    gateway.put("/fhir/Patient/q", &patient("q", "r2", "D")).await.expect(201);

    let deleted_first = ["DELETE Patient/p W/\"4\"", "PUT Patient/p W/\"3\"", "PUT Patient/p W/\"2\""];
    for count in [1, 2, 50] {
        let of_one = walk(&gateway, &format!("/fhir/Patient/p/_history?_count={count}")).await;
        assert_eq!((of_one.len(), &of_one[..3]), (4, &deleted_first.map(String::from)[..]), "{count}");
        let of_type = walk(&gateway, &format!("/fhir/Patient/_history?_count={count}")).await;
        assert_eq!((of_type.len(), &of_type[1..4]), (5, &deleted_first.map(String::from)[..]), "{count}");
    }
    let of_observations = walk(&gateway, "/fhir/Observation/_history?_count=1").await;
    assert_eq!(of_observations.len(), 2);
    let everything = walk(&gateway, "/fhir/_history?_count=3").await;
    let ours: Vec<&String> =
        everything.iter().filter(|line| line.contains("Patient") || line.contains("Observation")).collect();
    assert_eq!(ours.len(), 7, "{everything:?}");
    assert!(ours[1].contains("Observation/o W/\"2\""), "in the order of commits: {ours:?}");
    assert_eq!(gateway.get("/fhir/Patient/never/_history").await.expect(404).issues(), "not-found");
    assert_eq!(
        gateway.get("/fhir/Patient/_history?_since=2020").await.expect(400).issues(),
        "not-supported http._since"
    );
    assert!(walk(&gateway, "/fhir/Medication/_history").await.is_empty());
    app.stop().await;
}
