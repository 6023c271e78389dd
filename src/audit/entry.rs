//! One entry of the trail. Its JSON text is what is hashed and stored: members that are added later must be left out
//! when they are empty, so that what is stored stays readable. No text of a resource may enter.

use serde::{Deserialize, Serialize};

use crate::auth::access::{Access, Principal};

/// References and patients that an entry names; beyond that it counts.
pub(super) const MAX_RESOURCES: usize = 20;
pub(super) const MAX_PATIENTS: usize = 200;

/// What was done, in the codes of `AuditEvent.action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    C,
    R,
    U,
    D,
    E,
}

impl Act {
    pub fn code(self) -> &'static str {
        match self {
            Self::C => "C",
            Self::R => "R",
            Self::U => "U",
            Self::D => "D",
            Self::E => "E",
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    #[default]
    #[serde(rename = "0")]
    Success,
    /// Refused, or not to be done.
    #[serde(rename = "4")]
    Minor,
    /// The server failed.
    #[serde(rename = "8")]
    Serious,
}

impl Outcome {
    pub fn of_status(status: u16) -> Self {
        match status {
            ..400 => Self::Success,
            400..500 => Self::Minor,
            _ => Self::Serious,
        }
    }

    /// The code of `AuditEvent.outcome`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Success => "0",
            Self::Minor => "4",
            Self::Serious => "8",
        }
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// `user/…`, `client/…`, `Device/…`, `system/…`
    pub who: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The app or the credential that was used for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl Agent {
    pub fn of(access: &Access) -> Self {
        let (mut name, mut role, mut by) = (None, None, None);
        match access.principal() {
            Principal::User { username, role: own, .. } => {
                (name, role) = (Some(username.clone()), Some(own.name().to_owned()));
            }
            Principal::Device { credential, .. } => by = Some(credential.clone()),
            _ => {}
        }
        Self { who: access.principal().to_string(), name, role, by }
    }

    /// A part of the server itself.
    pub fn is_system(&self) -> bool {
        self.who.starts_with("system/")
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// µs UTC
    pub at: i64,
    pub agent: Agent,
    pub act: Act,
    /// A restful interaction of FHIR, or what else it was: `disclose`.
    pub what: String,
    /// The operation that it was done by: `$acknowledge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The resource type that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// References, with versions where they are known; the first of `count`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub count: usize,
    /// `Patient/…`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patients: Vec<String>,
    /// Patients that were too many to be named.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// A code of v3 `PurposeOfUse`, as the caller said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    #[serde(default, skip_serializing_if = "is_success")]
    pub outcome: Outcome,
    /// The status of the answer, when it was a refusal or a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_success(outcome: &Outcome) -> bool {
    *outcome == Outcome::Success
}

impl Entry {
    pub fn new(at: i64, agent: Agent, act: Act, what: impl Into<String>) -> Self {
        Self {
            at,
            agent,
            act,
            what: what.into(),
            operation: None,
            kind: None,
            resources: vec![],
            count: 0,
            patients: vec![],
            more: 0,
            query: None,
            from: None,
            request: None,
            purpose: None,
            outcome: Outcome::Success,
            status: None,
        }
    }

    /// The bytes that are hashed and stored: one line.
    pub fn line(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    pub fn read(line: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(line)
    }

    /// What it can be found by: whom it is about, who did it, what it was done to.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let agent = [Some(&self.agent.who), self.agent.by.as_ref()].into_iter().flatten();
        let patients = self.patients.iter().map(|patient| format!("about {patient}"));
        let resources = self.resources.iter().map(|resource| format!("to {}", bare(resource)));
        agent.map(|who| format!("by {who}")).chain(patients).chain(resources)
    }
}

/// `Observation/a` of `Observation/a/_history/1`
pub fn bare(reference: &str) -> &str {
    reference.split_once("/_history/").map_or(reference, |(bare, _)| bare)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::access::Role;

    #[test]
    fn an_entry_comes_back_and_is_small() {
        let mut entry = Entry::new(1, Agent::of(&Access::for_user("u1", "nora", Role::Nurse, None)), Act::R, "read");
        entry.patients = vec!["Patient/p".into()];
        entry.resources = vec!["Observation/o/_history/2".into()];
        let line = entry.line().unwrap();
        assert!(line.len() < 200 && !line.contains(&b'\n'), "{}", String::from_utf8_lossy(&line));
        assert_eq!(Entry::read(&line).unwrap(), entry);
        let names: Vec<String> = entry.names().collect();
        assert_eq!(names, ["by user/u1", "about Patient/p", "to Observation/o"]);
    }

    #[test]
    fn outcomes_follow_the_status() {
        for (status, code) in [(200, "0"), (304, "0"), (403, "4"), (503, "8")] {
            assert_eq!(Outcome::of_status(status).code(), code);
        }
    }
}
