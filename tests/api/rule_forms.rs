//! Whole rules of every kind, generated: each is valid, and nothing of it is lost on the way from the short form to a
//! PlanDefinition and back.

use proptest::prelude::*;
use vigia::alert::rule::{compile, toml};

const HEAD: &str =
    "id = \"a\"\nurl = \"urn:a\"\nversion = \"1\"\nstatus = \"active\"\ntitle = \"A\"\nlabel = \"Heart rate\"\n";
const ONE: &str = "codes = [{ loinc = \"8867-4\", display = \"Heart rate\" }, { mdc = \"147842\" }]\nunit = \"/min\"\n";
const TWO: &str = "[[signal]]\nname = \"heart-rate\"\nunit = \"/min\"\ncodes = [{ loinc = \"8867-4\" }]\nfresh = \"1 min\"\n\
                   [[signal]]\nname = \"systolic-pressure\"\nunit = \"mm[Hg]\"\ncodes = [{ loinc = \"8480-6\" }]\n";

const PAIR: &str = "[[signal]]\nname = \"heart-rate\"\nunit = \"/min\"\ncodes = [{ loinc = \"8867-4\" }]\nexcept = [{ loinc = \"8889-8\" }]\n\
                    [[signal]]\nname = \"pulse-rate\"\nunit = \"/min\"\ncodes = [{ loinc = \"8889-8\" }]\n";

/// A number between two whole ones, with any digits after the point.
fn number(from: i32, to: i32) -> BoxedStrategy<String> {
    (from..to, prop_oneof![Just(""), Just(".0"), Just(".5"), Just(".25"), Just(".70")])
        .prop_map(|(whole, rest)| format!("{whole}{rest}"))
        .boxed()
}

fn duration() -> BoxedStrategy<String> {
    (1_u32..90, prop_oneof![Just("s"), Just("min"), Just("h")])
        .prop_map(|(count, unit)| format!("\"{count} {unit}\""))
        .boxed()
}

/// A line, or none.
fn perhaps(line: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    proptest::option::of(line).prop_map(Option::unwrap_or_default).boxed()
}

/// Limits around a middle, more urgent ones further out, and how far inside one is clear of them.
fn limits(middle: i32, lows: bool) -> BoxedStrategy<String> {
    let far = || number(middle + 40, middle + 60);
    let near = || number(middle + 20, middle + 40);
    let less = || number(middle - 40, middle - 20);
    let least = || number(middle - 60, middle - 40);
    let one = |side: &'static str, level: &'static str, equal: bool, value: String| {
        let sign = if side == "high" { ">" } else { "<" };
        let comparator = if equal { format!("{sign}=") } else { sign.to_owned() };
        format!("{{ side = \"{side}\", level = \"{level}\", comparator = \"{comparator}\", value = {value} }}")
    };
    let values = ((far(), near(), less(), least()), any::<[bool; 4]>(), any::<[bool; 4]>());
    let list = values.prop_map(move |((a, b, c, d), there, equal)| {
        let all = [("high", "critical", a), ("high", "warning", b), ("low", "warning", c), ("low", "critical", d)];
        let chosen =
            all.into_iter().zip(there).zip(equal).enumerate().filter_map(|(at, (((side, level, v), there), equal))| {
                (at == 1 || (there && (lows || side == "high"))).then(|| one(side, level, equal, v))
            });
        format!("limit = [{}]\n", chosen.collect::<Vec<_>>().join(", "))
    });
    let clear = prop_oneof![
        Just(String::new()),
        number(0, 9).prop_map(|h| format!("hysteresis = {h}\n")),
        number(middle + 10, middle + 19)
            .prop_map(|v| format!("clear = [{{ side = \"high\", level = \"warning\", value = {v} }}]\n")),
    ];
    (list, clear).prop_map(|(list, clear)| list + &clear).boxed()
}

/// When a level counts.
fn timing() -> BoxedStrategy<String> {
    let damping = (1_u32..=5, 0_u32..=5).prop_map(|(n, more)| format!("n-of-m = {{ n = {n}, m = {} }}\n", n + more));
    let hold = duration().prop_map(|time| format!("for = {time}\n"));
    let clear = duration().prop_map(|time| format!("clear-for = {time}\n"));
    (perhaps(damping), perhaps(hold), perhaps(clear)).prop_map(|(a, b, c)| a + &b + &c).boxed()
}

/// What every rule may say.
fn manners() -> BoxedStrategy<String> {
    let regroup = duration().prop_map(|time| format!("regroup = {time}\n"));
    let late = (2_u32..48).prop_map(|hours| format!("late-after = \"{hours} h\"\n"));
    let latch =
        prop_oneof![Just("none"), Just("warning"), Just("critical")].prop_map(|level| format!("latch = \"{level}\"\n"));
    let shadow = any::<bool>().prop_map(|shadow| format!("shadow = {shadow}\n"));
    let priority = Just(
        "priority = [{ level = \"warning\", priority = \"high\" }, { level = \"critical\", priority = \"high\" }]\n"
            .to_owned(),
    );
    let effective = Just("effective = { start = \"2026-01-01\", end = \"2027-01-01\" }\n".to_owned());
    let words =
        "[a-zA-Zäßé\"\\\\' .]{1,30}[a-z]".prop_map(|text| format!("description = {}\n", serde_json::json!(text)));
    (
        perhaps(regroup),
        perhaps(late),
        perhaps(latch),
        perhaps(shadow),
        perhaps(priority),
        perhaps(effective),
        perhaps(words),
    )
        .prop_map(|(a, b, c, d, e, f, g)| [a, b, c, d, e, f, g].concat())
        .boxed()
}

/// A rule of one value, or of what is derived from it.
fn of_limits() -> BoxedStrategy<String> {
    let plausible = Just("plausible = { low = 10, high = 300 }\n".to_owned());
    let of_value = (perhaps(plausible), limits(90, true)).prop_map(|(plausible, limits)| plausible + &limits);
    let gauge = |text: BoxedStrategy<String>| {
        (text, limits(0, true)).prop_map(|(gauge, limits)| format!("gauge = {{ {gauge} }}\n{limits}"))
    };
    let rate =
        (duration(), duration()).prop_map(|(window, per)| format!("kind = \"rate\", window = {window}, per = {per}"));
    let change = duration().prop_map(|window| format!("kind = \"change\", window = {window}"));
    let slope =
        (duration(), duration()).prop_map(|(memory, per)| format!("kind = \"slope\", memory = {memory}, per = {per}"));
    let flat = (perhaps(number(0, 5).prop_map(|t| format!(", tolerance = {t}"))), limits(600, false))
        .prop_map(|(tolerance, limits)| format!("gauge = {{ kind = \"flat\"{tolerance} }}\n{limits}"));
    let daily = prop_oneof![Just("lowest"), Just("highest"), Just("mean")].prop_map(|pick| {
        format!(", daily = {{ from = \"22:00:00\", to = \"06:00:00\", zone = \"Europe/Madrid\", pick = \"{pick}\" }}")
    });
    let usual = (1_u32..30, 2_u32..60, perhaps(daily), limits(0, true)).prop_map(|(days, warm_up, daily, limits)| {
        format!(
            "gauge = {{ kind = \"deviation\", method = \"ewma\", memory = \"{days} d\", warm-up = {warm_up}{daily} }}\n\
                 back-tested = {{ date = \"2026-03-01\", report = \"0.2 raises a patient-day\" }}\n{limits}"
        )
    });
    let one = prop_oneof![of_value, gauge(rate.boxed()), gauge(change.boxed()), gauge(slope.boxed()), flat, usual];
    let one = one.prop_map(|lines| format!("{ONE}{lines}"));
    (one, timing()).prop_map(|(lines, timing)| lines + &timing).boxed()
}

/// Tests of two signals, joined in any way.
fn of_tests() -> BoxedStrategy<String> {
    let compare = |signal: &'static str| {
        let sign = prop_oneof![Just(">"), Just(">="), Just("<"), Just("<=")];
        (sign, number(20, 200)).prop_map(move |(sign, value)| {
            format!("{{ compare = {{ signal = \"{signal}\", comparator = \"{sign}\", value = {value} }} }}")
        })
    };
    let leaf = prop_oneof![compare("heart-rate"), compare("systolic-pressure")];
    let tree = leaf.prop_recursive(3, 12, 3, |inner| {
        let many = proptest::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            inner.prop_map(|test| format!("{{ not = {test} }}")),
            (any::<bool>(), many).prop_map(|(all, tests)| {
                format!("{{ {} = [{}] }}", if all { "all" } else { "any" }, tests.join(", "))
            }),
        ]
    });
    let whole = (compare("heart-rate"), compare("systolic-pressure"), tree, prop_oneof![Just("all"), Just("any")]);
    let test =
        whole.prop_map(|(a, b, tree, join)| format!("test = {{ level = \"warning\", {join} = [{a}, {b}, {tree}] }}\n"));
    (test, timing()).prop_map(|(test, timing)| test + &timing).boxed()
}

fn rule() -> BoxedStrategy<String> {
    let settle = || perhaps((1_u32..60).prop_map(|seconds| format!("settle = \"{seconds} s\"\n")));
    let difference = (limits(0, true), timing(), settle())
        .prop_map(|(limits, timing, settle)| format!("gauge = {{ kind = \"difference\" }}\n{limits}{timing}{settle}"));
    let missing = (duration(), prop_oneof![Just("signal"), Just("device")]).prop_map(|(after, per)| {
        format!("{ONE}stale-after = {{ after = {after}, per = \"{per}\", level = \"warning\" }}\n")
    });
    let score = settle().prop_map(|settle| format!("score = \"shock-index\"\n{settle}"));
    let joint = prop_oneof![(of_tests(), settle()).prop_map(|(lines, settle)| lines + &settle), score];
    let one = prop_oneof![of_limits(), missing].prop_map(|lines| (lines, ""));
    let two = prop_oneof![joint.prop_map(|lines| (lines, TWO)), difference.prop_map(|lines| (lines, PAIR))];
    (prop_oneof![3 => one.boxed(), 2 => two.boxed()], manners())
        .prop_map(|((lines, signals), manners)| format!("{HEAD}{manners}{lines}{signals}"))
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rule_comes_back_whole(text in rule()) {
        let plan = toml::import(&text).map_err(|fault| TestCaseError::fail(format!("{fault}\n{text}")))?;
        let compiled = compile(&plan).map_err(|issues| TestCaseError::fail(format!("{issues:?}\n{text}")))?;
        let checked = fhir_r4::check(plan.clone());
        prop_assert!(checked.is_ok(), "{:?}\n{}", checked.err(), text);
        let short = toml::export(&plan);
        let again = toml::import(&short).map_err(|fault| TestCaseError::fail(format!("{fault}\n{short}")))?;
        prop_assert_eq!(&again, &plan, "{}", short);
        prop_assert_eq!(toml::export(&again), short);
        prop_assert!(compiled == compile(&again).unwrap());
    }
}
