//! What people are here for, and what that bounds: whatever is granted to an app, its user's role is not exceeded.

use super::{Action, parse_all};

/// What a user is here for. A role bounds whatever scopes the user's session carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Administrator,
    /// A nurse or a physician where the two are not told apart.
    Clinician,
    Nurse,
    Physician,
    /// A nurse or physician who answers for a ward: its rules and its devices too.
    WardLead,
    /// An engineer of interfaces: the feed of data, not the care.
    Integration,
    /// Reads the audit trail, and nothing else.
    Auditor,
    /// Somebody who sees the own record.
    Patient,
    Device,
}

impl Role {
    pub const ALL: [Self; 9] = [
        Self::Administrator,
        Self::Clinician,
        Self::Nurse,
        Self::Physician,
        Self::WardLead,
        Self::Integration,
        Self::Auditor,
        Self::Patient,
        Self::Device,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Clinician => "clinician",
            Self::Nurse => "nurse",
            Self::Physician => "physician",
            Self::WardLead => "ward-lead",
            Self::Integration => "integration",
            Self::Auditor => "auditor",
            Self::Patient => "patient",
            Self::Device => "device",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// The role's rights as scopes. Clinicians correct by `entered-in-error`, they do not delete.
    pub fn scopes(self) -> &'static str {
        match self {
            Self::Administrator => "user/*.cruds",
            Self::Clinician | Self::Nurse => {
                "user/*.rs user/Observation.cu user/DetectedIssue.cu user/Encounter.cu user/Patient.cu \
                 user/DeviceUseStatement.cu"
            }
            Self::Physician => {
                "user/*.rs user/Observation.cu user/DetectedIssue.cu user/Encounter.cu user/Patient.cu \
                 user/DeviceUseStatement.cu user/Condition.cu user/ServiceRequest.cu user/CarePlan.cu user/Goal.cu \
                 user/AllergyIntolerance.cu"
            }
            Self::WardLead => {
                "user/*.rs user/Observation.cu user/DetectedIssue.cu user/Encounter.cu user/Patient.cu \
                 user/DeviceUseStatement.cu user/Device.cu user/DeviceMetric.cu user/PlanDefinition.cu \
                 user/CareTeam.cu user/Group.cu"
            }
            Self::Integration => {
                "user/Patient.crus user/Encounter.crus user/Location.crus user/Organization.crus \
                 user/Practitioner.crus user/PractitionerRole.crus user/Device.crus user/DeviceMetric.crus \
                 user/Observation.crs user/Provenance.rs"
            }
            Self::Auditor => "user/AuditEvent.rs",
            Self::Patient => "patient/*.rs",
            Self::Device => "user/Observation.c",
        }
    }

    /// Types that are about the running of the server, and all types at once (`*`), are not for everybody.
    fn may_touch(self, resource_type: &str) -> bool {
        match self {
            Self::Administrator => true,
            Self::Auditor => resource_type == "AuditEvent",
            _ => !["*", "AuditEvent", "Subscription"].contains(&resource_type),
        }
    }

    pub(super) fn allows(self, action: Action, resource_type: &str) -> bool {
        self.may_touch(resource_type)
            && parse_all(self.scopes()).is_ok_and(|scopes| scopes.iter().any(|s| s.covers(action, resource_type)))
    }
}
