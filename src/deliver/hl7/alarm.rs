//! ORU^R40: an alert as IHE PCD-04 reports it (PCD Technical Framework, Alert Communication Management). What changes of
//! an alert is a phase of its event; the rest of the message says where it stands.

use serde_json::Value;

use super::head::{Head, coded, joined, stamp};
use super::parcel::is_mute;
use crate::alert::issue::ours;
use crate::alert::lifecycle::State;
use crate::alert::rule::Level;

const PROFILE: &str = "IHE_PCD_ACM_001^IHE PCD^1.3.6.1.4.1.19376.1.6.4.4^ISO";

/// What a version of an alert has to say that the one before did not; none: nothing.
pub(super) fn phase(previous: Option<&Value>, next: &Value) -> Option<&'static str> {
    let now = State::of(next).filter(|_| !is_mute(next))?;
    let before = previous.filter(|alert| !is_mute(alert)).and_then(|alert| Some((State::of(alert)?, level(alert))));
    let Some((was, at)) = before else {
        // What is over when it is first heard of was never an alarm.
        return (!now.is_over()).then_some("start");
    };
    match (was.is_over(), now.is_over()) {
        (true, true) => None,
        (true, false) => Some("start"),
        (false, true) => Some("end"),
        _ if level(next) > at => Some("escalate"),
        _ if level(next) < at => Some("deescalate"),
        _ => (was != now).then_some("update"),
    }
}

fn level(alert: &Value) -> u8 {
    match alert.get("severity").and_then(Value::as_str) {
        Some("high") => 2,
        Some("moderate") => 1,
        _ => 0,
    }
}

pub(super) fn message(head: Head<'_>, alert: &Value, phase: &'static str) -> Vec<u8> {
    let writer = head.writer;
    let text = |pointer: &str| alert.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let state = State::of(alert).unwrap_or(State::Raised);
    let at = stamp(text("/identifiedPeriod/start"));
    let event = [text("/id").to_owned(), head.to.application.clone()];
    let mut lines = head.lines(["ORU", "R40", "ORU_R40"], PROFILE);
    let alarm = "196616^MDC_EVT_ALARM^MDC";
    lines.push(writer.line("OBR", 1, &[(3, writer.components(&event)), (4, alarm.to_owned()), (7, at.clone())]));
    let source = alert.pointer("/code/coding/1").map(|coding| coded(writer, &serde_json::json!({"coding": [coding]})));
    let facets = [
        (alarm, "ST", writer.text(words(alert))),
        ("68480^MDC_ATTR_ALERT_SOURCE^MDC", "CWE", source.unwrap_or_default()),
        ("68165^MDC_ATTR_EVENT_PHASE^MDC", "ST", phase.to_owned()),
        ("68166^MDC_ATTR_ALARM_STATE^MDC", "ST", active(state).to_owned()),
        ("68167^MDC_ATTR_ALARM_INACTIVATION_STATE^MDC", "ST", inactivation(state).to_owned()),
        ("68168^MDC_ATTR_ALARM_PRIORITY^MDC", "ST", priority(alert).to_owned()),
        ("68485^MDC_ATTR_ALERT_TYPE^MDC", "ST", kind(alert).to_owned()),
    ];
    let told = facets.into_iter().filter(|(_, _, value)| !value.is_empty()).enumerate();
    lines.extend(told.map(|(n, (code, kind, value))| {
        let fields = [
            (2, kind.to_owned()),
            (3, code.to_owned()),
            (4, format!("1.0.0.0.{}", n + 1)),
            (5, value),
            (11, "F".to_owned()),
            (14, at.clone()),
        ];
        writer.line("OBX", n + 1, &fields)
    }));
    joined(&lines)
}

fn words(alert: &Value) -> &str {
    let of = |pointer: &str| alert.pointer(pointer).and_then(Value::as_str);
    of("/detail").or(of("/code/text")).unwrap_or("alert")
}

fn active(state: State) -> &'static str {
    match state {
        State::Latched => "latched",
        over if over.is_over() => "inactive",
        _ => "active",
    }
}

fn inactivation(state: State) -> &'static str {
    match state {
        State::Suppressed => "alarm-paused",
        State::Acknowledged => "alert-acknowledged",
        _ => "enabled",
    }
}

fn code<'a>(alert: &'a Value, name: &str) -> Option<&'a str> {
    ours(alert, name)?.get("valueCode")?.as_str()
}

fn priority(alert: &Value) -> &'static str {
    match code(alert, "alert-priority") {
        Some("high") => "PH",
        Some("medium") => "PM",
        Some("low") => "PL",
        _ => "PN",
    }
}

fn kind(alert: &Value) -> &'static str {
    let advisory = code(alert, "alert-level").and_then(Level::from_code) == Some(Level::Advisory);
    match code(alert, "alert-type") {
        Some("technical") => "ST",
        _ if advisory => "SA",
        _ => "SP",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fhir::OURS;

    fn alert(state: &str, severity: &str, late: bool) -> Value {
        let own =
            |name: &str, code: &str| json!({"url": format!("{OURS}/StructureDefinition/{name}"), "valueCode": code});
        let mut all = vec![own("alert-lifecycle-state", state)];
        all.extend(late.then(|| own("alert-late", "x")));
        json!({"severity": severity, "extension": all})
    }

    #[test]
    fn changes_are_phases() {
        let a = |state, severity| alert(state, severity, false);
        let table = [
            (None, a("raised", "high"), Some("start")),
            (None, a("resolved", "high"), None),
            (None, alert("raised", "high", true), None),
            (Some(alert("raised", "high", true)), a("raised", "high"), Some("start")),
            (Some(a("raised", "moderate")), a("raised", "high"), Some("escalate")),
            (Some(a("raised", "high")), a("raised", "moderate"), Some("deescalate")),
            (Some(a("raised", "high")), a("acknowledged", "high"), Some("update")),
            (Some(a("raised", "high")), a("raised", "high"), None),
            (Some(a("acknowledged", "high")), a("resolved", "high"), Some("end")),
            (Some(a("resolved", "high")), a("resolved", "high"), None),
            (Some(a("resolved", "high")), a("raised", "high"), Some("start")),
        ];
        for (before, now, expected) in table {
            assert_eq!(phase(before.as_ref(), &now), expected, "{before:?} {now}");
        }
    }
}
