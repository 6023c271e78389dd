//! Any query string made of what exists (types, parameters, modifiers, chains, values) is answered: found or
//! refused, never a failure of ours.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use vigia::fhir::params;

use crate::helpers::TestApp;

const KINDS: [&str; 8] =
    ["Observation", "Patient", "Encounter", "AuditEvent", "Questionnaire", "MolecularSequence", "List", "ValueSet"];
const MODIFIERS: [&str; 16] = [
    "",
    "",
    "",
    ":missing",
    ":exact",
    ":contains",
    ":text",
    ":not",
    ":above",
    ":below",
    ":in",
    ":not-in",
    ":of-type",
    ":identifier",
    ":Patient",
    ":é",
];
const VALUES: [&str; 26] = [
    "true",
    "false",
    "x",
    "urn:s|x",
    "|x",
    "urn:s|",
    "|",
    "a|b|c",
    "Patient/1",
    "1",
    "http://x.test/y|2",
    "2026",
    "ge2026-01-01",
    "ap2026-01-01T00:00:00Z",
    "0000",
    "9999-12-31T23:59:60Z",
    "5.40",
    "gt5||Cel",
    "1e308|http://unitsofmeasure.org|kPa",
    "-1e-320",
    "a$b",
    "x$gt5||Cel",
    "1$2$3",
    "\\",
    "\\,\\$",
    "%_'\"\u{10FFFF}",
];

fn value() -> impl Strategy<Value = String> {
    let known = prop::sample::select(VALUES.to_vec()).prop_map(str::to_owned);
    prop_oneof![6 => known.clone(), 2 => prop::collection::vec(known, 2..4).prop_map(|all| all.join(",")), 1 => ".{0,20}"]
}

/// A parameter of the type, plain, sorted by, or below a chain.
fn pair(kind: &'static str) -> impl Strategy<Value = (String, String)> {
    let names: Vec<&'static str> = params::of(kind).iter().map(|p| p.name).collect();
    let chains = vec![
        "patient.",
        "subject:Patient.",
        "_has:Observation:patient:",
        "_has:AuditEvent:entity:",
        "encounter.patient.",
        "_has:List:item:",
    ];
    let plain = (prop::sample::select(names.clone()), prop::sample::select(MODIFIERS.to_vec()), value())
        .prop_map(|(name, modifier, value)| (format!("{name}{modifier}"), value));
    let chained = (
        prop::sample::select(chains),
        prop::sample::select(names.clone()),
        prop::sample::select(MODIFIERS.to_vec()),
        value(),
    )
        .prop_map(|(chain, name, modifier, value)| (format!("{chain}{name}{modifier}"), value));
    let sorted = prop::collection::vec((prop::sample::select(names), any::<bool>()), 1..4).prop_map(|keys| {
        let keys: Vec<String> =
            keys.iter().map(|(name, down)| format!("{}{name}", if *down { "-" } else { "" })).collect();
        ("_sort".to_owned(), keys.join(","))
    });
    let result = (prop::sample::select(vec!["_count", "_total", "_cursor", "_list"]), value())
        .prop_map(|(n, v)| (n.to_owned(), v));
    prop_oneof![8 => plain, 4 => chained, 2 => sorted, 1 => result]
}

#[tokio::test(flavor = "multi_thread")]
async fn any_query_is_answered_or_refused() {
    let app = TestApp::start().await;
    let gateway = app.gateway();
    super::search::store(&gateway, &super::chain::resources()).await;
    let mut runner = TestRunner::new(Config::default());
    let query = prop::sample::select(KINDS.to_vec())
        .prop_flat_map(|kind| (Just(kind), prop::collection::vec(pair(kind), 1..4)));
    for _ in 0..600 {
        let (kind, pairs) = query.new_tree(&mut runner).unwrap().current();
        let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let reply = gateway.get(&format!("/fhir/{kind}?{text}")).await;
        assert!([200, 400].contains(&reply.status), "{kind} {pairs:?}: {}", reply.text());
    }
    app.stop().await;
}
