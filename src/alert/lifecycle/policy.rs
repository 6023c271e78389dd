//! Who is called when nobody answers: for each level a course of steps, each with its delay from the moment the
//! alert began to wait for an answer. Pure.

use super::super::rule::Level;

const MINUTE: i64 = 60_000_000;

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
    /// Critical: the charge nurse after 2 minutes, the physician on duty after 5. Warning: the charge nurse after 15.
    fn default() -> Self {
        let step =
            |minutes: i64, role: &str| Step { delay: minutes * MINUTE, targets: vec![Target::Role(role.to_owned())] };
        let course = |steps: Vec<Step>, minutes: i64| Course { steps, loops: 0, ack_timeout: Some(minutes * MINUTE) };
        Self {
            courses: [
                Course::default(),
                course(vec![step(15, "charge-nurse")], 60),
                course(vec![step(2, "charge-nurse"), step(5, "physician-on-duty")], 15),
            ],
        }
    }
}

impl Policy {
    pub fn course(&self, level: Level) -> Option<&Course> {
        self.courses.get(level.place()?)
    }
}

impl Course {
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
