use super::super::context::Context;
use super::super::rule::{RuleSet, compile, default_plans};
use super::super::window::{Terms, Window};
use super::*;

static PLAIN: std::sync::LazyLock<Context> = std::sync::LazyLock::new(Context::default);

fn terms(rule: &Rule) -> Terms<'_> {
    Terms { rule, context: &PLAIN }
}

fn rule(id: &str) -> Rule {
    RuleSet::new(default_plans().iter().map(|p| compile(p).unwrap()))
        .rules()
        .iter()
        .find(|r| r.id == id)
        .unwrap()
        .as_ref()
        .clone()
}

/// Plays the values, one a minute, and returns all versions of all episodes in the order of their writing.
fn play(rule: &Rule, code: &str, values: &[f64]) -> Vec<Value> {
    let mut window = Window::default();
    let mut versions: Vec<Value> = Vec::new();
    let refer = |seq: i64| format!("Observation/o{seq}/_history/1");
    for (i, value) in (0_i64..).zip(values) {
        let at = 1_736_121_600_000_000 + i * 60_000_000;
        let sample = Sample { at, value: *value, seq: i, signal: 0, readable: true };
        for transition in window.step(&terms(rule), &sample) {
            let (observation, peak) = (refer(i), transition.peak.map(|p| refer(p.seq)));
            let change =
                Change { rule, transition: &transition, observation: &observation, peak: peak.as_deref(), late: false };
            let key = transition.cause.key(code);
            let open = versions.iter().rev().find(|v| v.pointer("/code/coding/1/code") == Some(&json!(key)));
            let next = match open.filter(|_| transition.kind != Kind::Raise) {
                Some(open) => changed(open, &change),
                None => raised(&Episode {
                    change,
                    onset: &refer(transition.onset.seq),
                    subject: code,
                    patient: "Patient/p1",
                    author: "Device/rule-engine",
                    implicated: Some("Device/m1"),
                    encounter: Some("Encounter/e1"),
                }),
            };
            versions.push(next);
        }
    }
    versions
}

fn heart() -> Vec<Value> {
    play(&rule("limits-8867-4"), "8867-4", &[80.0, 134.0, 140.0, 120.0, 121.0, 90.0, 88.0])
}

fn codes_of(version: &Value) -> Vec<String> {
    let entry = |e: &Value| {
        let roles: Vec<_> =
            e["code"].as_array().unwrap().iter().map(|c| c["coding"][0]["code"].as_str().unwrap()).collect();
        format!("{} {}", e["detail"][0]["reference"].as_str().unwrap(), roles.join(","))
    };
    version["evidence"].as_array().unwrap().iter().map(entry).collect()
}

#[test]
fn an_episode_is_one_resource_with_a_version_for_each_change() {
    let versions = heart();
    let row = |v: &Value| {
        let event = v["extension"].as_array().unwrap().iter().find(|e| is_ours(e, "alert-event")).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        [
            text(&event["extension"][0]["valueCode"]),
            text(&v["status"]),
            text(&v["severity"]),
            extension(v, "alert-lifecycle-state").unwrap().to_owned(),
            extension(v, "alert-level").unwrap().to_owned(),
            extension(v, "alert-priority").unwrap().to_owned(),
            text(&v["detail"]),
        ]
        .join(" | ")
    };
    let expected = [
        "raise | preliminary | high | raised | critical | high | Heart rate high: 140 /min, at or above the critical limit of 131 /min.",
        "deescalate | preliminary | moderate | raised | warning | medium | Heart rate high: 121 /min, no longer critical; the warning limit is 111 /min.",
        "resolve | final | moderate | resolved | warning | medium | Heart rate no longer high: 88 /min (was 140 /min).",
    ];
    assert_eq!(versions.iter().map(row).collect::<Vec<_>>(), expected);
    assert!(versions.iter().all(|v| v["id"] == versions[0]["id"] && v["identifier"] == versions[0]["identifier"]));
    let last = &versions[2];
    assert_eq!(
        last["identifiedPeriod"],
        json!({"start": "2025-01-06T00:01:00.000Z", "end": "2025-01-06T00:06:00.000Z"})
    );
    assert_eq!(last["reference"], "https://vigia.dev/fhir/PlanDefinition/limits-8867-4|1.0.0");
    assert_eq!(last["code"]["text"], "Heart rate high");
    assert_eq!(last["implicated"], json!([{"reference": "Device/m1"}]));
}

#[test]
fn evidence_names_versions_of_observations() {
    let versions = heart();
    let raise = ["Observation/o1/_history/1 onset", "Observation/o2/_history/1 trigger,latest,peak"];
    assert_eq!(codes_of(&versions[0]), raise);
    let resolve = [
        "Observation/o1/_history/1 onset",
        "Observation/o2/_history/1 trigger,peak",
        "Observation/o4/_history/1 change",
        "Observation/o6/_history/1 change,latest",
    ];
    assert_eq!(codes_of(&versions[2]), resolve);
    assert_eq!(evidence::peak(versions[2].get("evidence")), Some(140.0));
}

#[test]
fn a_long_episode_keeps_its_beginning_and_its_peak() {
    let values: Vec<f64> =
        [135.0, 135.0].into_iter().chain((0..60).flat_map(|_| [120.0, 120.0, 133.0, 133.0])).collect();
    let versions = play(&rule("limits-8867-4"), "8867-4", &values);
    let codes = codes_of(versions.last().unwrap());
    assert_eq!((versions.len(), codes.len()), (121, 20));
    assert_eq!(codes[0], "Observation/o0/_history/1 onset,peak");
    assert_eq!(codes[1], "Observation/o1/_history/1 trigger");
    assert!(codes[19].ends_with("change,latest"));
    let count = versions.last().and_then(|v| member(&v["extension"], "alert-evidence-count")).unwrap();
    assert_eq!(count["valueUnsignedInt"], 121);
}

#[test]
fn a_technical_alert_is_low_and_says_nothing_about_the_patient() {
    let versions = play(&rule("limits-59408-5"), "59408-5", &[0.0, 97.0]);
    let texts: Vec<_> = versions.iter().map(|v| v["detail"].as_str().unwrap()).collect();
    assert_eq!(texts, ["SpO2 implausible: 0 % is outside 20 to 100 %.", "SpO2 plausible again: 97 %."]);
    assert_eq!(versions[0]["severity"], "low");
    assert_eq!(extension(&versions[0], "alert-type"), Some("technical"));
    assert_eq!(versions[0]["code"]["coding"][1]["code"], "technical:implausible:59408-5");
    assert_eq!(versions[0]["code"]["coding"][0]["code"], "technical-implausible");
}

#[test]
fn units_are_written_as_on_a_monitor() {
    let versions = play(&rule("limits-8310-5"), "8310-5", &[35.6, 35.555_555_6]);
    assert_eq!(versions[0]["detail"], "Body temperature low: 35.56 °C, at or below the warning limit of 36 °C.");
    let versions = play(&rule("limits-9269-2"), "9269-2", &[8.0, 8.0]);
    assert_eq!(versions[0]["detail"], "Glasgow coma score low: 8, at or below the critical limit of 8.");
}

#[test]
fn an_open_episode_reads_back_and_a_resolved_one_does_not() {
    let versions = heart();
    let open = open_episode(&versions[1]).unwrap();
    let expected = OpenEpisode {
        id: versions[0]["id"].as_str().unwrap().to_owned(),
        patient: "Patient/p1".to_owned(),
        rule_url: "https://vigia.dev/fhir/PlanDefinition/limits-8867-4".to_owned(),
        rule_version: "1.0.0".to_owned(),
        rule_key: "threshold:8867-4:high".to_owned(),
        cause: Cause::Threshold(Side::High),
        level: Level::Warning,
        device: None,
        late: false,
        standing: Standing::Firing,
        onset: 1_736_121_660_000_000,
        changed: 1_736_121_840_000_000,
        peak: Some(140.0),
    };
    assert_eq!(open, expected);
    assert_eq!(open_episode(&versions[2]), None);
    let mut retracted = versions[0].clone();
    retracted["status"] = "entered-in-error".into();
    assert_eq!(open_episode(&retracted), None);
}

#[test]
fn what_others_added_is_carried_on() {
    let rule = rule("limits-8867-4");
    let mut open = heart().swap_remove(0);
    let note = json!({"detail": [{"reference": "Observation/other"}]});
    open["mitigation"] = json!([{"action": {"text": "seen"}}]);
    open["evidence"].as_array_mut().unwrap().push(note.clone());
    let mut window = Window::default();
    let at = |i: i64| Sample { at: i, value: 120.0, seq: i, signal: 0, readable: true };
    window.step(&terms(&rule), &at(1));
    let transition = window.step(&terms(&rule), &at(2)).remove(0);
    let transition = Transition { kind: Kind::Deescalate, from: Level::Critical, ..transition };
    let change = Change {
        rule: &rule,
        transition: &transition,
        observation: "Observation/o9/_history/1",
        peak: Some("Observation/o8/_history/1"),
        late: false,
    };
    let next = changed(&open, &change);
    assert_eq!(next["mitigation"], open["mitigation"]);
    assert!(next["evidence"].as_array().unwrap().contains(&note));
    // The window saw only 120 since a restart; the stored peak of 140 stays.
    assert_eq!(evidence::peak(next.get("evidence")), Some(140.0));
    for odd in [Value::Null, json!([]), json!({"resourceType": "Patient"})] {
        assert_eq!(changed(&odd, &change), odd);
        assert_eq!(open_episode(&odd), None);
    }
    // Total even on a resource whose parts are of the wrong kind.
    let odd = json!({"resourceType": "DetectedIssue", "extension": 1, "evidence": "x", "identifiedPeriod": []});
    assert_eq!(changed(&odd, &change)["status"], "preliminary");
}

#[test]
fn ids_are_stable_sort_by_onset_and_differ_by_cause() {
    let id = |patient, key, onset| episode_id(patient, "https://r", key, "Observation/o1", onset);
    let first = id("Patient/p1", "threshold:8867-4:high", 1_736_121_600_000_000);
    assert_eq!(first, id("Patient/p1", "threshold:8867-4:high", 1_736_121_600_000_000));
    assert_eq!(uuid::Uuid::parse_str(&first).unwrap().get_version_num(), 8);
    assert_eq!(first.get(..13), Some("019438e9-4800"));
    assert!(first < id("Patient/p1", "threshold:8867-4:high", 1_736_121_600_001_000));
    assert_ne!(first, id("Patient/p2", "threshold:8867-4:high", 1_736_121_600_000_000));
    assert_ne!(first, id("Patient/p1", "threshold:8867-4:low", 1_736_121_600_000_000));
    assert!(id("", "", i64::MIN).starts_with("00000000-0000-8"));
}
