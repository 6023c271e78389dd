//! What is asked for one resource, once it is known what stands, and what that is for the lane. No search and no
//! read may enter: whatever an intent depends on is in it as a guard or as an expected version.

use fhir_r4::{Checked, Issue};
use serde_json::Value;

use crate::error::Error;
use crate::profiles::Profiles;
use crate::store::{CONDITION_CHANGED, Change, Commit, Guard, Repeat, Verb};

/// What is asked for one resource. The resource has passed the check.
#[derive(Debug)]
pub enum Intent {
    /// `guard`: the condition under which it is created.
    Create {
        resource: Checked,
        id: String,
        guard: Option<Guard>,
    },
    Update {
        resource: Checked,
        id: String,
        expect: Option<i32>,
    },
    /// An update that was made from version `read` of what stands (`NOTHING`: from none). When another stands by
    /// now, the condition has changed and it is to be made again.
    Revise {
        resource: Checked,
        id: String,
        read: i32,
    },
    Delete {
        kind: &'static str,
        id: String,
        expect: Option<i32>,
    },
    /// A conditional create that finds this one: nothing is written as long as that holds.
    Keep {
        kind: &'static str,
        id: String,
        guard: Guard,
    },
    /// A conditional delete that finds nothing: nothing is written as long as that holds.
    Absent {
        kind: &'static str,
        guard: Guard,
    },
    /// Another intent, as long as the condition finds what it found.
    Guarded {
        guard: Guard,
        intent: Box<Self>,
    },
}

impl Intent {
    /// The other intent, under a condition where there is one.
    #[must_use]
    pub fn under(self, guard: Option<Guard>) -> Self {
        match guard {
            Some(guard) => Self::Guarded { guard, intent: Box::new(self) },
            None => self,
        }
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Create { resource, .. } | Self::Update { resource, .. } | Self::Revise { resource, .. } => {
                resource.resource_type()
            }
            Self::Delete { kind, .. } | Self::Keep { kind, .. } | Self::Absent { kind, .. } => kind,
            Self::Guarded { intent, .. } => intent.kind(),
        }
    }

    /// The id of the resource that it changes or keeps.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Create { id, .. }
            | Self::Update { id, .. }
            | Self::Revise { id, .. }
            | Self::Delete { id, .. }
            | Self::Keep { id, .. } => Some(id),
            Self::Absent { .. } => None,
            Self::Guarded { intent, .. } => intent.id(),
        }
    }

    pub fn is_delete(&self) -> bool {
        match self {
            Self::Delete { .. } | Self::Absent { .. } => true,
            Self::Guarded { intent, .. } => intent.is_delete(),
            _ => false,
        }
    }

    /// The resource as it is sent to the store.
    pub fn content(&self) -> Option<&Value> {
        self.resource().map(Checked::value)
    }

    /// What the check found odd, but took.
    pub fn warnings(&self) -> &[Issue] {
        self.resource().map_or(&[], Checked::warnings)
    }

    /// A definition that others are held to.
    pub(super) fn is_definition(&self) -> bool {
        !matches!(self, Self::Keep { .. } | Self::Absent { .. }) && Profiles::is_definition(self.kind())
    }

    fn resource(&self) -> Option<&Checked> {
        match self {
            Self::Create { resource, .. } | Self::Update { resource, .. } | Self::Revise { resource, .. } => {
                Some(resource)
            }
            Self::Guarded { intent, .. } => intent.resource(),
            Self::Delete { .. } | Self::Keep { .. } | Self::Absent { .. } => None,
        }
    }

    /// A reading that comes in as FHIR.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self, Self::Create { resource, .. } if resource.resource_type() == "Observation")
    }
}

/// Intents as the lane takes them.
#[derive(Default)]
pub(super) struct Planned {
    pub commit: Commit,
    /// Intents that write nothing, with their places.
    pub unwritten: Vec<(usize, Unwritten)>,
    /// Those that were made from a version that is expected to stand.
    revised: Vec<(&'static str, String)>,
}

/// What is answered for an intent that writes nothing.
pub(super) enum Unwritten {
    Kept(&'static str, String),
    Absent,
}

impl Planned {
    pub(super) fn of(intents: Vec<Intent>) -> Self {
        let mut planned = Self::default();
        for (at, intent) in intents.into_iter().enumerate() {
            planned.add(at, intent);
        }
        planned
    }

    fn add(&mut self, at: usize, intent: Intent) {
        let commit = &mut self.commit;
        match intent {
            Intent::Create { resource, id, guard } => {
                commit.guards.extend(guard);
                commit.changes.push(change(Verb::Create(Repeat::Never), resource, id));
            }
            Intent::Update { resource, id, expect } => {
                commit.changes.push(change(Verb::Update { expect, or_create: true }, resource, id));
            }
            Intent::Revise { resource, id, read } => {
                self.revised.push((resource.resource_type(), id.clone()));
                commit.changes.push(change(Verb::Update { expect: Some(read), or_create: true }, resource, id));
            }
            Intent::Delete { kind, id, expect } => {
                commit.changes.push(Change {
                    verb: Verb::Delete { expect },
                    resource_type: kind,
                    id,
                    resource: None,
                    warnings: vec![],
                });
            }
            Intent::Keep { kind, id, guard } => {
                commit.guards.push(guard);
                self.unwritten.push((at, Unwritten::Kept(kind, id)));
            }
            Intent::Absent { guard, .. } => {
                commit.guards.push(guard);
                self.unwritten.push((at, Unwritten::Absent));
            }
            Intent::Guarded { guard, intent } => {
                commit.guards.push(guard);
                self.add(at, *intent);
            }
        }
    }

    /// The lane's refusal as the caller shall read it: what a revision was made from is no matter of the caller's.
    pub(super) fn refusal(error: Error, revised: &[(&'static str, String)]) -> Error {
        match &error {
            Error::VersionConflict { resource_type, id }
                if revised.iter().any(|(kind, own)| kind == resource_type && own == id) =>
            {
                Error::Conflict(CONDITION_CHANGED)
            }
            _ => error,
        }
    }

    pub(super) fn take_revised(&mut self) -> Vec<(&'static str, String)> {
        std::mem::take(&mut self.revised)
    }
}

pub(super) fn change(verb: Verb, resource: Checked, id: String) -> Change {
    let resource_type = resource.resource_type();
    let warnings = resource.warnings().to_vec();
    let mut resource = resource.into_value();
    if let Some(members) = resource.as_object_mut() {
        members.insert("id".to_owned(), Value::String(id.clone()));
    }
    Change { verb, resource_type, id, resource: Some(resource), warnings }
}
