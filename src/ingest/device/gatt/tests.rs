//! Every public vector, exactly; what payloads become; what is refused.

use proptest::prelude::*;
use serde_json::json;

use super::number::Number;
use super::*;
use crate::normalize::draft::Draft;

const VECTORS: &str = include_str!("../../../../tests/data/gatt/vectors.csv");
/// 2026-03-01T09:00:00Z
const NOW: i64 = 1_772_355_600_000_000;

fn hex(text: &str) -> Vec<u8> {
    bytes(&mut Reader::new(""), Some(&json!(text))).unwrap()
}

/// A number as the vectors name it.
fn number(number: Number) -> Value {
    let special = match number {
        Number::Decimal { .. } => return number.text().into(),
        Number::NotANumber => "NaN",
        Number::NoResolution => "NRes",
        Number::PositiveInfinity => "+INF",
        Number::NegativeInfinity => "-INF",
        Number::Reserved => "reserved",
    };
    special.into()
}

/// A decoded payload in the words of the vectors.
fn told(decoded: &Decoded) -> Value {
    let stamp = |stamp: Option<Stamp>| stamp.map(|stamp| json!(stamp.to_string()));
    let members: Vec<(&str, Option<Value>)> = match decoded {
        Decoded::HeartRate(read) => vec![
            ("heart_rate", Some(read.rate.into())),
            ("sensor_contact", read.contact.map(Into::into)),
            ("energy_expended_kj", read.energy_kj.map(Into::into)),
            ("rr_1024", (!read.rr.is_empty()).then(|| json!(read.rr))),
        ],
        Decoded::BloodPressure(read) | Decoded::Cuff(read) => vec![
            ("unit", Some(read.unit().into())),
            ("systolic", Some(number(read.systolic))),
            ("diastolic", Some(number(read.diastolic))),
            ("map", Some(number(read.mean))),
            ("timestamp", stamp(read.stamp)),
            ("pulse_rate", read.pulse.map(number)),
            ("user_id", read.user.map(Into::into)),
            ("status", read.status.map(Into::into)),
        ],
        Decoded::Temperature(read) => vec![
            ("unit", Some(read.unit().into())),
            ("temperature", Some(number(read.temperature))),
            ("timestamp", stamp(read.stamp)),
            ("type", read.site.map(Into::into)),
        ],
        Decoded::Oximeter(read) => vec![
            ("spo2", Some(number(read.normal.saturation))),
            ("pulse_rate", Some(number(read.normal.pulse))),
            ("timestamp", stamp(read.stamp)),
            ("measurement_status", read.status.map(Into::into)),
            ("device_sensor_status", read.sensor.map(Into::into)),
            ("pulse_amplitude_index", read.amplitude.map(number)),
        ],
        Decoded::Glucose(read) => vec![
            ("sequence", Some(read.sequence.into())),
            ("base_time", stamp(Some(read.base))),
            ("time_offset_min", read.offset_min.map(Into::into)),
            ("concentration", read.sample.map(|sample| number(sample.concentration))),
            ("unit", read.sample.map(|sample| if sample.molar { "mol/L" } else { "kg/L" }.into())),
            ("type", read.sample.map(|sample| sample.fluid.into())),
            ("location", read.sample.map(|sample| sample.site.into())),
            ("status", read.status.map(Into::into)),
            ("context_follows", Some(read.context_follows.into())),
        ],
        Decoded::Weight(read) => vec![
            ("weight", Some(weight::mass_text(read.weight, read.imperial).into())),
            ("unit", Some(if read.imperial { "[lb_av]" } else { "kg" }.into())),
            ("timestamp", stamp(read.stamp)),
            ("user_id", read.user.map(Into::into)),
            ("bmi", read.bmi_height.map(|(bmi, _)| weight::tenths(bmi).into())),
            ("height", read.bmi_height.map(|(_, height)| weight::height_text(height, read.imperial).into())),
            ("height_unit", read.bmi_height.map(|_| if read.imperial { "[in_i]" } else { "m" }.into())),
        ],
        Decoded::Cgm(records) => {
            let [read] = records.as_slice() else { panic!("one record") };
            vec![
                ("glucose_mg_dl", Some(number(read.glucose))),
                ("time_offset_min", Some(read.offset_min.into())),
                ("status", read.status.map(Into::into)),
                ("cal_temp", read.calibration.map(Into::into)),
                ("warning", read.warning.map(Into::into)),
                ("trend_mg_dl_min", read.trend.map(number)),
                ("quality_pct", read.quality.map(number)),
                ("e2e_crc", read.crc.map(|crc| format!("{crc:04X}").into())),
            ]
        }
        Decoded::Context(_) | Decoded::Composition(_) => panic!("no vector of these"),
    };
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>().into()
}

#[test]
fn every_vector_is_read_exactly() {
    let mut rows = 0;
    for row in csv::Reader::from_reader(VECTORS.as_bytes()).records().map(Result::unwrap) {
        let (id, kind, payload, outcome) = (&row[0], &row[1], hex(&row[3]), &row[4]);
        let read = match kind {
            "SFLOAT" => Ok(json!({"value": number(octets::Octets::new(&payload).sfloat("it").unwrap())})),
            "FLOAT" => Ok(json!({"value": number(octets::Octets::new(&payload).float("it").unwrap())})),
            kind => decode(kind, &payload).map(|decoded| told(&decoded)),
        };
        match outcome {
            "valid" => assert_eq!(read.unwrap(), serde_json::from_str::<Value>(&row[5]).unwrap(), "{id}"),
            "invalid" => assert!(read.is_err(), "{id}"),
            // Refused or not: but never a panic.
            _ => {}
        }
        rows += 1;
    }
    assert_eq!(rows, VECTORS.lines().count() - 1);
}

fn sent(number: &str, payload: &str, more: &Value) -> Vec<Item> {
    let mut item =
        json!({"char": number, "hex": payload, "patient": "Patient/p", "receivedAt": "2026-03-01T09:00:00Z"});
    item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    parse(json!({"items": [item]}).to_string().as_bytes(), "s", NOW).unwrap()
}

fn drafts(number: &str, payload: &str) -> Vec<Draft> {
    sent(number, payload, &json!({})).into_iter().map(Result::unwrap).collect()
}

fn value(measured: &Measured) -> String {
    match measured {
        Measured::Quantity { value, comparator, unit } => {
            format!("{}{value} {}", comparator.unwrap_or_default(), unit.as_ref().unwrap().code)
        }
        Measured::Absent(reason) => (*reason).to_owned(),
        Measured::Coded(codings) => codings[0].code.clone(),
        other => format!("{other:?}"),
    }
}

/// The first code of each reading with its value, components after it.
fn summary(drafts: &[Draft]) -> String {
    let mut all = Vec::new();
    for draft in drafts {
        let own = (&draft.code, &draft.value);
        for (code, measured) in std::iter::once(own).chain(draft.components.iter().map(|(code, value)| (code, value))) {
            if *measured != Measured::Panel {
                all.push(format!("{}={}", code[0].code, value(measured)));
            }
        }
    }
    all.join(", ")
}

#[test]
fn payloads_become_readings() {
    let table = [
        ("2A37", "1E5532002104", "8867-4=85 /min, 41981-2=50 kJ, 8637-1=1032.2265625 ms"),
        ("2A35", "0478005000FF073C00", "8480-6=120 mm[Hg], 8462-4=80 mm[Hg], 8478-0=not-a-number, 8867-4=60 /min"),
        ("2A35", "01BDF00B009FF0", "8480-6=18.9 kPa, 8462-4=11 kPa, 8478-0=15.9 kPa"),
        ("2A36", "007800FF07FF07", "150300=120 mm[Hg]"),
        ("2A1C", "04700100FF07", "8332-9=36.8 Cel"),
        ("2A1C", "01DA0300FF", "8310-5=98.6 [degF]"),
        (
            "2A5F",
            "0361005A006200590060005800",
            "59408-5=97 %, 150580=98 %, 150584=96 %, 8867-4=90 /min, 150580=89 /min, 150584=88 /min",
        ),
        ("2A5E", "0261005A000080", "59408-5=error, 8867-4=error"),
        ("2A18", "020700E807030F0E1E2D78B011", "41653-7=120 mg/dL"),
        ("2A18", "060800E807030F0E1E2D43C011", "14743-9=6.7 mmol/L"),
        ("2A18", "0A0700E807030F0E1E2D58D0112000", "41653-7=>8800 mg/dL"),
        ("2A18", "080700E807030F0E1E2D0400", "2339-0=error"),
        ("2A34", "4307000132D0013AF0", "8417764=50 g, 4548-4=5.8 %, 8417864=8417868"),
        ("2A9D", "0CB03605F500D606", "29463-7=70.000 kg, 39156-5=24.5 kg/m2, 8302-2=1.750 m"),
        ("2A9D", "00FFFF", "29463-7=error"),
        ("2A9C", "000CFA00B036D606", "41982-0=25.0 %, 29463-7=70.000 kg, 8302-2=1.750 m"),
        ("2AA7", "06000C10060006007B000B00", "99504-3=120 mg/dL, 99504-3=123 mg/dL"),
    ];
    for (number, payload, want) in table {
        let drafts = drafts(number, payload);
        assert_eq!(summary(&drafts), want, "{number} {payload}");
        let keys: std::collections::HashSet<_> = drafts.iter().map(|draft| &draft.key).collect();
        assert_eq!(keys.len(), drafts.len(), "each has a key of its own");
    }
}

#[test]
fn what_a_device_says_of_a_reading_stays_with_it() {
    let rate = &drafts("2A37", "04FF")[0];
    assert_eq!(rate.note.as_deref(), Some("The sensor did not touch the skin"));
    let pressure = &drafts("2A35", "188A005800780001 2700".replace(' ', "").as_str())[0];
    let note = pressure.note.as_deref().unwrap();
    assert!(note.contains("the body moved") && note.contains("User 1 of the device"), "{note}");
    let invalid = &drafts("2A5E", "0261005A000080")[0];
    assert!(invalid.note.as_deref().unwrap().contains("Sent as 97 %"));
    assert!(drafts("2A5E", "0261005A000008")[0].test, "a test of the device's own");
    assert!(drafts("2A18", "020700E807030F0E1E2D78B01A")[0].test, "control solution is nobody's blood");
    assert_eq!(drafts("2A5F", "0461005A004000")[0].status, "preliminary", "an early estimate");
    assert_eq!(drafts("2A36", "007800FF07FF07")[0].status, "preliminary");
}

#[test]
fn a_context_has_the_time_of_its_measurement() {
    let body = json!({"patient": "Patient/p", "receivedAt": "2026-03-01T09:00:00Z", "items": [
        {"char": "2A34", "hex": "02070001"},
        {"char": "2A18", "hex": "020700E807030F0E1E2D78B011"},
        {"char": "2A34", "hex": "02080001"}
    ]});
    let read = parse(body.to_string().as_bytes(), "s", NOW).unwrap();
    let times: Vec<_> = read.iter().map(|item| item.as_ref().unwrap().effective.clone().unwrap()).collect();
    assert_eq!(times, ["2024-03-15T14:30:45.000Z", "2024-03-15T14:30:45.000Z", "2026-03-01T09:00:00Z"]);
}

#[test]
fn records_of_a_sensor_lie_apart_by_their_offsets() {
    let two = drafts("2AA7", "06000C10060006007B000B00");
    let times: Vec<_> = two.iter().map(|draft| draft.effective.clone().unwrap()).collect();
    assert_eq!(times, ["2026-03-01T08:55:00.000Z", "2026-03-01T09:00:00Z"]);
}

#[test]
fn a_payload_is_itself_when_it_comes_again() {
    let key = |number: &str, payload: &str, more: &Value| sent(number, payload, more)[0].as_ref().unwrap().key.clone();
    let (stamped, plain) = ("020700E807030F0E1E2D78B011", "0055");
    let later = json!({"receivedAt": "2026-03-01T09:05:00Z"});
    assert_eq!(key("2A18", stamped, &json!({})), key("2A18", stamped, &later), "the record of a memory");
    assert_ne!(key("2A37", plain, &json!({})), key("2A37", plain, &later), "a heart rate can be the same again");
    assert_eq!(key("2A37", plain, &json!({"id": "a"})), key("2A37", "0056", &json!({"id": "a"})), "the id decides");
    assert_ne!(key("2A37", plain, &json!({"id": "a"})), key("2A37", plain, &json!({"id": "b"})));
    assert_ne!(key("2A37", plain, &json!({})), key("2A37", plain, &json!({"device": "Device/d"})));
}

#[test]
fn what_is_wrong_is_named_at_its_place() {
    let table: [(&str, &str, Value, &str); 15] = [
        ("2A37", "170101", json!({}), "structure [0].hex"),
        ("2A37", "2055", json!({}), "value [0].hex"),
        ("2A37", "005500", json!({}), "structure [0].hex"),
        ("2A37", "1055", json!({}), "structure [0].hex"),
        ("2A37", "", json!({}), "structure [0].hex"),
        ("2A37", "0", json!({}), "value [0].hex"),
        ("2A37", "00GG", json!({}), "value [0].hex"),
        ("2A1C", "040E00000A00", json!({}), "structure [0].hex"),
        ("2A1C", "04700100FF0A", json!({}), "value [0].hex"),
        ("2A1C", "000100007F", json!({}), "value [0].hex"),
        ("2AA7", "0FE3D2E405000214FF02F0E5F38E3E", json!({}), "value [0].hex"),
        ("2A19", "64", json!({}), "not-supported [0].hex"),
        ("battery", "64", json!({}), "value [0].char"),
        ("2A37", "0055", json!({"receivedAt": "2026-03-01T09:00:00"}), "value [0].receivedAt"),
        (
            "2A37",
            "0055",
            json!({"deviceClock": "noon", "mac": "x", "test": 1}),
            "structure [0]; value [0].deviceClock; value [0].test",
        ),
    ];
    for (number, payload, more, want) in table {
        let rejected = sent(number, payload, &more).remove(0).unwrap_err();
        let told: Vec<String> =
            rejected.issues.iter().map(|issue| format!("{} {}", issue.code, issue.expression)).collect();
        assert_eq!((rejected.place.as_str(), told.join("; ").as_str()), ("[0]", want), "{number} {payload}");
    }
    let whole = parse(br#"{"patient":"Patient/p","items":{}}"#, "s", NOW).unwrap_err();
    assert_eq!((whole.code, whole.expression.as_str()), ("structure", "items"));
}

#[test]
fn a_characteristic_can_be_named_by_its_uuid() {
    for name in ["2a37", "0x2A37", "00002a37-0000-1000-8000-00805f9b34fb"] {
        assert_eq!(summary(&drafts(name, "0055")), "8867-4=85 /min");
    }
}

const ALL: [&str; 11] = ["2A37", "2A35", "2A36", "2A1C", "2A5E", "2A5F", "2A18", "2A34", "2A9D", "2A9C", "2AA7"];

proptest! {
    #[test]
    fn any_payload_is_read_or_refused(at in 0..ALL.len(), payload in prop::collection::vec(any::<u8>(), 0..40)) {
        let whose = (Some(Subject::Reference("Patient/p".to_owned())), None);
        let read = single((ALL[at], &payload), whose, "here", "s", NOW);
        prop_assert!(!read.is_empty());
        prop_assert!(read.iter().flatten().all(|draft| !draft.code.is_empty()));
    }

    #[test]
    fn a_payload_cut_short_is_refused(at in 0..VECTORS.lines().count() - 1, cut in 1..20usize) {
        let mut rows = csv::Reader::from_reader(VECTORS.as_bytes());
        let row = rows.records().nth(at).unwrap().unwrap();
        let payload = hex(&row[3]);
        let short = &payload[..payload.len().saturating_sub(cut)];
        // A heart rate is whole without its last interval.
        if row[1].starts_with("2A") && &row[1] != "2A37" && &row[1] != "2AA7" {
            prop_assert!(decode(&row[1], short).is_err());
        }
    }

    #[test]
    fn any_item_is_read_or_refused(text in "\\PC{0,40}", name in prop::sample::select(MEMBERS.to_vec())) {
        let body = json!({"patient": "Patient/p", "items": [{"char": "2A37", "hex": "0055"}, {name: text}]});
        let read = parse(body.to_string().as_bytes(), "s", NOW).unwrap();
        prop_assert!(read[0].is_ok());
    }
}
