//! What R4's modifiers mean, one table a kind of parameter.

use serde_json::{Value, json};

use super::search::{check, coded, observation, store};
use crate::helpers::samples::LOINC;
use crate::helpers::{TestApp, ids};

fn named(system: &str, code: &str, display: &str, text: &str) -> Value {
    json!({"coding": [{"system": system, "code": code, "display": display}], "text": text})
}

#[tokio::test(flavor = "multi_thread")]
async fn of_tokens() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let condition = |id: &str, more: Value| {
        let mut condition = json!({"resourceType": "Condition", "id": id, "subject": {"reference": "Patient/p"}});
        for (name, value) in more.as_object().unwrap() {
            condition[name] = value.clone();
        }
        condition
    };
    let record = json!([{"system": "urn:x", "value": "7", "type": {"coding": [{"system": "urn:types", "code": "MR"}], "text": "Record"}}]);
    store(&gateway, &[
        json!({"resourceType": "Patient", "id": "f", "gender": "female", "active": true, "identifier": record}),
        json!({"resourceType": "Patient", "id": "m", "gender": "male", "identifier": [{"system": "urn:x", "value": "8"}]}),
        json!({"resourceType": "Patient", "id": "n", "deceasedBoolean": true}),
        condition("c1", json!({"code": named("urn:s", "1", "Headache", "Head is aching")})),
        condition("c2", json!({"code": {"text": "Fever (high)"}})),
        condition("c3", json!({"code": named("urn:s", "2", "Fièvre", "Temperature")})),
        condition("c4", json!({})),
        observation("o1", &json!({"code": named("urn:s", "hr", "Heart rate", "HR of the day")})),
        observation("o2", &json!({"code": {"text": "Mood"}, "category": [{"coding": [{"system": "urn:c", "code": "survey", "display": "Survey"}]}]})),
    ])
    .await;
    check(
        &gateway,
        "Patient",
        &[
            // A code element has the system of its binding.
            ("gender=http://hl7.org/fhir/administrative-gender|male", "m"),
            ("gender=http://hl7.org/fhir/other|male", ""),
            ("gender=http://hl7.org/fhir/administrative-gender|", "f m"),
            ("gender=|male", "m"),
            ("active=http://terminology.hl7.org/CodeSystem/special-values|true", "f"),
            ("gender:not=male", "f n"),
            ("gender:not=male,female", "n"),
            ("gender:missing=true", "n"),
            ("gender:missing=false", "f m"),
            ("identifier:missing=true", "n"),
            ("identifier=urn:x|", "f m"),
            ("identifier:not=urn:x|7", "m n"),
            ("identifier:of-type=urn:types|MR|7", "f"),
            ("identifier:of-type=urn:types|MR|8", ""),
            ("identifier:text=record", "f"),
            ("gender:in=http://hl7.org/fhir/ValueSet/administrative-gender", "f m"),
            ("gender:not-in=http://hl7.org/fhir/ValueSet/administrative-gender", "n"),
            ("deceased=true", "n"),
            ("_id:missing=true", ""),
            ("_id:not=f", "m n"),
        ],
    )
    .await;
    check(
        &gateway,
        "Condition",
        &[
            ("code:text=head", "c1"),
            ("code:text=fever", "c2"),
            ("code:text=FIEVRE", "c3"),
            ("code:text=aching", ""),
            ("code:missing=true", "c4"),
            ("code:missing=false", "c1 c2 c3"),
            ("code:not=urn:s|1", "c2 c3 c4"),
            ("code=urn:s|", "c1 c3"),
            ("code:not=urn:s|", "c2 c4"),
        ],
    )
    .await;
    check(
        &gateway,
        "Observation",
        &[
            ("code:text=heart", "o1"),
            ("code:text=hr", "o1"),
            ("code:text=mood", "o2"),
            ("category:text=surv", "o2"),
            ("category:missing=true", "o1"),
            ("status:in=http://hl7.org/fhir/ValueSet/observation-status", "o1 o2"),
            ("status:not-in=http://hl7.org/fhir/ValueSet/observation-status", ""),
            ("status=http://hl7.org/fhir/other|final", ""),
            ("subject:missing=true", "o1 o2"),
            ("date:missing=true", "o1 o2"),
            ("date:missing=false", ""),
            ("value-quantity:missing=true&value-string:missing=true", "o1 o2"),
            ("component-code:missing=true", "o1 o2"),
        ],
    )
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_uris_strings_and_references() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let set = |id: &str, url: &str| json!({"resourceType": "ValueSet", "id": id, "status": "active", "url": url});
    let organization = |id: &str, name: &str| json!({"resourceType": "Organization", "id": id, "name": name});
    let by = |identifier: &str, display: &str| json!({"identifier": {"system": "urn:npi", "value": identifier}, "display": display});
    store(
        &gateway,
        &[
            set("a", "http://acme.org/fhir/ValueSet/123"),
            set("b", "http://acme.org/fhir/ValueSet/123/_history/5"),
            set("c", "http://acme.org/fhir/ValueSet/1234"),
            set("d", "urn:oid:1.2.3"),
            organization("o1", "Clínica 50%_off"),
            organization("o2", "clinica norte"),
            organization("o3", "The Northern"),
            observation("by1", &json!({"subject": by("1", "Ana"), "performer": [by("2", "Dr. Soto")],
                "meta": {"profile": ["http://acme.org/p/bp|1.0"], "tag": [{"system": "urn:t", "code": "x"}], "source": "http://acme.org/feed#1"}})),
            observation("by2", &json!({"performer": [{"reference": "Practitioner/s", "display": "Dr. Vega"}],
                "meta": {"profile": ["http://acme.org/p/bp", "http://acme.org/p/vital"]}})),
        ],
    )
    .await;
    check(
        &gateway,
        "ValueSet",
        &[
            ("url=http://acme.org/fhir/ValueSet/123", "a"),
            ("url:below=http://acme.org/fhir/", "a b c"),
            ("url:below=http://acme.org/fhir/ValueSet/123/", "b"),
            ("url:above=http://acme.org/fhir/ValueSet/123/_history/5", "a b"),
            ("url:below=urn:oid:1", "d"),
            ("url:contains=ValueSet/1234", "c"),
            ("url:exact=urn:oid:1.2.3", "d"),
            ("url:missing=true", ""),
        ],
    )
    .await;
    check(
        &gateway,
        "Organization",
        &[
            ("name=clinica", "o1 o2"),
            ("name:exact=clinica norte", "o2"),
            ("name:contains=NORTE", "o2"),
            ("name:contains=50%25_", "o1"),
            ("name:contains=%25", "o1"),
            ("name:missing=false", "o1 o2 o3"),
        ],
    )
    .await;
    check(
        &gateway,
        "Observation",
        &[
            ("subject:identifier=urn:npi|1", "by1"),
            ("performer:identifier=2", "by1"),
            ("performer:identifier=urn:npi|1", ""),
            ("performer:text=dr. s", "by1"),
            ("performer:missing=false", "by1 by2"),
            ("performer:Practitioner=s", "by2"),
            ("_profile=http://acme.org/p/bp", "by1 by2"),
            ("_profile=http://acme.org/p/bp|1.0", "by1"),
            ("_profile=http://acme.org/p/vital", "by2"),
            ("_profile:below=http://acme.org/p/v", "by2"),
            ("_profile:missing=true", ""),
            ("_tag=urn:t|x", "by1"),
            ("_tag:not=x", "by2"),
            ("_source=http://acme.org/feed#1".replace('#', "%23").leak(), "by1"),
            ("_security:missing=true", "by1 by2"),
        ],
    )
    .await;
    let list = json!({"resourceType": "List", "id": "l", "status": "current", "mode": "working",
        "entry": [{"item": {"reference": "Observation/by2"}}, {"item": {"reference": "Organization/o1"}}]});
    store(&gateway, &[list, observation("x", &json!({"code": coded(&[("urn:s", "a$b")])}))]).await;
    check(&gateway, "Observation", &[("_list=l", "by2"), ("_list=none", ""), (r"code=urn:s|a\$b", "x")]).await;
    check(&gateway, "Organization", &[("_list=l", "o1")]).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_value_set_is_searched_by() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let value_set = json!({"resourceType": "ValueSet", "url": "urn:test:pulse", "status": "active",
        "compose": {"include": [{"system": LOINC, "concept": [{"code": "8889-8"}, {"code": "8893-0"}]}]}});
    gateway.post("/fhir/ValueSet", &value_set).await.expect(201);
    for (id, code) in [("a", "8889-8"), ("b", "8893-0"), ("c", "59408-5")] {
        let observation = json!({"resourceType": "Observation", "id": id, "status": "final",
            "code": {"coding": [{"system": LOINC, "code": code}]}});
        gateway.put(&format!("/fhir/Observation/{id}"), &observation).await.expect(201);
    }
    for (query, expected) in [("code:in=urn:test:pulse", vec!["a", "b"]), ("code:not-in=urn:test:pulse", vec!["c"])] {
        let found = gateway.get(&format!("/fhir/Observation?{query}&_sort=_id")).await.expect(200);
        assert_eq!(ids(&found.json()), expected, "{query}");
    }
    let unknown = gateway.get("/fhir/Observation?code:in=urn:test:nope").await.expect(400);
    assert_eq!(unknown.issues(), "not-supported http.code");
    // So many codes are more than one search may cost, however often they are named.
    let codes: Vec<Value> = (0..9000).map(|n| json!({"code": n.to_string()})).collect();
    let big = json!({"resourceType": "ValueSet", "url": "urn:test:big", "status": "active",
        "compose": {"include": [{"system": "urn:test:numbers", "concept": codes}]}});
    gateway.post("/fhir/ValueSet", &big).await.expect(201);
    gateway.get("/fhir/Observation?code:in=urn:test:big").await.expect(200);
    let often = ["code:in=urn:test:big"; 4].join("&");
    assert_eq!(gateway.get(&format!("/fhir/Observation?{often}")).await.expect(400).issues(), "too-costly http.query");
    // In a condition as well.
    let once = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}});
    let ask = gateway.with_header("If-None-Exist", "code:in=urn:test:pulse&_id=a");
    ask.post("/fhir/Observation", &once).await.expect(200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_searched_by_the_hierarchy_of_their_system() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let system = json!({"resourceType": "CodeSystem", "url": "urn:test:kinds", "status": "active", "content": "complete", "concept": [
        {"code": "rhythm", "concept": [{"code": "fast", "concept": [{"code": "vt"}]}]},
        {"code": "svt", "property": [{"code": "parent", "valueCode": "fast"}]},
        {"code": "slow", "property": [{"code": "subsumedBy", "valueCode": "rhythm"}]}]});
    let part = json!({"resourceType": "CodeSystem", "url": "urn:test:part", "status": "active", "content": "fragment", "concept": [{"code": "a"}]});
    for definition in [system, part] {
        gateway.post("/fhir/CodeSystem", &definition).await.expect(201);
    }
    for code in ["rhythm", "fast", "vt", "svt", "slow"] {
        let code_of = coded(&[("urn:test:kinds", code)]);
        let condition =
            json!({"resourceType": "Condition", "id": code, "subject": {"reference": "Patient/p"}, "code": code_of});
        store(&gateway, &[condition, observation(code, &json!({"code": code_of}))]).await;
    }
    let other = observation("other", &json!({"code": coded(&[("urn:test:others", "vt")])}));
    let inactive = json!({"resourceType": "AllergyIntolerance", "id": "ai", "patient": {"reference": "Patient/p"},
        "clinicalStatus": coded(&[("http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "resolved")])});
    store(&gateway, &[other, inactive]).await;
    let table: &[(&str, &str)] = &[
        ("code:below=urn:test:kinds|fast", "fast svt vt"),
        ("code:below=urn:test:kinds|rhythm", "fast rhythm slow svt vt"),
        ("code:below=urn:test:kinds|vt,urn:test:kinds|slow", "slow vt"),
        ("code:above=urn:test:kinds|svt", "fast rhythm svt"),
        ("code:above=urn:test:kinds|vt&code:below=urn:test:kinds|fast", "fast vt"),
    ];
    for kind in ["Observation", "Condition"] {
        check(&gateway, kind, table).await;
    }
    // A code has the system of its binding: corrected is a kind of amended.
    let amended = [("status:below=amended", ""), ("status:above=corrected", ""), ("status:above=final&_id=vt", "vt")];
    check(&gateway, "Observation", &amended).await;
    check(
        &gateway,
        "AllergyIntolerance",
        &[
            // A shipped system, in which resolved is a kind of inactive.
            ("clinical-status:below=http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical|inactive", "ai"),
            ("clinical-status:below=http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical|active", ""),
        ],
    )
    .await;
    for (query, issues) in [
        ("code:below=urn:test:nope|x", "not-supported http.code"),
        ("code:above=urn:test:part|a", "not-supported http.code"),
        ("code:below=urn:test:kinds|nope", "not-supported http.code"),
        ("code:below=fast", "value http.code:below"),
        ("code:above=urn:test:kinds|", "value http.code:above"),
        ("_id:below=urn:x|a", "not-supported http._id:below"),
    ] {
        let refused = gateway.get(&format!("/fhir/Observation?{query}")).await.expect(400);
        assert_eq!(refused.issues(), issues, "{query}");
    }
    app.stop().await;
}
