//! The scores: their names and codes, what each needs and how old that may be, and for whom it is made.
//!
//! Official codes stand here only where the code system's own page or the publisher's guide was seen: NEWS2 in
//! SNOMED CT (United Kingdom edition, guide of NHS Digital), qSOFA and shock index in LOINC. Every score also has
//! a code of our own. LOINC 88330-6, which some programs send for NEWS2, is a mobility item of another survey.

use super::Parameter;
use super::parameter::SNOMED;
use crate::fhir::LOINC;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// National Early Warning Score 2 (Royal College of Physicians 2017).
    News2,
    /// Modified Early Warning Score (Subbe 2001, with the cuts at or below 8, 40 and 70).
    Mews,
    /// Quick SOFA (Singer 2016).
    Qsofa,
    /// Criteria of the systemic inflammatory response syndrome (Bone 1992).
    Sirs,
    /// Modified Early Obstetric Warning System (CEMACH; Singh 2012). A red parameter counts 2, a yellow one 1.
    Meows,
    /// Heart rate, systolic pressure and respiration of Bedside PEWS (Parshuram 2009), without its other items.
    BedsidePews,
    /// Heart rate by systolic pressure.
    ShockIndex,
    /// Mean pressure estimated from systolic and diastolic; not a measured one.
    MeanPressure,
}

/// Which of a parameter and its alternatives counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The first that has a value. Ages are not known here: whoever holds the readings leaves out a value that is
    /// older than one of its alternatives, or an old Alert hides a new coma score.
    First,
    /// The one with the most points.
    Worst,
}

/// One thing that a score looks at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Needed {
    pub parameter: Parameter,
    /// What may stand in for it.
    pub alternatives: &'static [Parameter],
    pub choice: Choice,
    /// Without it there is no total.
    pub required: bool,
    /// How long a value counts after it was measured.
    pub max_age_s: i64,
}

const HOUR: i64 = 3_600;
/// What is measured often, what is charted twice a shift, what the laboratory sends. Our conventions.
const VITAL: i64 = 4 * HOUR;
const CHARTED: i64 = 8 * HOUR;
const LABORATORY: i64 = 24 * HOUR;

const fn needed(parameter: Parameter, max_age_s: i64) -> Needed {
    Needed { parameter, alternatives: &[], choice: Choice::First, required: true, max_age_s }
}

const RESPIRATION: Needed = needed(Parameter::RespirationRate, VITAL);
const SPO2: Needed = needed(Parameter::Spo2, VITAL);
const SYSTOLIC: Needed = needed(Parameter::SystolicPressure, VITAL);
const DIASTOLIC: Needed = needed(Parameter::DiastolicPressure, VITAL);
const HEART_RATE: Needed = needed(Parameter::HeartRate, VITAL);
const TEMPERATURE: Needed = needed(Parameter::Temperature, CHARTED);
const CONSCIOUSNESS: Needed = Needed { alternatives: &[Parameter::Gcs], ..needed(Parameter::Consciousness, CHARTED) };
const MENTATION: Needed = Needed { alternatives: &[Parameter::Consciousness], ..needed(Parameter::Gcs, CHARTED) };
const OXYGEN: Needed = Needed {
    alternatives: &[Parameter::OxygenFlow, Parameter::InspiredOxygen, Parameter::OxygenDevice],
    choice: Choice::Worst,
    ..needed(Parameter::Oxygen, CHARTED)
};
const WHITE_CELLS: Needed = Needed {
    alternatives: &[Parameter::Bands],
    choice: Choice::Worst,
    required: false,
    ..needed(Parameter::WhiteCells, LABORATORY)
};

/// Days of 16 and of 18 years.
const YEARS_16: i64 = 5_844;
const YEARS_18: i64 = 6_574;

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::News2,
        Self::Mews,
        Self::Qsofa,
        Self::Sirs,
        Self::Meows,
        Self::BedsidePews,
        Self::ShockIndex,
        Self::MeanPressure,
    ];

    /// The code in our code system, in rules and in tables.
    pub fn code(self) -> &'static str {
        match self {
            Self::News2 => "news2",
            Self::Mews => "mews",
            Self::Qsofa => "qsofa",
            Self::Sirs => "sirs",
            Self::Meows => "meows",
            Self::BedsidePews => "bedside-pews",
            Self::ShockIndex => "shock-index",
            Self::MeanPressure => "mean-pressure",
        }
    }

    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::News2 => "National Early Warning Score 2",
            Self::Mews => "Modified Early Warning Score",
            Self::Qsofa => "Quick SOFA score",
            Self::Sirs => "SIRS criteria",
            Self::Meows => "Modified Early Obstetric Warning System",
            Self::BedsidePews => "Bedside PEWS, vital signs only",
            Self::ShockIndex => "Shock index",
            Self::MeanPressure => "Mean blood pressure, estimated",
        }
    }

    /// System, code and display of the official codes.
    pub fn codings(self) -> &'static [(&'static str, &'static str, &'static str)] {
        match self {
            Self::News2 => &[(
                SNOMED,
                "1104051000000101",
                "Royal College of Physicians NEWS2 (National Early Warning Score 2) total score",
            )],
            Self::Qsofa => &[(LOINC, "96791-9", "Quick SOFA score SOFA.quick")],
            Self::ShockIndex => &[(LOINC, "98909-5", "Shock index Calculated")],
            _ => &[],
        }
    }

    /// The UCUM unit of the total.
    pub fn unit(self) -> &'static str {
        match self {
            Self::ShockIndex => "{ratio}",
            Self::MeanPressure => "mm[Hg]",
            _ => "{score}",
        }
    }

    /// Is the total a number that is calculated, rather than a sum of points?
    pub fn is_formula(self) -> bool {
        matches!(self, Self::ShockIndex | Self::MeanPressure)
    }

    /// What it looks at, in the order in which a chart has it.
    pub fn inputs(self) -> &'static [Needed] {
        match self {
            Self::News2 => &[RESPIRATION, SPO2, OXYGEN, SYSTOLIC, HEART_RATE, CONSCIOUSNESS, TEMPERATURE],
            Self::Mews => &[RESPIRATION, HEART_RATE, SYSTOLIC, TEMPERATURE, CONSCIOUSNESS],
            Self::Qsofa => &[RESPIRATION, SYSTOLIC, MENTATION],
            Self::Sirs => &[TEMPERATURE, HEART_RATE, RESPIRATION, WHITE_CELLS],
            Self::Meows => &[RESPIRATION, SPO2, TEMPERATURE, SYSTOLIC, DIASTOLIC, HEART_RATE, CONSCIOUSNESS],
            Self::BedsidePews => &[HEART_RATE, SYSTOLIC, RESPIRATION],
            Self::ShockIndex => &[HEART_RATE, SYSTOLIC],
            Self::MeanPressure => &[SYSTOLIC, DIASTOLIC],
        }
    }

    /// Was it made for patients of this age? Adults' scores also take a patient of unknown age. Pregnancy is not
    /// known here: NEWS2 is not made for it, MEOWS for nothing else.
    pub fn suits(self, age_days: Option<i64>) -> bool {
        match self {
            Self::BedsidePews => age_days.is_some_and(|days| (0..YEARS_18).contains(&days)),
            Self::Meows | Self::MeanPressure => true,
            _ => age_days.is_none_or(|days| days >= YEARS_16),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back_and_differ() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_code(kind.code()), Some(kind));
            assert!(!kind.inputs().is_empty() && kind.inputs().len() <= 8);
        }
        assert_eq!(Kind::from_code("NEWS2"), None);
    }

    #[test]
    fn childrens_scores_are_for_children() {
        for (kind, days, suits) in [
            (Kind::News2, None, true),
            (Kind::News2, Some(5_843), false),
            (Kind::News2, Some(5_844), true),
            (Kind::BedsidePews, None, false),
            (Kind::BedsidePews, Some(0), true),
            (Kind::BedsidePews, Some(6_574), false),
            (Kind::BedsidePews, Some(-1), false),
            (Kind::Meows, Some(5_000), true),
        ] {
            assert_eq!(kind.suits(days), suits, "{kind:?} {days:?}");
        }
    }
}
