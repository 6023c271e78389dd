//! What comes back is what went in: digits, extensions of primitives, contained resources, characters, order.

use serde_json::{Value, json};

use super::examples::{examples, without_own};
use crate::helpers::{Client, TestApp};

const JSON: &str = "application/fhir+json";
const XML: &str = "application/fhir+xml";

async fn put_raw(client: &Client, path: &str, media: &str, body: Vec<u8>) {
    let reply = client.with_header("Content-Type", media).send(reqwest::Method::PUT, path, Some(body)).await;
    assert!([200, 201].contains(&reply.status), "{path} {media}: {} {}", reply.status, reply.text());
}

/// Put as JSON and read; what is read as XML is put again and read as JSON.
async fn survives(client: &Client, text: &str) {
    let sent: Value = serde_json::from_str(text).unwrap();
    let path = format!("/fhir/{}/{}", sent["resourceType"].as_str().unwrap(), sent["id"].as_str().unwrap());
    put_raw(client, &path, JSON, text.as_bytes().to_vec()).await;
    let read = client.get(&path).await.expect(200);
    assert_eq!(without_own(read.json()), without_own(sent.clone()), "{path}");
    let xml = client.get(&format!("{path}?_format=xml")).await.expect(200);
    put_raw(client, &path, XML, xml.body).await;
    let read = client.get(&path).await.expect(200);
    assert_eq!(without_own(read.json()), without_own(sent), "{path} by XML");
}

#[tokio::test(flavor = "multi_thread")]
async fn digits_extensions_characters_and_order() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for number in [
        "1.10",
        "0.100",
        "0",
        "0.0",
        "-0.00",
        "72",
        "100",
        "1e+3",
        "1.0e-7",
        "0.12345678901234567890123456789",
        "-5.50",
    ] {
        let text = format!(
            "{{\"resourceType\":\"Observation\",\"id\":\"n\",\"status\":\"final\",\"code\":{{\"text\":\"x\"}},\
             \"valueQuantity\":{{\"value\":{number},\"unit\":\"x\"}},\
             \"referenceRange\":[{{\"low\":{{\"value\":{number}}}}}]}}"
        );
        survives(&gateway, &text).await;
        let read = gateway.get("/fhir/Observation/n").await.expect(200).text();
        let kept = format!("\"value\":{number}");
        assert_eq!(read.matches(&kept).count(), 2, "{number}: {read}");
    }
    let absent = json!([{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]);
    for resource in [
        json!({"resourceType": "Patient", "id": "a", "birthDate": "1970", "_birthDate": {"extension": [{"url": "urn:x", "valueDateTime": "1970-01-01T10:00:00+05:30"}]}}),
        json!({"resourceType": "Patient", "id": "b", "_birthDate": {"id": "z", "extension": absent}}),
        json!({"resourceType": "Patient", "id": "c", "name": [{"given": ["a", null, "c"], "_given": [null, {"extension": absent}, {"id": "g"}]}]}),
        json!({"resourceType": "Patient", "id": "d", "name": [{"family": "Zoë 李 محمد \u{1F9D1}\u{200D}\u{2695}\u{FE0F} e\u{301} \u{2028} <&>\"'"}, {"family": "a\n\t b"}]}),
        json!({"resourceType": "Patient", "id": "e", "contained": [{"resourceType": "Organization", "id": "o", "name": "x"}, {"resourceType": "Practitioner", "id": "p", "active": true}],
            "managingOrganization": {"reference": "#o"}, "generalPractitioner": [{"reference": "#p"}, {"reference": "#p"}]}),
        json!({"resourceType": "Patient", "id": "f", "name": [{"given": ["z", "a", "m", "a"]}, {"given": ["b"]}], "link": [
            {"other": {"reference": "Patient/2"}, "type": "seealso"}, {"other": {"reference": "Patient/1"}, "type": "refer"}]}),
        json!({"resourceType": "Patient", "id": "g", "extension": [{"url": "urn:b", "extension": [{"url": "i", "valueInteger": 0}, {"url": "d", "valueDecimal": 5}]}, {"url": "urn:a", "valueBase64Binary": "AAAA"}],
            "modifierExtension": [{"url": "urn:m", "valueBoolean": false}], "implicitRules": "urn:x", "language": "es"}),
        json!({"resourceType": "Patient", "id": "h", "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">\n <b>a</b> &amp; <i>b</i>&#160;</div>"}}),
        json!({"resourceType": "Patient", "id": "i", "meta": {"tag": [{"system": "urn:t", "code": "2"}, {"system": "urn:t", "code": "1"}], "source": "urn:s", "security": [{"code": "R"}]}}),
        json!({"resourceType": "Basic", "id": "j", "code": {"coding": [{"system": "urn:x", "_system": {"id": "s"}, "code": "c"}]}, "author": {"identifier": {"value": "only an identifier"}}}),
    ] {
        survives(&gateway, &resource.to_string()).await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_survives_put_get_and_xml() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let mut stored = 0;
    for (_, bytes) in examples() {
        survives(&gateway, &String::from_utf8(bytes).unwrap()).await;
        stored += 1;
    }
    assert_eq!(stored, 98);
    app.stop().await;
}
