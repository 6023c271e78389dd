//! Forms of what is sent and answered: negotiation, HEAD, conditional reads, lines, compression.

use reqwest::Method;
use serde_json::{Value, json};

use super::include::ward;
use crate::helpers::samples::{bundle, entry, plain_observation};
use crate::helpers::{Client, Reply, TestApp};

const FHIR_JSON: &str = "application/fhir+json";

async fn asked(client: &Client, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut ask = client.with_header("X-Test", "1");
    for (name, value) in headers {
        ask = ask.with_header(name, value);
    }
    ask.send(method, path, None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_chooses_the_form() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    ward(&gateway).await;
    let (json, xml) = ("application/fhir+json", "application/fhir+xml");
    let by_accept = [
        ("application/fhir+xml", xml),
        ("application/fhir+json;q=0.5, application/fhir+xml", xml),
        ("application/fhir+json;q=0.5, application/fhir+xml;q=0.4", json),
        ("application/fhir+xml;q=0.2, */*;q=0.1", xml),
        ("application/fhir+xml;q=0, */*", json),
        ("application/fhir+json;q=0, */*", xml),
        ("text/plain, application/json;q=0.1", json),
        ("application/fhir+json; fhirVersion=4.0", json),
        ("application/fhir+json; fhirVersion=5.0, application/fhir+xml; q=0.1", xml),
        ("*/*", json),
        ("application/*", json),
        ("text/html", json),
        ("", json),
    ];
    for (accept, media) in by_accept {
        for path in ["/fhir/Patient/p1", "/fhir/Patient?_id=p1", "/fhir/metadata", "/fhir/Patient/p1/_history"] {
            let reply = gateway.with_header("Accept", accept).get(path).await.expect(200);
            assert!(reply.header("content-type").starts_with(media), "{accept}: {path}");
        }
    }
    for accept in
        ["text/plain", "application/fhir+json;q=0", "image/png, text/turtle", "application/fhir+json;fhirVersion=3.0"]
    {
        gateway.with_header("Accept", accept).get("/fhir/Patient/p1").await.expect(406).issues();
    }
    for (format, media) in [
        ("json", json),
        ("xml", xml),
        ("text/xml", xml),
        ("application/json", json),
        ("application%2Ffhir%2Bxml", xml),
        ("application/fhir+xml", xml),
        ("application%2Ffhir%2Bjson%3B%20charset%3Dutf-8", json),
    ] {
        let reply =
            gateway.with_header("Accept", "text/plain").get(&format!("/fhir/Patient/p1?_format={format}")).await;
        assert!(reply.expect(200).header("content-type").starts_with(media), "{format}: before Accept");
    }
    for format in ["ttl", "", "text%2Fplain", "ndjson"] {
        gateway.get(&format!("/fhir/Patient/p1?_format={format}")).await.expect(406).issues();
    }
    let form =
        gateway.post_raw("/fhir/Patient/_search", "application/x-www-form-urlencoded", "_id=p1&_format=xml").await;
    assert!(form.expect(200).text().starts_with('<'), "a form says it too");
    for path in ["/fhir/Patient/none?_format=xml", "/fhir/Nope?_format=xml", "/fhir/Patient?nope=1&_format=xml"] {
        let outcome = fhir_r4::parse(&gateway.get(path).await.body, fhir_r4::Format::Xml).unwrap();
        assert_eq!(outcome["resourceType"], "OperationOutcome", "{path}");
    }
    for media in ["text/plain", "application/fhir+ndjson", "application/fhir+json; fhirVersion=5.0"] {
        gateway.post_raw("/fhir/Patient", media, *br#"{"resourceType":"Patient"}"#).await.expect(415).issues();
    }
    app.stop().await;
}

/// What one caller is answered is not what a cache may answer another who reads another form.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_says_what_it_depends_on() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    ward(&gateway).await;
    for (method, path, status) in [
        (Method::GET, "/fhir/metadata", 200),
        (Method::GET, "/fhir/Patient/p1", 200),
        (Method::HEAD, "/fhir/Patient?_id=p1", 200),
        (Method::GET, "/fhir/Patient?_format=ndjson", 200),
        (Method::GET, "/fhir/Patient/none", 404),
        (Method::GET, "/fhir/nowhere/at/all/of/it", 404),
        (Method::PUT, "/fhir/metadata", 405),
        (Method::DELETE, "/fhir/Observation/o2", 204),
    ] {
        for packing in ["identity", "gzip"] {
            let headers = [("Accept-Encoding", packing), ("Accept", "*/*")];
            let answer = asked(&gateway, method.clone(), path, &headers).await.expect(status);
            let told: Vec<&str> = answer.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
            assert_eq!(told, ["Accept, Accept-Encoding"], "{method} {path} {packing}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_get_without_the_body() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    ward(&gateway).await;
    for path in [
        "/fhir/metadata",
        "/fhir/Patient/p1",
        "/fhir/Patient/p1/_history/1",
        "/fhir/Patient/p1/_history",
        "/fhir/Patient/_history",
        "/fhir/_history",
        "/fhir/Patient?_id=p1",
        "/fhir?_type=Patient",
        "/fhir/Patient/p1/Observation",
        "/fhir/Patient/none",
        "/fhir/Patient/p1/$everything",
    ] {
        let get = gateway.get(path).await;
        let head = asked(&gateway, Method::HEAD, path, &[]).await;
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        for name in ["content-type", "etag", "last-modified", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_caller_holds_is_not_sent_again() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    ward(&gateway).await;
    let modified = gateway.get("/fhir/Patient/p1").await.header("last-modified");
    let (none, since) = ("If-None-Match", "If-Modified-Since");
    let table: [(&[(&str, &str)], u16); 10] = [
        (&[(none, "W/\"1\"")], 304),
        (&[(none, "\"1\"")], 304),
        (&[(none, "W/\"7\", W/\"1\"")], 304),
        (&[(none, "*")], 304),
        (&[(none, "W/\"2\"")], 200),
        (&[(since, &modified)], 304),
        (&[(since, "Thu, 01 Jan 2099 00:00:00 GMT")], 304),
        (&[(since, "Thu, 01 Jan 2015 00:00:00 GMT")], 200),
        (&[(since, "yesterday")], 200),
        (&[(none, "W/\"2\""), (since, &modified)], 200),
    ];
    for (headers, status) in table {
        for method in [Method::GET, Method::HEAD] {
            let reply = asked(&gateway, method, "/fhir/Patient/p1", headers).await.expect(status);
            assert_eq!((reply.header("etag").as_str(), &reply.header("last-modified")), ("W/\"1\"", &modified));
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_all_matches_to_the_end() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    ward(&gateway).await;
    let reading = plain_observation("many", &json!({"subject": {"reference": "Patient/p1"}}));
    for _ in 0..3 {
        let many: Vec<Value> = (0..400).map(|_| entry("POST", "Observation", &reading)).collect();
        gateway.post("/fhir", &bundle("batch", &many)).await.expect(200);
    }
    let lines = |reply: Reply| -> Vec<Value> {
        assert!(reply.header("content-type").starts_with("application/fhir+ndjson"));
        reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    for (path, count) in [
        ("Observation?code=urn:test|many&_format=ndjson", 1200),
        ("Observation?code=urn:test|many&_count=7&_format=application/fhir%2Bndjson", 1200),
        ("Observation?patient=p1&_format=ndjson", 1201),
        ("Patient/p1/Observation?_format=ndjson", 1201),
        ("?_type=Observation,Patient&_format=ndjson", 1204),
        ("Observation?code=urn:test|none&_format=ndjson", 0),
    ] {
        let all = lines(gateway.get(&format!("/fhir/{path}").replace("fhir/?", "fhir?")).await.expect(200));
        let ids: std::collections::HashSet<&str> = all.iter().map(|r| r["id"].as_str().unwrap()).collect();
        assert_eq!((all.len(), ids.len()), (count, count), "{path}");
    }
    let reply = gateway.with_header("Accept", "application/fhir+ndjson").get("/fhir/Patient?_elements=gender").await;
    assert!(lines(reply.expect(200)).iter().all(|person| person.get("name").is_none()));
    for (path, status) in [
        ("Observation?nope=1&_format=ndjson", 400),
        ("Observation?_include=*&_format=ndjson", 400),
        ("Observation?_summary=count&_format=ndjson", 406),
        ("Observation/o1?_format=ndjson", 406),
        ("metadata?_format=ndjson", 406),
    ] {
        gateway.get(&format!("/fhir/{path}")).await.expect(status).issues();
    }
    let own = app.patient_app("patient/*.rs", "p2");
    assert_eq!(lines(own.get("/fhir/Observation?_format=ndjson").await.expect(200)).len(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_packed_both_ways() {
    let app = TestApp::with(|config| config.server.max_body_bytes = 1 << 20).await;
    let gateway = app.gateway();
    ward(&gateway).await;
    let plain = gateway.get("/fhir/Patient/p1").await.body;
    for coding in ["zstd", "gzip"] {
        let reply = gateway.with_header("Accept-Encoding", coding).get("/fhir/Patient/p1").await.expect(200);
        assert_eq!(reply.header("content-encoding"), coding);
        assert_eq!(unpacked(coding, &reply.body), plain, "{coding}");
        let lines =
            gateway.with_header("Accept-Encoding", coding).get("/fhir/Patient?_format=ndjson").await.expect(200);
        assert_eq!(String::from_utf8(unpacked(coding, &lines.body)).unwrap().lines().count(), 2, "{coding}");
    }
    let small = br#"{"resourceType":"Patient","gender":"female"}"#;
    let bomb = vec![b' '; 64 << 20];
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    let cut = zstd(small).split_last().unwrap().1.to_vec();
    let table = [
        ("zstd", zstd(small), 201),
        ("identity", small.to_vec(), 201),
        ("zstd", zstd(&bomb), 413),
        ("zstd", cut, 400),
        ("zstd", small.to_vec(), 400),
        ("br", small.to_vec(), 415),
        ("gzip, zstd", small.to_vec(), 415),
    ];
    for (coding, body, status) in table {
        let ask = gateway.with_header("Content-Type", FHIR_JSON).with_header("Content-Encoding", coding);
        ask.send(Method::POST, "/fhir/Patient", Some(body)).await.expect(status);
    }
    app.stop().await;
}

fn unpacked(coding: &str, packed: &[u8]) -> Vec<u8> {
    if coding == "zstd" {
        return zstd::decode_all(packed).unwrap();
    }
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut plain).unwrap();
    plain
}
