//! The names that gateways and boards give to what they measure, as one table (`data/metrics.csv`): LOINC, MDC and the
//! unit that such a number is in when nothing else is said. A name that is not in the table is no reading.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::part::coded;
use crate::normalize::codes;
use crate::normalize::draft::Coding;

const TABLE: &str = include_str!("data/metrics.csv");

/// What a name stands for.
#[derive(Debug)]
pub struct Metric {
    loinc: String,
    mdc: String,
    /// UCUM
    pub unit: String,
    pub what: String,
}

static METRICS: LazyLock<HashMap<String, Metric>> = LazyLock::new(|| {
    let mut all = HashMap::new();
    for row in csv::Reader::from_reader(TABLE.as_bytes()).records().flatten() {
        let column = |at: usize| row.get(at).unwrap_or_default().to_owned();
        for name in column(0).split(';') {
            let metric = Metric { loinc: column(1), mdc: column(2), unit: column(3), what: column(4) };
            all.insert(name.to_owned(), metric);
        }
    }
    all
});

/// The metric of a name, however it is spelled: `heartRate`, `heart_rate`, `HEART-RATE`.
pub fn named(name: &str) -> Option<&'static Metric> {
    if name.len() > 64 {
        return None;
    }
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    METRICS.get(&plain)
}

impl Metric {
    pub fn code(&self) -> Vec<Coding> {
        let name = codes::mdc(&self.mdc).map(|row| row.refid.as_str());
        coded(&self.loinc, &self.mdc, name.unwrap_or_default())
    }

    pub fn loinc(&self) -> &str {
        &self.loinc
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::ucum;

    #[test]
    fn every_row_has_a_code_and_a_unit_that_its_profile_allows() {
        assert!(METRICS.len() > 60);
        for (name, metric) in METRICS.iter() {
            assert!(!metric.code().is_empty() && !metric.unit.is_empty() && !metric.what.is_empty(), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{name}");
            let allowed = codes::units_of(&metric.loinc).is_none_or(|units| units.contains(&metric.unit.as_str()));
            assert!(allowed, "{name}");
            assert!(metric.unit.starts_with('{') || ucum::canonical(&metric.unit).is_some(), "{name}");
        }
    }

    #[test]
    fn spelling_does_not_matter() {
        for name in ["heartRate", "heart_rate", "HEART-RATE", "hr"] {
            assert_eq!(named(name).unwrap().loinc(), "8867-4", "{name}");
        }
        for name in ["", "humidity", &"h".repeat(99)] {
            assert!(named(name).is_none(), "{name}");
        }
    }
}
