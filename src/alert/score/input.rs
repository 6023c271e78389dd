//! What a score is calculated from: the values of one patient at one instant, and what of the patient matters.
//! Nothing is looked up here; a value that cannot be what it claims to be does not get in.

use super::Parameter;

/// One value or none for each parameter, in the unit of the parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Inputs {
    values: [Option<f64>; Parameter::COUNT],
}

impl Inputs {
    /// Sets a value, or takes it away; an impossible one is none.
    pub fn set(&mut self, parameter: Parameter, value: Option<f64>) {
        if let Some(place) = self.values.get_mut(usize::from(parameter.place())) {
            *place = value.filter(|value| parameter.is_possible(*value));
        }
    }

    /// The same in a row of calls.
    #[must_use]
    pub fn with(mut self, parameter: Parameter, value: f64) -> Self {
        self.set(parameter, Some(value));
        self
    }

    pub fn get(&self, parameter: Parameter) -> Option<f64> {
        self.values.get(usize::from(parameter.place())).copied().flatten()
    }
}

/// What of the patient matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patient {
    /// Saturation scale 2 of NEWS2. Only a clinician decides that, by a Flag; no reading and no diagnosis does.
    pub spo2_scale_2: bool,
    pub age_days: Option<i64>,
}
