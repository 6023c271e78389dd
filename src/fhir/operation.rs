//! The operations of this server: one table that the router goes by and the capability statement is written from.

/// Where an operation may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    System,
    Type,
    Instance,
}

/// One operation.
#[derive(Debug)]
pub struct Operation {
    /// Its name, without `$`.
    pub name: &'static str,
    /// The canonical address of its definition.
    pub definition: &'static str,
    pub levels: &'static [Level],
    /// The resource types that have it; empty means every type.
    pub kinds: &'static [&'static str],
    /// It changes nothing and may be called by GET.
    pub safe: bool,
}

pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "acknowledge",
        definition: "https://vigia.dev/fhir/OperationDefinition/DetectedIssue-acknowledge",
        levels: &[Level::Instance],
        kinds: &["DetectedIssue"],
        safe: false,
    },
    Operation {
        name: "silence",
        definition: "https://vigia.dev/fhir/OperationDefinition/DetectedIssue-silence",
        levels: &[Level::Instance],
        kinds: &["DetectedIssue"],
        safe: false,
    },
    Operation {
        name: "escalate",
        definition: "https://vigia.dev/fhir/OperationDefinition/DetectedIssue-escalate",
        levels: &[Level::Instance],
        kinds: &["DetectedIssue"],
        safe: false,
    },
    Operation {
        name: "resolve",
        definition: "https://vigia.dev/fhir/OperationDefinition/DetectedIssue-resolve",
        levels: &[Level::Instance],
        kinds: &["DetectedIssue"],
        safe: false,
    },
    Operation {
        name: "convert",
        definition: "http://hl7.org/fhir/OperationDefinition/Resource-convert",
        levels: &[Level::System],
        kinds: &[],
        safe: false,
    },
    Operation {
        name: "expand",
        definition: "http://hl7.org/fhir/OperationDefinition/ValueSet-expand",
        levels: &[Level::Type, Level::Instance],
        kinds: &["ValueSet"],
        safe: true,
    },
    Operation {
        name: "lookup",
        definition: "http://hl7.org/fhir/OperationDefinition/CodeSystem-lookup",
        levels: &[Level::Type],
        kinds: &["CodeSystem"],
        safe: true,
    },
    Operation {
        name: "match",
        definition: "http://hl7.org/fhir/OperationDefinition/Patient-match",
        levels: &[Level::Type],
        kinds: &["Patient"],
        safe: false,
    },
    Operation {
        name: "validate-code",
        definition: "http://hl7.org/fhir/OperationDefinition/CodeSystem-validate-code",
        levels: &[Level::Type, Level::Instance],
        kinds: &["CodeSystem"],
        safe: true,
    },
    Operation {
        name: "validate-code",
        definition: "http://hl7.org/fhir/OperationDefinition/ValueSet-validate-code",
        levels: &[Level::Type, Level::Instance],
        kinds: &["ValueSet"],
        safe: true,
    },
    Operation {
        name: "lastn",
        definition: "http://hl7.org/fhir/OperationDefinition/Observation-lastn",
        levels: &[Level::Type],
        kinds: &["Observation"],
        safe: true,
    },
    Operation {
        name: "stats",
        definition: "http://hl7.org/fhir/OperationDefinition/Observation-stats",
        levels: &[Level::Type],
        kinds: &["Observation"],
        safe: true,
    },
    Operation {
        name: "downsample",
        definition: "https://vigia.dev/fhir/OperationDefinition/Observation-downsample",
        levels: &[Level::Type],
        kinds: &["Observation"],
        safe: true,
    },
    Operation {
        name: "dry-run",
        definition: "https://vigia.dev/fhir/OperationDefinition/PlanDefinition-dry-run",
        levels: &[Level::Type, Level::Instance],
        kinds: &["PlanDefinition"],
        safe: false,
    },
    Operation {
        name: "back-test",
        definition: "https://vigia.dev/fhir/OperationDefinition/PlanDefinition-back-test",
        levels: &[Level::Type, Level::Instance],
        kinds: &["PlanDefinition"],
        safe: true,
    },
    Operation {
        name: "vitals-summary",
        definition: "https://vigia.dev/fhir/OperationDefinition/vitals-summary",
        levels: &[Level::Instance],
        kinds: &["Patient"],
        safe: true,
    },
    Operation {
        name: "everything",
        definition: "http://hl7.org/fhir/OperationDefinition/Patient-everything",
        levels: &[Level::Type, Level::Instance],
        kinds: &["Patient"],
        safe: true,
    },
    Operation {
        name: "everything",
        definition: "http://hl7.org/fhir/OperationDefinition/Encounter-everything",
        levels: &[Level::Instance],
        kinds: &["Encounter"],
        safe: true,
    },
    Operation {
        name: "meta",
        definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta",
        levels: &[Level::System, Level::Type, Level::Instance],
        kinds: &[],
        safe: true,
    },
    Operation {
        name: "meta-add",
        definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta-add",
        levels: &[Level::Instance],
        kinds: &[],
        safe: false,
    },
    Operation {
        name: "meta-delete",
        definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta-delete",
        levels: &[Level::Instance],
        kinds: &[],
        safe: false,
    },
    Operation {
        name: "reindex",
        definition: "https://vigia.dev/fhir/OperationDefinition/reindex",
        levels: &[Level::System],
        kinds: &[],
        safe: false,
    },
    Operation {
        name: "reindex-status",
        definition: "https://vigia.dev/fhir/OperationDefinition/reindex-status",
        levels: &[Level::System],
        kinds: &[],
        safe: true,
    },
    Operation {
        name: "validate",
        definition: "http://hl7.org/fhir/OperationDefinition/Resource-validate",
        levels: &[Level::Type, Level::Instance],
        kinds: &[],
        safe: true,
    },
];

impl Operation {
    /// It writes something.
    pub fn changes(&self) -> bool {
        ["meta-add", "meta-delete", "reindex", "acknowledge", "silence", "escalate", "resolve"].contains(&self.name)
    }

    fn is_of(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }
}

/// The operation of this name at this level; `kind` is none for the system.
pub fn find(name: &str, kind: Option<&str>, level: Level) -> Option<&'static Operation> {
    let fits = |o: &&Operation| o.name == name && o.levels.contains(&level) && kind.is_none_or(|kind| o.is_of(kind));
    OPERATIONS.iter().find(fits)
}

/// What a resource type has, at its own or its instances' level.
pub fn of(kind: &str) -> impl Iterator<Item = &'static Operation> {
    let below_system = |o: &&Operation| o.levels.iter().any(|level| *level != Level::System);
    OPERATIONS.iter().filter(below_system).filter(move |o| o.is_of(kind))
}

/// What is called at the base of the server.
pub fn of_system() -> impl Iterator<Item = &'static Operation> {
    OPERATIONS.iter().filter(|o| o.levels.contains(&Level::System))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_found_where_it_may_be_called() {
        assert!(find("meta", Some("Patient"), Level::Instance).is_some());
        assert!(
            find("meta-add", Some("Patient"), Level::Type).is_none() && find("nope", None, Level::System).is_none()
        );
        assert!(find("lastn", Some("Patient"), Level::Type).is_none() && find("meta", None, Level::System).is_some());
        assert!(of("Observation").any(|o| o.name == "meta"));
    }
}
