//! What a record of an Apple Health export is as a reading of the compact form: its codes and units by two tables
//! (`data/apple-health.csv`, `data/apple-units.csv`), its fractions as percent, its times as FHIR has them. Pure: no XML,
//! no file, no HTTP in here.
//!
//! The LOINC codes are those of `HealthKitOnFHIR` (Stanford University, MIT), save glucose, which has the codes that the
//! house uses. What has no LOINC code there keeps the name that Apple gives it, in the system that `HealthKitOnFHIR`
//! uses for these names. Nothing is left out for want of a code.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// The system of the names of Apple's types.
pub const HEALTHKIT: &str = "http://developer.apple.com/documentation/healthkit";
const CATEGORY: &str = "HKCategoryTypeIdentifier";
const TYPES: &str = include_str!("data/apple-health.csv");
const UNITS: &str = include_str!("data/apple-units.csv");

/// The attributes of a record that say what was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// `HKQuantityTypeIdentifierHeartRate`
    pub kind: String,
    pub unit: Option<String>,
    pub value: Option<String>,
    /// The app or the device that it came from.
    pub source: String,
    /// `2026-01-02 03:04:05 +0100`
    pub start: String,
    pub end: String,
    /// Somebody typed it in.
    pub typed: bool,
}

struct Row {
    unit: String,
    loinc: String,
    ucum: String,
}

static ROWS: LazyLock<HashMap<String, Vec<Row>>> = LazyLock::new(|| {
    let mut all: HashMap<String, Vec<Row>> = HashMap::new();
    for row in csv::Reader::from_reader(TYPES.as_bytes()).records().flatten() {
        let column = |at: usize| row.get(at).unwrap_or_default().to_owned();
        all.entry(column(0)).or_default().push(Row { unit: column(1), loinc: column(2), ucum: column(3) });
    }
    all
});

static UCUM: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let rows = csv::Reader::from_reader(UNITS.as_bytes()).into_records().flatten();
    rows.filter_map(|row| Some((row.get(0)?.to_owned(), row.get(1)?.to_owned()))).collect()
});

/// The type without what all types begin with: `HeartRate`.
pub fn short(kind: &str) -> &str {
    ["HKQuantityTypeIdentifier", "HKCategoryTypeIdentifier", "HKCorrelationTypeIdentifier", "HKDataType"]
        .iter()
        .find_map(|begin| kind.strip_prefix(begin))
        .unwrap_or(kind)
}

/// Is it one half of a blood pressure?
pub fn is_pressure(kind: &str) -> bool {
    matches!(short(kind), "BloodPressureSystolic" | "BloodPressureDiastolic")
}

/// A record as a reading; else what is wrong with it.
pub fn reading(record: &Record) -> Result<Map<String, Value>, String> {
    let mut reading = Map::new();
    let value = record.value.as_deref().ok_or("the attribute value is missing")?;
    if record.kind.starts_with(CATEGORY) {
        reading.insert(
            "code".to_owned(),
            json!({"system": HEALTHKIT, "code": record.kind, "display": words(short(&record.kind))}),
        );
        reading.insert(
            "value".to_owned(),
            json!({"system": HEALTHKIT, "code": value, "display": meaning(&record.kind, value)}),
        );
    } else {
        let (value, unit) = amount(value, record.unit.as_deref().unwrap_or_default())?;
        let row = row(short(&record.kind), &unit);
        let code = match row {
            Some(row) => json!(row.loinc),
            None => json!({"system": HEALTHKIT, "code": record.kind, "display": words(short(&record.kind))}),
        };
        let unit = row.map(|row| row.ucum.as_str()).filter(|own| !own.is_empty() && fits(&unit, own)).unwrap_or(&unit);
        reading.insert("code".to_owned(), code);
        reading.insert("value".to_owned(), value.into());
        reading.insert("unit".to_owned(), if unit.is_empty() { "1" } else { unit }.into());
    }
    whole(&mut reading, record)?;
    Ok(reading)
}

/// The two halves of a blood pressure as one reading.
pub fn pressure(systolic: &Record, diastolic: &Record) -> Result<Map<String, Value>, String> {
    let half = |record: &Record| {
        let value = record.value.as_deref().ok_or("the attribute value is missing")?;
        amount(value, record.unit.as_deref().unwrap_or_default())
    };
    let ((systolic_value, unit), (diastolic_value, other)) = (half(systolic)?, half(diastolic)?);
    if unit != other {
        return Err("systolic and diastolic are in different units".to_owned());
    }
    let mut reading = Map::new();
    reading.insert("code".to_owned(), "bp".into());
    reading.insert("systolic".to_owned(), systolic_value.into());
    reading.insert("diastolic".to_owned(), diastolic_value.into());
    reading.insert("unit".to_owned(), unit.into());
    whole(&mut reading, systolic)?;
    Ok(reading)
}

/// When it was, and where it came from.
fn whole(reading: &mut Map<String, Value>, record: &Record) -> Result<(), String> {
    let start = time(&record.start).ok_or("startDate is no time with a zone")?;
    let end = time(&record.end).ok_or("endDate is no time with a zone")?;
    if start != end {
        reading.insert("end".to_owned(), end.into());
    }
    reading.insert("time".to_owned(), start.into());
    let by_hand = if record.typed { ", entered by hand" } else { "" };
    reading.insert("note".to_owned(), format!("Apple Health: {}{by_hand}", record.source.trim()).into());
    Ok(())
}

fn row(kind: &str, unit: &str) -> Option<&'static Row> {
    ROWS.get(kind)?.iter().find(|row| row.unit.is_empty() || row.unit == unit)
}

/// The unit of a table's row stands for a bare count; any other unit was sent because it is meant.
fn fits(sent: &str, own: &str) -> bool {
    matches!(sent, "{count}" | "/min" | "") || sent == own
}

/// The number with its UCUM unit. A fraction becomes percent, digit for digit.
fn amount(value: &str, unit: &str) -> Result<(String, String), String> {
    let value = crate::normalize::decimal(value).ok_or("the attribute value is no number")?;
    // `mmol<180.1558800000541>/L`: the molar mass that Apple reckons with.
    let unit = match unit.split_once('<').zip(unit.split_once('>')) {
        Some(((before, _), (_, after))) => format!("{before}{after}"),
        None => unit.to_owned(),
    };
    if unit == "%" {
        return Ok((hundredfold(&value).ok_or("the attribute value is no number")?, unit));
    }
    Ok((value, UCUM.get(&unit).cloned().unwrap_or(unit)))
}

/// The decimal moved by two digits: `0.97` is `97`, `0.965` is `96.5`.
fn hundredfold(value: &str) -> Option<String> {
    let (number, exponent) = match value.split_once('e') {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (value, 0),
    };
    if exponent != 0 {
        return crate::normalize::decimal(&format!("{number}e{}", exponent + 2));
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut digits = fraction.chars();
    let moved: String = (0..2).map(|_| digits.next().unwrap_or('0')).collect();
    crate::normalize::decimal(&match digits.as_str() {
        "" => format!("{whole}{moved}"),
        rest => format!("{whole}{moved}.{rest}"),
    })
}

/// `2026-01-02 03:04:05 +0100` as FHIR has it.
fn time(text: &str) -> Option<String> {
    let mut parts = text.split_ascii_whitespace();
    let (date, clock, zone) = (parts.next()?, parts.next()?, parts.next()?);
    let (sign, digits) = zone.split_at_checked(1)?;
    let (hours, minutes) = digits.split_at_checked(2)?;
    let number = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let sound = matches!(sign, "+" | "-") && number(hours) && number(minutes) && parts.next().is_none();
    let time = format!("{date}T{clock}{sign}{hours}:{minutes}");
    (sound && clock.len() == 8 && crate::fhir::time::range(&time).is_some()).then_some(time)
}

/// What a value of a category means: its name without that of its type.
fn meaning(kind: &str, value: &str) -> String {
    let bare = value.strip_prefix("HKCategoryValue").unwrap_or(value);
    words(bare.strip_prefix(short(kind)).filter(|rest| !rest.is_empty()).unwrap_or(bare))
}

/// `AsleepCore` is `Asleep core`.
fn words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    let mut before = ' ';
    for letter in name.chars() {
        if letter.is_uppercase() && before.is_lowercase() {
            words.push(' ');
            words.extend(letter.to_lowercase());
        } else {
            words.push(letter);
        }
        before = letter;
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fhir::ucum;
    use crate::normalize::codes;

    const QUANTITY: &str = "HKQuantityTypeIdentifier";

    fn record(kind: &str, unit: &str, value: &str) -> Record {
        Record {
            kind: format!("{QUANTITY}{kind}"),
            unit: Some(unit.to_owned()),
            value: Some(value.to_owned()),
            source: "Watch".to_owned(),
            start: "2026-01-02 03:04:05 -0530".to_owned(),
            end: "2026-01-02 03:04:05 -0530".to_owned(),
            typed: false,
        }
    }

    #[test]
    fn quantities_have_codes_and_units() {
        for (kind, unit, value, want) in [
            ("HeartRate", "count/min", "72", "\"8867-4\" 72 /min"),
            ("OxygenSaturation", "%", "0.97", "\"59408-5\" 97 %"),
            ("OxygenSaturation", "%", "0.965", "\"59408-5\" 96.5 %"),
            ("OxygenSaturation", "%", "1", "\"59408-5\" 100 %"),
            ("BodyFatPercentage", "%", "2.5e-1", "\"41982-0\" 2.5e+1 %"),
            ("BodyTemperature", "degF", "98.60", "\"8310-5\" 98.60 [degF]"),
            ("BodyMass", "lb", "150.5", "\"29463-7\" 150.5 [lb_av]"),
            ("BodyMass", "kg", "68.00", "\"29463-7\" 68.00 kg"),
            ("BloodGlucose", "mg/dL", "101", "\"2339-0\" 101 mg/dL"),
            ("BloodGlucose", "mmol<180.1558800000541>/L", "5.6", "\"15074-8\" 5.6 mmol/L"),
            ("StepCount", "count", "213", "\"55423-8\" 213 {steps}"),
            ("HeartRateVariabilitySDNN", "ms", "41.2", "\"80404-7\" 41.2 ms"),
            ("ActiveEnergyBurned", "Cal", "0.3", "\"41981-2\" 0.3 kcal"),
        ] {
            let reading = reading(&record(kind, unit, value)).unwrap();
            let told = format!(
                "{} {} {}",
                reading["code"],
                reading["value"].as_str().unwrap(),
                reading["unit"].as_str().unwrap()
            );
            assert_eq!(told, want, "{kind} {unit} {value}");
            assert_eq!(reading["time"], "2026-01-02T03:04:05-05:30");
        }
        let own = reading(&record("VO2Max", "mL/min·kg", "41.5")).unwrap();
        assert_eq!(
            (&own["code"]["code"], &own["unit"]),
            (&json!("HKQuantityTypeIdentifierVO2Max"), &json!("mL/(kg.min)"))
        );
    }

    #[test]
    fn categories_are_coded_over_their_time() {
        let sleep = Record {
            kind: format!("{CATEGORY}SleepAnalysis"),
            value: Some("HKCategoryValueSleepAnalysisAsleepCore".to_owned()),
            unit: None,
            end: "2026-01-02 04:00:00 -0530".to_owned(),
            typed: true,
            ..record("", "", "")
        };
        let reading = reading(&sleep).unwrap();
        assert_eq!(reading["code"]["display"], "Sleep analysis");
        assert_eq!(
            (&reading["value"]["display"], &reading["end"]),
            (&json!("Asleep core"), &json!("2026-01-02T04:00:00-05:30"))
        );
        assert_eq!(reading["note"], "Apple Health: Watch, entered by hand");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let mut wrong = record("HeartRate", "count/min", "fast");
        assert!(reading(&wrong).unwrap_err().contains("value"));
        wrong = record("HeartRate", "count/min", "72");
        wrong.start = "2026-01-02 03:04:05".to_owned();
        assert!(reading(&wrong).unwrap_err().contains("startDate"));
        wrong.value = None;
        assert!(reading(&wrong).unwrap_err().contains("missing"));
        let (systolic, diastolic) =
            (record("BloodPressureSystolic", "mmHg", "120"), record("BloodPressureDiastolic", "kPa", "10"));
        assert!(pressure(&systolic, &diastolic).unwrap_err().contains("units"));
    }

    #[test]
    fn every_row_has_a_code_and_a_unit_that_is_known() {
        for (kind, rows) in ROWS.iter() {
            for row in rows {
                assert!(codes::is_loinc(&row.loinc), "{kind}");
                assert!(
                    row.ucum.is_empty() || row.ucum.starts_with('{') || ucum::canonical(&row.ucum).is_some(),
                    "{kind}"
                );
                let allowed = codes::units_of(&row.loinc);
                assert!(
                    row.ucum.is_empty() || allowed.is_none_or(|units| units.contains(&row.ucum.as_str())),
                    "{kind}"
                );
            }
        }
        assert!(ROWS.len() > 20 && UCUM.len() > 20);
    }

    proptest! {
        #[test]
        fn percent_is_a_hundred_times_the_fraction(whole in 0..9u32, fraction in "[0-9]{0,6}") {
            let text = if fraction.is_empty() { whole.to_string() } else { format!("{whole}.{fraction}") };
            let moved: f64 = hundredfold(&text).unwrap().parse().unwrap();
            prop_assert!((moved - text.parse::<f64>().unwrap() * 100.0).abs() < 1e-6);
        }

        #[test]
        fn any_text_is_taken_or_refused(value in "\\PC{0,12}", unit in "\\PC{0,8}", start in "[0-9: +-]{0,26}|\\PC{0,9}") {
            let record = Record { start, ..record("OxygenSaturation", &unit, &value) };
            let _ = reading(&record);
        }
    }
}
