use super::super::rule::{compile, default_plans};
use super::*;
use crate::error::Error;
use crate::fhir::OURS;

const NOW: i64 = 1_736_121_600_000_000;
const MINUTE: i64 = 60_000_000;

fn alert(level: &str) -> Value {
    let url = |name: &str| format!("{OURS}/StructureDefinition/{name}");
    let issue = json!({
        "resourceType": "DetectedIssue", "id": "a", "status": "preliminary",
        "identifiedPeriod": {"start": time::instant(NOW)},
        "extension": [{"url": url("alert-level"), "valueCode": level}]
    });
    sounds_now(&Policy::default(), issue, NOW)
}

fn nurse() -> Actor {
    Actor { system: "urn:vigia:user", id: "u1".to_owned(), person: true }
}

fn act(issue: &Value, act: &str, minute: i64) -> Result<Value, Error> {
    let reason = "seen at the bed".to_owned();
    let (name, rest) = act.split_once(' ').unwrap_or((act, ""));
    let act = match name {
        "acknowledge" => Act::Acknowledge { note: None },
        "escalate" => Act::Escalate { reason },
        "resolve" => Act::Resolve { reason },
        "silence" => {
            let minutes: i64 = rest.trim_end_matches('!').parse().unwrap();
            Act::Silence { reason, until: NOW + minutes * MINUTE, critical: rest.ends_with('!') }
        }
        _ => unreachable!(),
    };
    apply(issue, &act, &nurse(), &Policy::default(), NOW + minute * MINUTE)
}

fn change(issue: &Value, kind: Kind, to: &str, minute: i64) -> Value {
    let plan = default_plans().into_iter().find(|plan| plan["id"] == "limits-8867-4").unwrap();
    let rule = Rule { latch: Some(Level::Critical), ..compile(&plan).unwrap() };
    let sample = super::super::window::Sample { at: NOW, value: 1.0, seq: 1, signal: 0, readable: true };
    let (from, to) = match kind {
        Kind::Resolve => (Level::from_code(to).unwrap(), Level::None),
        _ => (Level::Warning, Level::from_code(to).unwrap()),
    };
    let cause = Cause::Threshold(super::super::rule::Side::High);
    let transition = Transition { cause, at: NOW, from, to, kind, sample, limit: None, onset: sample, peak: None };
    let mut next = issue.as_object().unwrap().clone();
    // As `issue::changed` leaves it.
    if kind == Kind::Resolve {
        next.insert("status".to_owned(), "final".into());
        next["identifiedPeriod"]["end"] = time::instant(NOW).into();
        set_state(&mut next, State::Resolved);
    } else {
        extend(&mut next, "alert-level", "valueCode", to.code().into());
        if kind != Kind::Deescalate {
            set_state(&mut next, State::Raised);
        }
    }
    after_change(&Policy::default(), Some(issue), next.into(), &rule, &transition, NOW + minute * MINUTE)
}

/// State, status, steps done, and what is due in how many minutes from the beginning.
fn tell(issue: &Value) -> String {
    let step = member(&issue["extension"], "alert-escalation-step").map_or(json!(0), |e| e["valueUnsignedInt"].clone());
    let timer = member(&issue["extension"], "alert-due").and_then(|e| part(e, "what")?.get("valueCode")?.as_str());
    let due = due(issue).map(|at| (at - NOW) / MINUTE);
    let state = State::of(issue).unwrap().code();
    let status = issue["status"].as_str().unwrap();
    match (timer, due) {
        (Some(timer), Some(due)) => format!("{state} {status} {step} {timer}@{due}"),
        _ => format!("{state} {status} {step}"),
    }
}

#[test]
fn stories() {
    // level; then steps: minute and what happens, and what stands after it
    type Story<'s> = (&'s str, &'s [(i64, &'s str, &'s str)]);
    let stories: &[Story<'_>] = &[
        (
            "critical",
            &[
                (1, "time", "raised preliminary 0 escalation-step@2"),
                (2, "time", "escalated preliminary 1 escalation-step@5"),
                (5, "time", "escalated preliminary 2"),
                (6, "acknowledge", "acknowledged preliminary 2 ack-timeout@21"),
                (21, "time", "raised preliminary 0 escalation-step@23"),
                (22, "over critical", "latched preliminary 0 escalation-step@23"),
                (23, "time", "latched preliminary 1 escalation-step@26"),
                (24, "acknowledge", "resolved final 1"),
            ],
        ),
        (
            "warning",
            &[
                (0, "silence 30", "suppressed preliminary 0 silence-end@30"),
                (5, "less warning", "suppressed preliminary 0 silence-end@30"),
                (9, "worse critical", "raised preliminary 0 escalation-step@11"),
                (10, "silence 60!", "suppressed preliminary 0 silence-end@60"),
                (12, "worse critical", "suppressed preliminary 0 silence-end@60"),
                (13, "over critical", "latched preliminary 0 escalation-step@62"),
                (14, "resolve", "resolved final 0"),
            ],
        ),
        (
            "warning",
            &[
                (0, "acknowledge", "acknowledged preliminary 0 ack-timeout@60"),
                (1, "silence 20", "suppressed preliminary 0 silence-end@20"),
                (20, "time", "acknowledged preliminary 0 ack-timeout@80"),
                (30, "escalate", "escalated preliminary 1"),
                (31, "over warning", "resolved final 1"),
            ],
        ),
        ("technical", &[(0, "acknowledge", "acknowledged preliminary 0"), (9, "over warning", "resolved final 0")]),
    ];
    for (level, story) in stories {
        let mut issue = alert(level);
        for (minute, what, expected) in *story {
            issue = match what.split_once(' ') {
                None if *what == "time" => {
                    on_due(&issue, &Policy::default(), NOW + minute * MINUTE).map_or(issue, |next| next.issue)
                }
                Some(("over", level)) => change(&issue, Kind::Resolve, level, *minute),
                Some(("worse", level)) => change(&issue, Kind::Escalate, level, *minute),
                Some(("less", level)) => change(&issue, Kind::Deescalate, level, *minute),
                _ => act(&issue, what, *minute).unwrap(),
            };
            assert_eq!(tell(&issue), *expected, "{level}, minute {minute}: {what}");
        }
    }
}

#[test]
fn what_cannot_be_done_is_refused() {
    let latched = change(&alert("critical"), Kind::Resolve, "critical", 1);
    let over = change(&alert("warning"), Kind::Resolve, "warning", 1);
    let seen = act(&alert("warning"), "acknowledge", 1).unwrap();
    let table = [
        (alert("critical"), "silence 10", 422),
        (alert("warning"), "silence 0", 422),
        (alert("warning"), "silence 721", 422),
        (latched.clone(), "silence 10!", 409),
        (latched, "escalate", 409),
        (over.clone(), "acknowledge", 409),
        (over, "resolve", 409),
        (seen, "acknowledge", 409),
        (json!({"resourceType": "DetectedIssue"}), "acknowledge", 409),
    ];
    for (issue, what, status) in table {
        assert_eq!(act(&issue, what, 0).unwrap_err().view().status, status, "{what}");
    }
}

#[test]
fn each_act_is_a_mitigation() {
    let silenced = act(&act(&alert("warning"), "acknowledge", 1).unwrap(), "silence 30", 2).unwrap();
    let all = silenced["mitigation"].as_array().unwrap();
    let codes: Vec<_> = all.iter().map(|m| m["action"]["coding"][0]["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["acknowledge", "silence"]);
    assert_eq!(all[1]["author"]["identifier"], json!({"system": "urn:vigia:user", "value": "u1"}));
    assert_eq!(all[1]["extension"][0]["valueInstant"], time::instant(NOW + 30 * MINUTE));
    fhir_r4::check(provenance("a", 2, "silence", &nurse().reference(), NOW)).unwrap();
    fhir_r4::check(audit_event("a", 2, "silence", &nurse().reference(), NOW)).unwrap();
}

#[test]
fn a_course_is_gone_through_so_often() {
    let step = |delay| Step { delay, targets: vec![] };
    let course = Course { steps: vec![step(2), step(5)], loops: 1, ack_timeout: None };
    let delays: Vec<_> = (0..5).map(|done| course.step(done).map(|(_, delay)| delay)).collect();
    assert_eq!(delays, [Some(2), Some(5), Some(7), Some(10), None]);
    assert_eq!(Course::default().step(0), None);
}
