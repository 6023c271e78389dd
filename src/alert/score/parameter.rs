//! What a score is made of: one line for each quantity, with its unit, how finely it is read, and the range
//! outside which a number cannot be this quantity at all. That range is wide on purpose: whether a value is
//! plausible for a patient is the rules' to say; here only a mistaken unit or a broken sensor is kept out.

use crate::fhir::LOINC;

pub(super) const SNOMED: &str = "http://snomed.info/sct";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parameter {
    RespirationRate,
    Spo2,
    /// 0 is air, 1 is oxygen (what `Oxygen::at` says).
    Oxygen,
    OxygenFlow,
    InspiredOxygen,
    /// 0 is no device, 1 is any device that gives oxygen.
    OxygenDevice,
    SystolicPressure,
    DiastolicPressure,
    HeartRate,
    /// `Acvpu` as a number.
    Consciousness,
    Gcs,
    Temperature,
    WhiteCells,
    Bands,
    /// Comes from the patient, never from a reading; here so that it can be named as missing.
    Age,
}

pub(super) struct Facts {
    code: &'static str,
    words: &'static str,
    unit: &'static str,
    /// Steps in one unit: 10 is tenths. A value is rounded to its steps before it is looked up.
    pub(super) steps: f64,
    low: f64,
    high: f64,
    /// Only whole numbers mean something.
    whole: bool,
    /// LOINC codes of readings.
    codes: &'static [&'static str],
}

/// The common case: a measurement that is read in whole units.
const fn measured(
    code: &'static str,
    words: &'static str,
    unit: &'static str,
    high: f64,
    codes: &'static [&'static str],
) -> Facts {
    Facts { code, words, unit, steps: 1.0, low: 0.0, high, whole: false, codes }
}

const fn yes_or_no(code: &'static str, words: &'static str) -> Facts {
    Facts { whole: true, ..measured(code, words, "1", 1.0, &[]) }
}

#[rustfmt::skip]
static FACTS: [(Parameter, Facts); 15] = [
    (Parameter::RespirationRate, measured("respiration-rate", "respiration rate", "/min", 300.0, &["9279-1"])),
    (Parameter::Spo2, measured("spo2", "oxygen saturation", "%", 100.0, &["59408-5", "2708-6"])),
    (Parameter::Oxygen, yes_or_no("oxygen", "air or oxygen")),
    (Parameter::OxygenFlow, Facts { steps: 100.0, ..measured("oxygen-flow", "oxygen flow", "L/min", 100.0, &["3151-8"]) }),
    (Parameter::InspiredOxygen, Facts { steps: 100.0, ..measured("inspired-oxygen", "inspired oxygen", "%", 100.0, &["3150-0"]) }),
    (Parameter::OxygenDevice, yes_or_no("oxygen-device", "oxygen device")),
    (Parameter::SystolicPressure, measured("systolic-pressure", "systolic blood pressure", "mm[Hg]", 500.0, &["8480-6"])),
    (Parameter::DiastolicPressure, measured("diastolic-pressure", "diastolic blood pressure", "mm[Hg]", 500.0, &["8462-4"])),
    (Parameter::HeartRate, measured("heart-rate", "heart rate", "/min", 500.0, &["8867-4", "8889-8"])),
    (Parameter::Consciousness, Facts { whole: true, ..measured("consciousness", "level of consciousness", "1", 4.0, &[]) }),
    (Parameter::Gcs, Facts { low: 3.0, whole: true, ..measured("gcs", "Glasgow coma score", "{score}", 15.0, &["9269-2"]) }),
    (Parameter::Temperature, Facts { steps: 10.0, ..measured("temperature", "temperature", "Cel", 60.0, &["8310-5"]) }),
    (Parameter::WhiteCells, Facts { steps: 100.0, ..measured("white-cells", "white cell count", "10*3/uL", 2000.0, &["6690-2"]) }),
    (Parameter::Bands, Facts { steps: 10.0, ..measured("bands", "band forms", "%", 100.0, &["26508-2", "764-1"]) }),
    (Parameter::Age, measured("age", "age of the patient", "d", 60_000.0, &[])),
];

impl Parameter {
    pub const COUNT: usize = 15;

    pub fn all() -> impl Iterator<Item = Self> {
        FACTS.iter().map(|(parameter, _)| *parameter)
    }

    /// Its place in `FACTS` and in `Inputs`.
    pub(super) const fn place(self) -> u8 {
        match self {
            Self::RespirationRate => 0,
            Self::Spo2 => 1,
            Self::Oxygen => 2,
            Self::OxygenFlow => 3,
            Self::InspiredOxygen => 4,
            Self::OxygenDevice => 5,
            Self::SystolicPressure => 6,
            Self::DiastolicPressure => 7,
            Self::HeartRate => 8,
            Self::Consciousness => 9,
            Self::Gcs => 10,
            Self::Temperature => 11,
            Self::WhiteCells => 12,
            Self::Bands => 13,
            Self::Age => 14,
        }
    }

    pub(super) fn facts(self) -> Option<&'static Facts> {
        FACTS.get(usize::from(self.place())).map(|(_, facts)| facts)
    }

    pub fn code(self) -> &'static str {
        self.facts().map_or("", |facts| facts.code)
    }

    pub fn from_code(code: &str) -> Option<Self> {
        Self::all().find(|parameter| parameter.code() == code)
    }

    /// As a sentence says it.
    pub fn words(self) -> &'static str {
        self.facts().map_or("", |facts| facts.words)
    }

    /// The UCUM unit that a value must be in.
    pub fn unit(self) -> &'static str {
        self.facts().map_or("1", |facts| facts.unit)
    }

    /// The parameter that a reading with this code is a value of. An oxygen device has no code that all agree on.
    pub fn of(system: &str, code: &str) -> Option<Self> {
        match system {
            LOINC => FACTS.iter().find(|(_, facts)| facts.codes.contains(&code)).map(|(parameter, _)| *parameter),
            // The ACVPU scale of the United Kingdom's edition.
            SNOMED if code == "1104441000000107" => Some(Self::Consciousness),
            _ => None,
        }
    }

    /// Is it a sign of oxygen, from which together `Oxygen` follows?
    pub fn tells_of_oxygen(self) -> bool {
        matches!(self, Self::OxygenFlow | Self::InspiredOxygen | Self::OxygenDevice)
    }

    /// Can a number be this quantity?
    pub fn is_possible(self, value: f64) -> bool {
        let whole = |facts: &Facts| !facts.whole || value.fract() == 0.0;
        self.facts().is_some_and(|facts| value >= facts.low && value <= facts.high && whole(facts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_stands_in_its_place() {
        for (at, parameter) in Parameter::all().enumerate() {
            assert_eq!(usize::from(parameter.place()), at);
            assert_eq!(Parameter::from_code(parameter.code()), Some(parameter));
        }
        assert_eq!(Parameter::all().count(), Parameter::COUNT);
    }

    #[test]
    fn readings_are_found_by_their_codes() {
        for (system, code, parameter) in [
            (LOINC, "8867-4", Some(Parameter::HeartRate)),
            (LOINC, "2708-6", Some(Parameter::Spo2)),
            (LOINC, "3150-0", Some(Parameter::InspiredOxygen)),
            (SNOMED, "1104441000000107", Some(Parameter::Consciousness)),
            (SNOMED, "8867-4", None),
            (LOINC, "29463-7", None),
        ] {
            assert_eq!(Parameter::of(system, code), parameter, "{code}");
        }
    }

    #[test]
    fn what_cannot_be_is_kept_out() {
        for (parameter, value, possible) in [
            (Parameter::Temperature, 37.04, true),
            (Parameter::Temperature, 98.6, false),
            (Parameter::Gcs, 3.0, true),
            (Parameter::Gcs, 2.0, false),
            (Parameter::Gcs, 14.5, false),
            (Parameter::Consciousness, 4.0, true),
            (Parameter::Consciousness, 5.0, false),
            (Parameter::Oxygen, 0.5, false),
            (Parameter::Spo2, 100.0, true),
            (Parameter::Spo2, 100.5, false),
            (Parameter::HeartRate, -1.0, false),
            (Parameter::HeartRate, f64::NAN, false),
            (Parameter::HeartRate, f64::INFINITY, false),
        ] {
            assert_eq!(parameter.is_possible(value), possible, "{parameter:?} {value}");
        }
    }
}
