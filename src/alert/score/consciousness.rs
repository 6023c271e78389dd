//! The level of consciousness on the ACVPU scale: letters on the chart, numbers in `Inputs`, SNOMED CT findings
//! in an Observation.

use super::parameter::SNOMED;

/// The order is that of the scale; the number in `Inputs` is the place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Acvpu {
    Alert,
    /// New confusion, disorientation or agitation.
    Confusion,
    Voice,
    Pain,
    Unresponsive,
}

impl Acvpu {
    /// With the number, the letter and the finding of the value set CareConnect-ACVPU of HL7 UK.
    const ALL: [(Self, f64, &'static str, &'static str); 5] = [
        (Self::Alert, 0.0, "A", "248234008"),
        (Self::Confusion, 1.0, "C", "130987000"),
        (Self::Voice, 2.0, "V", "300202002"),
        (Self::Pain, 3.0, "P", "450847001"),
        (Self::Unresponsive, 4.0, "U", "422768004"),
    ];

    fn row(self) -> Option<&'static (Self, f64, &'static str, &'static str)> {
        Self::ALL.iter().find(|row| row.0 == self)
    }

    /// What stands for it in `Inputs`.
    pub fn number(self) -> f64 {
        self.row().map_or(f64::NAN, |row| row.1)
    }

    pub fn letter(self) -> &'static str {
        self.row().map_or("", |row| row.2)
    }

    pub fn from_number(number: f64) -> Option<Self> {
        Self::ALL.iter().find(|row| row.1.total_cmp(&number).is_eq()).map(|row| row.0)
    }

    pub fn from_letter(letter: &str) -> Option<Self> {
        Self::ALL.iter().find(|row| row.2 == letter).map(|row| row.0)
    }

    /// What a coded value of an Observation says; none for findings that are not on the scale.
    pub fn from_coding(system: &str, code: &str) -> Option<Self> {
        Self::ALL.iter().find(|row| system == SNOMED && row.3 == code).map(|row| row.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_numbers_and_findings_say_the_same() {
        for (level, number, letter, finding) in Acvpu::ALL {
            assert_eq!((level.number().to_string(), level.letter()), (number.to_string(), letter));
            assert_eq!(Acvpu::from_letter(letter), Some(level));
            assert_eq!(Acvpu::from_number(number), Some(level));
            assert_eq!(Acvpu::from_coding(SNOMED, finding), Some(level));
        }
        assert_eq!(Acvpu::from_letter("a"), None);
        assert_eq!(Acvpu::from_number(0.5), None);
        assert_eq!(Acvpu::from_coding("http://loinc.org", "248234008"), None);
    }
}
