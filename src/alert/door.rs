//! What the alerts refuse to have stored: a rule in force that could not be obeyed, and other limits that nobody
//! answers for. Whoever writes it is told at once, instead of believing in it. Pure.

use fhir_r4::Issue;
use serde_json::Value;

use super::{context, rule};
use crate::fhir::OURS;

/// Every problem of an active rule of ours, or of an active Flag that speaks to the rules; nothing else is judged.
pub fn check(resource: &Value) -> Result<(), Vec<Issue>> {
    match resource.get("resourceType").and_then(Value::as_str) {
        Some("PlanDefinition") if is_rule_in_force(resource) => rule::compile(resource).map(|_| ()),
        Some("Flag") => context::said(resource).map(|_| ()),
        _ => Ok(()),
    }
}

/// A plan with an extension of ours on one of its actions.
fn is_rule_in_force(plan: &Value) -> bool {
    let lists = |value: &'_ Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let ours = format!("{OURS}/StructureDefinition/alert-");
    let is_ours =
        |extension: &Value| extension.get("url").and_then(Value::as_str).is_some_and(|u| u.starts_with(&ours));
    plan.get("status").and_then(Value::as_str) == Some("active")
        && lists(plan, "action").iter().any(|action| lists(action, "extension").iter().any(is_ours))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::rule::default_plans;
    use super::*;

    #[test]
    fn only_what_would_be_obeyed_is_judged() {
        let plan = default_plans().into_iter().find(|plan| plan["id"] == "limits-8867-4").unwrap();
        let with = |pointer: &str, value: Value| {
            let mut plan = plan.clone();
            *plan.pointer_mut(pointer).unwrap() = value;
            plan
        };
        let system = format!("{OURS}/CodeSystem/alert-flag");
        let flag = json!({"resourceType": "Flag", "status": "active",
            "code": {"coding": [{"system": system, "code": "alert-limits"}]}, "subject": {"reference": "Patient/1"}});
        let cases = [
            (plan.clone(), None),
            (
                with("/action/0/extension/0/valueCode", json!(1)),
                Some("PlanDefinition.action[0].extension[0].valueCode"),
            ),
            (with("/status", json!("draft")), None),
            (json!({"resourceType": "PlanDefinition", "status": "active", "action": [{"title": "another's"}]}), None),
            (flag, Some("Flag.author")),
            (json!({"resourceType": "Flag", "status": "active", "code": {"text": "falls"}}), None),
            (json!({"resourceType": "Patient"}), None),
        ];
        for (resource, place) in cases {
            let found = check(&resource).err().map(|issues| issues[0].expression.clone());
            assert_eq!(found.as_deref(), place, "{resource}");
        }
    }
}
