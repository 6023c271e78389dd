//! What codes mean to the house: which LOINC code says the same as an MDC code, which category and unit it has,
//! which general code the vital-signs profiles want beside a special one. Read once from the tables in `data/`.
//! Nothing is guessed here: a code that is not in the tables stays as it was sent.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::draft::Coding;
pub use crate::fhir::mdc::{MDC, mdc, mdc_refid};
use crate::fhir::{LOINC, mdc};

/// The blood pressure panel and its parts.
pub const PANEL: &str = "85354-9";
pub const SYSTOLIC: &str = "8480-6";
pub const DIASTOLIC: &str = "8462-4";
pub const MEAN: &str = "8478-0";

const VITAL_SIGNS: &str = include_str!("data/vital-signs.csv");

/// Special codes and the general code that the R4 vital-signs profiles require beside them. Temperatures of
/// skin, airway or heart muscle are not body temperature and stay alone.
const GENERAL: [(&str, &str); 15] = [
    ("59408-5", "2708-6"),
    ("8889-8", "8867-4"),
    ("55284-4", PANEL),
    ("8329-5", "8310-5"),
    ("8332-9", "8310-5"),
    ("8331-1", "8310-5"),
    ("8333-7", "8310-5"),
    ("8328-7", "8310-5"),
    ("60834-9", "8310-5"),
    ("60836-4", "8310-5"),
    ("60838-0", "8310-5"),
    ("8306-3", "8302-2"),
    ("8308-9", "8302-2"),
    ("3141-9", "29463-7"),
    ("8287-5", "9843-4"),
];

/// Units that the R4 vital-signs profiles allow; the first is the one that others are converted to.
const UNITS: [(&str, &[&str]); 13] = [
    ("8867-4", &["/min"]),
    ("9279-1", &["/min"]),
    ("2708-6", &["%"]),
    ("59408-5", &["%"]),
    ("8310-5", &["Cel", "[degF]"]),
    (SYSTOLIC, &["mm[Hg]"]),
    (DIASTOLIC, &["mm[Hg]"]),
    (MEAN, &["mm[Hg]"]),
    ("8302-2", &["cm", "[in_i]"]),
    ("29463-7", &["kg", "g", "[lb_av]"]),
    ("39156-5", &["kg/m2"]),
    ("9843-4", &["cm", "[in_i]"]),
    ("8889-8", &["/min"]),
];

struct Loinc {
    display: String,
    category: Option<&'static str>,
}

static TABLE: LazyLock<HashMap<String, Loinc>> = LazyLock::new(|| {
    let mut loinc = HashMap::new();
    for row in rows(VITAL_SIGNS) {
        let (Some(code), Some(display), Some(category)) = (row.get(0), row.get(1), row.get(5)) else { continue };
        let category = known_category(category);
        loinc.insert(code.to_owned(), Loinc { display: display.to_owned(), category });
        for other in row.get(3).unwrap_or_default().split(';').filter(|c| is_loinc(c)) {
            loinc.entry(other.to_owned()).or_insert(Loinc { display: String::new(), category });
        }
    }
    for row in mdc::all().iter().filter(|row| !row.loinc.is_empty()) {
        let measured_at_the_bed = matches!(row.ucum.as_str(), "mm[Hg]" | "Cel" | "/min");
        let category = measured_at_the_bed.then_some("vital-signs");
        let known = loinc.entry(row.loinc.clone()).or_insert(Loinc { display: String::new(), category });
        if known.display.is_empty() {
            known.display.clone_from(&row.display);
        }
    }
    loinc
});

fn rows(table: &'static str) -> impl Iterator<Item = csv::StringRecord> {
    csv::ReaderBuilder::new().flexible(true).from_reader(table.as_bytes()).into_records().filter_map(Result::ok)
}

fn known_category(text: &str) -> Option<&'static str> {
    ["vital-signs", "laboratory", "survey"].into_iter().find(|known| *known == text)
}

/// Has the text the form of a LOINC code?
pub fn is_loinc(text: &str) -> bool {
    text.split_once('-').is_some_and(|(number, check)| {
        check.len() == 1 && !number.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'-')
    })
}

/// The LOINC code of a coding: its own, or that of its MDC code.
pub fn loinc_of<'a>(system: &str, code: &'a str) -> Option<&'a str> {
    match system {
        LOINC => Some(code),
        MDC => mdc(code).map(|row| row.loinc.as_str()).filter(|loinc| !loinc.is_empty()),
        _ => None,
    }
}

/// The category of a LOINC code, as in <http://terminology.hl7.org/CodeSystem/observation-category>.
pub fn category_of(loinc: &str) -> Option<&'static str> {
    TABLE.get(loinc).and_then(|row| row.category)
}

/// The name of a LOINC code.
pub fn display_of(loinc: &str) -> Option<&'static str> {
    TABLE.get(loinc).map(|row| row.display.as_str()).filter(|text| !text.is_empty())
}

/// The general code that stands beside a special one.
pub fn general_of(loinc: &str) -> Option<&'static str> {
    GENERAL.iter().find(|(special, _)| *special == loinc).map(|(_, general)| *general)
}

/// The units that the profile of a vital sign allows, the preferred one first.
pub fn units_of(loinc: &str) -> Option<&'static [&'static str]> {
    UNITS.iter().find(|(code, _)| *code == loinc).map(|(_, units)| *units)
}

/// All codings of a reading, LOINC first: what was sent, the LOINC code that the MDC codes agree on, and the
/// general code beside a special one. `fits` says whether the reading's unit is of the kind of the given unit:
/// carbon dioxide in % is not the code for its pressure.
pub fn codings(sent: &[Coding], fits: impl Fn(&str) -> bool) -> Vec<Coding> {
    let (mut all, others): (Vec<Coding>, Vec<Coding>) = sent.iter().cloned().partition(|c| c.system == LOINC);
    if all.is_empty() {
        let codes = others.iter().filter(|c| c.system == MDC).map(|c| c.code.as_str());
        all.extend(mdc::agreed(codes, fits).map(loinc));
    }
    if let Some(general) = all.iter().find_map(|c| general_of(&c.code)).filter(|g| all.iter().all(|c| c.code != *g)) {
        all.push(loinc(general));
    }
    for coding in all.iter_mut().filter(|c| c.display.is_none()) {
        coding.display = display_of(&coding.code).map(str::to_owned);
    }
    all.extend(others);
    all
}

/// A LOINC coding with its name.
pub fn loinc(code: &str) -> Coding {
    Coding { system: LOINC.to_owned(), code: code.to_owned(), display: display_of(code).map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::ucum;

    fn coding(system: &str, code: &str) -> Coding {
        Coding { system: system.to_owned(), code: code.to_owned(), display: None }
    }

    fn codes(sent: &[Coding], fits: bool) -> Vec<String> {
        codings(sent, |_| fits).into_iter().map(|c| c.code).collect()
    }

    #[test]
    fn units_and_codes_are_known() {
        assert!(mdc::all().iter().all(|row| row.loinc.is_empty() || is_loinc(&row.loinc)));
        assert!(UNITS.iter().all(|(_, units)| units.iter().all(|u| ucum::canonical(u).is_some())));
    }

    #[test]
    fn loinc_stands_beside_mdc() {
        assert_eq!(loinc_of(MDC, "147842"), Some("8867-4"));
        assert_eq!(loinc_of(MDC, "148066"), None, "no LOINC is known for it");
        assert_eq!(loinc_of(LOINC, "1-8"), Some("1-8"));
        assert_eq!(loinc_of("urn:other", "147842"), None);
        assert_eq!(codes(&[coding(MDC, "147842")], true), ["8867-4", "147842"]);
        assert_eq!(codes(&[coding(MDC, "151708")], false), ["151708"], "carbon dioxide, but not as a pressure");
        assert_eq!(codes(&[coding(MDC, "150456")], true), ["59408-5", "2708-6", "150456"]);
        assert_eq!(codes(&[coding(MDC, "150017"), coding(MDC, "150021")], true), ["8480-6", "150017", "150021"]);
        assert_eq!(codes(&[coding(MDC, "150021"), coding(MDC, "150033")], true), ["150021", "150033"], "no agreement");
        assert_eq!(codes(&[coding(MDC, "1"), coding(LOINC, "8867-4")], true), ["8867-4", "1"]);
        assert_eq!(codings(&[coding(MDC, "147842")], |_| true)[0].display.as_deref(), Some("Heart rate"));
    }

    #[test]
    fn categories_come_from_the_table() {
        let table = [
            ("8867-4", Some("vital-signs")),
            ("2339-0", Some("laboratory")),
            ("41653-7", Some("laboratory")),
            ("9269-2", Some("survey")),
            ("76215-3", Some("vital-signs")),
            ("20112-9", None),
            ("1234-5", None),
        ];
        for (code, category) in table {
            assert_eq!(category_of(code), category, "{code}");
        }
    }
}
