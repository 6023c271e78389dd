//! Clinical early-warning scores: NEWS2, MEWS, qSOFA, SIRS, MEOWS, the vital signs of Bedside PEWS, shock index and
//! an estimate of the mean pressure. `score` takes the latest values of a patient and gives the total, its parts
//! and its band; `observation` says the same in FHIR. What the numbers are lies in `../data`, not in code.
//! Pure: no store, no clock, no IO, and nothing of any patient is kept. How old a value may be is said here
//! (`Kind::inputs`), whether it is that old is known to whoever holds the readings.
//!
//! - A value that is missing, or that cannot be what it claims to be, is never taken as normal: no total, and the
//!   list of what is missing.
//! - Tables have whole numbers (tenths for temperature); a value between two of them is rounded first, half up.
//! - Nothing here is an alarm. A rule makes one of a score's total or band.

mod band;
mod consciousness;
mod input;
mod kind;
mod observation;
mod oxygen;
mod parameter;
mod part;
mod table;

pub use band::Band;
pub use consciousness::Acvpu;
pub use input::{Inputs, Patient};
pub use kind::{Choice, Kind, Needed};
pub use observation::{BAND_SYSTEM, DEVICE, SYSTEM, observation};
pub use oxygen::{Oxygen, OxygenSign};
pub use parameter::Parameter;
pub use part::{Missing, Part, Parts};
pub use table::Column;

use table::Tables;

/// What came out. Small and without a heap: it is made for every reading, and mostly equals the last one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    pub kind: Kind,
    /// None when something that is required is missing.
    pub total: Option<f64>,
    /// One for each thing that the score looks at, in the order of `Kind::inputs`.
    pub parts: Parts,
    /// Without these there is no total.
    pub missing: Missing,
    /// Something that is not required was not there: the total is the least that it can be.
    pub partial: bool,
    /// None without a total, and for a score whose publication names no bands.
    pub band: Option<Band>,
}

impl Score {
    /// Is there nothing new to tell: the same total, band and points, from whatever values?
    pub fn says_the_same(&self, other: &Self) -> bool {
        let told = |part: &Part| (part.parameter, part.column, part.points);
        (self.kind, self.total, self.band, self.missing) == (other.kind, other.total, other.band, other.missing)
            && self.parts.iter().map(told).eq(other.parts.iter().map(told))
    }
}

/// The score of these values.
pub fn score(kind: Kind, inputs: &Inputs, patient: &Patient) -> Score {
    let empty =
        Score { kind, total: None, parts: Parts::default(), missing: Missing::default(), partial: false, band: None };
    let mut score = match kind {
        Kind::ShockIndex => formula(empty, inputs, shock_index),
        Kind::MeanPressure => formula(empty, inputs, mean_pressure),
        _ => by_table(empty, inputs, patient),
    };
    score.band = score.total.and_then(|total| band::of(kind, total, &score.parts));
    score
}

fn by_table(mut score: Score, inputs: &Inputs, patient: &Patient) -> Score {
    let tables = table::tables();
    let age = table::age_column(patient);
    if score.kind == Kind::BedsidePews && age.is_none() {
        score.missing.insert(Parameter::Age);
    }
    let needed = score.kind.inputs();
    let oxygen = needed.iter().find(|needed| needed.parameter == Parameter::Oxygen);
    let oxygen = oxygen.and_then(|needed| judge(tables, score.kind, needed, inputs, Some(Column::Only)).points);
    let mut total = 0.0;
    for needed in needed {
        let column = match (score.kind, needed.parameter) {
            (Kind::BedsidePews, _) => age,
            (Kind::News2, Parameter::Spo2) => table::spo2_column(patient, oxygen),
            _ => Some(Column::Only),
        };
        let part = judge(tables, score.kind, needed, inputs, column);
        total += part.points.unwrap_or(0.0);
        if part.points.is_none() && needed.required {
            // Where the column is not known, what would have told it is the thing that is missing.
            if part.value.is_none() || column.is_some() {
                score.missing.insert(needed.parameter);
            }
        } else if part.points.is_none() {
            score.partial = true;
        }
        score.parts.push(part);
    }
    score.total = score.missing.is_empty().then_some(total);
    score
}

/// The points of one thing that the score looks at: of its first value that is there, or of the worst.
fn judge(tables: &Tables, kind: Kind, needed: &Needed, inputs: &Inputs, column: Option<Column>) -> Part {
    let nothing = Part { parameter: needed.parameter, source: needed.parameter, column, value: None, points: None };
    let mut best = nothing;
    for source in std::iter::once(needed.parameter).chain(needed.alternatives.iter().copied()) {
        let Some(value) = inputs.get(source) else { continue };
        let points = column.and_then(|column| tables.points(kind, source, column, value));
        if best.value.is_none() || points > best.points {
            best = Part { source, value: Some(value), points, ..nothing };
        }
        if needed.choice == Choice::First {
            break;
        }
    }
    best
}

/// A number that is calculated; its inputs get no points.
fn formula(mut score: Score, inputs: &Inputs, calculate: fn(&Inputs) -> Result<f64, Parameter>) -> Score {
    for needed in score.kind.inputs() {
        let (parameter, value) = (needed.parameter, inputs.get(needed.parameter));
        if value.is_none() {
            score.missing.insert(parameter);
        }
        score.parts.push(Part { parameter, source: parameter, column: None, value, points: None });
    }
    match calculate(inputs) {
        Ok(number) if score.missing.is_empty() => score.total = Some(number),
        Ok(_) => {}
        Err(parameter) => score.missing.insert(parameter),
    }
    score
}

/// No heart moves a pressure below 1.
fn shock_index(inputs: &Inputs) -> Result<f64, Parameter> {
    let rate = inputs.get(Parameter::HeartRate).ok_or(Parameter::HeartRate)?;
    let systolic = inputs.get(Parameter::SystolicPressure).filter(|v| *v >= 1.0).ok_or(Parameter::SystolicPressure)?;
    Ok(table::half_up(rate / systolic * 100.0) / 100.0)
}

/// A diastolic pressure above the systolic one is none.
fn mean_pressure(inputs: &Inputs) -> Result<f64, Parameter> {
    let systolic = inputs.get(Parameter::SystolicPressure).ok_or(Parameter::SystolicPressure)?;
    let diastolic =
        inputs.get(Parameter::DiastolicPressure).filter(|v| *v <= systolic).ok_or(Parameter::DiastolicPressure)?;
    Ok(table::half_up((diastolic + (systolic - diastolic) / 3.0) * 10.0) / 10.0)
}

#[cfg(test)]
mod tests;
