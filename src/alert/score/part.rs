//! What a score consists of: what each parameter contributed, and which are missing. Fixed in size, so that a
//! score that did not change costs no memory.

use std::ops::Deref;

use super::{Column, Parameter};

/// What one parameter contributed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    pub parameter: Parameter,
    /// What the value is a value of, when another quantity stood in: the GCS for the level of consciousness.
    pub source: Parameter,
    /// The column of the table that was used: the saturation scale, the age band.
    pub column: Option<Column>,
    /// As measured, not rounded.
    pub value: Option<f64>,
    /// None without a value, for a value that the score has no points for, and for an input of a formula.
    pub points: Option<f64>,
}

const MOST: usize = 8;

/// The parts of a score, as a slice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parts {
    all: [Part; MOST],
    len: usize,
}

impl Default for Parts {
    fn default() -> Self {
        let nothing =
            Part { parameter: Parameter::Age, source: Parameter::Age, column: None, value: None, points: None };
        Self { all: [nothing; MOST], len: 0 }
    }
}

impl Parts {
    pub(super) fn push(&mut self, part: Part) {
        if let Some(place) = self.all.get_mut(self.len) {
            *place = part;
            self.len += 1;
        }
    }

    pub fn of(&self, parameter: Parameter) -> Option<&Part> {
        self.iter().find(|part| part.parameter == parameter)
    }
}

impl Deref for Parts {
    type Target = [Part];

    fn deref(&self) -> &[Part] {
        self.all.get(..self.len).unwrap_or_default()
    }
}

/// The parameters without which there is no total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing(u16);

impl Missing {
    pub(super) fn insert(&mut self, parameter: Parameter) {
        self.0 |= 1 << parameter.place();
    }

    pub fn contains(self, parameter: Parameter) -> bool {
        self.0 & (1 << parameter.place()) != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Parameter> {
        Parameter::all().filter(move |parameter| self.contains(*parameter))
    }
}
