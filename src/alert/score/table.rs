//! The tables of points, read once from `../data`: `news2.csv` and `bedside-pews.csv` as their publications print
//! them, `scores.csv` for the others and for what stands in for a parameter of NEWS2.

use std::sync::LazyLock;

use super::{Acvpu, Kind, Parameter, Patient};

const NEWS2: &str = include_str!("../data/news2.csv");
const PEWS: &str = include_str!("../data/bedside-pews.csv");
const OTHERS: &str = include_str!("../data/scores.csv");

/// Which column of a table applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The table has one.
    Only,
    Spo2Scale1,
    Spo2Scale2OnAir,
    Spo2Scale2OnOxygen,
    Below3Months,
    To12Months,
    To4Years,
    To12Years,
    Above12Years,
}

/// The age bands of Bedside PEWS with the last day of each. 1 to 4 years ends with the fourth birthday.
const AGES: [(&str, Column, i64); 5] = [
    ("0-3m", Column::Below3Months, 90),
    ("3-12m", Column::To12Months, 364),
    ("1-4y", Column::To4Years, 1_461),
    ("4-12y", Column::To12Years, 4_383),
    (">12y", Column::Above12Years, i64::MAX),
];

/// None for an age that is not known, or before birth.
pub(super) fn age_column(patient: &Patient) -> Option<Column> {
    let days = patient.age_days.filter(|days| *days >= 0)?;
    AGES.iter().find(|(.., last)| days <= *last).map(|(_, column, _)| *column)
}

/// On scale 2 it matters whether there is oxygen; `oxygen` is what that part of the score gets.
pub(super) fn spo2_column(patient: &Patient, oxygen: Option<f64>) -> Option<Column> {
    if !patient.spo2_scale_2 {
        return Some(Column::Spo2Scale1);
    }
    oxygen.map(|points| if points > 0.0 { Column::Spo2Scale2OnOxygen } else { Column::Spo2Scale2OnAir })
}

/// Rounds to whole numbers. What is within the noise of binary arithmetic of a half is a half.
pub(super) fn half_up(value: f64) -> f64 {
    (value + 0.5 + 1e-9).floor()
}

/// Values from..=to in the steps of the parameter.
struct Cell {
    from: f64,
    to: f64,
    points: f64,
}

struct Group {
    kind: Kind,
    parameter: Parameter,
    column: Column,
    cells: Vec<Cell>,
}

pub(super) struct Tables(Vec<Group>);

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut tables = Tables(Vec::new());
    let _ = rows(NEWS2).map(|row| tables.news2(&row)).count();
    let _ = rows(PEWS).map(|row| tables.pews(&row)).count();
    let _ = rows(OTHERS).map(|row| tables.other(&row)).count();
    tables
});

pub(super) fn tables() -> &'static Tables {
    &TABLES
}

fn rows(text: &str) -> impl Iterator<Item = csv::StringRecord> {
    csv::Reader::from_reader(text.as_bytes()).into_records().filter_map(Result::ok)
}

impl Tables {
    /// The points of a value; where cells lie in each other, the most.
    pub(super) fn points(&self, kind: Kind, parameter: Parameter, column: Column, value: f64) -> Option<f64> {
        let group = self.0.iter().find(|g| g.kind == kind && g.parameter == parameter && g.column == column)?;
        let steps = half_up(value * parameter.facts()?.steps);
        let cells = group.cells.iter().filter(|cell| cell.from <= steps && steps <= cell.to);
        cells.map(|cell| cell.points).reduce(f64::max)
    }

    fn add(&mut self, kind: Kind, parameter: Parameter, column: Column, cell: Cell) {
        match self.0.iter_mut().find(|g| g.kind == kind && g.parameter == parameter && g.column == column) {
            Some(group) => group.cells.push(cell),
            None => self.0.push(Group { kind, parameter, column, cells: vec![cell] }),
        }
    }

    /// `parameter,condition,band_from,band_to,score`
    fn news2(&mut self, row: &csv::StringRecord) -> Option<()> {
        let (parameter, columns): (_, &[Column]) = match (row.get(0)?, row.get(1)?) {
            ("respiration_rate", _) => (Parameter::RespirationRate, &[Column::Only]),
            ("spo2_scale1", _) => (Parameter::Spo2, &[Column::Spo2Scale1]),
            ("spo2_scale2", "any") => (Parameter::Spo2, &[Column::Spo2Scale2OnAir, Column::Spo2Scale2OnOxygen]),
            ("spo2_scale2", "on_air") => (Parameter::Spo2, &[Column::Spo2Scale2OnAir]),
            ("spo2_scale2", "on_oxygen") => (Parameter::Spo2, &[Column::Spo2Scale2OnOxygen]),
            ("air_or_oxygen", _) => (Parameter::Oxygen, &[Column::Only]),
            ("systolic_bp", _) => (Parameter::SystolicPressure, &[Column::Only]),
            ("pulse", _) => (Parameter::HeartRate, &[Column::Only]),
            ("consciousness", _) => (Parameter::Consciousness, &[Column::Only]),
            ("temperature", _) => (Parameter::Temperature, &[Column::Only]),
            _ => return None,
        };
        for column in columns {
            self.add(Kind::News2, parameter, *column, cell(parameter, row.get(2)?, row.get(3)?, row.get(4)?)?);
        }
        Some(())
    }

    /// `age_band,parameter,score,at_or_below,at_or_above`; what is in neither has no points.
    fn pews(&mut self, row: &csv::StringRecord) -> Option<()> {
        let column = AGES.iter().find(|(name, ..)| row.get(0) == Some(*name)).map(|(_, column, _)| *column)?;
        let parameter = match row.get(1)? {
            "hr" => Parameter::HeartRate,
            "sbp" => Parameter::SystolicPressure,
            "rr" => Parameter::RespirationRate,
            _ => return None,
        };
        let points = row.get(2)?;
        for (from, to, points) in [("", row.get(3)?, points), (row.get(4)?, "", points), ("", "", "0")] {
            self.add(Kind::BedsidePews, parameter, column, cell(parameter, from, to, points)?);
        }
        Some(())
    }

    /// `score,parameter,band_from,band_to,points`
    fn other(&mut self, row: &csv::StringRecord) -> Option<()> {
        let (kind, parameter) = (Kind::from_code(row.get(0)?)?, Parameter::from_code(row.get(1)?)?);
        self.add(kind, parameter, Column::Only, cell(parameter, row.get(2)?, row.get(3)?, row.get(4)?)?);
        Some(())
    }
}

fn cell(parameter: Parameter, from: &str, to: &str, points: &str) -> Option<Cell> {
    let steps = parameter.facts()?.steps;
    let bound = |text: &str, open: f64| match text {
        "" => Some(open),
        "air" => Some(0.0),
        "oxygen" => Some(1.0),
        text => Acvpu::from_letter(text).map(Acvpu::number).or_else(|| text.parse().ok()),
    };
    let (from, to) = (bound(from, f64::NEG_INFINITY)?, bound(to, f64::INFINITY)?);
    Some(Cell { from: half_up(from * steps), to: half_up(to * steps), points: points.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_read() {
        let printed = rows(NEWS2).count() + rows(NEWS2).filter(|row| row.get(1) == Some("any")).count();
        let cells = |kind| TABLES.0.iter().filter(|g| g.kind == kind).map(|g| g.cells.len()).sum::<usize>();
        let others = |kind: &str| rows(OTHERS).filter(|row| row.get(0) == Some(kind)).count();
        assert_eq!(cells(Kind::News2), printed + others("news2"));
        assert_eq!(cells(Kind::BedsidePews), 3 * rows(PEWS).count());
        for kind in [Kind::Mews, Kind::Qsofa, Kind::Sirs, Kind::Meows] {
            assert_eq!(cells(kind), others(kind.code()), "{kind:?}");
        }
    }

    /// Bedside PEWS prints thresholds, which lie in each other; all others print bands.
    #[test]
    fn bands_leave_no_gap_and_do_not_overlap() {
        for group in TABLES.0.iter().filter(|g| g.kind != Kind::BedsidePews) {
            let mut cells: Vec<&Cell> = group.cells.iter().collect();
            cells.sort_by(|a, b| a.from.total_cmp(&b.from));
            for pair in cells.windows(2) {
                let gap = pair[1].from - pair[0].to;
                assert!((gap - 1.0).abs() < 1e-6, "{:?} {:?} at {}", group.kind, group.parameter, pair[1].from);
            }
        }
    }

    #[test]
    fn halves_round_up() {
        for (value, rounded) in [(20.5, 21.0), (20.499, 20.0), (380.499_999_999_999_97, 381.0), (0.0, 0.0)] {
            assert_eq!(half_up(value).total_cmp(&rounded), std::cmp::Ordering::Equal, "{value}");
        }
    }

    #[test]
    fn ages_fall_into_their_bands() {
        for (days, name) in [
            (0, "0-3m"),
            (90, "0-3m"),
            (91, "3-12m"),
            (365, "1-4y"),
            (1_461, "1-4y"),
            (1_462, "4-12y"),
            (4_384, ">12y"),
        ] {
            let column = age_column(&Patient { age_days: Some(days), ..Patient::default() });
            let expected = AGES.iter().find(|(text, ..)| *text == name).map(|(_, column, _)| *column);
            assert_eq!(column, expected, "{days}");
        }
        for age_days in [None, Some(-1)] {
            assert_eq!(age_column(&Patient { age_days, ..Patient::default() }), None);
        }
    }
}
