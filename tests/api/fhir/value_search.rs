//! Searches by value leave out what cannot match (zones of the log). They answer what asking every row answers, in
//! the same order and pages: `combo-value-quantity` asks every row, and means the same where there are no components.

use serde_json::{Value, json};

use super::paging::walk;
use crate::helpers::samples::{bundle, entry, plain_observation};
use crate::helpers::{Client, TestApp};

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[usize::try_from(self.below(u64::try_from(all.len()).unwrap())).unwrap()]
    }
}

/// A value is ordinary for its code nearly always; stretches of the log have none that stand out, others some.
fn reading(dice: &mut Dice, id: &str) -> Value {
    let (code, unit, value) = match (dice.below(3), dice.below(400)) {
        (0, 0) => ("rate", "/min", json!(190 + dice.below(60))),
        (0, _) => ("rate", "/min", json!(60 + dice.below(30))),
        (1, 0) => ("heat", "[degF]", json!(103 + dice.below(4))),
        (1, n) if n % 2 == 0 => ("heat", "[degF]", json!(97 + dice.below(3))),
        (1, _) => ("heat", "Cel", json!(36 + dice.below(2))),
        (_, 0) => ("size", "kg", json!(-5)),
        (_, 1) => ("size", "furlong", json!(7)),
        (_, n) => ("size", if n % 2 == 0 { "kg" } else { "g" }, json!(1000 + dice.below(90))),
    };
    let status = if dice.below(20) == 0 { "entered-in-error" } else { "final" };
    plain_observation(
        "x",
        &json!({
            "id": id, "status": status, "code": {"coding": [{"system": "urn:test", "code": code}]},
            "subject": {"reference": format!("Patient/p{}", dice.below(3))},
            "effectiveDateTime": format!("2026-01-{:02}T03:{:02}:00Z", 1 + dice.below(28), dice.below(60)),
            "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": unit},
        }),
    )
}

/// New readings, corrections of old ones, and deletions.
async fn write(client: &Client, dice: &mut Dice, round: u64) {
    const NEW: u64 = 1300;
    let mut entries = Vec::new();
    let put = |id: String, dice: &mut Dice| entry("PUT", &format!("Observation/{id}"), &reading(dice, &id));
    for n in 0..NEW {
        entries.push(put(format!("o{}", round * NEW + n), dice));
    }
    // Every seventh, from a place that changes: none twice in one Bundle.
    for n in (dice.below(7)..round * NEW).step_by(7) {
        entries.push(match dice.below(3) {
            0 => json!({"request": {"method": "DELETE", "url": format!("Observation/o{n}")}}),
            _ => put(format!("o{n}"), dice),
        });
    }
    client.post("/fhir", &bundle("batch", &entries)).await.expect(200);
}

fn question(dice: &mut Dice) -> (String, String) {
    let prefix = dice.one_of(&["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]);
    let (unit, values): (&str, &[&str]) = match dice.below(5) {
        0 => ("", &["0", "37", "75", "200", "1e6", "-4.5"]),
        1 => ("||Cel", &["36.5", "38.9", "40.2", "41"]),
        2 => ("|http://unitsofmeasure.org|/min", &["59.5", "75", "191", "245", "260", "1000"]),
        3 => ("||kg", &["-5", "-5.5", "0", "1.05", "1000", "1089"]),
        _ => ("||furlong", &["6", "7", "8"]),
    };
    let several = if dice.below(6) == 0 { format!(",gt{}{unit}", dice.one_of(values)) } else { String::new() };
    let rest = dice.one_of(&[
        "",
        "code=urn:test|rate",
        "code=urn:test|heat",
        "code=urn:test|size,urn:test|rate",
        "code:not=urn:test|rate",
        "patient=p1",
        "code=urn:test|rate&patient=p2",
        "status=entered-in-error",
        "code=urn:test|size&status=final",
        "code=urn:test|rate&_sort=date",
        "code=urn:test|heat&_sort=_lastUpdated",
        "code=urn:test|heat&_sort=-value-quantity",
    ]);
    (format!("{prefix}{}{unit}{several}", dice.one_of(values)), rest.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_could_not_match() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    let mut dice = Dice(7);
    for round in 0..3 {
        write(&gateway, &mut dice, round).await;
        for _ in 0..30 {
            let (value, rest) = question(&mut dice);
            let count = dice.one_of(&["40", "200", "1000"]);
            let ask = |param: &str, more: &str| format!("/fhir/Observation?{rest}&{param}={value}&{more}");
            let pages = format!("_count={count}");
            let expected = walk(&gateway, &ask("combo-value-quantity", &pages)).await;
            assert_eq!(walk(&gateway, &ask("value-quantity", &pages)).await, expected, "{value} {rest} {count}");
            let total = gateway.get(&ask("value-quantity", "_count=0&_total=accurate")).await.expect(200).json();
            assert_eq!(total["total"], expected.len(), "{value} {rest}");
        }
        for code in ["rate", "heat", "size"] {
            let (value, _) = question(&mut dice);
            let composite = format!("/fhir/Observation?code-value-quantity=urn:test|{code}${value}&_count=200");
            let parts = format!("/fhir/Observation?code=urn:test|{code}&combo-value-quantity={value}&_count=200");
            if !value.contains(',') {
                assert_eq!(walk(&gateway, &composite).await, walk(&gateway, &parts).await, "{code} {value}");
            }
        }
    }
}
