//! A node is anything with children: a resource, a datatype or a backbone element.

use std::sync::OnceLock;

use crate::path::Expression;

pub(crate) type NodeId = u16;

pub(crate) struct Node {
    /// `Observation`, `Quantity`, `Observation.component`.
    pub(crate) path: &'static str,
    pub(crate) is_resource: bool,
    pub(crate) rule: Rule,
    /// In the order of the definition; at most 64, so that a `u64` can tick them off.
    pub(crate) children: Vec<Child>,
    /// JSON members: one a child, or one for each type of a choice.
    pub(crate) members: Vec<Member>,
    /// Children with a minimum of one.
    pub(crate) required: u64,
    pub(crate) constraints: Vec<Constraint>,
    /// Invariants that [`Rule`] stands for: kept to hold the two together.
    pub(crate) by_hand: Vec<Constraint>,
    slots: Vec<u16>,
}

/// An invariant as the definitions write it.
pub(crate) struct Constraint {
    pub(crate) key: &'static str,
    pub(crate) is_error: bool,
    text: &'static str,
    /// Read when it is first needed: some take long, and most are of types that a ward never sees.
    read: OnceLock<Result<Expression, String>>,
    pub(crate) words: &'static str,
}

impl Constraint {
    pub(crate) fn new(key: &'static str, is_error: bool, text: &'static str, words: &'static str) -> Self {
        Self { key, is_error, text, read: OnceLock::new(), words }
    }

    /// The expression, or what of it is not understood.
    pub(crate) fn expression(&self) -> &Result<Expression, String> {
        self.read.get_or_init(|| Expression::read(self.text))
    }
}

#[derive(Default)]
pub(crate) struct Child {
    /// Without the `[x]` of a choice.
    pub(crate) name: &'static str,
    pub(crate) is_choice: bool,
    pub(crate) is_list: bool,
    pub(crate) is_summary: bool,
    pub(crate) constraints: Vec<Constraint>,
    pub(crate) by_hand: Vec<Constraint>,
}

pub(crate) struct Member {
    /// As it stands in JSON: `valueQuantity`.
    pub(crate) name: &'static str,
    pub(crate) child: u8,
    pub(crate) is_list: bool,
    pub(crate) kind: Kind,
    /// Name of the type: `Quantity`, `code`, `BackboneElement`.
    pub(crate) type_name: &'static str,
    /// Resource types (as indices) a reference may point to; empty: any.
    pub(crate) targets: Vec<u16>,
    /// The value set of a required binding, where it could be expanded.
    pub(crate) binding: Option<u16>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Primitive(Primitive),
    Node(NodeId),
    /// A whole resource of any type.
    Resource,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Primitive {
    Base64Binary,
    Boolean,
    Canonical,
    Code,
    Date,
    DateTime,
    Decimal,
    Id,
    Instant,
    Integer,
    Markdown,
    Oid,
    PositiveInt,
    String,
    Time,
    UnsignedInt,
    Uri,
    Url,
    Uuid,
    Xhtml,
}

/// Invariants that are written by hand hang on a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    None,
    Attachment,
    Bundle,
    BundleEntry,
    CodeableConcept,
    Coding,
    ContactPoint,
    Extension,
    Observation,
    ObservationReferenceRange,
    ParametersParameter,
    PatientContact,
    Period,
    Quantity,
    Range,
    Ratio,
    Reference,
}

impl Rule {
    /// Whether the checker knows an invariant by heart.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Attachment => &["att-1"],
            Self::Bundle => &["bdl-1", "bdl-2", "bdl-3", "bdl-4", "bdl-7", "bdl-9", "bdl-10", "bdl-11", "bdl-12"],
            Self::BundleEntry => &["bdl-5", "bdl-8"],
            Self::ContactPoint => &["cpt-2"],
            Self::Observation => &["obs-6", "obs-7"],
            Self::ObservationReferenceRange => &["obs-3"],
            Self::ParametersParameter => &["inv-1"],
            Self::PatientContact => &["pat-1"],
            Self::Period => &["per-1"],
            Self::Quantity => &["qty-3"],
            Self::Range => &["rng-2"],
            Self::Ratio => &["rat-1"],
            Self::Reference => &["ref-1"],
            Self::None | Self::CodeableConcept | Self::Coding | Self::Extension => &[],
        }
    }

    /// The same by path; a narrative is read by a parser of its own.
    pub(crate) fn covers(path: &str, key: &str) -> bool {
        Self::of(path).keys().contains(&key) || path == "Narrative.div"
    }

    pub(crate) fn of(path: &str) -> Self {
        match path {
            "Attachment" => Self::Attachment,
            "Bundle" => Self::Bundle,
            "Bundle.entry" => Self::BundleEntry,
            "CodeableConcept" => Self::CodeableConcept,
            "Coding" => Self::Coding,
            "ContactPoint" => Self::ContactPoint,
            "Extension" => Self::Extension,
            "Observation" => Self::Observation,
            "Observation.referenceRange" => Self::ObservationReferenceRange,
            "Parameters.parameter" => Self::ParametersParameter,
            "Patient.contact" => Self::PatientContact,
            "Period" => Self::Period,
            "Quantity" | "Age" | "Count" | "Distance" | "Duration" => Self::Quantity,
            "Range" => Self::Range,
            "Ratio" => Self::Ratio,
            "Reference" => Self::Reference,
            _ => Self::None,
        }
    }
}

impl Primitive {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Base64Binary => "base64Binary",
            Self::Boolean => "boolean",
            Self::Canonical => "canonical",
            Self::Code => "code",
            Self::Date => "date",
            Self::DateTime => "dateTime",
            Self::Decimal => "decimal",
            Self::Id => "id",
            Self::Instant => "instant",
            Self::Integer => "integer",
            Self::Markdown => "markdown",
            Self::Oid => "oid",
            Self::PositiveInt => "positiveInt",
            Self::String => "string",
            Self::Time => "time",
            Self::UnsignedInt => "unsignedInt",
            Self::Uri => "uri",
            Self::Url => "url",
            Self::Uuid => "uuid",
            Self::Xhtml => "xhtml",
        }
    }

    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "base64Binary" => Self::Base64Binary,
            "boolean" => Self::Boolean,
            "canonical" => Self::Canonical,
            "code" => Self::Code,
            "date" => Self::Date,
            "dateTime" => Self::DateTime,
            "decimal" => Self::Decimal,
            "id" => Self::Id,
            "instant" => Self::Instant,
            "integer" => Self::Integer,
            "markdown" => Self::Markdown,
            "oid" => Self::Oid,
            "positiveInt" => Self::PositiveInt,
            "string" => Self::String,
            "time" => Self::Time,
            "unsignedInt" => Self::UnsignedInt,
            "uri" => Self::Uri,
            "url" => Self::Url,
            "uuid" => Self::Uuid,
            "xhtml" => Self::Xhtml,
            _ => return None,
        })
    }
}

impl Node {
    pub(crate) fn new(path: &'static str, is_resource: bool) -> Self {
        Self {
            path,
            is_resource,
            rule: Rule::of(path),
            children: Vec::new(),
            members: Vec::new(),
            required: 0,
            constraints: Vec::new(),
            by_hand: Vec::new(),
            slots: Vec::new(),
        }
    }

    /// Builds the index of the members: open addressing, half of the slots free.
    pub(crate) fn index(&mut self) {
        let size = (self.members.len() * 2).next_power_of_two().max(4);
        let mut slots = vec![u16::MAX; size];
        for (i, member) in self.members.iter().enumerate() {
            let mut at = hash(member.name) & (size - 1);
            while slots.get(at).is_some_and(|s| *s != u16::MAX) {
                at = (at + 1) & (size - 1);
            }
            if let (Some(slot), Ok(i)) = (slots.get_mut(at), u16::try_from(i)) {
                *slot = i;
            }
        }
        self.slots = slots;
    }

    pub(crate) fn member(&self, name: &str) -> Option<&Member> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash(name) & mask;
        // An index has free slots, so this ends.
        loop {
            let member = self.members.get(usize::from(*self.slots.get(at)?))?;
            if member.name == name {
                return Some(member);
            }
            at = (at + 1) & mask;
        }
    }
}

/// Enough to part the names of one node: length, first, middle and last byte.
fn hash(name: &str) -> usize {
    let bytes = name.as_bytes();
    let at = |i: usize| usize::from(bytes.get(i).copied().unwrap_or(0));
    let len = bytes.len();
    len.wrapping_add(at(0) * 7).wrapping_add(at(len / 2) * 31).wrapping_add(at(len.wrapping_sub(1)) * 127)
}

#[cfg(test)]
mod tests {
    use crate::tables::TABLES;

    #[test]
    fn every_member_is_found_and_no_other() {
        for node in &TABLES.nodes {
            assert!(node.children.len() <= 64, "{}", node.path);
            for member in &node.members {
                assert_eq!(node.member(member.name).map(|m| m.name), Some(member.name), "{}", node.path);
            }
            for stranger in ["", "x", "resourceTyp", "valueBanana", "ñ", "\u{0}"] {
                assert!(node.member(stranger).is_none());
            }
        }
    }
}
