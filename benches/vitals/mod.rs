//! The readings that the benchmarks work with: a ward of 100 patients or more, each with a monitor, and the seven vital
//! signs that a monitor sends, as FHIR Observations, as compact device readings and as HL7 v2 messages. The
//! n-th reading is always the same one; no two have the same patient, code and time.

#![allow(dead_code, reason = "each benchmark uses a part of this module")]

use std::fmt::Write;
use std::ops::Range;
use std::sync::OnceLock;

use chrono::{DateTime, SecondsFormat};

static PATIENTS: OnceLock<u64> = OnceLock::new();

/// How many patients there are: 100, unless another number was set before it was first asked.
pub(crate) fn patients() -> u64 {
    *PATIENTS.get_or_init(|| 100)
}

pub(crate) fn set_patients(count: u64) {
    let _ = PATIENTS.set(count);
}
pub(crate) const KINDS: u64 = 7;
const LOINC: &str = "http://loinc.org";
const UCUM: &str = "http://unitsofmeasure.org";

/// One thing that a monitor measures.
pub(crate) struct Kind {
    pub(crate) loinc: &'static str,
    /// A second LOINC code that its profile asks for.
    also: Option<&'static str>,
    display: &'static str,
    unit: &'static str,
    pub(crate) ucum: &'static str,
    mdc: &'static str,
    mdc_unit: &'static str,
    usual: u64,
    spread: u64,
    /// In tenths.
    tenths: bool,
}

/// Blood pressure is the last: a panel of two.
const TABLE: [Kind; 7] = [
    kind(
        ("8867-4", None, "Heart rate"),
        ("beats/minute", "/min"),
        "147842^MDC_ECG_HEART_RATE",
        "264864^MDC_DIM_BEAT_PER_MIN",
        (65, 25, false),
    ),
    kind(
        ("59408-5", Some("2708-6"), "Oxygen saturation"),
        ("%", "%"),
        "150456^MDC_PULS_OXIM_SAT_O2",
        "262688^MDC_DIM_PERCENT",
        (96, 4, false),
    ),
    kind(
        ("9279-1", None, "Respiratory rate"),
        ("breaths/minute", "/min"),
        "151562^MDC_RESP_RATE",
        "264928^MDC_DIM_RESP_PER_MIN",
        (13, 6, false),
    ),
    kind(
        ("8310-5", None, "Body temperature"),
        ("Cel", "Cel"),
        "150364^MDC_TEMP_BODY",
        "268192^MDC_DIM_DEGC",
        (364, 12, true),
    ),
    kind(
        ("8889-8", None, "Heart rate by Pulse oximetry"),
        ("beats/minute", "/min"),
        "149530^MDC_PULS_OXIM_PULS_RATE",
        "264864^MDC_DIM_BEAT_PER_MIN",
        (65, 25, false),
    ),
    kind(
        ("8478-0", None, "Mean blood pressure"),
        ("mmHg", "mm[Hg]"),
        "150019^MDC_PRESS_BLD_MEAN",
        "266016^MDC_DIM_MMHG",
        (85, 10, false),
    ),
    kind(
        ("85354-9", None, "Blood pressure panel"),
        ("mmHg", "mm[Hg]"),
        "150016^MDC_PRESS_BLD",
        "266016^MDC_DIM_MMHG",
        (115, 20, false),
    ),
];

type Names = (&'static str, Option<&'static str>, &'static str);

const fn kind(
    names: Names,
    unit: (&'static str, &'static str),
    mdc: &'static str,
    mdc_unit: &'static str,
    value: (u64, u64, bool),
) -> Kind {
    let ((loinc, also, display), (unit, ucum), (usual, spread, tenths)) = (names, unit, value);
    Kind { loinc, also, display, unit, ucum, mdc, mdc_unit, usual, spread, tenths }
}

/// Where a reading stands: readings go round by kind, then patient, then second.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) kind: &'static Kind,
    pub(crate) patient: u64,
    /// Seconds since the first reading.
    pub(crate) second: u64,
}

pub(crate) fn place(n: u64) -> Place {
    let at = usize::try_from(n % KINDS).unwrap_or(0);
    let kind = TABLE.get(at).unwrap_or(&TABLE[0]);
    Place { kind, patient: n / KINDS % patients(), second: n / (KINDS * patients()) }
}

/// A number that looks random and is the same for the same n.
pub(crate) fn scatter(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

pub(crate) fn patient_id(patient: u64) -> String {
    format!("5f0c6c1e-8a52-4d7b-9c3e-{:012x}", scatter(patient) & 0xffff_ffff_ffff)
}

pub(crate) fn device_id(patient: u64) -> String {
    format!("c2d94a70-13be-4f05-b6a8-{:012x}", scatter(patient + 1000) & 0xffff_ffff_ffff)
}

/// The medical record number by which HL7 senders know the patient, and the system that it is of.
pub(crate) fn record_number(patient: u64) -> String {
    format!("MR{patient:06}")
}

pub(crate) const RECORD_SYSTEM: &str = "urn:oid:2.16.840.1.113883.19.5";

/// All readings of one bench, beginning at a time.
#[derive(Clone, Copy)]
pub(crate) struct Ward {
    /// ms since 1970
    pub(crate) start: i64,
}

impl Ward {
    fn at(self, place: Place) -> String {
        // Patients are measured a little after one another.
        let ms = self.start + i64::try_from(place.second * 1000 + place.patient * 9).unwrap_or(0);
        DateTime::from_timestamp_millis(ms).map(|t| t.to_rfc3339_opts(SecondsFormat::Millis, true)).unwrap_or_default()
    }

    /// The time so many seconds after the first reading, as a search wants it.
    pub(crate) fn second(self, second: u64) -> String {
        let ms = self.start + i64::try_from(second * 1000).unwrap_or(0);
        DateTime::from_timestamp_millis(ms).map(|t| t.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap_or_default()
    }

    /// The n-th reading as an Observation.
    pub(crate) fn observation(self, n: u64) -> String {
        let place = place(n);
        let Place { kind, patient, .. } = place;
        let mut text = String::with_capacity(1100);
        text.push_str(r#"{"resourceType":"Observation","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],"code":{"coding":["#);
        for (at, code) in [Some(kind.loinc), kind.also].into_iter().flatten().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _ = write!(text, r#"{comma}{{"system":"{LOINC}","code":"{code}","display":"{}"}}"#, kind.display);
        }
        let _ = write!(
            text,
            r#"]}},"subject":{{"reference":"Patient/{}"}},"effectiveDateTime":"{}","device":{{"reference":"Device/{}"}},"#,
            patient_id(patient),
            self.at(place),
            device_id(patient)
        );
        if kind.loinc == "85354-9" {
            let parts = [("8480-6", "Systolic blood pressure", 0), ("8462-4", "Diastolic blood pressure", 40)];
            text.push_str(r#""component":["#);
            for (at, (code, display, less)) in parts.into_iter().enumerate() {
                let comma = if at == 0 { "" } else { "," };
                let _ = write!(
                    text,
                    r#"{comma}{{"code":{{"coding":[{{"system":"{LOINC}","code":"{code}","display":"{display}"}}]}},"#
                );
                quantity(&mut text, kind, &value(kind, n, less));
                text.push('}');
            }
            text.push_str("]}");
        } else {
            quantity(&mut text, kind, &value(kind, n, 0));
            text.push('}');
        }
        text
    }

    /// The n-th reading in the compact form of the device door. `alarming`: far beyond every limit.
    pub(crate) fn device_reading(self, n: u64, alarming: bool) -> String {
        let place = place(n);
        let Place { kind, patient, .. } = place;
        let of = format!(
            r#"{{"patient":"Patient/{}","device":"Device/{}","time":"{}""#,
            patient_id(patient),
            device_id(patient),
            self.at(place)
        );
        if kind.loinc == "85354-9" {
            let (upper, lower) = (value(kind, n, 0), value(kind, n, 40));
            return format!(r#"{of},"code":"bp","systolic":{upper},"diastolic":{lower},"unit":"mm[Hg]"}}"#);
        }
        let value = if alarming && kind.loinc == "8867-4" { "190".to_owned() } else { value(kind, n, 0) };
        format!(r#"{of},"code":"{}","value":{value},"unit":"{}"}}"#, kind.loinc, kind.ucum)
    }

    /// One patient's `results` readings as an ORU^R01 in its MLLP frame, the seven kinds at successive seconds.
    pub(crate) fn message(self, n: u64, results: u64) -> Vec<u8> {
        let patient = n % patients();
        // Each message of a patient covers the seconds after the last one's.
        let first = n / patients() * results.div_ceil(KINDS - 1);
        let stamp = |second: u64| {
            let ms = self.start + i64::try_from(second * 1000).unwrap_or(0);
            DateTime::from_timestamp_millis(ms).map(|t| t.format("%Y%m%d%H%M%S").to_string()).unwrap_or_default()
        };
        let time = stamp(first);
        let mut text = format!(
            "\u{b}MSH|^~\\&|MONITOR^0009FB0001^EUI-64|WARD|||{time}+0000||ORU^R01^ORU_R01|C{n}|P|2.6|||AL|NE||UNICODE UTF-8\r\
             PID|||{}^^^BENCH^MR||Doe^Jane\rOBR|1|{n}^MONITOR|{n}^MONITOR|182777000^monitoring of patient^SCT|||{time}+0000\r",
            record_number(patient)
        );
        for result in 0..results {
            let (at, second) = (result % (KINDS - 1), first + result / (KINDS - 1));
            let Some(kind) = usize::try_from(at).ok().and_then(|at| TABLE.get(at)) else { continue };
            let (value, time) = (value(kind, n * 31 + result, 0), stamp(second));
            let _ = write!(
                text,
                "OBX|{}|NM|{}^MDC|1.3.{result}|{value}|{}^MDC|||||F|||{time}+0000||||0009FB0001^^0009FB0001^EUI-64\r",
                result + 1,
                kind.mdc,
                kind.mdc_unit
            );
        }
        text.push_str("\u{1c}\r");
        text.into_bytes()
    }
}

fn quantity(text: &mut String, kind: &Kind, value: &str) {
    let _ = write!(
        text,
        r#""valueQuantity":{{"value":{value},"unit":"{}","system":"{UCUM}","code":"{}"}}"#,
        kind.unit, kind.ucum
    );
}

fn value(kind: &Kind, n: u64, less: u64) -> String {
    let value = kind.usual + scatter(n) % kind.spread - less;
    if kind.tenths { format!("{}.{}", value / 10, value % 10) } else { value.to_string() }
}

/// These patients and their monitors as one transaction.
pub(crate) fn registry(numbers: Range<u64>) -> String {
    let mut text = r#"{"resourceType":"Bundle","type":"transaction","entry":["#.to_owned();
    let first = numbers.start;
    for patient in numbers {
        let (id, device, number) = (patient_id(patient), device_id(patient), record_number(patient));
        let comma = if patient == first { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}{{"resource":{{"resourceType":"Patient","id":"{id}","active":true,"identifier":[{{"type":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}}]}},"system":"{RECORD_SYSTEM}","value":"{number}"}}],"name":[{{"use":"official","family":"Doe{patient}","given":["Jane"]}}],"gender":"female","birthDate":"1960-02-{:02}"}},"request":{{"method":"PUT","url":"Patient/{id}"}}}},{{"resource":{{"resourceType":"Device","id":"{device}","identifier":[{{"system":"urn:oid:1.2.840.10004.1.1.1.0.0.1.0.0.1.2680","value":"EUI-{patient}"}}],"status":"active","deviceName":[{{"name":"Bedside monitor","type":"model-name"}}],"patient":{{"reference":"Patient/{id}"}}}},"request":{{"method":"PUT","url":"Device/{device}"}}}}"#,
            patient % 28 + 1
        );
    }
    text.push_str("]}");
    text
}

/// Readings n to n + count as a batch or a transaction.
pub(crate) fn bundle(ward: Ward, kind: &str, first: u64, count: u64) -> String {
    let mut text = format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":["#);
    for n in first..first + count {
        let comma = if n == first { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}{{"resource":{},"request":{{"method":"POST","url":"Observation"}}}}"#,
            ward.observation(n)
        );
    }
    text.push_str("]}");
    text
}

/// Readings n to n + count for the device door.
pub(crate) fn upload(ward: Ward, first: u64, count: u64, alarming: bool) -> String {
    let readings: Vec<String> = (first..first + count).map(|n| ward.device_reading(n, alarming)).collect();
    format!("[{}]", readings.join(","))
}
