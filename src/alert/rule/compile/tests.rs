use proptest::prelude::*;
use serde_json::json;

use super::super::{Comparator, Condition, Damping, Gauge, Limit, Plausible, default_plans};
use super::*;
use crate::fhir::OURS;

fn plan() -> Value {
    default_plans().into_iter().find(|plan| plan["id"] == "limits-8867-4").unwrap()
}

#[test]
fn a_plan_becomes_a_rule() {
    let rule = compile(&plan()).unwrap();
    assert_eq!(rule.canonical(), "https://vigia.dev/fhir/PlanDefinition/limits-8867-4|1.0.0");
    assert_eq!((rule.label.as_str(), rule.unit(), rule.active), ("Heart rate", "/min", true));
    assert_eq!(rule.timing.damping, Damping { n: 2, m: 2 });
    assert_eq!(rule.plausible(), Some(Plausible { low: 10.0, high: 300.0 }));
    assert_eq!(rule.signals[0].codes[0], ("http://loinc.org".to_owned(), "8867-4".to_owned()));
    let Condition::Limits { gauge: Gauge::Value, limits } = &rule.condition else { panic!("{rule:?}") };
    let limit = Limit { comparator: Comparator::AtOrAbove, value: 131.0, clear: 128.0 };
    assert_eq!(limits.high.get(Level::Critical), Some(limit));
    assert!((limits.low.get(Level::Warning).unwrap().clear - 53.0).abs() < 1e-9);
}

/// Changes one element of the plan; the first problem must name it.
#[test]
fn a_bad_plan_is_refused_by_the_name_of_the_element() {
    let limit = "/action/0/extension/1/extension";
    let ours = |name: &str| format!("{OURS}/StructureDefinition/{name}");
    let cases: [(&str, Value, &str); 21] = [
        ("/resourceType", json!("Patient"), "PlanDefinition"),
        ("/status", json!("on"), "PlanDefinition.status"),
        ("/url", json!(""), "PlanDefinition.url"),
        ("/url", json!("https://a|1"), "PlanDefinition.url"),
        ("/version", Value::Null, "PlanDefinition.version"),
        ("/type", json!({"coding": [{"code": "order-set"}]}), "PlanDefinition.type"),
        ("/action", json!([]), "PlanDefinition.action"),
        ("/action", json!([{}, {}]), "PlanDefinition.action"),
        ("/action/0/trigger/0/type", json!("periodic"), "PlanDefinition.action[0].trigger[0].type"),
        ("/action/0/trigger/0/data/0/type", json!("Patient"), "PlanDefinition.action[0].trigger[0].data[0].type"),
        (
            "/action/0/trigger/0/data/0/codeFilter/0/code",
            json!([]),
            "PlanDefinition.action[0].trigger[0].data[0].codeFilter[0].code",
        ),
        (
            "/action/0/trigger/0/data/0/codeFilter/0/path",
            json!("category"),
            "PlanDefinition.action[0].trigger[0].data[0].codeFilter[0].path",
        ),
        ("/action/0/extension/0/valueCode", json!(1), "PlanDefinition.action[0].extension[0].valueCode"),
        ("/action/0/extension/0/url", json!(ours("alert-latched")), "PlanDefinition.action[0].extension[0].url"),
        ("/action/0/extension/0/url", json!(ours("alert-limit")), "PlanDefinition.action[0].extension[0].extension"),
        (
            &format!("{limit}/0/valueCode"),
            json!("left"),
            "PlanDefinition.action[0].extension[1].extension[0].valueCode",
        ),
        (&format!("{limit}/1/valueCode"), json!("red"), "PlanDefinition.action[0].extension[1].extension[1].valueCode"),
        (&format!("{limit}/2/valueCode"), json!(">="), "PlanDefinition.action[0].extension[1].extension[2].valueCode"),
        (
            &format!("{limit}/3/valueDecimal"),
            json!("40"),
            "PlanDefinition.action[0].extension[1].extension[3].valueDecimal",
        ),
        (&format!("{limit}/3/valueDecimal"), json!(4), "PlanDefinition.action[0].extension[1]"),
        (&format!("{limit}/3/valueDecimal"), json!(60), "PlanDefinition.action[0].extension"),
    ];
    for (pointer, value, place) in cases {
        let mut plan = plan();
        *plan.pointer_mut(pointer).unwrap() = value.clone();
        let issues = compile(&plan).unwrap_err();
        assert_eq!(issues[0].expression, place, "{pointer} = {value}: {issues:?}");
    }
}

#[test]
fn what_would_not_be_obeyed_is_refused() {
    for (parent, name) in [("", "useContext"), ("/action/0/trigger/0", "condition"), ("/action/0", "action")] {
        let mut plan = plan();
        plan.pointer_mut(parent).unwrap()[name] = json!([]);
        let issues = compile(&plan).unwrap_err();
        assert_eq!((issues[0].code, issues[0].expression.ends_with(name)), ("not-supported", true), "{issues:?}");
    }
}

#[test]
fn n_of_m_and_hysteresis_are_optional_and_checked() {
    let set = |n: Value, m: Value| {
        let mut plan = plan();
        let list = plan.pointer_mut("/action/0/extension").unwrap().as_array_mut().unwrap();
        list.retain(|e| !e["url"].as_str().unwrap().ends_with("n-of-m"));
        if n != Value::Null {
            list.push(json!({"url": format!("{OURS}/StructureDefinition/alert-n-of-m"), "extension": [
                {"url": "n", "valuePositiveInt": n}, {"url": "m", "valuePositiveInt": m}]}));
        }
        compile(&plan).map(|rule| rule.timing.damping)
    };
    assert_eq!(set(Value::Null, Value::Null), Ok(Damping::SINGLE));
    assert_eq!(set(json!(2), json!(3)), Ok(Damping { n: 2, m: 3 }));
    for (n, m) in [(json!(3), json!(2)), (json!(0), json!(1)), (json!(1), json!(33)), (json!(1.5), json!(2))] {
        assert!(set(n, m).is_err());
    }
}

/// Every place in the plan, so that any of them can be broken.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(object) => object.iter().for_each(|(name, v)| pointers(v, &format!("{at}/{name}"), all)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| pointers(v, &format!("{at}/{i}"), all)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn any_plan_compiles_or_says_why(at in any::<prop::sample::Index>()) {
        let mut plan = plan();
        let mut all = Vec::new();
        pointers(&plan, "", &mut all);
        let junk = [Value::Null, json!(""), json!([]), json!({}), json!(-1e300), json!(true), json!([{}]), json!("x")];
        let pick = at.index(junk.len() * all.len());
        *plan.pointer_mut(&all[pick % all.len()]).unwrap() = junk[pick / all.len()].clone();
        if let Err(issues) = compile(&plan) {
            prop_assert!(!issues.is_empty());
        }
    }
}

/// A rule in the short form, with these lines instead of its limit.
fn short(lines: &str) -> Result<Rule, Vec<Issue>> {
    let head = "id = \"a\"\nurl = \"urn:a\"\nversion = \"1\"\nstatus = \"active\"\nlabel = \"Heart rate\"\n";
    compile(&super::super::toml::import(&format!("{head}{lines}")).unwrap())
}

const CODES: &str = "codes = [{ loinc = \"8867-4\" }]\nunit = \"/min\"\n";
const HIGH: &str = "limit = [{ side = \"high\", level = \"critical\", comparator = \">\", value = 130 }]\n";
const TWO: &str = "[[signal]]\nname = \"a\"\nunit = \"/min\"\ncodes = [{ loinc = \"8867-4\" }]\n\
                   [[signal]]\nname = \"b\"\nunit = \"/min\"\ncodes = [{ loinc = \"8889-8\" }]\n";

#[test]
fn every_part_of_a_rule_is_filled() {
    let rule = short(&format!(
        "{CODES}{HIGH}for = \"15 s\"\nclear-for = \"1 min\"\nregroup = \"5 min\"\nlate-after = \"4 h\"\nlatch = \"none\"\n\
         shadow = true\nclear = [{{ side = \"high\", level = \"critical\", value = 120 }}]\n\
         priority = [{{ level = \"warning\", priority = \"high\" }}]\neffective = {{ start = \"2026-01-01\" }}\n\
         fhirpath = \"component.count()\"\n\
         gauge = {{ kind = \"slope\", memory = \"30 min\", per = \"1 h\" }}"
    ))
    .unwrap();
    let second = 1_000_000;
    let timing = rule.timing;
    assert_eq!((timing.hold, timing.clear_hold, timing.regroup), (15 * second, 60 * second, 300 * second));
    assert_eq!((timing.late_after, rule.latch, rule.shadow), (4 * 3600 * second, None, true));
    assert_eq!(rule.priority(Level::Warning).code(), "high");
    assert_eq!(rule.gauge(), Some(Gauge::Slope { memory: 1800 * second, per: 3600 * second }));
    assert!(rule.is_effective(time::range("2026-01-01").unwrap().start) && !rule.is_effective(0));
    assert_eq!(rule.signals[0].path.as_ref().map(fhir_r4::NumberPath::text), Some("component.count()"));
    let Condition::Limits { limits, .. } = &rule.condition else { panic!("{rule:?}") };
    assert!((limits.high.get(Level::Critical).unwrap().clear - 120.0).abs() < 1e-9);
    assert_eq!(short(&format!("{CODES}{HIGH}")).unwrap().latch, Some(Level::Critical));

    let aged = HIGH.replace("]\n", ", { side = \"high\", level = \"critical\", comparator = \">\", value = 180, age = { from = \"1 mo\", to = \"1 a\" } }]\n");
    let ages = short(&format!("{CODES}{aged}")).unwrap().ages;
    assert_eq!(ages.iter().map(|band| (band.from, band.to)).collect::<Vec<_>>(), [(30, 365)]);
    let test = "test = { level = \"warning\", all = [{ compare = { signal = \"a\", comparator = \">\", value = 1 } }, \
                { not = { compare = { signal = \"b\", comparator = \">\", value = 1 } } }] }\nsettle = \"5 s\"\n";
    assert!(matches!(short(&format!("{test}{TWO}")).unwrap().condition, Condition::Compound { .. }));
    let missing = "stale-after = { after = \"10 min\", per = \"signal\", level = \"warning\" }\n";
    let rule = short(&format!("{CODES}{missing}")).unwrap();
    assert_eq!((rule.nature, rule.latch), (Nature::Technical, None));
}

#[test]
fn what_contradicts_itself_is_refused_where_it_stands() {
    let usual = "gauge = { kind = \"deviation\", method = \"ewma\", memory = \"7 d\", warm-up = 7 }\n";
    let missing = "stale-after = { after = \"10 min\", per = \"signal\", level = \"warning\" }\n";
    let action = "PlanDefinition.action[0]";
    let mut wrong = Vec::new();
    for (lines, place) in [
        (CODES.to_owned(), "extension"),
        (format!("{CODES}{HIGH}gauge = {{ kind = \"rate\", window = \"1 min\" }}"), "extension[2].extension"),
        (
            format!("{CODES}{HIGH}gauge = {{ kind = \"change\", window = \"0 s\" }}"),
            "extension[2].extension[1].valueDuration",
        ),
        (format!("{CODES}{HIGH}gauge = {{ kind = \"flat\", per = \"1 s\" }}"), "extension[2].extension[1]"),
        (format!("{CODES}{HIGH}gauge = {{ kind = \"difference\" }}"), "trigger[0].data"),
        (format!("{CODES}{HIGH}for = \"3 mo\""), "extension[2].valueDuration.code"),
        (format!("{CODES}{HIGH}settle = \"1 s\""), "extension[2].url"),
        (format!("{CODES}{HIGH}fresh = \"1 s\""), "extension[1].url"),
        (format!("{CODES}{HIGH}{missing}"), "extension[1].url"),
        (format!("{CODES}{missing}for = \"1 s\""), "extension[2].url"),
        (format!("{CODES}{missing}score = \"news2\""), "extension[1]"),
        (format!("{CODES}{missing}kind = \"advisory\""), "extension[2].valueCode"),
        (format!("{CODES}{HIGH}kind = \"technical\""), "extension[2].valueCode"),
        (format!("{CODES}{HIGH}kind = \"advisory\""), "extension[2].valueCode"),
        (format!("{CODES}{HIGH}late-after = \"1 s\""), "extension[2]"),
        (format!("{CODES}{HIGH}priority = [{{ level = \"critical\", priority = \"low\" }}]"), "extension[2]"),
        (
            format!("{CODES}{HIGH}hysteresis = 1\nclear = [{{ side = \"high\", level = \"critical\", value = 120 }}]"),
            "extension[3]",
        ),
        (format!("{CODES}{HIGH}clear = [{{ side = \"high\", level = \"critical\", value = 140 }}]"), "extension[2]"),
        (format!("{CODES}{HIGH}clear = [{{ side = \"low\", level = \"critical\", value = 40 }}]"), "extension[2]"),
        (format!("{CODES}{HIGH}fhirpath = \"component.(\""), "condition[0].expression.expression"),
        (format!("{HIGH}{TWO}"), "trigger[0].data"),
        (format!("{HIGH}unit = \"/min\"\n{TWO}"), "extension[0].url"),
        (format!("score = \"news2\"\n{TWO}"), "trigger[0].data[0].extension"),
        (
            format!(
                "test = {{ level = \"warning\", compare = {{ signal = \"a\", comparator = \">\", value = 1 }} }}\n{TWO}"
            ),
            "extension[0].extension[1]",
        ),
        (
            format!(
                "test = {{ level = \"warning\", compare = {{ signal = \"c\", comparator = \">\", value = 1 }} }}\n{TWO}"
            ),
            "extension[0].extension[1].extension[0].valueCode",
        ),
    ] {
        let issues = short(&lines).unwrap_err();
        if issues[0].expression != format!("{action}.{place}") {
            wrong.push(format!("{lines}: {issues:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let refused = short(&format!("{CODES}{HIGH}{usual}")).unwrap_err();
    assert_eq!(refused[0].expression, "PlanDefinition.status");
    let tried = "back-tested = { date = \"2026-03-01\", report = \"good\" }\n";
    assert!(short(&format!("{CODES}{HIGH}{usual}{tried}")).unwrap().active);
    let period = short(&format!("{CODES}{HIGH}effective = {{ start = \"2026\", end = \"2025\" }}")).unwrap_err();
    assert_eq!(period[0].expression, "PlanDefinition.effectivePeriod");
}
