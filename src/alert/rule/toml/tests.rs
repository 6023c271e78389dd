use proptest::prelude::*;
use serde_json::json;

use super::super::{compile, default_plans};
use super::export::same;
use super::*;

#[test]
fn every_default_rule_comes_back_whole() {
    for plan in default_plans() {
        let short = export(&plan);
        assert!(!short.contains("fhir-json"), "{short}");
        let again = import(&short).unwrap();
        assert!(same(&again, &plan), "{short}");
        assert_eq!(compile(&again), compile(&plan), "{short}");
        assert_eq!(export(&again), short);
    }
}

#[test]
fn what_has_no_word_is_kept() {
    let changes = [
        ("/publisher", json!("Ward 3")),
        ("/contact", json!([{"name": "Ana", "telecom": [{"system": "phone", "value": "1"}]}])),
        ("/type", json!({"coding": [{"code": "eca-rule"}]})),
        ("/extension", json!([{"url": "urn:x", "valueString": "y"}])),
        ("/_status", json!({"id": "s"})),
        ("/approvalDate", serde_json::Value::Null),
        ("/action/0/description", json!("what it is for")),
        ("/action/0/documentation", json!([{"type": "citation", "label": "1"}])),
        ("/action/0/extension/0", json!({"url": "urn:x", "valueCode": "y"})),
        ("/action/0/extension/0/id", json!("e1")),
        ("/action/0/trigger/0/id", json!("t1")),
        ("/action/0/trigger/0/data/0/codeFilter/0/code/0/version", json!("2.7")),
        ("/action/1", json!({"title": "another"})),
        ("/effectivePeriod", json!({"start": "2026-01-01", "id": "p"})),
    ];
    for (pointer, value) in changes {
        let mut plan = default_plans().remove(0);
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match plan.pointer_mut(parent).unwrap() {
            serde_json::Value::Array(items) if name == "1" => items.push(value),
            serde_json::Value::Array(items) => items[0] = value,
            other => other[name] = value,
        }
        let again = import(&export(&plan)).unwrap();
        assert!(same(&again, &plan), "{pointer}: {}", export(&plan));
    }
}

#[test]
fn what_is_wrong_is_told_by_line_and_key() {
    for (text, line, key) in [
        ("id = 1", 1, "id"),
        ("id = \"a\"\nunits = \"/min\"", 2, "units"),
        ("id = \"a\"\n\n= 3", 3, ""),
        ("for = \"15 s\"\nclear-for = \"15s\"", 2, "clear-for"),
        ("limit = [\n  { side = \"low\", level = \"red\", comparator = \"<\", value = 1 },\n]", 2, "limit[0].level"),
        ("limit = [\n  { side = \"low\" },\n]", 2, "limit[0]"),
        ("[[limit]]\nside = \"low\"\nlevel = \"warning\"\ncomparator = \"<\"\nvalue = \"1\"", 5, "limit[0].value"),
        ("hysteresis = nan", 1, "hysteresis"),
        ("codes = [{ loinc = 1 }]", 1, "codes[0].loinc"),
        ("codes = []\n[[signal]]\nname = \"a\"", 1, "codes"),
        ("[[signal]]\nname = \"a\"", 1, "signal[0]"),
        ("[test]\nlevel = \"warning\"\nall = [{ compare = { signal = \"a\" } }]", 3, "test.all[0].compare"),
        ("[[case]]\nname = \"a\"\nreading = [[0]]", 3, "case[0].reading[0]"),
        ("effective = { from = \"2026\" }", 1, "effective.from"),
        ("fhir = 1", 1, "fhir"),
        ("fhir-json = \"[]\"", 1, "fhir-json"),
        ("shadow = 2026-01-01", 1, "shadow"),
    ] {
        let fault = import(text).unwrap_err();
        assert_eq!((fault.line, fault.key.as_str()), (line, key), "{text}: {fault}");
    }
}

#[test]
fn every_example_of_the_table_is_read() {
    for form in super::super::form::FORMS {
        let text = if form.key == "signal" { "[[signal]]\nname = \"spo2\"\ncodes = []" } else { form.example };
        import(text).unwrap_or_else(|fault| panic!("{}: {fault}", form.key));
    }
}

#[test]
fn the_schema_stands_in_the_docs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rule.schema.json");
    let now = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), now, "UPDATE_DOCS=1 writes it");
}

fn decimal() -> impl Strategy<Value = serde_json::Value> {
    let text = (-9999_i32..9999, 0_usize..3).prop_map(|(n, digits)| {
        let text = format!("{n}.{:0width$}", 5, width = digits + 1);
        serde_json::from_str(&text).unwrap()
    });
    prop_oneof![text, (-500_i32..500).prop_map(|n| json!(n))]
}

/// A value that the shape may hold.
fn value(shape: super::super::form::Shape) -> BoxedStrategy<serde_json::Value> {
    use super::super::form::{Often, Shape};
    let text = || "[a-zäß\"'\\\\\n ]{1,12}".prop_map(|text| json!(text)).boxed();
    let span = |units: &'static [&'static str]| {
        (1_u32..100, prop::sample::select(units)).prop_map(|(n, unit)| json!(format!("{n} {unit}"))).boxed()
    };
    match shape {
        Shape::Code([]) | Shape::Text => text(),
        Shape::Code(known) => prop::sample::select(known).prop_map(|code| json!(code)).boxed(),
        Shape::Decimal => decimal().boxed(),
        Shape::Count => (1_u32..40).prop_map(|n| json!(n)).boxed(),
        Shape::Flag => any::<bool>().prop_map(|is| json!(is)).boxed(),
        Shape::Duration => span(&["s", "min", "h", "d"]),
        Shape::Time => Just(json!("07:30:00")).boxed(),
        Shape::DateTime => Just(json!("2026-03-01")).boxed(),
        Shape::Coding => {
            prop_oneof![Just(json!({"loinc": "8867-4"})), Just(json!({"system": "urn:x", "code": "a b"}))].boxed()
        }
        Shape::Ages => span(&["a", "mo"]).prop_map(|to| json!({"to": to})).boxed(),
        Shape::Parts(parts) => {
            let all: Vec<_> = parts
                .iter()
                .map(|part| {
                    let one = value(part.shape);
                    let name = part.name.to_owned();
                    let found = match part.often {
                        Often::Once => one.prop_map(Some).boxed(),
                        Often::Maybe => prop::option::of(one).boxed(),
                        Often::Many => prop::collection::vec(one, 1..3).prop_map(|all| Some(json!(all))).boxed(),
                    };
                    found.prop_map(move |value| value.map(|value| (name.clone(), value)))
                })
                .collect();
            all.prop_map(|all| all.into_iter().flatten().collect::<serde_json::Map<_, _>>().into()).boxed()
        }
        Shape::Row(parts) => {
            parts.iter().map(|part| value(part.shape)).collect::<Vec<_>>().prop_map(|all| json!(all)).boxed()
        }
        Shape::Test => Just(
            json!({"level": "warning", "not": {"any": [{"compare": {"signal": "a", "comparator": "<", "value": 1}}]}}),
        )
        .boxed(),
    }
}

proptest! {
    #[test]
    fn any_words_come_back(at in 0..super::super::form::FORMS.len(), seed in any::<u64>()) {
        use super::super::form::{FORMS, Often};
        use proptest::strategy::ValueTree;
        let form = FORMS[at];
        let mut runner = proptest::test_runner::TestRunner::new_with_rng(
            ProptestConfig::default(),
            proptest::test_runner::TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &{
                let mut bytes = [0; 32];
                bytes[..8].copy_from_slice(&seed.to_le_bytes());
                bytes
            }),
        );
        let one = value(form.shape).new_tree(&mut runner).unwrap().current();
        let said = if form.often == Often::Many { json!([one]) } else { one };
        if form.key != "signal" {
            let rule = json!({"id": "a", form.key: said});
            let text = text::write(rule.as_object().unwrap()).unwrap();
            let plan = import(&text).unwrap();
            let short = export(&plan);
            prop_assert!(!short.contains("fhir"), "{short}");
            prop_assert_eq!(text::read(&short).unwrap().value, rule, "{}", short);
            prop_assert!(same(&import(&short).unwrap(), &plan));
        }
    }

    #[test]
    fn no_text_is_too_much(text in "\\PC{0,80}") {
        let _ = import(&text);
    }
}
