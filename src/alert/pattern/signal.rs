//! What is known of a measurement: its unit, which values can be true, the limits that part its range, and how long a
//! value says something. From the house's table of vital signs; a code that is not in it has figures, but no ranges.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::fhir::time::SECOND;

const TABLE: &str = include_str!("../data/vital-signs.csv");
/// How long a value counts where the table does not say.
const GAP: i64 = 3600 * SECOND;

/// Where the range of a measurement is parted, and how far readings may be apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Bands {
    /// Low critical, low warning, high warning, high critical: the limit, and whether it is itself outside.
    pub limits: [Option<(f64, bool)>; 4],
    /// Readings further apart are a gap.
    pub gap_us: i64,
}

impl Default for Bands {
    fn default() -> Self {
        Self { limits: [None; 4], gap_us: GAP }
    }
}

impl Bands {
    /// Very low 0, low 1, in range 2, high 3, very high 4.
    pub fn of(&self, value: f64) -> usize {
        let [very_low, low, high, very_high] = self.limits;
        let below = |limit: Option<(f64, bool)>| limit.is_some_and(|(l, outside)| value < l || (outside && value <= l));
        let above = |limit: Option<(f64, bool)>| limit.is_some_and(|(l, outside)| value > l || (outside && value >= l));
        if below(very_low) {
            0
        } else if above(very_high) {
            4
        } else if below(low) {
            1
        } else if above(high) {
            3
        } else {
            2
        }
    }

    pub fn has_limits(&self) -> bool {
        self.limits.iter().any(Option::is_some)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    pub unit: String,
    pub bands: Bands,
    /// Values outside cannot be true: a sensor that is off.
    pub plausible: Option<(f64, f64)>,
    pub glucose: bool,
}

static SIGNALS: LazyLock<HashMap<String, Signal>> = LazyLock::new(read);

impl Signal {
    /// By a code of the table, LOINC or IEEE 11073.
    pub fn of(code: &str) -> Option<&'static Self> {
        SIGNALS.get(code)
    }

    pub fn is_plausible(&self, value: f64) -> bool {
        self.plausible.is_none_or(|(low, high)| (low..=high).contains(&value))
    }
}

fn read() -> HashMap<String, Signal> {
    let mut reader = csv::Reader::from_reader(TABLE.as_bytes());
    let names = reader.headers().cloned().unwrap_or_default();
    let (mut own, mut others) = (HashMap::new(), HashMap::new());
    for record in reader.records().filter_map(Result::ok) {
        let get = |column: &str| names.iter().position(|name| name == column).and_then(|at| record.get(at));
        let number = |column: &str| get(column)?.parse::<f64>().ok();
        let limit = |column: &str| {
            let operator = get(&format!("{column}_op"))?;
            Some((number(column)?, operator.ends_with('=')))
        };
        let stale = get("stale_after_s").and_then(|text| text.parse::<i64>().ok());
        let signal = Signal {
            unit: get("ucum").unwrap_or_default().to_owned(),
            bands: Bands {
                limits: ["low_critical", "low_warning", "high_warning", "high_critical"].map(limit),
                gap_us: stale.filter(|s| *s > 0).map_or(GAP, |s| s.saturating_mul(SECOND)),
            },
            plausible: number("plausible_min").zip(number("plausible_max")),
            glucose: get("display").is_some_and(|name| name.starts_with("Glucose")),
        };
        let alternatives = get("alt_codes").unwrap_or_default().split(';').map(|code| code.trim_end_matches("(MDC)"));
        others.extend(alternatives.filter(|code| !code.is_empty()).map(|code| (code.to_owned(), signal.clone())));
        own.extend(get("loinc").map(|code| (code.to_owned(), signal)));
    }
    // A row of its own says more than to be the alternative of another.
    others.extend(own);
    others
}
