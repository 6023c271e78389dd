//! Messages of other projects through the door: what each is answered, and what it makes.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::helpers::TestApp;

const HL7: &str = "application/hl7-v2";

/// With a control id of its own: senders of samples use theirs again.
fn named(bytes: &[u8], id: &str) -> Vec<u8> {
    let end = bytes.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len());
    let (head, rest) = bytes.split_at(end);
    let mut fields: Vec<&[u8]> = head.split(|b| *b == b'|').collect();
    if let Some(control) = fields.get_mut(9) {
        *control = id.as_bytes();
    }
    [fields.join(&b'|'), rest.to_vec()].concat()
}

/// What a message made: each type with how many.
fn made(kept: &Value) -> String {
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    for version in kept["made"].as_array().unwrap() {
        *all.entry(version.as_str().unwrap().split('/').next().unwrap().to_owned()).or_default() += 1;
    }
    all.into_iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
}

/// In this order: what one makes is there for the next.
#[rustfmt::skip]
const SAMPLES: &[(&str, &str, &str)] = &[
    ("hl7parser_sample_oru_r01_lab", "AE", ""),
    ("lfh_HL7MergeFHIRConversionTest_01", "AA", "Patient 2, Provenance 1"),
    ("lfh_HL7MergeFHIRConversionTest_02", "AA", "Patient 2, Provenance 1"),
    ("lfh_HL7OMLMessageTest_01", "AE", ""),
    ("lfh_Hl7ImmunizationFHIRConversionTest_01", "AA", "Immunization 1, Patient 1, Practitioner 1, Provenance 1"),
    ("lfh_Hl7VXUMessageTest_01", "AA", ""),
    ("lfh_ORU-multiline-short", "AE", ""),
    ("lfh_SegmentUtilTest_07", "AE", ""),
    ("msfc_ADT-A01-02", "AA", "Encounter 1, Location 9, Patient 1, Practitioner 5, Provenance 1"),
    ("msfc_ADT-A02-02", "AA", ""),
    ("msfc_ADT-A06-01", "AA", "AllergyIntolerance 1, Condition 1, Coverage 1, Encounter 1, Location 5, Observation 1, Patient 1, Practitioner 3, Provenance 1, RelatedPerson 1"),
    ("msfc_ADT-A07-01", "AA", "Encounter 1, Location 3, Observation 1, Provenance 1"),
    ("msfc_ADT-A08-01", "AA", "AllergyIntolerance 1, Condition 1, Coverage 1, Encounter 1, Location 1, Patient 1, Practitioner 1, Provenance 1, RelatedPerson 1"),
    ("msfc_ADT-A28-02", "AA", "Encounter 1, Provenance 1"),
    ("msfc_ADT-A31-01", "AA", "Encounter 1, Provenance 1"),
    ("msfc_IZ_1_1.1_Admin_Child_Max_Message", "AA", "Immunization 1, Patient 1, Practitioner 2, Provenance 1, RelatedPerson 1"),
    ("msfc_LAB-ORU-1", "AE", ""),
    ("msfc_LRI_2.0-NG_CBC_Typ_Message", "AA", "DiagnosticReport 1, Observation 28, Practitioner 1, Provenance 1, Specimen 1"),
    ("msfc_MDM-T02-01", "AE", ""),
    ("msfc_MDM_01", "AA", "Encounter 1, Practitioner 1, Provenance 1"),
    ("msfc_OML-O21-02", "AA", "Condition 1, Practitioner 3, Provenance 1, ServiceRequest 2, Specimen 2"),
    ("msfc_ORM-O01-01", "AA", "Condition 1, Provenance 1, ServiceRequest 1"),
    ("msfc_ORM-O01-06", "AA", "Provenance 1, ServiceRequest 1"),
    ("msfc_ORU-R01-01", "AE", ""),
    ("msfc_OUL-R23-01", "AE", ""),
    ("msfc_SIU-S12_1", "AA", "Appointment 1, Location 6, Practitioner 3, Provenance 1"),
    ("msfc_SIU-S14-02", "AA", "Appointment 1, Location 6, Practitioner 3, Provenance 1"),
    ("msfc_SIU-S15-02", "AA", "Appointment 1, Location 2, Provenance 1"),
    ("msfc_VXU-V04-02", "AA", "Encounter 1, Immunization 3, Practitioner 2, Provenance 1"),
    ("ours_bedside_monitor", "AE", ""),
    ("ours_loinc_simulator", "AE", ""),
    ("ours_pcd01_devices", "AE", "Device 1, DeviceMetric 1, Provenance 1"),
    ("pyhl7_sample_batch1", "AA", ""),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_is_taken_or_told_why_not() {
    let app = TestApp::start().await;
    let (gateway, administrator) = (app.gateway(), app.administrator().await);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hl7");
    for (name, verdict, want) in SAMPLES {
        let bytes = named(&std::fs::read(folder.join(format!("{name}.hl7"))).unwrap(), name);
        gateway.post_raw("/hl7/v2", HL7, bytes).await;
        let list = administrator.get("/hl7/messages?count=1").await.expect(200).json();
        let kept = &list["messages"][0];
        assert_eq!(
            (kept["verdict"].as_str().unwrap(), made(kept).as_str()),
            (*verdict, *want),
            "{name}: {}",
            kept["issues"]
        );
    }
    app.stop().await;
}
