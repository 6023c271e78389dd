//! One resource: created, read, updated, deleted, in JSON and XML.

use serde_json::{Value, json};

use crate::helpers::samples::{observation, patient, plain_observation};
use crate::helpers::{TestApp, minutes_from_now};

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_lives_and_dies() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let created = gateway.post("/fhir/Patient", &patient("ignored", "r1", "Núñez")).await.expect(201);
    let id = created.id();
    assert_ne!(id, "ignored", "the server names what is created by POST");
    assert_eq!(created.header("location"), format!("http://localhost/fhir/Patient/{id}/_history/1"));
    assert_eq!(created.header("etag"), "W/\"1\"");
    assert!(created.header("last-modified").ends_with(" GMT"));
    let address = format!("/fhir/Patient/{id}");
    let read = gateway.get(&address).await.expect(200);
    assert_eq!(read.json(), created.json(), "what was answered is what is read");
    assert_eq!(read.json()["meta"]["versionId"], "1");
    assert_eq!(read.json()["name"][0]["family"], "Núñez");

    let second = patient(&id, "r1", "Núñez Vega");
    let updated = gateway.with_header("If-Match", "W/\"1\"").put(&address, &second).await.expect(200);
    assert_eq!((updated.header("etag"), updated.json()["meta"]["versionId"].clone()), ("W/\"2\"".into(), json!("2")));
    gateway.with_header("If-Match", "W/\"1\"").put(&address, &second).await.expect(412);
    gateway.with_header("If-Match", "W/\"9\"").put(&address, &second).await.expect(412);
    gateway.with_header("If-Match", "nonsense").put(&address, &second).await.expect(400);
    let first = gateway.get(&format!("{address}/_history/1")).await.expect(200);
    assert_eq!(first.json(), created.json(), "an old version stays as it was");
    gateway.get(&format!("{address}/_history/3")).await.expect(404);
    gateway.get(&format!("{address}/_history/x")).await.expect(404);

    gateway.with_header("If-Match", "W/\"1\"").send(reqwest::Method::DELETE, &address, None).await.expect(412);
    assert_eq!(gateway.delete(&address).await.expect(204).header("etag"), "W/\"3\"");
    assert_eq!(gateway.get(&address).await.expect(410).issues(), "deleted");
    gateway.get(&format!("{address}/_history/3")).await.expect(410);
    gateway.get(&format!("{address}/_history/2")).await.expect(200);
    gateway.delete(&address).await.expect(204);
    assert_eq!(gateway.put(&address, &patient(&id, "r1", "Vega")).await.expect(201).header("etag"), "W/\"4\"");
    assert_eq!(gateway.get(&address).await.expect(200).json()["name"][0]["family"], "Vega");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn put_creates_under_the_name_of_the_address() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let own = patient("bed-7.a", "r1", "Vega");
    assert_eq!(gateway.put("/fhir/Patient/bed-7.a", &own).await.expect(201).header("etag"), "W/\"1\"");
    assert_eq!(gateway.put("/fhir/Patient/other", &own).await.expect(400).issues(), "value Patient.id");
    let nameless = json!({"resourceType": "Patient"});
    assert_eq!(gateway.put("/fhir/Patient/bed-8", &nameless).await.expect(400).issues(), "required Patient.id");
    gateway.put("/fhir/Patient/not%20an%20id", &patient("x", "r", "V")).await.expect(400);
    assert_eq!(gateway.put("/fhir/Device/bed-7.a", &own).await.expect(400).issues(), "invalid resourceType");
    gateway.with_header("If-Match", "W/\"1\"").put("/fhir/Patient/new", &patient("new", "r", "V")).await.expect(412);
    assert_eq!(gateway.get("/fhir/Patient/never").await.expect(404).issues(), "not-found");
    assert_eq!(gateway.delete("/fhir/Patient/never").await.expect(204).header("etag"), "", "it is not there");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reader_holds_already_is_not_sent_again() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let (gateway, address) = (app.gateway(), format!("/fhir/Patient/{id}"));
    for (held, status) in [("W/\"1\"", 304), ("W/\"7\", W/\"1\"", 304), ("W/\"2\"", 200), ("nonsense", 200)] {
        let reply = gateway.with_header("If-None-Match", held).get(&address).await.expect(status);
        assert_eq!(reply.header("etag"), "W/\"1\"");
        assert_eq!(reply.body.is_empty(), status == 304);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_says_what_comes_back() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let patient = patient("x", "r1", "Vega");
    let prefer = |what: &str| gateway.with_header("Prefer", &format!("respond-sync; return={what}"));
    assert!(prefer("minimal").post("/fhir/Patient", &patient).await.expect(201).body.is_empty());
    assert_eq!(prefer("representation").post("/fhir/Patient", &patient).await.expect(201).json()["active"], true);
    let outcome = prefer("OperationOutcome").post("/fhir/Patient", &patient).await.expect(201);
    assert_eq!(outcome.issues(), "informational");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xml_is_as_good_as_json() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let xml = br#"<Observation xmlns="http://hl7.org/fhir"><status value="final"/><code><text value="a &lt; b"/></code>
        <valueQuantity><value value="1.50"/><unit value="mg"/></valueQuantity></Observation>"#;
    let created = gateway.post_raw("/fhir/Observation", "application/fhir+xml; charset=utf-8", *xml).await.expect(201);
    let id = created.id();
    assert!(created.header("content-type").starts_with("application/fhir+json"), "JSON unless asked otherwise");
    assert_eq!(created.json()["code"]["text"], "a < b");
    let address = format!("/fhir/Observation/{id}");
    for asked in [("Accept", "application/fhir+xml"), ("Accept", "text/html, application/xml;q=0.9")] {
        let read = gateway.with_header(asked.0, asked.1).get(&address).await.expect(200);
        assert!(read.header("content-type").starts_with("application/fhir+xml"), "{asked:?}");
        let text = read.text();
        assert!(text.contains(r#"<value value="1.50""#) && !text.contains("a < b"), "{text}");
        let back = fhir_r4::parse(&read.body, fhir_r4::Format::Xml).unwrap();
        assert_eq!(plain(&back), plain(&gateway.get(&address).await.json()), "{text}");
    }
    for format in ["xml", "application/fhir%2Bxml", "application/fhir+xml"] {
        let read = gateway.get(&format!("{address}?_format={format}")).await.expect(200);
        assert!(read.text().starts_with('<'), "{format}: {}", read.text());
    }
    gateway.with_header("Accept", "application/fhir+xml").get("/fhir/Observation?status=final").await.expect(200);
    assert!(gateway.get("/fhir/Observation/none?_format=json").await.expect(404).json().is_object());
    app.stop().await;
}

/// Members in one order: XML has the order of the definitions.
pub(super) fn plain(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            names.into_iter().map(|name| (name.clone(), plain(&members[name]))).collect()
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        other => other.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn decimals_keep_their_digits() {
    let app = TestApp::start().await;
    let id = app.admit("r1", "Vega").await;
    let gateway = app.gateway();
    for digits in ["72.50", "0.1000000000000000000000000010", "100", "-0.0", "98765432109876543210.5"] {
        let sent = plain_observation("x", &json!({"subject": {"reference": format!("Patient/{id}")}}));
        let mut text = sent.to_string();
        text.insert_str(text.len() - 1, &format!(r#","valueQuantity":{{"value":{digits},"unit":"x"}}"#));
        let created = gateway.post_raw("/fhir/Observation", "application/fhir+json", text).await.expect(201);
        let read = gateway.get(&format!("/fhir/Observation/{}", created.id())).await.expect(200).text();
        assert!(read.contains(&format!(r#""value":{digits},"#)), "{digits}: {read}");
        let found = gateway.get("/fhir/Observation?code=urn:test|x&_sort=-_lastUpdated&_count=1").await.text();
        assert!(found.contains(&format!(r#""value":{digits},"#)), "{digits}: {found}");
    }
    let sent = observation(&id, "8310-5", "36.60", "Cel", &minutes_from_now(0));
    let created = gateway.post("/fhir/Observation", &sent).await.expect(201);
    assert_eq!(created.json()["valueQuantity"]["value"].to_string(), "36.60");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_method_is_told_the_right_ones() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for (method, path, allowed) in [
        ("PUT", "/fhir/metadata", "GET, HEAD"),
        ("DELETE", "/fhir", "GET, HEAD, POST"),
        ("OPTIONS", "/fhir/Patient", "GET, HEAD, POST, PUT, PATCH, DELETE"),
        ("POST", "/fhir/Patient/1", "GET, HEAD, PUT, PATCH, DELETE"),
        ("GET", "/fhir/Patient/_search", "POST"),
        ("DELETE", "/fhir/Patient/1/_history", "GET, HEAD"),
        ("POST", "/fhir/Patient/1/Observation", "GET, HEAD"),
        ("GET", "/fhir/$convert", "POST"),
        ("DELETE", "/fhir/Patient/1/$everything", "GET, HEAD, POST"),
        ("GET", "/device/v1/observations", "POST"),
        ("PUT", "/auth/login", "POST"),
        ("POST", "/live/series", "GET"),
    ] {
        let reply = gateway.with_header("X", "y").send(method.parse().unwrap(), path, None).await.expect(405);
        assert_eq!(reply.header("allow"), allowed, "{method} {path}");
        assert!(reply.text().contains(allowed), "{method} {path}: {}", reply.text());
    }
    let unknown = gateway.get("/fhir/Nope/1").await.expect(404);
    assert!(unknown.text().contains("`Nope` is no resource type"), "{}", unknown.text());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_says_so() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let table = [
        ("GET", "/fhir/Nope", 404, "not-supported"),
        ("GET", "/fhir/patient", 404, "not-supported"),
        ("GET", "/fhir/Nope/1", 404, "not-supported"),
        ("GET", "/fhir/Patient/1/2/3", 404, "not-supported"),
        ("GET", "/fhir/Patient/1/Nope", 404, "not-supported"),
        ("GET", "/nothing/here", 404, "not-supported"),
        ("PATCH", "/fhir/Patient/1", 415, "not-supported http.Content-Type"),
        ("DELETE", "/fhir/Patient", 400, "value http.query"),
        ("PUT", "/fhir/metadata", 405, "not-supported"),
        ("DELETE", "/fhir", 405, "not-supported"),
    ];
    for (method, path, status, issue) in table {
        let reply = gateway.with_header("X", "y").send(method.parse().unwrap(), path, None).await;
        assert_eq!((reply.status, reply.issues().as_str()), (status, issue), "{method} {path}");
    }
    app.stop().await;
}
