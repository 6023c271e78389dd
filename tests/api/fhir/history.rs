//! What was, newest first, page by page.

use serde_json::{Value, json};
use vigia::clock::Clock;

use crate::helpers::samples::{patient, plain_observation};
use crate::helpers::{Client, Place, TestApp};

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
    assert!(walk(&gateway, "/fhir/Medication/_history").await.is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_at_a_time() {
    let clock = Clock::fixed(1_800_000_000_000_000); // 2027-01-15T08:00:00Z
    let app = TestApp::on(Place::new().await, clock.clone(), |_| {}).await;
    let gateway = app.gateway();
    let minute = 60_000_000;
    // 08:01 p1, 08:02 p2, 08:03 o1, 08:04 p deleted, 08:05 p4, 08:06 o2
    let observation = |status: &str| plain_observation("x", &json!({"id": "o", "status": status}));
    for step in ["p", "p", "o", "-p", "p", "o"] {
        clock.advance(minute);
        match step {
            "p" => drop(gateway.put("/fhir/Patient/p", &patient("p", "r", "A")).await),
            "o" => drop(gateway.put("/fhir/Observation/o", &observation("final")).await),
            _ => drop(gateway.delete("/fhir/Patient/p").await.expect(204)),
        }
    }
    let table: [(&str, &str); 18] = [
        ("Patient/p/_history", "p4 p3 p2 p1"),
        ("Patient/p/_history?_since=2027-01-15T08:04:00Z", "p4 p3"),
        ("Patient/p/_history?_since=2027-01-15T10:05:00%2B02:00", "p4"),
        ("Patient/p/_history?_since=2028", ""),
        ("Patient/_history?_since=2027-01-15T08:05:00Z", "p4"),
        ("Patient/_history?_since=2027-01-15", "p4 p3 p2 p1"),
        ("_history?_since=2027-01-15T08:03:00Z", "o2 p4 p3 o1"),
        ("Patient/p/_history?_at=2027-01-15T08:02:30Z", "p2"),
        ("Patient/p/_history?_at=2027-01-15T08:01:30Z", "p1"),
        ("Patient/p/_history?_at=2027-01-15T08:00:30Z", ""),
        ("Patient/p/_history?_at=2027-01-15T08:04:30Z", "p3"),
        ("Patient/p/_history?_at=2027-01-15", "p4 p3 p2 p1"),
        ("Patient/p/_history?_at=2028", "p4"),
        ("Observation/o/_history?_at=2027-01-15T08:04Z", "o1"),
        ("Observation/_history?_at=2027-01-15T08:06:30Z", "o2"),
        ("_history?_at=2027-01-15T08:03:30Z", "o1 p2"),
        ("Patient/p/_history?_sort=-_lastUpdated&_format=json", "p4 p3 p2 p1"),
        ("Patient/p/_history?_at=2027-01-15&_since=2027-01-15T08:02:00Z", "p4 p3 p2"),
    ];
    let short = |line: &String| {
        let (kind, version) = (if line.contains("Patient") { "p" } else { "o" }, line.split('"').nth(1).unwrap());
        (line.contains("Patient/p") || line.contains("Observation/o")).then(|| format!("{kind}{version}"))
    };
    for count in [1, 2, 50] {
        for (path, expected) in table {
            let sign = if path.contains('?') { '&' } else { '?' };
            let seen = walk(&gateway, &format!("/fhir/{path}{sign}_count={count}")).await;
            assert_eq!(seen.iter().filter_map(short).collect::<Vec<_>>().join(" "), expected, "{path} {count}");
        }
    }
    for (path, place) in [
        ("Patient/p/_history?_since=yesterday", "value http._since"),
        ("Patient/p/_history?_at=08:00", "value http._at"),
        ("Patient/p/_history?_sort=_lastUpdated", "value http._sort"),
        ("Patient/p/_history?_count=x", "value http._count"),
        ("Patient/p/_history?name=x", "not-supported http.name"),
        ("Patient/p/_history?_cursor=AAAA", "value http._cursor"),
    ] {
        assert_eq!(gateway.get(&format!("/fhir/{path}")).await.expect(400).issues(), place, "{path}");
    }
    app.stop().await;
}

/// A page link leads on from where its page ended, and nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn pages_stay_where_they_were_while_others_write() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for name in ["A", "B", "C", "D"] {
        gateway.put("/fhir/Patient/p", &patient("p", "r", name)).await;
    }
    let first = gateway.get("/fhir/Patient/p/_history?_count=2").await.expect(200).json();
    assert_eq!(first["total"], 4);
    let next = first["link"][1]["url"].as_str().unwrap().replace("http://localhost", "");
    gateway.put("/fhir/Patient/p", &patient("p", "r", "E")).await.expect(200);
    gateway.delete("/fhir/Patient/p").await.expect(204);
    assert_eq!(walk(&gateway, &next).await, ["PUT Patient/p W/\"2\"", "PUT Patient/p W/\"1\""]);
    gateway.put("/fhir/Patient/q", &patient("q", "r", "A")).await.expect(201);
    for other in
        [next.replace("Patient/p", "Patient/q"), next.replace("Patient/p/", "Patient/"), format!("{next}&_since=2020")]
    {
        assert_eq!(gateway.get(&other).await.expect(400).issues(), "value http._cursor", "{other}");
    }
    app.stop().await;
}

/// Who is bound to one patient sees the standing versions of what is that patient's, on every page.
#[tokio::test(flavor = "multi_thread")]
async fn one_patients_caller_sees_one_patients_history() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for id in ["p", "q"] {
        gateway.put(&format!("/fhir/Patient/{id}"), &patient(id, id, "A")).await.expect(201);
        gateway.delete(&format!("/fhir/Patient/{id}")).await.expect(204);
        gateway.put(&format!("/fhir/Patient/{id}"), &patient(id, id, "B")).await.expect(201);
        gateway.delete(&format!("/fhir/Patient/{id}")).await.expect(204);
    }
    let own = app.patient_app("patient/*.rs", "p");
    for count in [1, 50] {
        let seen = walk(&own, &format!("/fhir/Patient/p/_history?_count={count}")).await;
        assert_eq!(seen, ["PUT Patient/p W/\"3\"", "PUT Patient/p W/\"1\""], "{count}");
        own.get(&format!("/fhir/Patient/q/_history?_count={count}")).await.expect(404);
    }
    own.get("/fhir/Patient/_history").await.expect(403);
    own.get("/fhir/_history").await.expect(403);
    app.stop().await;
}

/// `_summary` and `_elements` are of histories as they are of searches, on every page of them.
#[tokio::test(flavor = "multi_thread")]
async fn as_much_of_each_version_as_is_wanted() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for name in ["A", "B"] {
        gateway.put("/fhir/Patient/p", &patient("p", "r1", name)).await;
    }
    for (path, has, has_not) in [
        ("Patient/p/_history?_elements=birthDate", "id", "name"),
        ("Patient/_history?_elements=name&_count=1", "name", "identifier"),
        ("_history?_elements=Patient.name&_count=1", "name", "identifier"),
        ("Patient/p/_history?_summary=text", "id", "name"),
        ("Patient/p/_history?_summary=data", "name", "text"),
        ("_history?_summary=true&_count=1", "name", "text"),
    ] {
        let bundle = gateway.get(&format!("/fhir/{path}")).await.expect(200).json();
        let shown = &bundle["entry"][0]["resource"];
        assert!(shown.get(has).is_some() && shown.get(has_not).is_none(), "{path}: {shown}");
        assert_eq!(shown["meta"]["tag"][0]["code"], "SUBSETTED", "{path}");
        if let Some(next) = bundle["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next") {
            let asked = path.split(['?', '&']).nth(1).unwrap();
            assert!(next["url"].as_str().unwrap().contains(asked), "{path}: {next}");
        }
    }
    for (path, issues) in [
        ("Patient/p/_history?_elements=status", "value http._elements"),
        ("Patient/_history?_summary=all", "value http._summary"),
        ("_history?_summary=count", "value http._summary"),
    ] {
        assert_eq!(gateway.get(&format!("/fhir/{path}")).await.expect(400).issues(), issues, "{path}");
    }
    app.stop().await;
}
