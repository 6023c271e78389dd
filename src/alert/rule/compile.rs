//! PlanDefinition -> Rule. A plan is refused as a whole, with every problem and its element named, when it says
//! anything that would not be obeyed: a rule that runs differently from what its author reads is worse than none.
//!
//! The form: `type` eca-rule, one `action` with one `data-added` trigger on Observation. Each of its `data` is one
//! signal, whose `codeFilter` (path `code`) lists the codings of one measurement, the most specific first. What is
//! tested stands in extensions below `https://vigia.dev/fhir/StructureDefinition/`. Which exist, what they hold and
//! what they mean is the table in `form.rs`; `docs/rules-format.md` is written from it, with an example of each.
//! `effectivePeriod` is obeyed; an `action.condition` of kind `applicability` in `text/fhirpath` is computed from
//! the whole Observation and taken instead of the measured value.
//!
//! Unless said otherwise: each reading counts by itself, nothing is held, an instant settles after 2 s, a reading is
//! late after 15 min, and what speaks of the patient latches when critical. Technical and advisory alerts go when
//! their cause goes: nobody has to walk to a bed to take note that a sensor was put back.
//!
//! Extensions of others are of no concern to us; unknown ones below our own base are refused.

mod gauge;
mod limits;
mod node;
mod parts;
mod signals;
mod whole;

use fhir_r4::Issue;
use serde_json::Value;

pub use self::limits::limits_of;
use self::node::{Node, Problems};
use super::{Level, Nature, Rule};
use crate::fhir::{reading, time};

/// Compiles a plan. The list of problems is never empty.
pub fn compile(plan: &Value) -> Result<Rule, Vec<Issue>> {
    let mut problems = Problems::default();
    match problems.plan(&Node { value: plan, place: "PlanDefinition".to_owned() }) {
        Some(rule) if problems.0.is_empty() => Ok(rule),
        _ => Err(problems.0),
    }
}

/// What of an action says nothing to obey, or is read.
const ACTION: [&str; 12] = [
    "id",
    "extension",
    "prefix",
    "title",
    "description",
    "textEquivalent",
    "priority",
    "code",
    "reason",
    "documentation",
    "trigger",
    "condition",
];

impl Problems {
    fn plan(&mut self, plan: &Node) -> Option<Rule> {
        if plan.str("resourceType") != Some("PlanDefinition") {
            return self.add("structure", "PlanDefinition", "a rule is a PlanDefinition");
        }
        for name in ["implicitRules", "modifierExtension", "subjectReference", "useContext"] {
            if plan.get(name).is_some() {
                self.add::<()>("not-supported", plan.at(name), "the rule engine would not obey this element");
            }
        }
        if !reading::codings(plan.value.get("type")).iter().any(|(_, code)| code == "eca-rule") {
            self.add::<()>("value", plan.at("type"), "only plans of type eca-rule are rules");
        }
        let active = match plan.str("status") {
            Some("active") => Some(true),
            Some("draft" | "retired" | "unknown") => Some(false),
            _ => self.add("value", plan.at("status"), "must be draft, active, retired or unknown"),
        };
        let url = self.text(plan, "url");
        let version = self.text(plan, "version");
        if url.as_ref().is_some_and(|url| url.contains('|')) {
            self.add::<()>("value", plan.at("url"), "a canonical url holds no version");
        }
        let effective = self.effective(plan);
        let action = self.only(plan, "action")?;
        self.nothing_but(&action, &ACTION);
        let label = action.str("title").or_else(|| plan.str("title")).map(str::to_owned);
        let label = label.or_else(|| self.add("required", action.at("title"), "a rule has a title"));
        let mut parts = self.parts(&action);
        let path = self.path(&action);
        let own = std::mem::take(&mut parts.signal);
        let signals = self.signals(&action, own, path);
        let (condition, ages) = self.condition(&action, &parts, signals.as_deref().unwrap_or_default())?;
        let nature = self.nature(&parts, &condition);
        let rule = Rule {
            id: plan.str("id").unwrap_or_default().to_owned(),
            url: url?,
            version: version?,
            active: active?,
            shadow: parts.shadow.unwrap_or(false),
            label: label?,
            signals: signals?,
            condition,
            ages,
            timing: self.timing(&parts),
            latch: match parts.latch {
                Some(level) => Some(level).filter(|level| *level > Level::None),
                None => (nature == Nature::Physiological).then_some(Level::Critical),
            },
            priorities: self.priorities(&parts),
            nature,
            effective: effective?,
        };
        self.back_tested(plan, &rule);
        Some(rule)
    }

    fn effective(&mut self, plan: &Node) -> Option<(i64, i64)> {
        let Some(period) = plan.get("effectivePeriod") else { return Some((time::BEFORE_ALL, time::AFTER_ALL)) };
        for name in ["start", "end"] {
            if period.get(name).is_some() && period.str(name).and_then(time::range).is_none() {
                return self.add("value", period.at(name), "a date or a time is required");
            }
        }
        match reading::period(period.value) {
            Some((start, end)) if start < end => Some((start, end)),
            Some(_) => self.add("value", period.place, "the end comes before the start"),
            None => self.add("required", period.place, "a start or an end is required"),
        }
    }
}

#[cfg(test)]
mod tests;
