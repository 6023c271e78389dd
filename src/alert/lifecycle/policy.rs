//! Who is called when nobody answers: for each level a course of steps, each with its delay from the moment the
//! alert began to wait for an answer. Pure.

use super::super::rule::Level;
use crate::config::alert as config;

const SECOND: i64 = 1_000_000;

/// Somebody to be called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Whoever has this role on the patient's ward.
    Role(String),
    Ward(String),
    Person(String),
}

/// One step of a course.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// From the moment the alert began to wait, µs.
    pub delay: i64,
    pub targets: Vec<Target>,
}

impl Step {
    fn of(step: &config::Step) -> Self {
        let roles = step.roles.iter().cloned().map(Target::Role);
        let wards = step.wards.iter().cloned().map(Target::Ward);
        let persons = step.persons.iter().cloned().map(Target::Person);
        Self { delay: i64::from(step.after_s) * SECOND, targets: roles.chain(wards).chain(persons).collect() }
    }
}

/// What happens to alerts of one level that nobody answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// In the order of their delays.
    pub steps: Vec<Step>,
    /// How often the steps are gone through after the first time.
    pub loops: u32,
    /// An acknowledged alert that still stands after this time waits for an answer again, µs.
    pub ack_timeout: Option<i64>,
}

/// The courses of [`Level::RAISED`]; a technical alert has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub courses: [Course; 3],
}

impl Default for Policy {
    fn default() -> Self {
        Self::of(&config::Escalation::default())
    }
}

impl Policy {
    /// As it is configured.
    pub fn of(escalation: &config::Escalation) -> Self {
        let config::Escalation { advisory, warning, critical } = escalation;
        Self { courses: [advisory, warning, critical].map(Course::of) }
    }

    pub fn course(&self, level: Level) -> Option<&Course> {
        self.courses.get(level.place()?)
    }
}

impl Course {
    fn of(course: &config::Course) -> Self {
        let timeout = Some(course.ack_timeout_s).filter(|s| *s > 0).map(|s| i64::from(s) * SECOND);
        Self { steps: course.steps.iter().map(Step::of).collect(), loops: course.loops, ack_timeout: timeout }
    }

    /// The step after so many, and how long after the beginning it is due, µs.
    pub fn step(&self, done: u32) -> Option<(&Step, i64)> {
        let length = u32::try_from(self.steps.len()).ok().filter(|length| *length > 0)?;
        let (round, place) = (done / length, done % length);
        if round > self.loops {
            return None;
        }
        let step = self.steps.get(usize::try_from(place).ok()?)?;
        let whole = self.steps.last().map_or(0, |last| last.delay);
        Some((step, whole.checked_mul(i64::from(round))?.checked_add(step.delay)?))
    }
}
