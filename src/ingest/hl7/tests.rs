//! Whole messages: what becomes of them, and what is answered.

use proptest::prelude::*;

use super::*;
use crate::ingest::device::{Item, Rejected};
use crate::normalize::draft::{Draft, Measured, Subject};
use crate::store::Verdict;

const MONITOR: &[u8] = include_bytes!("../../../tests/data/hl7/ours_bedside_monitor.hl7");
const DEVICES: &[u8] = include_bytes!("../../../tests/data/hl7/ours_pcd01_devices.hl7");
const SIMULATOR: &[u8] = include_bytes!("../../../tests/data/hl7/ours_loinc_simulator.hl7");
const ADMISSION: &[u8] = include_bytes!("../../../tests/data/hl7/msfc_ADT-A06-01.hl7");
const MERGE: &[u8] = include_bytes!("../../../tests/data/hl7/lfh_HL7MergeFHIRConversionTest_02.hl7");
const APPOINTMENT: &[u8] = include_bytes!("../../../tests/data/hl7/msfc_SIU-S12_1.hl7");
const DOCUMENT: &[u8] = include_bytes!("../../../tests/data/hl7/msfc_MDM-T02-01.hl7");
const VACCINE: &[u8] = include_bytes!("../../../tests/data/hl7/msfc_VXU-V04-02.hl7");
const ORDER: &[u8] = include_bytes!("../../../tests/data/hl7/msfc_OML-O21-02.hl7");

fn channel() -> Channel {
    let assigning_authorities = vec![("NIST MPI".to_owned(), "urn:nist".to_owned())];
    Channel { default_zone: "+01:00".parse().unwrap(), assigning_authorities, ..Channel::default() }
}

fn mapped(message: &[u8]) -> (Header, Mapped) {
    let Received { header, mapped } = read(message, &channel()).unwrap();
    (header, mapped)
}

fn items(message: &[u8]) -> Vec<Item> {
    mapped(message).1.items
}

fn drafts(message: &[u8]) -> Vec<Draft> {
    items(message).into_iter().flatten().collect()
}

fn rejected(message: &[u8]) -> Vec<Rejected> {
    items(message).into_iter().filter_map(Result::err).collect()
}

fn at<'d>(drafts: &'d [Draft], place: &str) -> &'d Draft {
    drafts.iter().find(|d| d.place == place).unwrap()
}

fn identifier(system: Option<&str>, value: &str) -> Subject {
    Subject::Identifier { system: system.map(str::to_owned), value: value.to_owned() }
}

fn codes(draft: &Draft) -> Vec<&str> {
    draft.code.iter().map(|c| c.code.as_str()).collect()
}

fn refuse(refusal: &Refusal) -> Vec<Vec<u8>> {
    let issues = std::slice::from_ref(&refusal.issue);
    ack::answer(refusal.header.as_deref(), refusal.verdict(), issues, &channel(), 0)
}

#[test]
fn a_bedside_monitor() {
    let drafts = drafts(MONITOR);
    let places: Vec<&str> = drafts.iter().map(|d| d.place.as_str()).collect();
    #[rustfmt::skip]
    assert_eq!(places, ["OBX[1]", "OBX[2]", "OBX[3]", "OBX[4]", "OBX[5]", "OBX[6]", "OBX[7]", "OBX[10]", "OBX[11]", "OBX[13]", "OBX[16]"]);
    let heart_rate = at(&drafts, "OBX[1]");
    assert!(matches!(&heart_rate.value, Measured::Quantity { value, .. } if value == "72.0"));
    assert_eq!(
        (heart_rate.status, heart_rate.effective.as_deref()),
        ("preliminary", Some("2026-01-02T03:04:00+01:00"))
    );
    assert_eq!(
        (heart_rate.subject.as_ref(), heart_rate.device.as_ref()),
        (Some(&identifier(None, "10006")), Some(&identifier(None, "WARD_MONITOR")))
    );
    assert_eq!(at(&drafts, "OBX[2]").effective.as_deref(), Some("2026-01-02T03:04:01+01:00"));
    let sensor_off = at(&drafts, "OBX[3]");
    assert_eq!((&sensor_off.value, sensor_off.status), (&Measured::Absent("unknown"), "cancelled"));
    assert!(at(&drafts, "OBX[4]").note.is_none(), "one refid, two codes: no conflict");
    assert!(at(&drafts, "OBX[5]").test && !heart_rate.test);
    let pressure = at(&drafts, "OBX[7]");
    assert_eq!((codes(pressure), pressure.components.len()), (vec!["85354-9", "150020"], 3));
    let conflict = at(&drafts, "OBX[10]");
    assert_eq!(codes(conflict), ["150017", "150021"]);
    assert!(conflict.note.as_deref().unwrap().contains("both are kept"));
    assert!(
        matches!(&at(&drafts, "OBX[11]").value, Measured::Coded(c) if c[0].code == "2821" && c[0].system.ends_with("/hl7v2-99OURS"))
    );
    assert_eq!(at(&drafts, "OBX[13]").value, Measured::Absent("error"));
}

#[test]
fn bad_results_are_named_and_harm_no_neighbour() {
    let rejected = rejected(MONITOR);
    let issues: Vec<_> = rejected.iter().flat_map(|r| &r.issues).collect();
    let places: Vec<(&str, &str)> = issues.iter().map(|i| (i.expression.as_str(), i.code)).collect();
    assert_eq!(places, [("OBX[14].5", "value"), ("OBX[15].14", "value")]);
    let all: Vec<_> = issues.into_iter().cloned().collect();
    let (header, mapped) = mapped(MONITOR);
    assert_eq!((mapped.used, mapped.unused), (20, 0), "every segment is accounted for");
    let answers = ack::answer(Some(&header), Verdict::of(&all), &all, &channel(), 0);
    let answer = String::from_utf8(answers[0].clone()).unwrap();
    assert!(answer.contains("\rMSA|AE|1001\rERR||OBX^14^5|102^Data type error^HL70357|E|"), "{answer}");
    assert!(!answer.contains("high") && !answer.contains("Ana"));
}

#[test]
fn devices_patients_and_zones() {
    let drafts = drafts(DEVICES);
    assert_eq!(drafts.len(), 2, "the row of the device itself is no reading");
    let (pulse, glucose) = (&drafts[0], &drafts[1]);
    assert_eq!(pulse.subject, Some(identifier(Some("urn:oid:1.2.3.4"), "MRN7")));
    let eui = Some("urn:oid:1.2.840.10004.1.1.1.0.0.1.0.0.1.2680");
    assert_eq!(pulse.device, Some(identifier(eui, "00A0370098007A80")), "named once for its whole tree");
    assert_eq!(glucose.device, Some(identifier(eui, "0011223344556677")));
    assert_eq!(codes(pulse), ["8889-8", "149530"]);
    assert_eq!(pulse.effective.as_deref(), Some("2026-01-02T03:04:40.250+01:00"), "the zone of the channel");
    assert_eq!(pulse.note.as_deref(), Some("probe on the left\nring finger"));
    assert!(matches!(&glucose.value, Measured::Quantity { value, comparator: Some("<"), .. } if value == "20"));
    assert_eq!((glucose.status, glucose.effective.as_deref()), ("corrected", Some("2026-01-02T03:04:00+01:00")));
    let header = read(DEVICES, &channel()).unwrap().header;
    let answers = ack::answer(Some(&header), Verdict::Accepted, &[], &channel(), 0);
    assert_eq!(answers.len(), 1);
    assert!(String::from_utf8(answers[0].clone()).unwrap().ends_with("|P|2.6||||||8859/1\rMSA|CA|7\\T\\8\r"));
}

#[test]
fn a_simulator_with_loinc_codes_and_everyday_units() {
    let drafts = drafts(SIMULATOR);
    assert_eq!(drafts.iter().map(|d| codes(d)[0]).collect::<Vec<_>>(), ["85354-9", "8867-4", "59408-5", "8310-5"]);
    assert!(
        drafts.iter().all(|d| d.subject == Some(identifier(None, "55555"))
            && d.effective.as_deref() == Some("2026-01-02T03:04:05+01:00"))
    );
    let bound = crate::normalize::Bound { patient: "Patient/p".to_owned(), ..Default::default() };
    for draft in &drafts {
        let made = crate::normalize::observation(draft, &bound, 1_767_323_045_000_000).unwrap();
        assert_eq!(made.pointer("/category/0/coding/0/code").unwrap(), "vital-signs");
    }
}

#[test]
fn messages_of_other_projects() {
    let table: [(&[u8], usize, usize, &str); 6] = [
        (include_bytes!("../../../tests/data/hl7/msfc_LAB-ORU-1.hl7"), 8, 0, "AA"),
        (include_bytes!("../../../tests/data/hl7/msfc_LRI_2.0-NG_CBC_Typ_Message.hl7"), 28, 0, "CA"),
        (include_bytes!("../../../tests/data/hl7/msfc_ORU-R01-01.hl7"), 1, 1, "CA"),
        (include_bytes!("../../../tests/data/hl7/lfh_ORU-multiline-short.hl7"), 2, 0, "AA"),
        (include_bytes!("../../../tests/data/hl7/lfh_SegmentUtilTest_07.hl7"), 2, 0, "AA"),
        (include_bytes!("../../../tests/data/hl7/hl7parser_sample_oru_r01_lab.hl7"), 14, 0, "CA"),
    ];
    for (bytes, taken, refused, code) in table {
        let message = message::parse(bytes).unwrap();
        let mapped = map::read(&message, &channel()).unwrap();
        let issues: Vec<_> =
            mapped.items.iter().filter_map(|i| i.as_ref().err()).flat_map(|r| r.issues.clone()).collect();
        let id = &message.header().control_id;
        assert_eq!(mapped.items.iter().filter(|i| i.is_ok()).count(), taken, "{id}");
        assert_eq!(mapped.items.len() - taken, refused, "{id}");
        assert_eq!(mapped.used + mapped.unused, message.len(), "{id}");
        let answers = ack::answer(Some(message.header()), Verdict::of(&issues), &issues, &channel(), 0);
        assert!(String::from_utf8(answers[0].clone()).unwrap().contains(&format!("\rMSA|{code}|{id}\r")), "{id}");
    }
    let lab = drafts(include_bytes!("../../../tests/data/hl7/msfc_LRI_2.0-NG_CBC_Typ_Message.hl7"));
    assert_eq!(lab[0].subject, Some(identifier(Some("urn:nist"), "PATID1234")), "an authority of the channel's table");
    assert!(lab.iter().all(|d| d.test), "MSH-11 says training");
}

#[test]
fn messages_that_are_refused_whole() {
    let table: [(&[u8], &str, &str, bool); 4] = [
        (b"MSH|^~\\&|A|F|||||BAR^P01|1|P|2.6\rPID|||7", "not-supported", "MSH[1].9", true),
        (b"MSH|^~\\&|A|F|||||ORU^R01||P|2.6\rPID|||7", "required", "MSH[1].10", false),
        (b"MSH|^~\\&|A|F|||||ORU^R01|1|P|2.6\rPID|||^^^X\rOBX|1|NM|8867-4^^LN||72", "required", "PID[1].3", false),
        (
            b"MSH|^~\\&|A|F|||||ORU^R01|1|P|2.6\rPID|||7\rOBX|1|TX|1^x^L||first\nsecond line",
            "structure",
            "line 4",
            false,
        ),
    ];
    for (bytes, code, place, rejected) in table {
        let refusal = read(bytes, &channel()).unwrap_err();
        assert_eq!((refusal.issue.code, refusal.issue.expression.as_str(), refusal.rejected), (code, place, rejected));
        assert_eq!(refuse(&refusal).len(), 1, "it is answered");
    }
}

#[test]
fn keys_repeat_with_the_message_only() {
    let keys = |message: &[u8]| drafts(message).into_iter().map(|d| d.key).collect::<Vec<_>>();
    assert_eq!(keys(SIMULATOR), keys(SIMULATOR));
    let text = String::from_utf8(SIMULATOR.to_vec()).unwrap();
    for changed in [
        text.replace("|X2|", "|X3|"),
        text.replace("|SIM|", "|SIN|"),
        text.replace("||72|", "||73|"),
        text.replace("55555", "55556"),
    ] {
        assert_ne!(keys(changed.as_bytes()), keys(SIMULATOR));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Err(refusal) = read(&bytes, &channel()) {
            prop_assert!(refuse(&refusal).len() <= 2);
        }
    }

    #[test]
    fn any_change_of_a_message_is_read_or_refused(seed in prop::sample::select(vec![MONITOR, DEVICES, SIMULATOR, ADMISSION, MERGE, APPOINTMENT, DOCUMENT, VACCINE, ORDER]),
            changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"|^~\\&\r\n \x00\xe9\"0-X.".to_vec()), any::<bool>()), 1..8)) {
        let mut bytes = seed.to_vec();
        for (index, byte, insert) in changes {
            let at = index.index(bytes.len());
            if insert { bytes.insert(at, byte) } else { bytes[at] = byte }
        }
        match message::parse(&bytes) {
            Ok(message) => if let Ok(mapped) = map::read(&message, &channel()) {
                prop_assert_eq!(mapped.used + mapped.unused, message.len());
                for said in &mapped.said {
                    let standing = serde_json::json!({"resourceType": said.kind, "id": "x", "location": 7, "link": {}, "period": "p"});
                    for standing in [None, Some(&said.content), Some(&standing)] {
                        let _ = (said.merge)(&said.content, standing, said.at.as_deref());
                    }
                }
                let bound = crate::normalize::Bound { patient: "Patient/p".to_owned(), ..Default::default() };
                for draft in mapped.items.into_iter().flatten() {
                    let _ = crate::normalize::observation(&draft, &bound, 1_767_323_045_000_000);
                }
            },
            Err(refusal) => prop_assert!(!refuse(&refusal).iter().any(Vec::is_empty)),
        }
    }
}
