//! Every search parameter that is promised, on resources that are told apart by it.

use serde_json::{Value, json};

use crate::helpers::samples::{bundle, entry, patient};
use crate::helpers::{Client, TestApp, ids};

/// Stores all of it at once, each under its own id.
pub(super) async fn store(client: &Client, resources: &[Value]) {
    let put = |r: &Value| {
        let address = format!("{}/{}", r["resourceType"].as_str().unwrap(), r["id"].as_str().unwrap());
        entry("PUT", &address, r)
    };
    let entries: Vec<Value> = resources.iter().map(put).collect();
    client.post("/fhir", &bundle("transaction", &entries)).await.expect(200);
}

/// What a search finds, in the order of the alphabet.
pub(super) async fn found(client: &Client, query: &str) -> String {
    let query = query.replace('+', "%2B");
    let bundle = client.get(&format!("/fhir/{query}")).await.expect(200).json();
    assert_eq!(bundle["type"], "searchset");
    let mut ids = ids(&bundle);
    ids.sort();
    ids.join(" ")
}

pub(super) async fn check(client: &Client, kind: &str, table: &[(&str, &str)]) {
    for (query, expected) in table {
        assert_eq!(found(client, &format!("{kind}?{query}")).await, *expected, "{kind}?{query}");
    }
}

pub(super) fn observation(id: &str, more: &Value) -> Value {
    let mut observation = json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"}});
    for (name, value) in more.as_object().unwrap() {
        observation[name] = value.clone();
    }
    observation
}

pub(super) fn coded(codings: &[(&str, &str)]) -> Value {
    let coding = |(system, code): &(&str, &str)| match *system {
        "" => json!({"code": code}),
        system => json!({"system": system, "code": code}),
    };
    json!({"coding": codings.iter().map(coding).collect::<Vec<_>>()})
}

pub(super) fn quantity(value: &str, unit: &str) -> Value {
    let value: Value = serde_json::from_str(value).unwrap();
    json!({"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit})
}

#[tokio::test(flavor = "multi_thread")]
async fn observations() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let (about, on) = (|id: &str| json!({"reference": format!("Patient/{id}")}), |r: &str| json!({"reference": r}));
    store(
        &gateway,
        &[
            patient("p1", "r1", "Vega"),
            patient("p2", "r2", "Soto"),
            observation("a", &json!({"subject": about("p1"), "code": coded(&[("urn:a", "1")]), "category": [coded(&[("urn:c", "vital-signs")])],
                "effectiveDateTime": "2026-01-02T03:04:05Z", "valueQuantity": quantity("36.6", "Cel"), "device": on("Device/d1"), "encounter": on("Encounter/e1")})),
            observation("b", &json!({"subject": about("p1"), "code": coded(&[("urn:a", "1"), ("urn:b", "2")]), "status": "amended",
                "effectiveDateTime": "2026-01-02T03:04:05.500+01:00", "valueQuantity": quantity("98.6", "[degF]")})),
            observation("c", &json!({"subject": about("p2"), "code": coded(&[("urn:b", "1")]), "category": [coded(&[("urn:c", "vital-signs")]), coded(&[("urn:d", "exam")])],
                "effectivePeriod": {"start": "2026-01-01", "end": "2026-01-03"}, "valueQuantity": quantity("310.15", "K"), "device": on("Device/d2")})),
            observation("d", &json!({"subject": about("p2"), "code": coded(&[("", "1")]), "status": "preliminary",
                "effectivePeriod": {"start": "2026-02-01T00:00:00Z"}, "valueQuantity": {"value": 37, "unit": "degrees"}, "encounter": on("Encounter/e2")})),
            observation("e", &json!({"subject": on("Group/p1"), "code": coded(&[("urn:b", "3")]), "effectiveInstant": "2026-03-01T00:00:00.123Z",
                "valueString": "warm", "performer": [on("Practitioner/x")]})),
            observation("f", &json!({"code": coded(&[("urn:a", "a|b,c")]), "valueQuantity": quantity("37.04", "Cel")})),
        ],
    )
    .await;
    check(
        &gateway,
        "Observation",
        &[
            ("patient=p1", "a b"),
            ("patient=Patient/p1", "a b"),
            ("patient=http://elsewhere.test/fhir/Patient/p1", ""),
            ("subject=Patient/p2", "c d"),
            ("subject=p1", "a b e"),
            ("subject:Patient=p1", "a b"),
            ("subject=Group/p1", "e"),
            ("subject=Patient/p1,Patient/p2", "a b c d"),
            ("patient=p9", ""),
            ("code=urn:a|1", "a b"),
            ("code=1", "a b c d"),
            ("code=|1", "d"),
            ("code=urn:b|", "b c e"),
            ("code=urn:a|1,urn:b|3", "a b e"),
            ("code=urn:a|1&code=urn:b|2", "b"),
            ("code=urn:a|2", ""),
            ("code=urn:nowhere|1", ""),
            (r"code=urn:a|a\|b\,c", "f"),
            ("code:not=1", "e f"),
            ("category=vital-signs", "a c"),
            ("category=urn:d|exam", "c"),
            ("category=urn:c|exam", ""),
            ("status=final", "a c e f"),
            ("status=amended,preliminary", "b d"),
            ("status:not=final", "b d"),
            ("status=http://hl7.org/fhir/observation-status|amended", "b"),
            ("device=Device/d1", "a"),
            ("device=d2", "c"),
            ("encounter=Encounter/e1", "a"),
            ("encounter=e2,e1", "a d"),
            ("_id=a", "a"),
            ("_id=a,e,zzz", "a e"),
            ("_id=a&status=amended", ""),
            ("_lastUpdated=gt2026-01-01", "a b c d e f"),
            ("_lastUpdated=lt2026-01-01", ""),
            ("patient=p1&code=urn:a|1&date=ge2026-01-02T03:00:00Z&status=final", "a"),
            // One measure in three units: 36.6, 37.0 and 37.0 °C; 37 "degrees" is none.
            ("value-quantity=37.0|http://unitsofmeasure.org|Cel", "b c f"),
            ("value-quantity=37|http://unitsofmeasure.org|Cel", "a b c f"),
            ("value-quantity=98.6|http://unitsofmeasure.org|[degF]", "b c"),
            ("value-quantity=gt36.6|http://unitsofmeasure.org|Cel", "b c f"),
            ("value-quantity=ge36.6||Cel", "a b c f"),
            ("value-quantity=lt37||Cel", "a"),
            ("value-quantity=310.15||K", "b c"),
            ("value-quantity=37", "a d f"),
            ("value-quantity=37.04", "f"),
            ("value-quantity=37||mm[Hg]", ""),
            ("value-quantity=ap36||Cel", "a b c f"),
            ("value-quantity=ne37||Cel", ""),
        ],
    )
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_of_every_precision() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let at = |id: &str, time: &str| observation(id, &json!({"effectiveDateTime": time}));
    let period = |id: &str, period: Value| observation(id, &json!({"effectivePeriod": period}));
    store(
        &gateway,
        &[
            at("year", "2026"),
            at("month", "2026-03"),
            at("day", "2026-03-15"),
            at("noon", "2026-03-15T12:00:00Z"),
            at("early", "2026-03-15T01:30:00+02:00"),
            period("week", json!({"start": "2026-03-10", "end": "2026-03-16"})),
            period("since", json!({"start": "2026-03-20"})),
            period("until", json!({"end": "2026-03-05"})),
            observation("never", &json!({})),
        ],
    )
    .await;
    check(
        &gateway,
        "Observation",
        &[
            ("date=2026", "day early month noon week year"),
            ("date=2026-03", "day early month noon week"),
            ("date=2026-03-15", "day noon"),
            ("date=2026-03-14", "early"),
            ("date=2026-03-15T12:00", "noon"),
            ("date=2026-03-15T12:00:00Z", "noon"),
            ("date=2026-03-15T14:00:00+02:00", "noon"),
            ("date=2026-03-15T12:00:01Z", ""),
            ("date=gt2026-03-15T12:00:00Z", "day month since week year"),
            ("date=ge2026-03-15T12:00:00Z", "day month noon since week year"),
            ("date=gt2026-03-16", "month since year"),
            ("date=sa2026-03-15", "since"),
            ("date=sa2026-03-14", "day noon since"),
            ("date=lt2026-03-15", "early month until week year"),
            ("date=le2026-03-15", "day early month noon until week year"),
            ("date=eb2026-03-15", "early until"),
            ("date=eb2026-03-16", "day early noon until"),
            ("date=eb2027", "day early month noon until week year"),
            ("date=ge2026-03-15&date=lt2026-03-16", "day month noon week year"),
            ("date=ap2026-03-15", "day month noon week year"),
            ("date=ne2026-03-15", "early month since until week year"),
            ("date=2026-03-14,2026-03-15", "day early noon"),
            ("date=2025", ""),
            ("date=gt2030", "since"),
        ],
    )
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patients() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let person = |id: &str, more: Value| {
        let mut person = json!({"resourceType": "Patient", "id": id});
        for (name, value) in more.as_object().unwrap() {
            person[name] = value.clone();
        }
        person
    };
    store(&gateway, &[
        person("a", json!({"identifier": [{"system": "urn:x", "value": "7"}, {"value": "free"}], "active": true, "gender": "female", "birthDate": "1956-03-01",
            "name": [{"family": "Núñez Vega", "given": ["María", "José"]}]})),
        person("b", json!({"identifier": [{"system": "urn:y", "value": "7"}], "active": false, "gender": "male", "birthDate": "1956-03",
            "name": [{"family": "Nunez", "given": ["Ana"], "prefix": ["Dr."]}, {"text": "Anita the Great"}]})),
        person("c", json!({"gender": "unknown", "birthDate": "1957", "name": [{"family": "VEGA"}]})),
        person("d", json!({"name": [{"family": "van der Berg"}]})),
    ])
    .await;
    check(
        &gateway,
        "Patient",
        &[
            ("identifier=urn:x|7", "a"),
            ("identifier=7", "a b"),
            ("identifier=|free", "a"),
            ("identifier=urn:y|", "b"),
            ("identifier=urn:x|8", ""),
            ("family=nunez", "a b"),
            ("family=NÚÑEZ", "a b"),
            ("family:exact=Núñez Vega", "a"),
            ("family:exact=nunez", ""),
            ("family:contains=vega", "a c"),
            ("family=vega", "c"),
            ("family=van%20der", "d"),
            ("given=jos", "a"),
            ("given=maria&given=jose", "a"),
            ("name=ani", "b"),
            ("name=maria,berg", "a"),
            ("name:contains=great", "b"),
            ("birthdate=1956", "a b"),
            ("birthdate=1956-03-01", "a"),
            ("birthdate=lt1957", "a b"),
            ("birthdate=ge1957", "c"),
            ("gender=female", "a"),
            ("gender=male,unknown", "b c"),
            ("gender:not=female", "b c d"),
            ("active=true", "a"),
            ("active=false", "b"),
            ("name=zzz", ""),
        ],
    )
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn issues_encounters_and_devices() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let on = |reference: &str| json!({"reference": reference});
    let stay = |id: &str, status: &str, patient: &str, kind: &str| {
        json!({"resourceType": "Encounter", "id": id, "status": status, "class": {"code": "IMP"}, "identifier": [{"system": "urn:stay", "value": id}],
            "type": [coded(&[("urn:type", kind)])], "subject": on(patient)})
    };
    store(&gateway, &[
        patient("p1", "r1", "Vega"),
        json!({"resourceType": "DetectedIssue", "id": "i1", "status": "preliminary", "severity": "high", "patient": on("Patient/p1"), "identifiedDateTime": "2026-01-02T00:00:00Z",
            "identifier": [{"system": "urn:alert", "value": "1"}], "code": coded(&[("urn:rule", "hr")]), "implicated": [on("Observation/o1")]}),
        json!({"resourceType": "DetectedIssue", "id": "i2", "status": "final", "severity": "low", "patient": on("Patient/p2"), "identifiedPeriod": {"start": "2026-01-01", "end": "2026-01-05"},
            "implicated": [on("Observation/o2"), on("Device/d1")]}),
        stay("e1", "in-progress", "Patient/p1", "ward"),
        stay("e2", "finished", "Patient/p1", "icu"),
        json!({"resourceType": "Device", "id": "d1", "status": "active", "identifier": [{"system": "urn:serial", "value": "1"}], "type": coded(&[("urn:type", "monitor")]), "patient": on("Patient/p1")}),
        json!({"resourceType": "Device", "id": "d2", "status": "inactive"}),
    ])
    .await;
    check(
        &gateway,
        "DetectedIssue",
        &[
            ("patient=p1", "i1"),
            ("patient=Patient/p2", "i2"),
            ("identified=2026-01-02", "i1"),
            ("identified=ge2026-01-03", "i2"),
            ("identified=lt2026-01-02", "i2"),
            ("code=urn:rule|hr", "i1"),
            ("identifier=urn:alert|1", "i1"),
            ("implicated=Observation/o1", "i1"),
            ("implicated=Device/d1", "i2"),
            ("status=preliminary", "i1"),
            ("status=final,preliminary", "i1 i2"),
            ("severity=low", "i2"),
            ("severity=high&status=final", ""),
        ],
    )
    .await;
    check(
        &gateway,
        "Encounter",
        &[
            ("patient=p1", "e1 e2"),
            ("status=in-progress", "e1"),
            ("identifier=urn:stay|e2", "e2"),
            ("type=urn:type|icu", "e2"),
            ("type=ward&status=finished", ""),
        ],
    )
    .await;
    check(
        &gateway,
        "Device",
        &[
            ("identifier=urn:serial|1", "d1"),
            ("patient=p1", "d1"),
            ("type=monitor", "d1"),
            ("status=inactive", "d2"),
            ("_id=d1,d2", "d1 d2"),
        ],
    )
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_sees_what_stands_and_nothing_else() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let mut own = patient("p", "before", "Before");
    gateway.put("/fhir/Patient/p", &own).await.expect(201);
    own = patient("p", "after", "After");
    gateway.put("/fhir/Patient/p", &own).await.expect(200);
    check(
        &gateway,
        "Patient",
        &[("family=before", ""), ("identifier=before", ""), ("family=after", "p"), ("_id=p", "p")],
    )
    .await;
    gateway.delete("/fhir/Patient/p").await.expect(204);
    check(&gateway, "Patient", &[("family=after", ""), ("_id=p", ""), ("family:not=x", "")][..2]).await;
    let reading = observation("o", &json!({"code": coded(&[("urn:a", "1")])}));
    gateway.put("/fhir/Observation/o", &reading).await.expect(201);
    gateway.put("/fhir/Observation/o", &observation("o", &json!({"code": coded(&[("urn:a", "2")])}))).await.expect(200);
    check(&gateway, "Observation", &[("code=urn:a|1", ""), ("code=urn:a|2", "o")]).await;
    gateway.delete("/fhir/Observation/o").await.expect(204);
    check(&gateway, "Observation", &[("code=urn:a|2", ""), ("_id=o", "")]).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_searched_is_said() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    for (query, issue) in [
        ("nope=1", "not-supported http.nope"),
        ("code:exact=x", "not-supported http.code:exact"),
        ("code:below=x", "value http.code:below"),
        ("date:contains=2026", "not-supported http.date:contains"),
        ("status.name=x", "not-supported http.status.name"),
        ("subject.nope=x", "not-supported http.subject.nope"),
        ("subject:Practitioner=x", "not-supported http.subject:Practitioner"),
        ("subject:Patient=Group/1", "value http.subject:Patient"),
        ("code:in=urn:none", "not-supported http.code"),
        ("code:missing=perhaps", "value http.code:missing"),
        ("identifier:of-type=a|b", "value http.identifier:of-type"),
        ("value-quantity=5|x", "value http.value-quantity"),
        ("code-value-quantity=5", "value http.code-value-quantity"),
        ("_has:Observation:code:status=final", "not-supported http._has:Observation:code:status"),
        ("_has:Nope:x:y=1", "value http._has:Nope:x:y"),
        ("date=yesterday", "value http.date"),
        ("date=zz2026", "value http.date"),
        ("value-quantity=much", "value http.value-quantity"),
        ("code=", "value http.code"),
        ("code=a|b|c", "value http.code"),
        ("subject:identifier=a|b|c", "value http.subject:identifier"),
        ("patient.name=%ff", "value http.patient.name"),
        ("%ff=x", "value http.query"),
        ("_sort=nope", "not-supported http._sort"),
        ("_sort=code-value-quantity", "not-supported http._sort"),
        ("_sort=date,code,status,category,device,encounter,subject", "too-costly http._sort"),
        ("_total=maybe", "value http._total"),
        ("_count=many", "value http._count"),
        ("nope=1&date=x", "not-supported http.nope; value http.date"),
    ] {
        assert_eq!(gateway.get(&format!("/fhir/Observation?{query}")).await.expect(400).issues(), issue, "{query}");
    }
    let page = gateway.get("/fhir/Observation?_sort=&code=x").await.expect(200).json();
    let own = page["link"][0]["url"].as_str().unwrap();
    assert!(own.contains("code=x") && !own.contains("_sort"), "an order by nothing is none: {own}");
    let many = vec!["x"; 501].join(",");
    let refused =
        gateway.post_raw("/fhir/Observation/_search", "application/x-www-form-urlencoded", format!("code={many}"));
    assert_eq!(refused.await.expect(400).issues(), "too-costly http.code");
    let lenient =
        gateway.with_header("Prefer", "handling=lenient").get("/fhir/Observation?nope=1").await.expect(200).json();
    assert!(
        !lenient["link"][0]["url"].as_str().unwrap().contains("nope"),
        "what was ignored is not claimed: {lenient}"
    );
    let form = gateway
        .post_raw("/fhir/Observation/_search", "application/x-www-form-urlencoded", "code=urn%3Aa%7C1&_total=accurate")
        .await;
    assert_eq!(form.expect(200).json()["total"], 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_was_never_seen_leaves_the_other_conditions_as_they_are() {
    let app = TestApp::start().await;
    let client = app.gateway();
    let loinc = |codes: &[&str]| {
        let codings: Vec<Value> = codes.iter().map(|c| json!({"system": "http://loinc.org", "code": c})).collect();
        json!({"coding": codings})
    };
    let mine = json!({"subject": {"reference": "Patient/p1"}, "code": loinc(&["59408-5", "20564-1"]),
        "valueQuantity": {"value": 90, "system": "http://unitsofmeasure.org", "code": "%"}});
    let rate = json!({"subject": {"reference": "Patient/p1"}, "code": loinc(&["8889-8"]),
        "valueQuantity": {"value": 70, "system": "http://unitsofmeasure.org", "code": "/min"}});
    store(
        &client,
        &[patient("p1", "1", "Vega"), patient("p2", "2", "Soto"), observation("o1", &mine), observation("o2", &rate)],
    )
    .await;
    check(
        &client,
        "Patient",
        &[
            ("gender:not=never-seen&_id=p1", "p1"),
            ("_id=p1&gender:not=never-seen", "p1"),
            ("gender:not=never-seen&identifier=never-seen", ""),
            ("gender:not=never-seen&_count=2", "p1 p2"),
        ],
    )
    .await;
    check(
        &client,
        "Observation",
        &[
            // One concept holds both codes: it is one hit.
            ("patient=p1&code=59408-5,20564-1", "o1"),
            // The unit binds both sides of what is unequal.
            ("value-quantity=ne95||%25", "o1"),
            ("method:not=never-seen&patient=p1&code=8889-8", "o2"),
        ],
    )
    .await;
}

/// Far more work than fits into the limit: the caller is told, and the server goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_takes_too_long_is_stopped() {
    let app = TestApp::with(|config| config.database.statement_timeout_ms = 100).await;
    let gateway = app.gateway();
    let people: Vec<Value> = (0..4000).map(|n| patient(&format!("p{n}"), &format!("r{n}"), "Vega")).collect();
    store(&gateway, &people).await;
    let many = (0..500).map(|n| format!("zz{n}")).collect::<Vec<_>>().join(",");
    let form = format!("name:contains={many}&given:contains={many}&family:contains={many}");
    let reply = gateway.post_raw("/fhir/Patient/_search", "application/x-www-form-urlencoded", form).await;
    assert_eq!(reply.expect(503).issues(), "timeout");
    gateway.get("/fhir/Patient/p1").await.expect(200);
    app.stop().await;
}
