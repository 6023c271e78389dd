//! A technical alert that the alert of a silent device speaks for (IHE and R6 call it inhibited): recorded, quiet,
//! without a timer. Pure.

use serde_json::{Value, json};

use super::{Map, Policy, State, begin, extend, find, instant, remove, set_state};

const INHIBITED: &str = "alert-inhibited-by";

/// The alert that speaks for this one (`DetectedIssue/…`).
pub fn inhibitor(issue: &Value) -> Option<&str> {
    by(issue.as_object()?)
}

fn by(issue: &Map<String, Value>) -> Option<&str> {
    find(issue, INHIBITED)?.pointer("/valueReference/reference")?.as_str()
}

/// Its next version, when another alert speaks for it from now on, or none does any more. What somebody has seen
/// already stays as it is.
pub fn muted(policy: &Policy, issue: &Value, inhibitor: Option<&str>, now: i64) -> Option<Value> {
    let state = State::of(issue)?;
    let mut issue = issue.as_object()?.clone();
    match inhibitor {
        _ if by(&issue) == inhibitor => return None,
        Some(_) if find(&issue, "alert-acknowledged").is_some() => return None,
        Some(_) if !matches!(state, State::Raised | State::Escalated | State::Suppressed) => return None,
        Some(inhibitor) => {
            extend(&mut issue, INHIBITED, "valueReference", json!({"reference": inhibitor}));
            set_state(&mut issue, State::Suppressed);
            // The end of a silence is still to come.
            if find(&issue, "alert-suppressed-until").is_none() {
                remove(&mut issue, "alert-due");
            }
        }
        None => {
            remove(&mut issue, INHIBITED);
            let silenced = instant(&issue, "alert-suppressed-until").is_some_and(|until| now < until);
            if state == State::Suppressed && !silenced {
                begin(policy, &mut issue, now);
            }
        }
    }
    Some(Value::Object(issue))
}
