//! How invented patients fare: what a scenario does to their vital signs as time goes on. Pure numbers; the courses are
//! shaped after what is taught of them, and are no data of anybody.

use clap::ValueEnum;

/// What becomes of a patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Scenario {
    /// Nothing.
    Stable,
    /// Fever, pulse and breathing up, pressure and oxygen down, over an hour.
    Sepsis,
    /// Pulse up and pressure down within twenty minutes.
    Haemorrhage,
    /// Breathing up and oxygen down within half an hour.
    RespiratoryFailure,
    /// Breathing, oxygen and consciousness down within a quarter of an hour.
    Opioid,
    /// From one moment to the next a fast and irregular pulse.
    Arrhythmia,
    /// Glucose down within half an hour, pulse up, drowsy.
    Hypoglycaemia,
    /// Ill at the beginning, well after an hour and a half.
    Recovery,
}

/// How far a patient is from what is usual for them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::cli) struct Strain {
    /// Beats and breaths a minute, percent, mmHg, degrees Celsius, mg/dL.
    pub(super) heart: f64,
    pub(super) breathing: f64,
    pub(super) oxygen: f64,
    pub(super) systolic: f64,
    pub(super) diastolic: f64,
    pub(super) warmth: f64,
    pub(super) glucose: f64,
    /// How many times more the pulse wanders than usual, above one.
    pub(super) irregular: f64,
    /// 0: awake, 1: does not answer.
    pub(super) drowsy: f64,
}

impl Strain {
    fn times(self, part: f64) -> Self {
        Self {
            heart: self.heart * part,
            breathing: self.breathing * part,
            oxygen: self.oxygen * part,
            systolic: self.systolic * part,
            diastolic: self.diastolic * part,
            warmth: self.warmth * part,
            glucose: self.glucose * part,
            irregular: self.irregular * part,
            drowsy: self.drowsy * part,
        }
    }
}

impl Scenario {
    /// The strain so many minutes after the beginning.
    pub(in crate::cli) fn strain(self, minutes: f64) -> Strain {
        let none = Strain::default();
        let (full, part) = match self {
            Self::Stable => (none, 0.0),
            Self::Sepsis => (SEPSIS, ramp(minutes, 5.0, 60.0)),
            Self::Recovery => (SEPSIS, 1.0 - ramp(minutes, 10.0, 90.0)),
            Self::Haemorrhage => (
                Strain {
                    heart: 62.0,
                    breathing: 11.0,
                    systolic: -58.0,
                    diastolic: -32.0,
                    warmth: -0.6,
                    drowsy: 0.4,
                    ..none
                },
                ramp(minutes, 3.0, 20.0),
            ),
            Self::RespiratoryFailure => (
                Strain { heart: 34.0, breathing: 17.0, oxygen: -15.0, systolic: 12.0, drowsy: 0.3, ..none },
                ramp(minutes, 4.0, 30.0),
            ),
            Self::Opioid => (
                Strain { heart: -16.0, breathing: -9.0, oxygen: -13.0, systolic: -18.0, drowsy: 0.9, ..none },
                ramp(minutes, 2.0, 15.0),
            ),
            Self::Arrhythmia => (
                Strain { heart: 74.0, breathing: 4.0, oxygen: -2.0, systolic: -24.0, irregular: 9.0, ..none },
                ramp(minutes, 5.0, 5.2),
            ),
            Self::Hypoglycaemia => (
                Strain { heart: 26.0, breathing: 3.0, systolic: 8.0, glucose: -62.0, drowsy: 0.5, ..none },
                ramp(minutes, 3.0, 30.0),
            ),
        };
        full.times(part)
    }
}

/// A sepsis at its height.
pub(super) const SEPSIS: Strain = Strain {
    heart: 52.0,
    breathing: 13.0,
    oxygen: -10.0,
    systolic: -44.0,
    diastolic: -26.0,
    warmth: 1.9,
    glucose: 0.0,
    irregular: 0.0,
    drowsy: 0.35,
};

/// The strain of a sepsis that is so severe (0 to 1); its fever comes later, and is for the patient to keep.
pub(super) fn sepsis(severity: f64) -> Strain {
    Strain { warmth: 0.0, drowsy: 0.0, ..SEPSIS.times(severity) }
}

/// From 0 to 1 between two minutes, slowly at both ends.
fn ramp(minutes: f64, from: f64, to: f64) -> f64 {
    let part = ((minutes - from) / (to - from)).clamp(0.0, 1.0);
    part * part * (3.0 - 2.0 * part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn courses_begin_and_end_as_they_are_called() {
        for scenario in Scenario::value_variants() {
            let (begin, end) = (scenario.strain(0.0), scenario.strain(1e4));
            let ill_first = *scenario == Scenario::Recovery;
            assert_eq!(begin == Strain::default(), !ill_first, "{scenario:?}");
            let well_last = ill_first || *scenario == Scenario::Stable;
            assert_eq!(end.heart.abs() < 1.0, well_last, "{scenario:?}");
        }
        assert!((Scenario::Arrhythmia.strain(4.9).heart, Scenario::Arrhythmia.strain(5.3).heart) == (0.0, 74.0));
        assert!(Scenario::Sepsis.strain(20.0).heart < Scenario::Sepsis.strain(40.0).heart);
    }
}
