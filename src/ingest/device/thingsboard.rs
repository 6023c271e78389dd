//! Telemetry as boards and gateways send it to `ThingsBoard`: names with values, with or without a time.
//!
//! ```json
//! {"heartRate": 72, "spo2": 97}
//! {"ts": 1767323045000, "values": {"systolic": 120, "diastolic": 80}}
//! [{"ts": 1767323045000, "values": {"temperature": "36.60"}}]
//! ```
//!
//! What a name stands for is in the table of metrics; each name has a receipt of its own, so that one which is not
//! known never harms the others. Systolic and diastolic of one moment are one blood pressure. Without `ts` it is now.

use fhir_r4::Issue;
use serde_json::{Map, Value};

use super::part::{Origin, Part, coded, quantity};
use super::{Item, MAX_ITEMS, Rejected, enough, envelope, metric, plain_object};
use crate::fhir::time;
use crate::normalize::codes::{DIASTOLIC, MEAN, PANEL, SYSTOLIC};
use crate::normalize::decimal;
use crate::normalize::draft::{Measured, Subject};

const FORM: &str = "telemetry";

/// 2000-01-01: a clock that says less was never set.
const SET: i64 = 946_684_800_000;
/// The last millisecond that four digits of a year can say.
const LAST: i64 = 253_402_300_799_999;

/// Reads what one device sends; who that is, is known from its credentials.
pub fn parse(body: &[u8], sender: &str) -> Result<Vec<Item>, Issue> {
    let (entries, _) = envelope(body, "", &[])?;
    enough(entries.len())?;
    let mut items = Vec::new();
    for (at, raw) in entries.into_iter().enumerate() {
        items.extend(entry(raw, &format!("[{at}]"), None, sender));
        bounded(&items)?;
    }
    Ok(items)
}

/// Reads what a gateway sends for its devices, each under its name: `{"BED-01": [{"ts", "values"}]}`.
pub fn parse_gateway(body: &[u8], sender: &str) -> Result<Vec<Item>, Issue> {
    let wrong = || Issue::error("structure", "http.body", "an object of devices with lists of values is needed");
    let devices: Map<String, Value> = serde_json::from_slice(body).map_err(|_| wrong())?;
    let mut items = Vec::new();
    for (at, (name, list)) in devices.iter().enumerate() {
        let device = Subject::Identifier { system: None, value: name.clone() };
        for (entry_at, entry) in list.as_array().ok_or_else(wrong)?.iter().enumerate() {
            let place = format!("[{at}][{entry_at}]");
            items.extend(self::entry(entry.to_string().as_bytes(), &place, Some(&device), sender));
            bounded(&items)?;
        }
    }
    enough(items.len()).map(|()| items)
}

fn bounded(items: &[Item]) -> Result<(), Issue> {
    if items.len() <= MAX_ITEMS {
        return Ok(());
    }
    Err(Issue::error("too-long", "", format!("more than {MAX_ITEMS} readings in one request")))
}

fn rejected(place: &str, code: &'static str, why: &str) -> Item {
    Err(Rejected { place: place.to_owned(), issues: vec![Issue::error(code, place, why)] })
}

fn entry(raw: &[u8], place: &str, device: Option<&Subject>, sender: &str) -> Vec<Item> {
    let object = match plain_object(raw, place) {
        Ok(object) => object,
        Err(rejected) => return vec![Err(rejected)],
    };
    let Some(inner) = object.get("values") else { return values(&object, None, place, device, sender) };
    let Value::Object(inner) = inner else {
        return vec![rejected(&format!("{place}.values"), "value", "an object of names and values is needed")];
    };
    match object.get("ts").map(|ts| ts.as_i64().filter(|ts| (0..=LAST).contains(ts))) {
        Some(None) => vec![rejected(&format!("{place}.ts"), "value", "milliseconds since 1970 are needed")],
        None => values(inner, None, place, device, sender),
        Some(Some(ts)) => values(inner, Some(ts), place, device, sender),
    }
}

/// Names of one moment.
fn values(
    values: &Map<String, Value>,
    ts: Option<i64>,
    place: &str,
    device: Option<&Subject>,
    sender: &str,
) -> Vec<Item> {
    if values.is_empty() {
        return vec![rejected(place, "required", "there is no value")];
    }
    let mut items = Vec::new();
    let mut pressures: Vec<(&str, &str, String)> = Vec::new();
    let draft = |names: &[&str], part: Part| {
        let place = format!("{place}.{}", names.join("+"));
        Ok(origin(place, ts, device, &part).draft(told(part, ts), FORM, sender))
    };
    for (name, value) in values {
        let own = format!("{place}.{}", plain(name));
        let Some(metric) = metric::named(name) else {
            items.push(rejected(&own, "not-supported", "this name is not in the table of metrics"));
            continue;
        };
        let number = match value {
            Value::Number(number) => decimal(&number.to_string()),
            Value::String(text) => decimal(text),
            _ => None,
        };
        let Some(number) = number else {
            items.push(rejected(&own, "value", "a number is needed, and one that can be measured"));
            continue;
        };
        if [SYSTOLIC, DIASTOLIC, MEAN].contains(&metric.loinc()) {
            pressures.push((metric.loinc(), name, number));
        } else {
            let key = format!("{name}={number}");
            items.push(draft(&[plain(name)], Part::new(key, metric.code(), quantity(number, &metric.unit))));
        }
    }
    let has = |loinc: &str| pressures.iter().filter(|(own, ..)| *own == loinc).count();
    if has(SYSTOLIC) == 1 && has(DIASTOLIC) == 1 && has(MEAN) <= 1 {
        pressures.sort_by_key(|(loinc, ..)| [SYSTOLIC, DIASTOLIC, MEAN].iter().position(|own| own == loinc));
        let names: Vec<&str> = pressures.iter().map(|(_, name, _)| plain(name)).collect();
        let values: Vec<&str> = pressures.iter().map(|(.., value)| value.as_str()).collect();
        let mut panel = Part::new(format!("bp={}", values.join("/")), coded(PANEL, "", ""), Measured::Panel);
        let component = |(loinc, _, value): &(&str, &str, String)| (coded(loinc, "", ""), quantity(value, "mm[Hg]"));
        panel.components = pressures.iter().map(component).collect();
        items.push(draft(&names, panel));
    } else {
        for (loinc, name, value) in pressures {
            let part = Part::new(format!("{name}={value}"), coded(loinc, "", ""), quantity(value, "mm[Hg]"));
            items.push(draft(&[plain(name)], part));
        }
    }
    items
}

fn origin(place: String, ts: Option<i64>, device: Option<&Subject>, part: &Part) -> Origin {
    let set = ts.filter(|ts| *ts >= SET);
    let content = ts.map(|ts| ts.to_string()).into_iter().chain([part.name.clone()]).collect();
    Origin {
        place,
        subject: None,
        device: device.cloned(),
        effective: set.map(|ts| time::instant(ts.saturating_mul(1000))),
        effective_end: None,
        id: None,
        content,
    }
}

/// A clock that was never set is told, not believed.
fn told(mut part: Part, ts: Option<i64>) -> Part {
    let unset = ts.filter(|ts| *ts < SET);
    part.notes
        .extend(unset.map(|ts| format!("By the clock of the device: {}", time::instant(ts.saturating_mul(1000)))));
    part
}

/// Only what can be a name is repeated.
fn plain(name: &str) -> &str {
    let fits = (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if fits { name } else { "…" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each item: its place, and code with value and time, or what is wrong.
    fn told(body: &str) -> Vec<String> {
        parse(body.as_bytes(), "s").unwrap().iter().map(line).collect()
    }

    fn line(item: &Item) -> String {
        match item {
            Ok(draft) => {
                let values = std::iter::once(&draft.value).chain(draft.components.iter().map(|(_, value)| value));
                let values: Vec<String> = values
                    .filter_map(|value| match value {
                        Measured::Quantity { value, unit, .. } => {
                            Some(format!("{value} {}", unit.as_ref().unwrap().code))
                        }
                        _ => None,
                    })
                    .collect();
                let time = draft.effective.as_deref().unwrap_or("now");
                format!("{} {} {} {time}", draft.place, draft.code[0].code, values.join("/"))
            }
            Err(rejected) => format!("{} {}", rejected.place, rejected.issues[0].code),
        }
    }

    #[test]
    fn names_become_readings() {
        let table: [(&str, &[&str]); 9] = [
            (r#"{"heartRate":72,"spo2":97.0}"#, &["[0].heartRate 8867-4 72 /min now", "[0].spo2 59408-5 97.0 % now"]),
            (
                r#"{"ts":1764662400000,"values":{"temperature":"36.60","humidity":40}}"#,
                &["[0].temperature 8310-5 36.60 Cel 2025-12-02T08:00:00.000Z", "[0].humidity not-supported"],
            ),
            (
                r#"[{"ts":1764662400000,"values":{"diastolic":80,"systolic":120,"map":93}},{"heart_rate":70}]"#,
                &[
                    "[0].systolic+diastolic+map 85354-9 120 mm[Hg]/80 mm[Hg]/93 mm[Hg] 2025-12-02T08:00:00.000Z",
                    "[1].heart_rate 8867-4 70 /min now",
                ],
            ),
            (r#"{"systolic":120}"#, &["[0].systolic 8480-6 120 mm[Hg] now"]),
            (r#"{"ts":5000,"values":{"hr":60}}"#, &["[0].hr 8867-4 60 /min now"]),
            (r#"{"battery":81}"#, &["[0].battery 67996 81 % now"]),
            (r#"{"ts":"x","values":{"hr":60}}"#, &["[0].ts value"]),
            (r#"{"hr":true,"spo2":"high","a b":1}"#, &["[0].hr value", "[0].spo2 value", "[0].… not-supported"]),
            (r#"[{},{"values":7},8]"#, &["[0] required", "[1].values value", "[2] structure"]),
        ];
        for (body, want) in table {
            assert_eq!(told(body), want, "{body}");
        }
    }

    #[test]
    fn a_gateway_names_its_devices() {
        let body =
            r#"{"BED-01":[{"ts":1764662400000,"values":{"heartRate":84}}],"BED-02":[{"values":{"respRate":28}}]}"#;
        let items = parse_gateway(body.as_bytes(), "s").unwrap();
        assert_eq!(items.iter().map(line).collect::<Vec<_>>()[1], "[1][0].respRate 9279-1 28 /min now");
        let device = items[0].as_ref().unwrap().device.clone();
        assert_eq!(device, Some(Subject::Identifier { system: None, value: "BED-01".to_owned() }));
        for body in ["", "[]", "{}", r#"{"BED-01":{}}"#] {
            assert!(parse_gateway(body.as_bytes(), "s").is_err(), "{body}");
        }
    }

    #[test]
    fn the_same_telemetry_is_the_same_reading() {
        let key = |body: &str| parse(body.as_bytes(), "s").unwrap().remove(0).unwrap().key;
        let at = |ts: i64, rate: u32| format!(r#"{{"ts":{ts},"values":{{"hr":{rate}}}}}"#);
        assert_eq!(key(&at(1_764_662_400_000, 72)), key(&at(1_764_662_400_000, 72)));
        assert_ne!(key(&at(1_764_662_400_000, 72)), key(&at(1_764_662_400_000, 73)));
        assert_ne!(key(&at(1_764_662_400_000, 72)), key(&at(1_764_662_400_001, 72)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..60), text in "[{}\\[\\]\",:a-z0-9.-]{0,60}") {
            for body in [body.as_slice(), text.as_bytes()] {
                let _ = (parse(body, "s"), parse_gateway(body, "s"));
            }
        }
    }
}
