//! R4's compartments: which types belong to a patient, an encounter, a device, a practitioner or a related
//! person, and by which search parameters. Read from the definitions; nothing here knows how they are searched.

use serde_json::Value;

use super::index::{self, Entry};
use super::params;
use super::reading::Reading;
use super::reference::local;
use super::registry::Params;

/// The kinds of compartment, each named after the resource type that it is about.
pub const NAMES: [&str; 5] = ["Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"];

/// How the definitions say that the resource which the compartment is about is in it.
const ITSELF: &str = "{def}";

/// The types that can be in a compartment of this kind, in order; none when there is no such kind.
pub fn members(name: &str) -> Option<Vec<&'static str>> {
    let own = NAMES.iter().find(|known| **known == name)?;
    let mut members: Vec<&'static str> =
        fhir_r4::compartment(own)?.iter().filter(|(_, params)| !params.is_empty()).map(|(member, _)| *member).collect();
    members.push(own);
    members.sort_unstable();
    members.dedup();
    Some(members)
}

/// What puts a resource of the type `member` into the compartment of `name/id`, as search parameters with their
/// value of which one at least must hold; empty when the type is never in it.
pub fn conditions(name: &str, id: &str, member: &str) -> Vec<(&'static str, String)> {
    let named = fhir_r4::compartment_params(name, member).iter().filter(|param| **param != ITSELF);
    let mut all: Vec<(&'static str, String)> = named.map(|param| (*param, format!("{name}/{id}"))).collect();
    if name == member {
        all.push(("_id", id.to_owned()));
    }
    all
}

/// Whose compartments of this kind a resource is in, by what it refers to.
pub fn owners(name: &str, kind: &str, resource: &Value) -> Vec<String> {
    let params = fhir_r4::compartment_params(name, kind);
    // Compartments are R4's own: no parameter that was added here makes one.
    let entries =
        index::entries(&Params::default(), kind, resource).into_iter().filter_map(|(param, entry)| match entry {
            Entry::Reference(text) => Some((param, text)),
            _ => None,
        });
    // What an Observation holds in columns is in no index.
    let reading = if kind == "Observation" { Reading::of(resource) } else { Reading::default() };
    let columns = [("subject", reading.subject), ("device", reading.device), ("encounter", reading.encounter)];
    let columns = columns.into_iter().filter_map(|(param, text)| Some((param, text?)));
    let all = entries.chain(columns).filter(|(param, _)| params.contains(param));
    all.map(|(_, text)| text).filter(|text| local(text).is_some_and(|own| own.resource_type == name)).collect()
}

/// Whether resources of this type are of patients, and are found by the parameter `patient` when they are.
pub fn is_of_patients(kind: &str) -> bool {
    !fhir_r4::compartment_params("Patient", kind).is_empty() && params::find(kind, "patient").is_some()
}

/// The patients that a resource is about: itself, its subject, or what its parameter `patient` finds.
pub fn patients(kind: &str, id: &str, resource: &Value) -> Vec<String> {
    let named = match kind {
        "Patient" => return vec![format!("Patient/{id}")],
        "Observation" => return Reading::of(resource).subject.into_iter().collect(),
        other => params::find(other, "patient"),
    };
    let Some(param) = named.filter(|_| is_of_patients(kind)) else { return Vec::new() };
    let reference = |entry| if let Entry::Reference(text) = entry { Some(text) } else { None };
    let mut found: Vec<String> = index::values(param, resource).into_iter().filter_map(reference).collect();
    found.retain(|text| text.starts_with("Patient/"));
    found.dedup();
    found
}

/// The parameter that tells when the care was given that a resource of this type is about. What has none is a
/// standing statement (a condition, an allergy, a goal): it holds whatever dates are asked for.
pub fn care_date(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Appointment" | "ClinicalImpression" | "Composition" | "DiagnosticReport" | "DocumentReference"
        | "Encounter" | "EpisodeOfCare" | "Immunization" | "Observation" | "Procedure" | "RiskAssessment" => "date",
        "AuditEvent" => "date",
        "Claim" | "ClaimResponse" | "ExplanationOfBenefit" => "created",
        "Communication" => "sent",
        "DetectedIssue" => "identified",
        "ImagingStudy" => "started",
        "Media" => "created",
        "MedicationAdministration" => "effective-time",
        "MedicationDispense" => "whenhandedover",
        "MedicationRequest" => "authoredon",
        "MedicationStatement" => "effective",
        "NutritionOrder" => "datetime",
        "QuestionnaireResponse" => "authored",
        "ServiceRequest" => "authored",
        "Specimen" => "collected",
        "SupplyRequest" => "date",
        "VisionPrescription" => "datewritten",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_decide_what_is_in() {
        let table = [
            ("Patient", "Observation", "subject=Patient/1 performer=Patient/1"),
            ("Patient", "Patient", "link=Patient/1 _id=1"),
            ("Patient", "Location", ""),
            ("Encounter", "Encounter", "_id=1"),
            ("Encounter", "Observation", "encounter=Encounter/1"),
            ("Device", "Observation", "subject=Device/1 device=Device/1"),
            ("Practitioner", "Patient", "general-practitioner=Practitioner/1"),
            ("Location", "Observation", ""),
        ];
        for (name, member, expected) in table {
            let found = conditions(name, "1", member);
            let found: Vec<String> = found.into_iter().map(|(param, value)| format!("{param}={value}")).collect();
            assert_eq!(found.join(" "), expected, "{name} {member}");
        }
        assert!(members("Patient").unwrap().contains(&"Patient") && members("Location").is_none());
    }

    #[test]
    fn patients_are_told_from_any_element_that_names_them() {
        use serde_json::json;
        let of = |text: &str| json!({"reference": text});
        for (kind, resource, expected) in [
            ("Patient", json!({}), "Patient/x"),
            ("Observation", json!({"subject": of("Patient/1")}), "Patient/1"),
            ("Observation", json!({"subject": of("Device/1")}), "Device/1"),
            ("Condition", json!({"subject": of("Patient/1/_history/2")}), "Patient/1"),
            ("Condition", json!({"subject": of("Group/1")}), ""),
            ("Immunization", json!({"patient": of("Patient/1")}), "Patient/1"),
            ("Coverage", json!({"beneficiary": of("Patient/1")}), "Patient/1"),
            (
                "Appointment",
                json!({"participant": [{"actor": of("Patient/1")}, {"actor": of("Practitioner/2")}]}),
                "Patient/1",
            ),
            ("Practitioner", json!({}), ""),
            ("Location", json!({}), ""),
        ] {
            assert_eq!(patients(kind, "x", &resource).join(" "), expected, "{kind} {resource}");
        }
        assert!(is_of_patients("Coverage") && !is_of_patients("Practitioner") && !is_of_patients("Device"));
    }

    #[test]
    fn care_dates_are_dates_of_their_types() {
        for kind in fhir_r4::resource_types() {
            if let Some(name) = care_date(kind) {
                let param = params::find(kind, name).unwrap_or_else(|| panic!("{kind} {name}"));
                assert_eq!(param.kind, fhir_r4::SearchKind::Date, "{kind} {name}");
            }
        }
    }

    #[test]
    fn what_makes_a_member_can_be_searched_by() {
        for name in NAMES {
            for member in members(name).unwrap() {
                let known =
                    conditions(name, "1", member).iter().any(|(param, _)| params::find(member, param).is_some());
                assert!(known, "{name} {member}");
            }
        }
    }
}
