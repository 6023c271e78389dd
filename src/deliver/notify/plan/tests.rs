use serde_json::json;

use super::*;
use crate::config::alert::{Course, Escalation, Step};
use crate::fhir::time;

fn extension(name: &str, value_name: &str, value: &Value) -> Value {
    json!({"url": format!("https://vigia.dev/fhir/StructureDefinition/{name}"), value_name: value})
}

fn alert(state: &str, severity: &str, step: u32) -> Value {
    let level = if severity == "high" { "critical" } else { "warning" };
    json!({"resourceType": "DetectedIssue", "severity": severity, "extension": [
        extension("alert-lifecycle-state", "valueCode", &json!(state)),
        extension("alert-level", "valueCode", &json!(level)),
        extension("alert-escalation-step", "valueUnsignedInt", &json!(step)),
    ]})
}

fn with(mut alert: Value, name: &str) -> Value {
    alert["extension"].as_array_mut().unwrap().push(extension(name, "valueBoolean", &json!(true)));
    alert
}

#[test]
fn what_is_new_about_an_alert() {
    let raised = || alert("raised", "moderate", 0);
    let table = [
        (None, raised(), Some(Occasion::Raised)),
        (None, alert("resolved", "moderate", 0), None),
        (None, alert("suppressed", "low", 0), None),
        (None, with(raised(), "alert-late"), None),
        (None, with(raised(), "alert-shadow"), None),
        (Some(with(raised(), "alert-late")), raised(), Some(Occasion::Raised)),
        (Some(raised()), raised(), None),
        (Some(raised()), alert("raised", "high", 0), Some(Occasion::Worse)),
        (Some(alert("raised", "high", 0)), raised(), None),
        (Some(raised()), alert("acknowledged", "moderate", 0), None),
        (Some(raised()), alert("suppressed", "high", 0), None),
        (Some(alert("suppressed", "moderate", 0)), alert("raised", "high", 0), Some(Occasion::Worse)),
        (Some(alert("suppressed", "moderate", 0)), raised(), Some(Occasion::Again)),
        (Some(alert("acknowledged", "moderate", 0)), raised(), Some(Occasion::Again)),
        (Some(raised()), alert("escalated", "moderate", 1), Some(Occasion::Escalated(1))),
        (Some(alert("escalated", "moderate", 1)), alert("escalated", "moderate", 2), Some(Occasion::Escalated(2))),
        (Some(alert("escalated", "moderate", 1)), alert("escalated", "moderate", 1), None),
        (Some(raised()), alert("latched", "moderate", 0), None),
        (Some(alert("latched", "high", 0)), alert("latched", "high", 1), Some(Occasion::Escalated(1))),
        (Some(raised()), alert("resolved", "moderate", 0), Some(Occasion::Resolved)),
        (Some(raised()), alert("retracted", "moderate", 0), None),
        (Some(alert("resolved", "moderate", 0)), alert("resolved", "moderate", 0), None),
        (Some(alert("resolved", "moderate", 0)), raised(), Some(Occasion::Raised)),
    ];
    for (previous, next, expected) in table {
        assert_eq!(occasion(previous.as_ref(), &next), expected, "{previous:?} {next}");
    }
}

fn recipient(name: &str) -> Recipient {
    Recipient { name: name.to_owned(), ..Recipient::default() }
}

fn names<'r>(all: &[&'r Recipient]) -> Vec<&'r str> {
    all.iter().map(|recipient| recipient.name.as_str()).collect()
}

#[test]
fn who_hears_of_it() {
    let text = |text: &str| vec![text.to_owned()];
    let all = [
        Recipient { first: true, wards: text("Location/icu"), resolved: true, ..recipient("icu") },
        Recipient { first: true, at_least: AtLeast::Critical, ..recipient("critical") },
        Recipient { first: true, at_least: AtLeast::All, ..recipient("log") },
        Recipient { roles: text("charge-nurse"), wards: text("Location/icu"), ..recipient("icu nurse") },
        Recipient { roles: text("charge-nurse"), wards: text("Location/er"), ..recipient("er nurse") },
        Recipient { persons: text("Practitioner/ruiz"), ..recipient("ruiz") },
        Recipient { fallback: true, ..recipient("desk") },
    ];
    let (icu, nowhere) = (text("Location/icu"), vec![]);
    let role = [Target::Role("charge-nurse".to_owned())];
    let ward = [Target::Ward("Location/er".to_owned()), Target::Person("Practitioner/ruiz".to_owned())];
    let nobody = [Target::Role("porter".to_owned())];
    let told = |occasion, urgency, wards: Option<&[String]>, targets: &[Target]| {
        names(&whom(&all, occasion, urgency, wards, targets)).join(" ")
    };
    assert_eq!(told(Occasion::Raised, AtLeast::Warning, Some(&icu), &[]), "icu log");
    assert_eq!(told(Occasion::Raised, AtLeast::Critical, Some(&text("Location/er")), &[]), "critical log");
    assert_eq!(told(Occasion::Raised, AtLeast::All, Some(&icu), &[]), "log");
    assert_eq!(told(Occasion::Worse, AtLeast::Critical, None, &[]), "icu critical log", "better one too many");
    assert_eq!(told(Occasion::Raised, AtLeast::Warning, Some(&nowhere), &[]), "icu log");
    assert_eq!(told(Occasion::Resolved, AtLeast::Warning, Some(&icu), &[]), "icu");
    assert_eq!(told(Occasion::Escalated(1), AtLeast::Warning, Some(&icu), &role), "icu nurse");
    assert_eq!(told(Occasion::Escalated(1), AtLeast::Warning, None, &role), "icu nurse er nurse");
    assert_eq!(told(Occasion::Escalated(2), AtLeast::All, Some(&icu), &ward), "er nurse ruiz");
    assert_eq!(told(Occasion::Escalated(1), AtLeast::Warning, Some(&icu), &nobody), "");
    assert_eq!(names(&fallback(&all)), ["desk"]);
}

#[test]
fn steps_name_their_targets_round_after_round() {
    let step = |role: &str| Step { after_s: 60, roles: vec![role.to_owned()], ..Step::default() };
    let critical = Course { steps: vec![step("a"), step("b")], loops: 1, ack_timeout_s: 0 };
    let policy = Policy::of(&Escalation { critical, ..Escalation::default() });
    let role = |done| match targets(&policy, &alert("escalated", "high", done), done) {
        [Target::Role(role)] => role.clone(),
        other => format!("{other:?}"),
    };
    assert_eq!([1, 2, 3, 4, 5].map(role), ["a", "b", "a", "b", "[]"]);
}

#[test]
fn quiet_hours_end_and_let_the_urgent_through() {
    let quiet = |from: &str, to: &str, zone: &str, days: &[&str]| Quiet {
        from: from.to_owned(),
        to: to.to_owned(),
        zone: zone.to_owned(),
        days: days.iter().map(|day| (*day).to_owned()).collect(),
        below: AtLeast::Critical,
    };
    let at = |text: &str| time::range(text).unwrap().start;
    // 2026-03-02 is a Monday.
    let table = [
        (quiet("22:00", "06:00", "", &[]), "2026-03-02T22:00:00Z", true),
        (quiet("22:00", "06:00", "", &[]), "2026-03-02T21:59:59Z", false),
        (quiet("22:00", "06:00", "", &[]), "2026-03-03T05:59:59Z", true),
        (quiet("22:00", "06:00", "", &[]), "2026-03-03T06:00:00Z", false),
        (quiet("22:00", "06:00", "", &["mon"]), "2026-03-03T05:00:00Z", true),
        (quiet("22:00", "06:00", "", &["tue"]), "2026-03-03T05:00:00Z", false),
        (quiet("12:00", "14:00", "Europe/Madrid", &[]), "2026-07-01T10:30:00Z", true),
        (quiet("12:00", "14:00", "+01:00", &[]), "2026-07-01T10:30:00Z", false),
        (quiet("12:00", "14:00", "Nowhere/Land", &[]), "2026-07-01T12:30:00Z", false),
    ];
    for (quiet, instant, expected) in table {
        let recipient = Recipient { quiet: vec![quiet], ..recipient("a") };
        assert_eq!(is_quiet(&recipient, AtLeast::Warning, at(instant)), expected, "{recipient:?} {instant}");
        assert!(!is_quiet(&recipient, AtLeast::Critical, at(instant)));
    }
}
