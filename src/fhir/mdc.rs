//! MDC, the codes of devices (IEEE 11073-10101): what they are called, which LOINC code says the same, and in which unit
//! of UCUM. Read once from a table that names the source of each row; a code that is not in it says nothing here.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::reading::Code;
use super::{LOINC, ucum};

/// The system of MDC codes.
pub const MDC: &str = "urn:iso:std:iso:11073:10101";

const TABLE: &str = include_str!("data/mdc-loinc-ucum.csv");

/// A row of the table; empty texts are unknown.
#[derive(Debug)]
pub struct Mdc {
    pub code: String,
    pub refid: String,
    pub loinc: String,
    pub ucum: String,
    pub display: String,
}

struct Rows {
    all: Vec<Mdc>,
    by_code: HashMap<String, usize>,
}

static ROWS: LazyLock<Rows> = LazyLock::new(|| {
    let records = csv::ReaderBuilder::new().flexible(true).from_reader(TABLE.as_bytes()).into_records();
    let all: Vec<Mdc> = records.filter_map(Result::ok).filter_map(|record| row(&record)).collect();
    let by_code = all.iter().enumerate().map(|(at, row)| (row.code.clone(), at)).collect();
    Rows { all, by_code }
});

fn row(record: &csv::StringRecord) -> Option<Mdc> {
    let column = |at: usize| record.get(at).map(str::to_owned);
    Some(Mdc { code: column(0)?, refid: column(1)?, loinc: column(2)?, ucum: column(3)?, display: column(4)? })
}

pub fn all() -> &'static [Mdc] {
    &ROWS.all
}

/// The row of an MDC code.
pub fn mdc(code: &str) -> Option<&'static Mdc> {
    ROWS.by_code.get(code).and_then(|at| ROWS.all.get(*at))
}

/// The rows of an MDC reference id (`MDC_PULS_RATE` has several codes).
pub fn mdc_refid(refid: &str) -> impl Iterator<Item = &'static Mdc> {
    ROWS.all.iter().filter(move |row| !refid.is_empty() && row.refid == refid)
}

/// The one LOINC code of MDC codes; none when they contradict each other. `fits` says whether what was measured is in a
/// unit of the kind of the given one: carbon dioxide in % is not the code for its pressure.
pub fn agreed<'a>(codes: impl Iterator<Item = &'a str>, fits: impl Fn(&str) -> bool) -> Option<&'static str> {
    let mut rows = codes.filter_map(mdc);
    let first = rows.next().filter(|row| !row.loinc.is_empty())?;
    let same = rows.all(|row| row.loinc == first.loinc);
    (same && (first.ucum.is_empty() || fits(&first.ucum))).then_some(first.loinc.as_str())
}

/// The LOINC code of what is coded by MDC alone; `unit` is that of its number, if it has one.
pub(super) fn implied(codings: &[Code], unit: Option<&str>) -> Option<Code> {
    if codings.iter().any(|(system, _)| system == LOINC) {
        return None;
    }
    let codes = codings.iter().filter(|(system, _)| system == MDC).map(|(_, code)| code.as_str());
    let fits = |kind: &str| unit.is_none_or(|unit| unit == kind || ucum::convert(1.0, unit, kind).is_some());
    agreed(codes, fits).map(|loinc| (LOINC.to_owned(), loinc.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_read() {
        assert_eq!(all().len(), TABLE.lines().count() - 1);
        for row in all() {
            assert_eq!(mdc(&row.code).unwrap().refid, row.refid);
            let known =
                row.ucum.is_empty() || ucum::canonical(&row.ucum).is_some() || ucum::from_common(&row.ucum).is_some();
            assert!(known, "{row:?}");
        }
        assert_eq!(mdc_refid("MDC_PULS_RATE").count(), 2);
        assert_eq!(mdc_refid("").count(), 0);
    }

    #[test]
    fn loinc_is_implied_where_mdc_stands_alone() {
        for (codes, unit, loinc) in [
            (&[(MDC, "147842")][..], Some("/min"), Some("8867-4")),
            (&[(MDC, "149530")], Some("{beat}/min"), Some("8867-4")),
            (&[(MDC, "147842")], Some("kg"), None),
            (&[(MDC, "147842")], None, Some("8867-4")),
            (&[(MDC, "147842"), (LOINC, "8889-8")], Some("/min"), None),
            (&[(MDC, "150021"), (MDC, "150033")], Some("mm[Hg]"), None),
            (&[(MDC, "1")], None, None),
            (&[("urn:other", "147842")], None, None),
        ] {
            let codings: Vec<Code> = codes.iter().map(|(s, c)| ((*s).to_owned(), (*c).to_owned())).collect();
            assert_eq!(implied(&codings, unit).map(|(_, code)| code).as_deref(), loinc, "{codes:?} {unit:?}");
        }
    }
}
