//! The alert engine, and who is called when nobody answers an alert.

use serde::{Deserialize, Serialize};

/// The alert engine.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alert {
    /// `VIGIA__ALERT__ENABLED`
    pub enabled: bool,
    /// Who is called when nobody answers, for each level. A technical alert calls nobody.
    pub escalation: Escalation,
}

impl Default for Alert {
    fn default() -> Self {
        Self { enabled: true, escalation: Escalation::default() }
    }
}

/// The course of each level.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Escalation {
    pub advisory: Course,
    pub warning: Course,
    pub critical: Course,
}

/// What happens to alerts of one level that nobody answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Course {
    /// In the order of their delays.
    pub steps: Vec<Step>,
    /// How often the steps are gone through after the first time.
    pub loops: u32,
    /// An acknowledged alert that still stands after this time waits for an answer again; 0: never.
    pub ack_timeout_s: u32,
}

/// Whom a step calls: whoever has one of these roles on the patient's ward, whoever belongs to these wards
/// (`Location/…`), these persons (`Practitioner/…`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    /// From the moment the alert began to wait.
    pub after_s: u32,
    pub roles: Vec<String>,
    pub wards: Vec<String>,
    pub persons: Vec<String>,
}

impl Default for Escalation {
    /// Critical: the charge nurse after 2 minutes, the physician on duty after 5. Warning: the charge nurse after 15.
    fn default() -> Self {
        let step =
            |minutes: u32, role: &str| Step { after_s: minutes * 60, roles: vec![role.to_owned()], ..Step::default() };
        let course = |steps: Vec<Step>, minutes: u32| Course { steps, loops: 0, ack_timeout_s: minutes * 60 };
        Self {
            advisory: Course::default(),
            warning: course(vec![step(15, "charge-nurse")], 60),
            critical: course(vec![step(2, "charge-nurse"), step(5, "physician-on-duty")], 15),
        }
    }
}

impl Alert {
    /// What types cannot say: the key, and what is wrong with its value.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let Escalation { advisory, warning, critical } = &self.escalation;
        let named = [
            (advisory, "alert.escalation.advisory"),
            (warning, "alert.escalation.warning"),
            (critical, "alert.escalation.critical"),
        ];
        for (course, key) in named {
            let delays: Vec<u32> = course.steps.iter().map(|step| step.after_s).collect();
            if !delays.is_sorted() {
                return Err((key, "the steps are not in the order of after_s"));
            }
            if course.loops > 0 && delays.last().is_none_or(|last| *last == 0) {
                return Err((key, "what is gone through again needs a step with a delay"));
            }
            let called = |step: &Step| !(step.roles.is_empty() && step.wards.is_empty() && step.persons.is_empty());
            if !course.steps.iter().all(called) {
                return Err((key, "a step calls nobody: roles, wards or persons are needed"));
            }
        }
        Ok(())
    }
}
