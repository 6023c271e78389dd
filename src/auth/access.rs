//! Who calls, and what they may see. Pure: scopes in, permits out; no tokens, no sessions, no
//! store. A `Permit` can only come out of `Access::check`, and an `Access` with every right only
//! out of `Access::system`, whose name is written in the source: no input can become one.

mod role;
pub mod scope;

use std::fmt;

pub use self::role::Role;
use self::scope::{Condition, Context, Scope, is_type_name, parse_all};
use crate::error::Error;
use crate::fhir::compartment;

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A part of this server: the alert engine, the HL7 listener.
    System(&'static str),
    /// A person with a session.
    User { id: String, username: String, role: Role },
    /// A machine with a bearer token.
    Client { id: String },
    /// A device by one of its credentials; it says what it measured itself, and nothing else.
    Device { credential: String, device: String },
}

impl fmt::Display for Principal {
    /// Kind and id: fit for logs and audit; never a person's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(name) => write!(f, "system/{name}"),
            Self::User { id, .. } => write!(f, "user/{id}"),
            Self::Client { id } => write!(f, "client/{id}"),
            Self::Device { device, .. } => f.write_str(device),
        }
    }
}

/// What is to be done, in the words of SMART v2: `Read` is read, vread and the history of one
/// resource; `Update` is update and patch; `Search` is search and the history of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Create,
    Read,
    Update,
    Delete,
    Search,
}

impl Action {
    pub const ALL: [Self; 5] = [Self::Create, Self::Read, Self::Update, Self::Delete, Self::Search];

    fn letter(self) -> char {
        match self {
            Self::Create => 'c',
            Self::Read => 'r',
            Self::Update => 'u',
            Self::Delete => 'd',
            Self::Search => 's',
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Search => "search",
        }
    }
}

/// How far a permit goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    All,
    /// Only what is about this patient: `Patient/p1`.
    Patient(String),
    /// Only what fits all of these conditions; of one patient, or of all.
    Fitting {
        patient: Option<String>,
        conditions: Vec<Condition>,
    },
    /// This one resource: `Practitioner/p1`.
    Only(String),
}

/// Leave to do one action on one type, as far as `reach` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    reach: Reach,
}

impl Reach {
    /// Whether something about this patient (`Patient/p1`) is within reach. What is about
    /// nobody (`None`) is only within reach of those who may see everybody.
    pub fn covers(&self, patient: Option<&str>) -> bool {
        match self {
            Self::All => true,
            Self::Patient(own) => patient == Some(own.as_str()),
            // Whose it is does not tell whether it fits: what can ask no more than that gets nothing.
            Self::Fitting { .. } | Self::Only(_) => false,
        }
    }
}

impl Permit {
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Whether something about this patient (`Patient/p1`) is within reach. What is about
    /// nobody (`None`) is only within reach of those who may see everybody.
    pub fn covers(&self, patient: Option<&str>) -> bool {
        self.reach.covers(patient)
    }
}

/// Why not. Becomes 401 or 403; the texts are for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("{0}")]
    Token(&'static str),
    #[error("The scope {scope} is refused: {why}.")]
    Scope { scope: String, why: &'static str },
    #[error("No granted scope covers {action} of {resource_type}.")]
    NotGranted { action: &'static str, resource_type: String },
    #[error("A patient/ scope does not reach {action} of {resource_type} on this server.")]
    Compartment { action: &'static str, resource_type: String },
    #[error("The patient context is not a FHIR id.")]
    Context,
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Token(why) => Self::Unauthenticated(Some(why)),
            other => Self::Forbidden(other.to_string()),
        }
    }
}

/// Who calls and what may be seen: the first argument of every store function that touches
/// patient data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    principal: Principal,
    scopes: Vec<Scope>,
    patient: Option<String>,
    /// Who the user is as a resource: it may be read whatever else was granted.
    own: Option<String>,
    client: Option<String>,
    /// May start apps with a patient in context, for users of another record system.
    launches: bool,
}

impl Access {
    /// A part of this server itself, with every right.
    pub fn system(name: &'static str) -> Self {
        Self::of(Principal::System(name))
    }

    /// A user with all rights of the role. `own`: who the user is as a resource (`Practitioner/…`, `Patient/…`); a
    /// patient without one sees nothing.
    pub fn for_user(id: impl Into<String>, username: impl Into<String>, role: Role, own: Option<String>) -> Self {
        let principal = Principal::User { id: id.into(), username: username.into(), role };
        let patient = own.clone().filter(|own| role == Role::Patient && own.starts_with("Patient/"));
        // A role's scopes are constants under test; were they ever wrong, they would grant nothing.
        Self { scopes: parse_all(role.scopes()).unwrap_or_default(), patient, own, ..Self::of(principal) }
    }

    fn of(principal: Principal) -> Self {
        Self { principal, scopes: Vec::new(), patient: None, own: None, client: None, launches: false }
    }

    /// A device (`Device/…`) by one of its credentials.
    pub fn for_device(credential: impl Into<String>, device: impl Into<String>) -> Self {
        let principal = Principal::Device { credential: credential.into(), device: device.into() };
        Self { scopes: parse_all(DEVICE_SCOPES).unwrap_or_default(), ..Self::of(principal) }
    }

    /// A caller with granted scopes. `patient` is the launch context, as an id or `Patient/id`.
    /// Scopes that cannot be enforced are refused, never ignored: to ignore one is to widen it.
    pub fn from_scopes(principal: Principal, scopes: &str, patient: Option<String>) -> Result<Self, Denied> {
        if matches!(principal, Principal::System(_)) {
            return Err(Denied::Scope { scope: String::new(), why: "a part of the server has no scopes" });
        }
        let parsed = parse_all(scopes)?;
        let patient = patient.map(|p| patient_reference(&p)).transpose()?;
        for scope in &parsed {
            let why = match (scope.context, &principal) {
                (Context::Patient, _) if patient.is_none() => "there is no patient in context",
                (_, Principal::User { role: Role::Patient, .. }) if patient.is_none() => {
                    "the user's record is not known"
                }
                (Context::User, Principal::Client { .. }) => "no user stands behind this client",
                (Context::System, Principal::User { .. }) => "system/ scopes are for clients",
                _ => continue,
            };
            return Err(Denied::Scope { scope: scope.to_string(), why });
        }
        let launches = scopes.split_ascii_whitespace().any(|scope| scope == LAUNCHES);
        Ok(Self { scopes: parsed, patient, launches, ..Self::of(principal) })
    }

    /// The same by an app, which may be told who its user is (`own`) when that was granted.
    #[must_use]
    pub fn through(self, client: &str, own: Option<String>) -> Self {
        Self { client: Some(client.to_owned()), own, ..self }
    }

    /// May start apps with a patient in context, for users of another record system.
    pub fn may_launch(&self) -> bool {
        self.launches
    }

    /// The app that a user calls by.
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The device that calls: `Device/…`.
    pub fn device(&self) -> Option<&str> {
        match &self.principal {
            Principal::Device { device, .. } => Some(device),
            _ => None,
        }
    }

    /// `Patient/id` of the launch context.
    pub fn patient(&self) -> Option<&str> {
        self.patient.as_deref()
    }

    /// May run the server: users, clients, devices, configuration.
    pub fn is_administrator(&self) -> bool {
        matches!(self.principal, Principal::System(_) | Principal::User { role: Role::Administrator, .. })
    }

    /// May read the audit trail. Nobody may write it.
    pub fn may_audit(&self) -> Result<(), Denied> {
        let may = matches!(
            self.principal,
            Principal::System(_) | Principal::User { role: Role::Administrator | Role::Auditor, .. }
        );
        let denied = || Denied::NotGranted { action: Action::Read.word(), resource_type: "AuditEvent".to_owned() };
        if may { self.check(Action::Read, "AuditEvent").map(|_| ()) } else { Err(denied()) }
    }

    /// Asks for leave. The widest scope that covers the action decides how far it goes.
    pub fn check(&self, action: Action, resource_type: &str) -> Result<Permit, Denied> {
        self.granted(action, resource_type).or_else(|denied| {
            let own =
                self.own.as_ref().filter(|own| action == Action::Read && own.split('/').next() == Some(resource_type));
            own.map(|own| Permit { reach: Reach::Only(own.clone()) }).ok_or(denied)
        })
    }

    fn granted(&self, action: Action, resource_type: &str) -> Result<Permit, Denied> {
        let named = || if is_type_name(resource_type) { resource_type.to_owned() } else { "this type".to_owned() };
        let not_granted = || Denied::NotGranted { action: action.word(), resource_type: named() };
        let mut bound = false;
        match &self.principal {
            Principal::System(_) => return Ok(Permit { reach: Reach::All }),
            Principal::User { role, .. } if !role.allows(action, resource_type) => return Err(not_granted()),
            Principal::User { role, .. } => bound = *role == Role::Patient,
            _ => {}
        }
        let covering: Vec<&Scope> = self.scopes.iter().filter(|scope| scope.covers(action, resource_type)).collect();
        if covering.is_empty() {
            return Err(not_granted());
        }
        let (of_one, of_all): (Vec<&Scope>, Vec<&Scope>) =
            covering.into_iter().partition(|scope| bound || scope.context == Context::Patient);
        if of_all.iter().any(|scope| scope.conditions.is_empty()) {
            return Ok(Permit { reach: Reach::All });
        }
        let patient = self.patient.as_ref().filter(|_| in_compartment(action, resource_type));
        let reach = match patient {
            _ if of_one.iter().any(|scope| scope.conditions.is_empty()) && is_directory(action, resource_type) => {
                Reach::All
            }
            Some(patient) if of_one.iter().any(|scope| scope.conditions.is_empty()) => Reach::Patient(patient.clone()),
            _ if !of_all.is_empty() => Reach::Fitting { patient: None, conditions: scope::merged(&of_all) },
            Some(patient) => Reach::Fitting { patient: Some(patient.clone()), conditions: scope::merged(&of_one) },
            None => return Err(Denied::Compartment { action: action.word(), resource_type: named() }),
        };
        Ok(Permit { reach })
    }
}

/// The types that a patient/ scope reaches: what the store can keep to one patient on every road to it. A patient/
/// scope never creates a Patient: the new one would not be the patient in context.
fn in_compartment(action: Action, resource_type: &str) -> bool {
    match resource_type {
        "Patient" => matches!(action, Action::Read | Action::Search | Action::Update),
        "AuditEvent" => false,
        other => compartment::is_of_patients(other),
    }
}

/// What is about nobody and is needed to read what is about somebody: who gave the care, where, with what.
fn is_directory(action: Action, resource_type: &str) -> bool {
    const DIRECTORY: [&str; 8] = [
        "Practitioner",
        "PractitionerRole",
        "Organization",
        "Location",
        "HealthcareService",
        "Medication",
        "Substance",
        "ValueSet",
    ];
    matches!(action, Action::Read | Action::Search) && DIRECTORY.contains(&resource_type)
}

/// The scope of record systems that embed apps.
const LAUNCHES: &str = "smart/orchestrate_launch";

/// What every device may do, with any of its credentials.
pub const DEVICE_SCOPES: &str = "system/Observation.c";

fn patient_reference(patient: &str) -> Result<String, Denied> {
    let id = patient.strip_prefix("Patient/").unwrap_or(patient);
    let fits = (1..=64).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    if fits { Ok(format!("Patient/{id}")) } else { Err(Denied::Context) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::{Create, Delete, Read, Search, Update};

    fn client(scopes: &str, patient: Option<&str>) -> Result<Access, Denied> {
        Access::from_scopes(Principal::Client { id: "c1".into() }, scopes, patient.map(str::to_owned))
    }

    fn user(role: Role, scopes: &str) -> Result<Access, Denied> {
        Access::from_scopes(Principal::User { id: "u1".into(), username: "ana".into(), role }, scopes, None)
    }

    /// The letters of `cruds` that an access grants on a type.
    fn granted(access: &Access, resource_type: &str) -> String {
        Action::ALL.into_iter().filter(|a| access.check(*a, resource_type).is_ok()).map(Action::letter).collect()
    }

    #[test]
    fn scopes_grant_what_they_say() {
        let table = [
            ("system/Observation.cruds", "Observation", "cruds"),
            ("system/Observation.cruds", "Patient", ""),
            ("system/Observation.c", "Observation", "c"),
            ("system/*.rs", "Patient", "rs"),
            ("system/*.read", "Patient", "rs"),
            ("system/*.write", "Patient", "cud"),
            ("system/Patient.*", "Patient", "cruds"),
            ("system/Patient.r system/Patient.s", "Patient", "rs"),
            ("openid fhirUser launch/patient offline_access system/Patient.r", "Patient", "r"),
            ("openid", "Patient", ""),
            ("", "Patient", ""),
        ];
        for (scopes, resource_type, expected) in table {
            assert_eq!(granted(&client(scopes, None).unwrap(), resource_type), expected, "{scopes} {resource_type}");
        }
    }

    #[test]
    fn what_cannot_be_enforced_is_refused() {
        let refused = [
            "system/Observation.rs?date=2026",
            "system/Observation.cruds?category=vital-signs",
            "system/*.rs?category=vital-signs",
            "system/Observation.rs?",
            "system/Observation.rs?category:not=vital-signs",
            "system/Observation.rs?subject=Patient/1",
            "system/Observation.rs?category=a system/Observation.r?code=b",
            "system/Observation.sr",
            "system/Observation.rr",
            "system/Observation.",
            "system/Observation",
            "system/observation.r",
            "system/Observation*.r",
            "system/.r",
            "system/Observation.x",
            "system/Observation.READ",
            "everything/Observation.r",
            "Observation.read",
            "admin",
            "*",
            "patient/Observation.rs",
            "user/*.cruds",
        ];
        for scopes in refused {
            assert!(matches!(client(scopes, None), Err(Denied::Scope { .. })), "{scopes}");
            let mixed = format!("system/Patient.r {scopes}");
            assert!(client(&mixed, None).is_err(), "a good neighbour does not help: {mixed}");
        }
    }

    #[test]
    fn patient_scopes_reach_their_patient_and_the_types_we_can_enforce() {
        let access = client("patient/*.cruds", Some("p1")).unwrap();
        let table = [
            ("Observation", "cruds"),
            ("DetectedIssue", "cruds"),
            ("Encounter", "cruds"),
            ("Patient", "rus"),
            ("Condition", "cruds"),
            ("Coverage", "cruds"),
            ("Device", ""),
            ("Practitioner", "rs"),
            ("AuditEvent", ""),
        ];
        for (resource_type, expected) in table {
            assert_eq!(granted(&access, resource_type), expected, "{resource_type}");
        }
        let permit = access.check(Search, "Observation").unwrap();
        assert_eq!(permit.reach(), &Reach::Patient("Patient/p1".into()));
        assert!(permit.covers(Some("Patient/p1")));
        assert!(!permit.covers(Some("Patient/p2")) && !permit.covers(Some("p1")) && !permit.covers(None));
        assert!(matches!(access.check(Read, "Device"), Err(Denied::Compartment { .. })));
    }

    #[test]
    fn the_widest_scope_decides_for_its_own_actions_only() {
        let access = client("patient/Observation.cruds system/Observation.rs", Some("Patient/p1")).unwrap();
        assert_eq!(access.check(Read, "Observation").unwrap().reach(), &Reach::All);
        assert_eq!(access.check(Update, "Observation").unwrap().reach(), &Reach::Patient("Patient/p1".into()));
        let access = client("patient/Device.r system/Device.r", Some("p1")).unwrap();
        assert_eq!(access.check(Read, "Device").unwrap().reach(), &Reach::All);
    }

    #[test]
    fn conditions_are_kept_and_one_of_several_is_enough() {
        let access = client(
            "patient/Observation.rs?category=a patient/Observation.r?category=b,c system/Encounter.s?status=x",
            Some("p1"),
        );
        let access = access.unwrap();
        let reach = |action, kind: &str| access.check(action, kind).unwrap().reach().clone();
        let fitting = |patient: Option<&str>, param: &str, values: &str| Reach::Fitting {
            patient: patient.map(str::to_owned),
            conditions: vec![Condition { param: param.to_owned(), values: values.to_owned() }],
        };
        assert_eq!(reach(Read, "Observation"), fitting(Some("Patient/p1"), "category", "a,b,c"));
        assert_eq!(reach(Search, "Observation"), fitting(Some("Patient/p1"), "category", "a"));
        assert_eq!(reach(Search, "Encounter"), fitting(None, "status", "x"));
        assert!(access.check(Read, "Encounter").is_err());
        assert!(!access.check(Read, "Observation").unwrap().covers(Some("Patient/p1")), "it does not tell what fits");
        let wider = client("patient/Observation.rs?category=a patient/Observation.r", Some("p1")).unwrap();
        assert_eq!(wider.check(Read, "Observation").unwrap().reach(), &Reach::Patient("Patient/p1".into()));
    }

    #[test]
    fn who_one_is_may_be_read_and_no_other() {
        let access =
            client("patient/Observation.rs", Some("p1")).unwrap().through("app", Some("Practitioner/me".into()));
        assert_eq!(access.check(Read, "Practitioner").unwrap().reach(), &Reach::Only("Practitioner/me".into()));
        assert!(access.check(Search, "Practitioner").is_err() && access.check(Read, "Patient").is_err());
    }

    #[test]
    fn a_patient_sees_the_own_record_whatever_is_granted() {
        let own = || Principal::User { id: "u1".into(), username: "eva".into(), role: Role::Patient };
        for scopes in ["user/*.cruds", "patient/*.cruds", "user/Observation.rs patient/Observation.rs"] {
            let access = Access::from_scopes(own(), scopes, Some("p1".into())).unwrap();
            assert_eq!(access.check(Search, "Observation").unwrap().reach(), &Reach::Patient("Patient/p1".into()));
            assert!(access.check(Create, "Observation").is_err());
        }
        assert!(Access::from_scopes(own(), "user/*.rs", None).is_err());
        assert!(Access::for_user("u1", "eva", Role::Patient, None).check(Read, "Observation").is_err());
        assert!(
            Access::for_user("u1", "eva", Role::Patient, Some("Practitioner/1".into())).check(Read, "Patient").is_err()
        );
    }

    #[test]
    fn a_patient_context_is_an_id() {
        for bad in ["", "Patient/", "a b", "Patient/../x", "Practitioner/p1", "p1?x=1"] {
            assert_eq!(client("patient/*.rs", Some(bad)), Err(Denied::Context), "{bad}");
        }
        assert!(client("patient/*.rs", Some(&"a".repeat(65))).is_err());
    }

    #[test]
    fn roles_grant_what_they_are_for() {
        let table = [
            (Role::Administrator, "AuditEvent", "cruds"),
            (Role::Administrator, "Observation", "cruds"),
            (Role::Clinician, "Observation", "crus"),
            (Role::Clinician, "DetectedIssue", "crus"),
            (Role::Clinician, "Encounter", "crus"),
            (Role::Clinician, "Patient", "crus"),
            (Role::Clinician, "Device", "rs"),
            (Role::Clinician, "PlanDefinition", "rs"),
            (Role::Clinician, "AuditEvent", ""),
            (Role::Nurse, "Condition", "rs"),
            (Role::Physician, "Condition", "crus"),
            (Role::WardLead, "PlanDefinition", "crus"),
            (Role::Integration, "Encounter", "crus"),
            (Role::Integration, "DetectedIssue", ""),
            (Role::Patient, "Observation", "rs"),
            (Role::Patient, "Practitioner", "rs"),
            (Role::Patient, "Device", ""),
            (Role::Device, "Observation", "c"),
        ];
        for (role, resource_type, expected) in table {
            let access = Access::for_user("u1", "ana", role, Some("Patient/p1".to_owned()));
            assert_eq!(granted(&access, resource_type), expected, "{role:?}");
        }
        for role in Role::ALL {
            assert!(parse_all(role.scopes()).is_ok_and(|scopes| !scopes.is_empty()));
            assert_eq!(Role::parse(role.name()), Some(role));
        }
        assert_eq!(Role::parse("root"), None);
    }

    #[test]
    fn scopes_never_lift_a_user_above_the_role() {
        assert!(user(Role::Clinician, "system/*.cruds").is_err());
        let access = user(Role::Clinician, "user/*.cruds").unwrap();
        assert_eq!(granted(&access, "AuditEvent"), "");
        assert_eq!(granted(&access, "Device"), "rs");
        assert_eq!(granted(&user(Role::Administrator, "user/Patient.r").unwrap(), "Patient"), "r");
        assert!(!access.is_administrator());
    }

    #[test]
    fn only_the_source_can_name_a_system_access() {
        assert_eq!(granted(&Access::system("alert"), "Anything"), "cruds");
        for scopes in ["", "system/*.cruds", "openid"] {
            assert!(Access::from_scopes(Principal::System("alert"), scopes, None).is_err());
        }
        assert!(!client("system/*.cruds", None).unwrap().is_administrator());
    }

    #[test]
    fn a_refusal_repeats_no_odd_input() {
        let denied = client("system/Patient.r", None).unwrap().check(Delete, "<script>").unwrap_err();
        assert_eq!(denied.to_string(), "No granted scope covers delete of this type.");
        let denied = client("a\u{7f}\"\u{e9}b", None).unwrap_err();
        assert_eq!(denied.to_string(), "The scope ab is refused: it is not known.");
        assert_eq!(Error::from(denied).view().status, 403);
        assert_eq!(Error::from(Denied::Token("it has expired")).view().status, 401);
        assert!(client("system/Patient.c", None).unwrap().check(Create, "Patient").is_ok());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".{0,60}") {
            let _ = client(&text, Some(&text));
        }
    }
}
