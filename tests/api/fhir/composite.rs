//! Composite parameters and components: values that belong together are found together, and only then.

use serde_json::{Value, json};

use super::search::{check, coded, observation, quantity, store};
use crate::helpers::TestApp;

fn pressure(id: &str, systolic: &str, diastolic: &str) -> Value {
    let part = |code: &str, value: &str| json!({"code": coded(&[("http://loinc.org", code), ("urn:mdc", &format!("m{code}"))]), "valueQuantity": quantity(value, "mm[Hg]")});
    observation(
        id,
        &json!({"code": coded(&[("http://loinc.org", "35094-2")]), "component": [part("8480-6", systolic), part("8462-4", diastolic)]}),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn of_observations() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let valued = |id: &str, value: Value| {
        let mut fields = json!({"code": coded(&[("urn:s", "v")])});
        fields.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        observation(id, &fields)
    };
    store(
        &gateway,
        &[
            pressure("bp1", "150", "80"),
            pressure("bp2", "120", "100"),
            observation("t", &json!({"code": coded(&[("http://loinc.org", "8331-1")]), "valueQuantity": quantity("102", "[degF]")})),
            observation("s", &json!({"code": coded(&[("http://loinc.org", "8480-6")]), "valueQuantity": quantity("20", "kPa")})),
            valued("vs", json!({"valueString": "Warm"})),
            valued("vc", json!({"valueCodeableConcept": coded(&[("urn:v", "yes")])})),
            valued("vd", json!({"valueDateTime": "2026-01-02"})),
            observation("cc", &json!({"component": [{"code": coded(&[("urn:s", "q")]), "valueCodeableConcept": coded(&[("urn:v", "no")])}]})),
        ],
    )
    .await;
    check(
        &gateway,
        "Observation",
        &[
            ("value-quantity=gt38.5||Cel", "t"),
            ("code-value-quantity=http://loinc.org|8331-1$gt38.5||Cel", "t"),
            ("code-value-quantity=http://loinc.org|8480-6$gt38.5||Cel", ""),
            ("code-value-quantity=8331-1$gt38||Cel,8480-6$gt140||mm[Hg]", "s t"),
            ("component-code=http://loinc.org|8480-6", "bp1 bp2"),
            ("component-code=m8480-6", "bp1 bp2"),
            ("component-value-quantity=ge100||mm[Hg]", "bp1 bp2"),
            ("component-value-quantity=gt18||kPa", "bp1"),
            // The pair is of one component: bp2 has a 100 and a 8480-6, but not together.
            ("component-code-value-quantity=8480-6$100", ""),
            ("component-code-value-quantity=8462-4$100", "bp2"),
            ("component-code-value-quantity=http://loinc.org|8480-6$gt140||mm[Hg]", "bp1"),
            ("component-code-value-quantity=8480-6$gt140||mm[Hg],8462-4$ge100||mm[Hg]", "bp1 bp2"),
            ("combo-code=8480-6", "bp1 bp2 s"),
            ("combo-value-quantity=gt140||mm[Hg]", "bp1 s"),
            ("combo-code-value-quantity=8480-6$gt140||mm[Hg]", "bp1 s"),
            ("combo-code:not=8480-6", "cc t vc vd vs"),
            ("component-code:missing=false", "bp1 bp2 cc"),
            ("combo-value-quantity:missing=true", "cc vc vd vs"),
            ("code-value-string=urn:s|v$war", "vs"),
            ("code-value-string=urn:s|w$war", ""),
            ("code-value-concept=v$urn:v|yes", "vc"),
            ("code-value-date=v$ge2026", "vd"),
            ("component-value-concept=urn:v|no", "cc"),
            ("component-code-value-concept=q$no", "cc"),
            ("component-code-value-concept=q$yes", ""),
            ("combo-value-concept=urn:v|", "cc vc"),
            ("combo-code-value-concept=v$yes,q$no", "cc vc"),
            ("combo-value-concept:missing=false", "cc vc"),
        ],
    )
    .await;
    gateway.put("/fhir/Observation/bp1", &pressure("bp1", "110", "70")).await.expect(200);
    check(&gateway, "Observation", &[("component-code-value-quantity=8480-6$gt140||mm[Hg]", "")]).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_other_types() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let context = |code: &str, value: Value| {
        let mut context = json!({"code": {"system": "urn:k", "code": code}});
        context.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        context
    };
    let document = |id: &str, relations: Value| {
        json!({"resourceType": "DocumentReference", "id": id, "status": "current", "relatesTo": relations,
            "content": [{"attachment": {"title": "x"}}]})
    };
    let relation = |code: &str, target: &str| json!({"code": code, "target": {"reference": target}});
    store(
        &gateway,
        &[
            json!({"resourceType": "Questionnaire", "id": "q", "status": "active", "useContext": [
            context("age", json!({"valueRange": {"low": quantity("10", "a"), "high": quantity("20", "a")}})),
            context("place", json!({"valueCodeableConcept": coded(&[("urn:p", "ward")])}))]}),
            json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true, "characteristic": [
            {"code": coded(&[("urn:k", "smoker")]), "valueBoolean": true, "exclude": false},
            {"code": coded(&[("urn:k", "sex")]), "valueCodeableConcept": coded(&[("urn:v", "f")]), "exclude": false}]}),
            document(
                "d1",
                json!([relation("replaces", "DocumentReference/d2"), relation("appends", "DocumentReference/d3")]),
            ),
            json!({"resourceType": "MolecularSequence", "id": "m", "coordinateSystem": 0,
            "referenceSeq": {"genomeBuild": "GRCh38", "chromosome": coded(&[("urn:chr", "1")]), "windowStart": 100, "windowEnd": 200},
            "variant": [{"start": 120, "end": 130}]}),
        ],
    )
    .await;
    check(
        &gateway,
        "Questionnaire",
        &[
            ("context-type-quantity=age$gt15||a", "q"),
            ("context-type-quantity=place$gt15||a", ""),
            ("context-type-value=urn:k|place$urn:p|ward", "q"),
            ("context-type-value=urn:k|age$urn:p|ward", ""),
        ],
    )
    .await;
    check(
        &gateway,
        "Group",
        &[
            ("characteristic-value=smoker$true", "g"),
            ("characteristic-value=sex$true", ""),
            ("characteristic-value=sex$f", "g"),
        ],
    )
    .await;
    check(
        &gateway,
        "DocumentReference",
        &[("relationship=replaces$DocumentReference/d2", "d1"), ("relationship=replaces$DocumentReference/d3", "")],
    )
    .await;
    check(
        &gateway,
        "MolecularSequence",
        &[
            ("chromosome-window-coordinate=1$ge100$le200", "m"),
            ("chromosome-window-coordinate=1$gt100$le200", ""),
            ("chromosome-variant-coordinate=urn:chr|1$lt125$gt125", "m"),
        ],
    )
    .await;
    app.stop().await;
}
