//! Whatever is sent: a clear 4xx that names the place, never a 5xx, never a lost neighbour.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::helpers::samples::{bundle, entry, patient};
use crate::helpers::{Client, Reply, TestApp, ids};

const JSON: &str = "application/fhir+json";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Enough of a text to know it by.
fn start(text: &str) -> String {
    text.chars().take(80).collect()
}

fn nested(depth: usize) -> String {
    let open = r#"{"url":"urn:x","extension":["#.repeat(depth);
    let close = "]}".repeat(depth);
    format!(r#"{{"resourceType":"Patient","extension":[{open}{{"url":"urn:x","valueCode":"a"}}{close}]}}"#)
}

async fn packed(client: &Client, coding: &str, body: Vec<u8>) -> Reply {
    let ask = client.with_header("Content-Type", JSON).with_header("Content-Encoding", coding);
    ask.send(reqwest::Method::POST, "/fhir/Patient", Some(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_nonsense_is_named() {
    let app = TestApp::with(|config| config.server.max_body_bytes = 1 << 20).await;
    let gateway = app.gateway();
    let deep = nested(1000);
    let wide = format!(r#"{{"resourceType":"Patient","name":[{}{{}}]}}"#, r#"{"family":"x"},"#.repeat(10));
    // body, status, issues
    let table: Vec<(&[u8], u16, &str)> = vec![
        (b"", 400, "structure"),
        (b"{", 400, "structure"),
        (b"null", 400, "structure"),
        (b"[]", 400, "structure"),
        (b"\"Patient\"", 400, "structure"),
        (b"{}", 400, ""),
        (br#"{"resourceType":"Patient"} trailing"#, 400, "structure"),
        (br#"{"resourceType":"Nope"}"#, 400, ""),
        (br#"{"resourceType":7}"#, 400, ""),
        (br#"{"resourceType":"Patient","nope":1}"#, 400, "structure Patient.nope"),
        (br#"{"resourceType":"Patient","active":"yes"}"#, 400, "Patient.active"),
        (br#"{"resourceType":"Patient","name":{"family":"x"}}"#, 400, "Patient.name"),
        (br#"{"resourceType":"Patient","name":[{"family":7}]}"#, 400, "Patient.name[0].family"),
        (br#"{"resourceType":"Patient","birthDate":"yesterday"}"#, 400, "Patient.birthDate"),
        (br#"{"resourceType":"Patient","birthDate":"2026-02-30"}"#, 400, "Patient.birthDate"),
        (br#"{"resourceType":"Patient","gender":"banana"}"#, 422, "Patient.gender"),
        (br#"{"resourceType":"Patient","gender":null}"#, 400, "Patient.gender"),
        (br#"{"resourceType":"Patient","identifier":[]}"#, 400, "Patient.identifier"),
        (br#"{"resourceType":"Patient","contained":[]}"#, 400, "Patient.contained"),
        (br#"{"resourceType":"Patient","identifier":[{}]}"#, 400, "Patient.identifier[0]"),
        (br#"{"resourceType":"Patient","id":""}"#, 400, "Patient.id"),
        (br#"{"resourceType":"Patient","active":true,"active":false}"#, 400, "Patient.active"),
        (br#"{"resourceType":"Patient","name":[{"family":"a","family":"b"}]}"#, 400, "Patient.name[0].family"),
        (b"{\"resourceType\":\"Patient\",\"name\":[{\"family\":\"\xff\xfe\"}]}", 400, "structure"),
        (b"\xff\xfe{\x00}\x00", 400, "structure"),
        (br#"{"resourceType":"Patient","multipleBirthInteger":99999999999999999999}"#, 400, "Patient.multipleBirth"),
        (br#"{"resourceType":"Patient","multipleBirthInteger":1.5}"#, 400, "Patient.multipleBirth"),
        (
            br#"{"resourceType":"Patient","multipleBirthInteger":1,"multipleBirthBoolean":true}"#,
            400,
            "Patient.multipleBirth",
        ),
        (deep.as_bytes(), 400, "structure"),
        (wide.as_bytes(), 400, "Patient.name[10]"),
    ];
    for (body, status, place) in table {
        let shown = String::from_utf8_lossy(&body[..body.len().min(90)]).into_owned();
        let reply = gateway.post_raw("/fhir/Patient", JSON, body).await;
        assert_eq!(reply.status, status, "{shown}: {}", reply.text());
        assert!(reply.issues().contains(place), "{shown}: {}", reply.text());
    }
    let all = br#"{"resourceType":"Patient","nope":1,"active":"yes","birthDate":"x"}"#;
    let reply = gateway.post_raw("/fhir/Patient", JSON, *all).await.expect(400);
    assert_eq!(reply.json()["issue"].as_array().unwrap().len(), 3, "all at once: {}", reply.text());
    gateway.get("/fhir/Patient?_count=1").await.expect(200);
    app.stop().await;
}

/// Longer than an entry of an index may be on either engine.
#[tokio::test(flavor = "multi_thread")]
async fn long_codes_and_uris_are_stored_and_found() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    // Not one letter again and again: PostgreSQL would compress it until it fits.
    let long = (0..2000).map(|n| (n * 7919).to_string()).collect::<Vec<_>>().concat();
    let mut resource = patient("x", "r1", "Vega");
    resource["identifier"] = json!([{"system": format!("urn:{long}"), "value": long}, {"value": format!("{long}2")}]);
    let id = gateway.post("/fhir/Patient", &resource).await.expect(201).id();
    for (query, hits) in [
        (format!("identifier=urn:{long}|{long}"), 1),
        (format!("identifier={long}"), 1),
        (format!("identifier={long}2"), 1),
        (format!("identifier={long}3"), 0),
    ] {
        let found = gateway.post_raw("/fhir/Patient/_search", "application/x-www-form-urlencoded", query).await;
        assert_eq!(ids(&found.expect(200).json()).len(), hits);
    }
    assert_eq!(gateway.get(&format!("/fhir/Patient/{id}")).await.json()["identifier"][0]["value"], long);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_any_size_are_kept_or_refused() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let digits = "9".repeat(400);
    // What no f64 comes near is refused at its element; what is no JSON as a whole.
    for (number, status, issues) in [
        ("0.00", 201, ""),
        ("0e400", 201, ""),
        ("1e300", 201, ""),
        ("1e-300", 201, ""),
        ("1e400", 400, "value Observation.valueQuantity.value"),
        ("-1e400", 400, "value Observation.valueQuantity.value"),
        ("1e-400", 400, "value Observation.valueQuantity.value"),
        ("1E2147483648", 400, "value Observation.valueQuantity.value"),
        ("1e99999999999999999999", 400, "value Observation.valueQuantity.value"),
        (digits.as_str(), 400, "value Observation.valueQuantity.value"),
        ("NaN", 400, "structure"),
        ("01", 400, "structure"),
        ("+1", 400, "structure"),
        ("1.", 400, "structure"),
        (".5", 400, "structure"),
        ("-", 400, "structure"),
    ] {
        let body = format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"valueQuantity":{{"value":{number},"unit":"mg","system":"http://unitsofmeasure.org","code":"mg"}}}}"#
        );
        let reply = gateway.post_raw("/fhir/Observation", JSON, body).await;
        assert_eq!(reply.status, status, "{number}: {}", reply.text());
        if status == 201 {
            let read = gateway.get(&format!("/fhir/Observation/{}", reply.id())).await.expect(200).text();
            assert!(read.contains(number) || number.contains('e'), "{number}: {read}");
        } else {
            assert!(reply.issues().contains(issues), "{number}: {}", reply.text());
        }
    }
    for search in [
        "gt1e400",
        "1e999999999999",
        "lt-9e307",
        &format!("{digits}|http://unitsofmeasure.org|mg"),
        "0.0000000000000000000000001",
    ] {
        let reply = gateway.get(&format!("/fhir/Observation?value-quantity={search}")).await;
        assert!([200, 400].contains(&reply.status), "{search}: {}", reply.text());
    }
    for date in
        ["0000", "9999", "gt9999-12-31T23:59:59.999Z", "lt0001", "2026-13", "-1", "99999", "2026-01-01T00:00:00+99:00"]
    {
        let reply = gateway.get(&format!("/fhir/Observation?date={}", date.replace('+', "%2B"))).await;
        assert!([200, 400].contains(&reply.status), "{date}: {}", reply.text());
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_measured_unpacked() {
    let app = TestApp::with(|config| config.server.max_body_bytes = 1 << 20).await;
    let gateway = app.gateway();
    let good = patient("x", "r1", "Vega").to_string().into_bytes();
    packed(&gateway, "gzip", gzip(&good)).await.expect(201);
    packed(&gateway, "zstd", zstd::encode_all(&good[..], 3).unwrap()).await.expect(201);
    packed(&gateway, "identity", good.clone()).await.expect(201);
    let unknown = packed(&gateway, "br", good.clone()).await.expect(415);
    assert_eq!(unknown.issues(), "not-supported http.Content-Encoding");

    let whole = gzip(&good);
    let cut = packed(&gateway, "gzip", whole[..whole.len() / 2].to_vec()).await.expect(400);
    assert_eq!(cut.issues(), "structure http.body");
    let frame = zstd::encode_all(&good[..], 3).unwrap();
    assert_eq!(
        packed(&gateway, "zstd", frame[..frame.len() - 4].to_vec()).await.expect(400).issues(),
        "structure http.body"
    );
    for coding in ["gzip", "zstd"] {
        assert_eq!(
            packed(&gateway, coding, good.clone()).await.expect(400).issues(),
            "structure http.body",
            "{coding}"
        );
    }
    let mut damaged = whole.clone();
    let at = damaged.len() - 6;
    damaged[at] ^= 0x55;
    packed(&gateway, "gzip", damaged).await.expect(400);

    // A megabyte of blanks around it is within the limit; one more is not; a thousand are a bomb.
    let padded = |bytes: usize| [vec![b' '; bytes - good.len()], good.clone()].concat();
    packed(&gateway, "gzip", gzip(&padded(1 << 20))).await.expect(201);
    for bytes in [(1 << 20) + 1, 300 << 20] {
        let body = padded(bytes);
        for (coding, packed_body) in [("gzip", gzip(&body)), ("zstd", zstd::encode_all(&body[..], 3).unwrap())] {
            assert_eq!(
                packed(&gateway, coding, packed_body).await.expect(413).issues(),
                "too-long http.body",
                "{coding} {bytes}"
            );
        }
    }
    assert_eq!(
        gateway.post_raw("/fhir/Patient", JSON, padded((1 << 20) + 1)).await.expect(413).issues(),
        "too-long http.body"
    );
    gateway.post_raw("/fhir/Patient", JSON, padded(1 << 20)).await.expect(201);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_megabytes_are_refused_at_every_door() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let body = vec![b' '; 50 << 20];
    for (path, media) in [
        ("/fhir/Patient", JSON),
        ("/fhir", JSON),
        ("/device/v1/observations", "application/json"),
        ("/device/v1/observations", "application/x-ndjson"),
    ] {
        // The server may close before it has read everything that nobody wants.
        let request = gateway.request(reqwest::Method::POST, path).header("Content-Type", media).body(body.clone());
        if let Ok(response) = request.send().await {
            assert_eq!(response.status(), 413, "{path}");
        }
        gateway.get("/fhir/Patient?_count=1").await.expect(200);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn media_types_are_told_apart() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let good = patient("x", "r1", "Vega").to_string();
    for (media, status) in [
        ("application/json", 201),
        ("application/fhir+json;charset=UTF-8", 201),
        ("application/fhir+json; fhirVersion=4.0; charset=\"us-ascii\"", 201),
        ("application/fhir+json; charset=iso-8859-1", 415),
        ("application/fhir+json;charset=utf-16", 415),
        ("text/json", 201),
        ("APPLICATION/FHIR+JSON", 201),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/octet-stream", 415),
        ("nonsense", 415),
        ("application/fhir+xml", 400),
    ] {
        let reply = gateway.post_raw("/fhir/Patient", media, good.clone()).await;
        assert_eq!(reply.status, status, "{media}: {}", reply.text());
        if status == 415 {
            assert_eq!(reply.issues(), "not-supported http.Content-Type", "{media}");
        }
    }
    let lines = gateway.post_raw("/device/v1/observations", "application/x-ndjson; charset=latin1", "{}").await;
    assert_eq!(lines.expect(415).issues(), "not-supported http.Content-Type");
    for (accept, status) in
        [("*/*", 200), ("application/fhir+json", 200), ("text/html", 200), ("image/png", 406), ("text/turtle", 406)]
    {
        gateway.with_header("Accept", accept).get("/fhir/Patient").await.expect(status);
    }
    gateway.get("/fhir/Patient?_format=ttl").await.expect(406);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_xml_is_named_too() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let ns = r#"xmlns="http://hl7.org/fhir""#;
    let deep =
        format!("<Patient {ns}>{}{}</Patient>", "<extension url=\"urn:x\">".repeat(1000), "</extension>".repeat(1000));
    let bomb = format!("<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\">]><Patient {ns}><language value=\"&a;\"/></Patient>");
    for body in [
        "",
        "<",
        "text",
        "<Patient/>",
        &format!("<Patient {ns}>"),
        &format!("<Nope {ns}/>"),
        &format!("<Patient {ns}><nope value=\"1\"/></Patient>"),
        &format!("<Patient {ns}><active value=\"maybe\"/></Patient>"),
        &deep,
        &bomb,
        &format!("<Patient {ns}></Observation>"),
    ] {
        let reply = gateway.post_raw("/fhir/Patient", "application/fhir+xml", body).await;
        assert!([400, 422].contains(&reply.status), "{}: {} {}", start(body), reply.status, reply.text());
        reply.issues();
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_and_parameters_of_any_shape_are_answered() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let long = "x".repeat(3000);
    for path in [
        "/fhir/Patient/%FF",
        "/fhir/Patient/%00",
        "/fhir/Patient/a%2Fb",
        "/fhir/%F0%9F%92%A9/1",
        "/fhir/Patient/..%2f..%2fetc",
        "/ui/../Cargo.toml",
        "/ui/%2e%2e/Cargo.toml",
        "/fhir/Patient?name=%FF",
        "/fhir/Patient?name=%00",
        "/fhir/Patient?identifier=%00|%00",
        "/fhir/Patient?%00=1",
        "/fhir/Patient?=&&==",
        "/fhir/Patient?_count=-1",
        "/fhir/Patient?_count=99999999999999999999",
        "/fhir/Patient?_count=0",
        "/fhir/Patient?_cursor=%00",
        "/fhir/Patient?_id=%00",
        "/fhir/Patient?name=%25%5F%5C",
        "/fhir/Patient?name:contains=%25%5F%5C",
        "/fhir/Observation?code=%00",
        "/fhir/Patient/_history?_before=-9",
        "/fhir/Patient/_history?_count=0",
        "/fhir/_history?_before=9223372036854775807",
        "/live/series?patient=%00&code=x",
        "/live/series",
        "/live/series?patient=x&code=8867-4&hours=99999999999",
        &format!("/fhir/Patient/{long}"),
        &format!("/fhir/Patient?name={long}"),
        &format!("/fhir/Patient?identifier={long}|{long}"),
    ] {
        let reply = gateway.get(path).await;
        assert!(reply.status < 500, "{}: {} {}", start(path), reply.status, reply.text());
        if reply.status >= 400 {
            reply.issues();
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_a_database_chokes_on_is_kept_or_refused() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for text in [
        "nul \u{0} inside",
        "\u{7f}",
        "\u{feff}bom",
        "💉 emoji",
        "e\u{301}",
        "\u{202e}rtl",
        "'; DROP TABLE patient; --",
        "\\",
        "%_",
    ] {
        let mut body = patient("x", "r1", "x");
        body["name"][0]["family"] = json!(text);
        body["identifier"][0]["value"] = json!(text);
        let reply = gateway.post("/fhir/Patient", &body).await;
        assert!([201, 400, 422].contains(&reply.status), "{text:?}: {} {}", reply.status, reply.text());
        if reply.status == 201 {
            let read = gateway.get(&format!("/fhir/Patient/{}", reply.id())).await.expect(200).json();
            assert_eq!(read["name"][0]["family"], text);
            let query: String = form_urlencoded::Serializer::new(String::new())
                .append_pair("family:exact", &text.replace('\\', "\\\\"))
                .finish();
            let found = gateway.get(&format!("/fhir/Patient?{query}")).await.expect(200).json();
            assert_eq!(found["entry"].as_array().map_or(0, Vec::len), 1, "{text:?}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_neighbour_harms_nobody() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let deep: Value = serde_json::from_str(&nested(30)).unwrap();
    let good = |n: usize| entry("PUT", &format!("Patient/good-{n}"), &patient(&format!("good-{n}"), "r", "x"));
    let batch = bundle(
        "batch",
        &[
            good(0),
            entry("POST", "Patient", &json!({"resourceType": "Patient", "birthDate": "yesterday"})),
            good(1),
            entry("POST", "Nope", &json!({"resourceType": "Patient"})),
            entry("PUT", "Patient/a", &patient("b", "r", "x")),
            entry("POST", "Patient", &deep),
            entry("GET", "Patient/never", &Value::Null),
            entry("DELETE", "Patient/never", &Value::Null),
            entry("PATCH", "Patient/good-0", &json!({"resourceType": "Binary", "contentType": "x/y"})),
            good(2),
        ],
    );
    let answer = gateway.post("/fhir", &batch).await.expect(200).json();
    let statuses: Vec<u16> = answer["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["response"]["status"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!((statuses.len(), statuses[0], statuses[2], statuses[9]), (10, 201, 201, 201), "{statuses:?}");
    for (at, status) in statuses.iter().enumerate() {
        assert!(*status < 500, "{at}: {statuses:?}");
        assert_eq!(*status >= 400, answer["entry"][at]["response"]["outcome"].is_object(), "{at}");
    }
    assert!(
        answer["entry"][1]["response"]["outcome"].to_string().contains("Bundle.entry[1].resource.birthDate"),
        "{answer}"
    );
    app.stop().await;
}
