//! Why an alert is raised. Each cause of a rule has an episode of its own.

use super::level::Side;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The measured value breaks a limit.
    Threshold(Side),
    /// It changes too fast.
    Rate(Side),
    /// It has moved too far within a window.
    Change(Side),
    /// Its trend is too steep.
    Slope(Side),
    /// It is far from what is usual for this patient.
    Deviation(Side),
    /// Two signals that should agree do not.
    Difference(Side),
    /// A score reached a band.
    Score,
    /// Several conditions together.
    Compound,
    /// The value cannot be true.
    Implausible,
    /// The value's unit cannot be converted to the rule's.
    Unit,
    /// The value has not moved at all for too long.
    Flatline,
    /// Nothing has come for too long.
    Missing,
}

use Side::{High, Low};

impl Cause {
    /// All of them with their codes in <https://vigia.dev/fhir/CodeSystem/alert> and the first words of their rule
    /// keys.
    const ALL: [(Self, &'static str, &'static str); 18] = [
        (Self::Threshold(Low), "threshold-low", "threshold"),
        (Self::Threshold(High), "threshold-high", "threshold"),
        (Self::Rate(Low), "rate-low", "rate"),
        (Self::Rate(High), "rate-high", "rate"),
        (Self::Change(Low), "change-low", "change"),
        (Self::Change(High), "change-high", "change"),
        (Self::Slope(Low), "slope-low", "slope"),
        (Self::Slope(High), "slope-high", "slope"),
        (Self::Deviation(Low), "deviation-low", "deviation"),
        (Self::Deviation(High), "deviation-high", "deviation"),
        (Self::Difference(Low), "difference-low", "difference"),
        (Self::Difference(High), "difference-high", "difference"),
        (Self::Score, "score", ""),
        (Self::Compound, "compound", "compound"),
        (Self::Implausible, "technical-implausible", "technical:implausible"),
        (Self::Unit, "technical-unit", "technical:unit"),
        (Self::Flatline, "technical-flatline", "technical:flatline"),
        (Self::Missing, "technical-missing", "technical:missing"),
    ];

    pub fn code(self) -> &'static str {
        Self::ALL.iter().find(|(cause, ..)| *cause == self).map_or("", |(_, code, _)| *code)
    }

    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, text, _)| *text == code).map(|(cause, ..)| *cause)
    }

    pub fn side(self) -> Option<Side> {
        match self {
            Self::Threshold(side)
            | Self::Rate(side)
            | Self::Change(side)
            | Self::Slope(side)
            | Self::Deviation(side)
            | Self::Difference(side) => Some(side),
            _ => None,
        }
    }

    /// The rule key of an episode: `threshold:8867-4:low`, `technical:implausible:8867-4`; of a score its name.
    pub fn key(self, subject: &str) -> String {
        let words = Self::ALL.iter().find(|(cause, ..)| *cause == self).map_or("", |(.., words)| *words);
        match self.side() {
            _ if self == Self::Score => subject.to_owned(),
            Some(side) => format!("{words}:{subject}:{}", side.code()),
            None => format!("{words}:{subject}"),
        }
    }

    /// About the measurement, not about the patient.
    pub fn is_technical(self) -> bool {
        matches!(self, Self::Implausible | Self::Unit | Self::Flatline | Self::Missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_causes_read_back() {
        for (cause, code, _) in Cause::ALL {
            assert_eq!((Cause::from_code(code), cause.code()), (Some(cause), code));
        }
        assert_eq!(Cause::from_code("news3"), None);
    }

    #[test]
    fn keys_name_cause_subject_and_side() {
        for (cause, key) in [
            (Cause::Threshold(Low), "threshold:8867-4:low"),
            (Cause::Rate(High), "rate:8867-4:high"),
            (Cause::Implausible, "technical:implausible:8867-4"),
            (Cause::Score, "8867-4"),
        ] {
            assert_eq!(cause.key("8867-4"), key);
        }
    }
}
