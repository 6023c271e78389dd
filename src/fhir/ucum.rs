//! The units that bedside devices send: a small table of UCUM codes with one canonical unit for each kind of
//! quantity, and the repair of what devices write instead of UCUM. Not a UCUM parser: a unit that is not in
//! the table is kept as it is and compared only with itself. Amount of substance is never turned into mass
//! (that needs the substance), and a bare `1` never into `%` (it may be a score).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

/// How a unit becomes the canonical unit of its kind: `canonical = value * factor + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Canonical {
    pub unit: &'static str,
    pub factor: f64,
    pub offset: f64,
}

impl Canonical {
    /// The value in the canonical unit.
    pub fn of(self, value: f64) -> f64 {
        tidy(value * self.factor + self.offset)
    }
}

/// One mm\[Hg\] in pascal, as UCUM defines it.
const MMHG: f64 = 133.322;
const FAHRENHEIT: f64 = 5.0 / 9.0;

/// UCUM code, canonical unit of its kind, factor, offset.
type Row = (&'static str, &'static str, f64, f64);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("mm[Hg]", "mm[Hg]", 1.0, 0.0), ("kPa", "mm[Hg]", 1000.0 / MMHG, 0.0), ("Pa", "mm[Hg]", 1.0 / MMHG, 0.0),
    ("hPa", "mm[Hg]", 100.0 / MMHG, 0.0), ("mbar", "mm[Hg]", 100.0 / MMHG, 0.0), ("bar", "mm[Hg]", 100_000.0 / MMHG, 0.0),
    ("cm[H2O]", "mm[Hg]", 98.0665 / MMHG, 0.0), ("mm[H2O]", "mm[Hg]", 9.80665 / MMHG, 0.0),
    ("Cel", "Cel", 1.0, 0.0), ("[degF]", "Cel", FAHRENHEIT, -32.0 * FAHRENHEIT), ("K", "Cel", 1.0, -273.15),
    ("/min", "/min", 1.0, 0.0), ("Hz", "/min", 60.0, 0.0), ("/s", "/min", 60.0, 0.0), ("/h", "/min", 1.0 / 60.0, 0.0),
    ("/d", "/min", 1.0 / 1440.0, 0.0), ("%", "%", 1.0, 0.0), ("1", "1", 1.0, 0.0),
    ("mg/dL", "mg/dL", 1.0, 0.0), ("g/L", "mg/dL", 100.0, 0.0), ("mg/L", "mg/dL", 0.1, 0.0), ("g/dL", "mg/dL", 1000.0, 0.0),
    ("mg/mL", "mg/dL", 100.0, 0.0), ("ug/mL", "mg/dL", 0.1, 0.0), ("ug/dL", "mg/dL", 1e-3, 0.0),
    ("ug/L", "mg/dL", 1e-4, 0.0), ("ng/mL", "mg/dL", 1e-4, 0.0), ("kg/L", "mg/dL", 1e5, 0.0),
    ("mmol/L", "mmol/L", 1.0, 0.0), ("mol/L", "mmol/L", 1000.0, 0.0), ("umol/L", "mmol/L", 1e-3, 0.0),
    ("nmol/L", "mmol/L", 1e-6, 0.0), ("meq/L", "meq/L", 1.0, 0.0),
    ("L/min", "L/min", 1.0, 0.0), ("mL/min", "L/min", 1e-3, 0.0), ("L/s", "L/min", 60.0, 0.0), ("mL/s", "L/min", 0.06, 0.0),
    ("L/h", "L/min", 1.0 / 60.0, 0.0), ("mL/h", "L/min", 1.0 / 60_000.0, 0.0), ("L/(min.m2)", "L/(min.m2)", 1.0, 0.0),
    ("kg", "kg", 1.0, 0.0), ("g", "kg", 1e-3, 0.0), ("mg", "kg", 1e-6, 0.0), ("ug", "kg", 1e-9, 0.0),
    ("[lb_av]", "kg", 0.453_592_37, 0.0), ("[oz_av]", "kg", 0.028_349_523_125, 0.0), ("[stone_av]", "kg", 6.350_293_18, 0.0),
    ("cm", "cm", 1.0, 0.0), ("m", "cm", 100.0, 0.0), ("mm", "cm", 0.1, 0.0), ("km", "cm", 1e5, 0.0),
    ("[in_i]", "cm", 2.54, 0.0), ("[ft_i]", "cm", 30.48, 0.0), ("[mi_i]", "cm", 160_934.4, 0.0),
    ("[yd_i]", "cm", 91.44, 0.0), ("[nmi_i]", "cm", 185_200.0, 0.0),
    ("m/s", "m/s", 1.0, 0.0), ("m/min", "m/s", 1.0 / 60.0, 0.0), ("km/h", "m/s", 1.0 / 3.6, 0.0), ("cm/s", "m/s", 0.01, 0.0),
    ("s", "s", 1.0, 0.0), ("ms", "s", 1e-3, 0.0), ("us", "s", 1e-6, 0.0), ("min", "s", 60.0, 0.0), ("h", "s", 3600.0, 0.0),
    ("d", "s", 86_400.0, 0.0), ("wk", "s", 604_800.0, 0.0),
    ("mV", "mV", 1.0, 0.0), ("uV", "mV", 1e-3, 0.0), ("V", "mV", 1000.0, 0.0),
    ("mL", "mL", 1.0, 0.0), ("L", "mL", 1000.0, 0.0), ("dL", "mL", 100.0, 0.0), ("cL", "mL", 10.0, 0.0), ("uL", "mL", 1e-3, 0.0),
    ("mL/m2", "mL/m2", 1.0, 0.0), ("mL/kg", "mL/kg", 1.0, 0.0), ("mL/cm[H2O]", "mL/cm[H2O]", 1.0, 0.0),
    ("cm[H2O]/(L/s)", "cm[H2O]/(L/s)", 1.0, 0.0), ("kg/m2", "kg/m2", 1.0, 0.0), ("m2", "m2", 1.0, 0.0),
    ("dyn.s/cm5", "dyn.s/cm5", 1.0, 0.0), ("dyn.s/(cm5.m2)", "dyn.s/(cm5.m2)", 1.0, 0.0),
    ("kcal", "kcal", 1.0, 0.0), ("kJ", "kcal", 1.0 / 4.184, 0.0), ("J", "kcal", 1.0 / 4184.0, 0.0), ("W", "W", 1.0, 0.0),
    ("deg", "deg", 1.0, 0.0), ("[pH]", "[pH]", 1.0, 0.0), ("dB", "dB", 1.0, 0.0), ("mA", "mA", 1.0, 0.0), ("Ohm", "Ohm", 1.0, 0.0),
];

/// What devices write, in lower case and without spaces, and what they mean at a bedside (`C` is Celsius here,
/// not coulomb).
#[rustfmt::skip]
const SPELLINGS: &[(&str, &[&str])] = &[
    ("/min", &["bpm", "b/min", "beats/min", "beats/minute", "beat/min", "beatsperminute", "rpm", "brpm", "br/min", "breaths/min",
        "breaths/minute", "breath/min", "breathsperminute", "resp/min", "rr/min", "pulses/min", "counts/min", "count/min",
        "1/min", "/minute", "perminute", "permin", "min-1", "min^-1", "cpm", "/min"]),
    ("mm[Hg]", &["mmhg", "mm[hg]", "mm(hg)", "torr"]),
    ("kPa", &["kpa"]), ("hPa", &["hpa"]), ("mbar", &["mbar", "millibar"]),
    ("cm[H2O]", &["cmh2o", "cm[h2o]", "cmh₂o", "cmwater"]),
    ("Cel", &["°c", "ºc", "℃", "c", "cel", "degc", "deg.c", "celsius", "degreescelsius", "degreecelsius"]),
    ("[degF]", &["°f", "ºf", "℉", "f", "degf", "deg.f", "[degf]", "fahrenheit", "degreesfahrenheit", "degreefahrenheit"]),
    ("K", &["kelvin"]),
    ("%", &["percent", "pct", "vol%", "%vol", "%(vol)", "%sat", "%o2", "%spo2"]),
    ("mg/dL", &["mg/dl", "mgdl", "mg%"]), ("g/dL", &["g/dl"]), ("g/L", &["g/l"]), ("mg/L", &["mg/l"]),
    ("ug/L", &["ug/l", "mcg/l"]), ("ng/mL", &["ng/ml"]), ("ug/mL", &["ug/ml", "mcg/ml"]),
    ("mmol/L", &["mmol/l", "mmoll"]), ("umol/L", &["umol/l"]), ("meq/L", &["meq/l"]),
    ("L/min", &["l/min", "lpm", "l/minute", "liters/min", "litres/min"]), ("mL/min", &["ml/min"]), ("L/s", &["l/s", "l/sec"]),
    ("mL/h", &["ml/h", "ml/hr", "ml/hour", "cc/hr"]), ("L/h", &["l/h", "l/hr"]),
    ("L/(min.m2)", &["l/min/m2", "l/min/m²", "l/(min*m2)"]),
    ("kg", &["kg", "kgs", "kilogram", "kilograms"]), ("g", &["gram", "grams", "gr"]), ("mg", &["milligram"]), ("ug", &["mcg"]),
    ("[lb_av]", &["lb", "lbs", "pound", "pounds", "lb_av"]), ("[oz_av]", &["oz", "ounce", "ounces"]),
    ("cm", &["cm", "centimeter", "centimetre"]), ("mm", &["millimeter", "millimetre"]), ("m", &["meter", "metre", "meters", "metres"]),
    ("[in_i]", &["in", "inch", "inches", "in_i", "\""]), ("[ft_i]", &["ft", "foot", "feet"]), ("km", &["km"]),
    ("s", &["sec", "secs", "second", "seconds"]), ("ms", &["msec", "msecs", "millisecond", "milliseconds"]),
    ("min", &["mins", "minute", "minutes"]), ("h", &["hr", "hrs", "hour", "hours"]), ("d", &["day", "days"]),
    ("mV", &["mv", "millivolt"]), ("uV", &["uv", "microvolt"]), ("V", &["volt", "volts"]), ("Hz", &["hz", "hertz"]),
    ("mL", &["ml", "mls", "cc", "milliliter", "millilitre"]), ("L", &["l", "liter", "litre", "liters", "litres"]), ("dL", &["dl"]),
    ("kg/m2", &["kg/m2", "kg/m²", "kg/m^2"]), ("m2", &["m²", "m^2"]), ("mL/m2", &["ml/m2", "ml/m²"]),
    ("mL/cm[H2O]", &["ml/cmh2o"]), ("kcal", &["kilocalories"]), ("kJ", &["kj"]), ("dB", &["db"]), ("deg", &["°"]),
    ("[pH]", &["ph"]), ("1", &["unitless", "none", "{ratio}", "ratio"]), ("{score}", &["{score}", "score", "points"]),
];

/// MDC unit codes and reference ids (IEEE 11073-10101) with their UCUM codes.
const MDC: &str = include_str!("data/mdc-units-ucum.csv");

static CANONICAL: LazyLock<HashMap<&str, Canonical>> = LazyLock::new(|| {
    TABLE.iter().map(|&(code, unit, factor, offset)| (code, Canonical { unit, factor, offset })).collect()
});

static COMMON: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let spellings = SPELLINGS.iter().flat_map(|(code, texts)| texts.iter().map(|text| (*text, *code)));
    spellings.chain(MDC.lines().skip(1).flat_map(mdc)).chain(TABLE.iter().map(|row| (row.0, row.0))).collect()
});

/// The code and the reference id of a line, each with the UCUM code; the columns in question are never quoted.
fn mdc(line: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut columns = line.split(',');
    let (code, refid, ucum) = (columns.next(), columns.next(), columns.next().unwrap_or_default());
    [code, refid]
        .into_iter()
        .flatten()
        .filter(move |key| !key.is_empty() && !ucum.is_empty())
        .map(move |key| (key, ucum))
}

/// The way of a UCUM code to the canonical unit of its kind. Annotations do not count: `{beats}/min` is `/min`,
/// `{score}` is `1`.
pub fn canonical(code: &str) -> Option<Canonical> {
    CANONICAL.get(code).or_else(|| CANONICAL.get(bare(code)?.as_ref())).copied()
}

/// The value in another unit; none when a unit is unknown or of another kind.
pub fn convert(value: f64, from: &str, to: &str) -> Option<f64> {
    if from == to {
        return Some(value);
    }
    let (source, target) = (canonical(from)?, canonical(to)?);
    if source.unit != target.unit {
        return None;
    }
    if source == target {
        return Some(value);
    }
    Some(tidy((value * source.factor + source.offset - target.offset) / target.factor)).filter(|v| v.is_finite())
}

/// The UCUM code for what a device wrote as its unit: a UCUM code, a common spelling, or an MDC unit code or
/// reference id. None when it is not known: then the text is kept as the unit's name.
pub fn from_common(text: &str) -> Option<&'static str> {
    let text = text.trim();
    if let Some(code) = COMMON.get(text) {
        return Some(code);
    }
    let plain: String =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| if c == 'μ' || c == 'µ' { 'u' } else { c }).collect();
    if let Some(code) = COMMON.get(plain.as_str()).or_else(|| COMMON.get(plain.to_lowercase().as_str())) {
        return Some(code);
    }
    let bare = bare(&plain)?;
    COMMON.get(bare.as_ref()).copied()
}

/// What people call a unit of UCUM.
pub fn human(code: &str) -> &str {
    match code {
        "mm[Hg]" => "mmHg",
        "cm[H2O]" => "cmH2O",
        "Cel" => "°C",
        "[degF]" => "°F",
        "[lb_av]" => "lb",
        "[oz_av]" => "oz",
        "[in_i]" => "in",
        "[ft_i]" => "ft",
        "[pH]" => "pH",
        "kg/m2" => "kg/m²",
        "L/(min.m2)" => "L/min/m²",
        "mL/cm[H2O]" => "mL/cmH2O",
        "uV" => "µV",
        "ug" => "µg",
        "{score}" => "score",
        "1" => "",
        code => code,
    }
}

/// The code without its annotations, when it has any; nothing but annotations is the unit one.
fn bare(code: &str) -> Option<Cow<'_, str>> {
    if let Some(rest) = code.strip_prefix("1/") {
        return Some(Cow::Owned(format!("/{rest}")));
    }
    let (before, rest) = code.split_once('{')?;
    let (_, mut rest) = rest.split_once('}')?;
    let mut left = before.to_owned();
    while let Some((before, annotated)) = rest.split_once('{') {
        left.push_str(before);
        rest = annotated.split_once('}')?.1;
    }
    left.push_str(rest);
    Some(if left.is_empty() { Cow::Borrowed("1") } else { Cow::Owned(left) })
}

/// Takes the noise of binary arithmetic away, so that 100.4 °F is 38 °C and a limit of 38 is met.
fn tidy(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10f64.powf(12.0 - value.abs().log10().ceil());
    let tidied = (value * scale).round() / scale;
    if tidied.is_finite() { tidied } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn converts_what_bedsides_send() {
        let table = [
            (98.6, "[degF]", "Cel", Some(37.0)),
            (100.4, "[degF]", "Cel", Some(38.0)),
            (37.0, "Cel", "[degF]", Some(98.6)),
            (310.15, "K", "Cel", Some(37.0)),
            (16.0, "kPa", "mm[Hg]", Some(120.010_200_867)),
            (10.0, "cm[H2O]", "mbar", Some(9.806_65)),
            (5.0, "mbar", "hPa", Some(5.0)),
            (1.2, "Hz", "/min", Some(72.0)),
            (72.0, "{beats}/min", "/min", Some(72.0)),
            (15.0, "{score}", "1", Some(15.0)),
            (1.0, "g/L", "mg/dL", Some(100.0)),
            (1500.0, "mL/min", "L/min", Some(1.5)),
            (150.0, "[lb_av]", "kg", Some(68.038_855_5)),
            (70.0, "[in_i]", "cm", Some(177.8)),
            (250.0, "ms", "s", Some(0.25)),
            (0.0, "uV", "mV", Some(0.0)),
            (5.5, "mmol/L", "mg/dL", None),
            (0.4, "1", "%", None),
            (1.0, "furlong", "m", None),
            (1.0, "furlong", "furlong", Some(1.0)),
            (f64::MAX, "V", "uV", None),
        ];
        for (value, from, to, want) in table {
            let got = convert(value, from, to);
            let near = match (got, want) {
                (Some(got), Some(want)) => (got - want).abs() <= 1e-9 * want.abs(),
                (got, want) => got.is_none() && want.is_none(),
            };
            assert!(near, "{value} {from} in {to}: {got:?}");
        }
        assert_eq!(convert(100.4, "[degF]", "Cel"), Some(38.0), "exactly, or limits are missed");
    }

    #[test]
    fn repairs_what_devices_write() {
        #[rustfmt::skip]
        let table = [
            ("bpm", "/min"), ("BPM", "/min"), ("{beats}/min", "/min"), ("1/min", "/min"), ("degF", "[degF]"), ("°C", "Cel"),
            ("deg C", "Cel"), ("C", "Cel"), ("mmHg", "mm[Hg]"), ("mm Hg", "mm[Hg]"), ("MMHG", "mm[Hg]"), ("mm[Hg]", "mm[Hg]"),
            ("%", "%"), (" % ", "%"), ("kpa", "kPa"), ("KPA", "kPa"), ("266016", "mm[Hg]"), ("MDC_DIM_BEAT_PER_MIN", "/min"),
            ("268160", "[degF]"), ("ML", "mL"), ("l/min", "L/min"), ("µV", "uV"), ("mg/dl", "mg/dL"), ("K", "K"), ("V", "V"),
            ("{score}", "{score}"), ("{Breaths}/min", "/min"), ("{anything}", "1"),
        ];
        for (text, code) in table {
            assert_eq!(from_common(text), Some(code), "{text}");
        }
        for text in ["", "furlong", "10.mV/4096", "{", "}{", "1/"] {
            assert_eq!(from_common(text), None, "{text}");
        }
    }

    #[test]
    fn every_spelling_and_mdc_unit_leads_to_a_unit_of_the_table() {
        let codes =
            SPELLINGS.iter().map(|(code, _)| *code).chain(MDC.lines().skip(1).flat_map(mdc).map(|(_, code)| code));
        for code in codes {
            assert!(canonical(code).is_some(), "{code}");
        }
        assert_eq!(CANONICAL.len(), TABLE.len(), "a code stands twice in the table");
    }

    proptest! {
        #[test]
        fn there_and_back_is_the_same(value in -1e6..1e6f64, a in 0..TABLE.len(), b in 0..TABLE.len()) {
            let (from, to) = (TABLE[a].0, TABLE[b].0);
            if let Some(there) = convert(value, from, to) {
                let back = convert(there, to, from).unwrap();
                // An offset eats digits of values that are near it.
                prop_assert!((back - value).abs() <= 1e-8 * value.abs().max(1.0) * (TABLE[b].2 / TABLE[a].2).max(1.0), "{from} {to} {back}");
            }
        }

        #[test]
        fn any_text_is_looked_up_or_refused(text in "[{}1/a-z]{0,12}|\\PC{0,12}") {
            let _ = (canonical(&text), from_common(&text), human(&text));
        }
    }
}
