//! `$convert`: the same resource in the other format.

use crate::helpers::TestApp;

const JSON: &str = "application/fhir+json";
const XML: &str = "application/fhir+xml";

#[tokio::test(flavor = "multi_thread")]
async fn json_becomes_xml_and_comes_back_digit_for_digit() {
    let app = TestApp::start().await;
    let anyone = app.machine("system/Observation.c");
    let json =
        r#"{"resourceType":"Observation","status":"final","code":{"text":"é <&>"},"valueQuantity":{"value":1.10}}"#;
    let to_xml = anyone.with_header("Content-Type", JSON).with_header("Accept", XML);
    let xml = to_xml.send(reqwest::Method::POST, "/fhir/$convert", Some(json.into())).await.expect(200);
    assert!(
        xml.header("content-type").starts_with(XML) && xml.text().contains(r#"<value value="1.10"/>"#),
        "{}",
        xml.text()
    );
    let to_json = anyone.with_header("Content-Type", XML).with_header("Accept", JSON);
    let back = to_json.send(reqwest::Method::POST, "/fhir/$convert", Some(xml.body)).await.expect(200);
    assert_eq!(back.text(), json);
    let wrapped = format!(r#"{{"resourceType":"Parameters","parameter":[{{"name":"resource","resource":{json}}}]}}"#);
    let reply = anyone.post_raw("/fhir/$convert?_format=xml", JSON, wrapped).await.expect(200);
    assert!(
        reply.text().starts_with("<Observation") || reply.text().contains("<Observation xmlns"),
        "{}",
        reply.text()
    );
    for (media, accept, body, status) in [
        (JSON, JSON, r#"{"resourceType":"Observation","status":"final"}"#, 400),
        (JSON, JSON, "{", 400),
        (JSON, JSON, r#"{"resourceType":"Nope"}"#, 400),
        ("text/csv", JSON, json, 415),
        (JSON, "text/csv", json, 406),
        (XML, JSON, "<Observation", 400),
    ] {
        let ask = anyone.with_header("Content-Type", media).with_header("Accept", accept);
        ask.send(reqwest::Method::POST, "/fhir/$convert", Some(body.into())).await.expect(status);
    }
    anyone.get("/fhir/$convert").await.expect(405);
    app.anonymous().post_raw("/fhir/$convert", JSON, json).await.expect(401);
    app.stop().await;
}
