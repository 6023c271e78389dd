//! One row of a table: from which part of a segment or of a data type, of which type, to which member.
//!
//! `field[.component[.subcomponent]] TYPE -> member [@codes[?]] [if field[=value]] [unless field[=value]] [with {json}]`

use serde_json::{Map as Object, Value};

use super::text::{number, object};

#[derive(Clone, Debug)]
pub struct Row {
    pub source: Source,
    pub kind: Kind,
    pub path: Path,
    pub codes: Option<Codes>,
    pub conditions: Vec<Condition>,
    /// Members that the new element has besides.
    pub with: Object<String, Value>,
    /// As it is written.
    pub text: String,
}

/// A field, component or subcomponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub field: usize,
    pub component: Option<usize>,
    pub subcomponent: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ST: a text.
    Text,
    /// TX: a text of several lines, in which separators are text.
    Lines,
    /// NAME: a person's name as one text.
    Name,
    /// CODE
    Code,
    /// DT, DTM, INSTANT
    Date,
    DateTime,
    Instant,
    /// NM, SI, YN
    Number,
    Integer,
    Boolean,
    /// CWE: a `CodeableConcept`; CODING: a Coding.
    Concept,
    Coding,
    /// AUTHORITY of a CX, NAMESPACE of an EI: the system of an identifier.
    Authority,
    Namespace,
    /// DEVICE: the identifier of a device, which an EI names.
    Device,
    /// TYPECODE: the type of an identifier (table 0203).
    TypeCode,
    /// PHONE: the number of an XTN that is written in parts.
    Phone,
    /// `PL>Location`, `XCN>Practitioner`: a reference to a resource of its own.
    Place,
    Person,
    /// A type with a table.
    Typed(String),
}

/// A member below the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub member: String,
    pub index: Index,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    One,
    /// The first element of a list.
    First,
    /// A new element.
    Each,
}

#[derive(Clone, Debug)]
pub struct Codes {
    pub name: String,
    /// Codes that the table does not hold are no fault: another row takes them.
    pub lenient: bool,
}

/// What a field of the segment must hold (one of several values, with | between), or must not.
#[derive(Clone, Debug)]
pub struct Condition {
    pub source: Source,
    pub value: Option<String>,
    pub holds: bool,
}

impl Row {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|fault| format!("`{text}`: {fault}"))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (head, with) = text.split_once(" with ").map_or((text, None), |(head, with)| (head, Some(with)));
        let (from, to) = head.split_once(" -> ").ok_or("` -> ` is missing")?;
        let (source, kind) = from.trim().split_once(' ').ok_or("the type is missing")?;
        let mut words = to.split_whitespace();
        let path = Path::read(words.next().ok_or("the member is missing")?)?;
        let (mut codes, mut conditions) = (None, Vec::new());
        while let Some(word) = words.next() {
            match word {
                "if" | "unless" => {
                    let what = words.next().ok_or("a condition is cut short")?;
                    conditions.push(Condition::read(what, word == "if")?);
                }
                _ => codes = Some(Codes::read(word)?),
            }
        }
        let with = object(with)?;
        if !with.is_empty() && !path.0.iter().any(|step| step.index == Index::Each) {
            return Err("`with` needs a list".to_owned());
        }
        Ok(Self {
            source: Source::read(source)?,
            kind: Kind::read(kind.trim())?,
            path,
            codes,
            conditions,
            with,
            text: text.to_owned(),
        })
    }
}

impl Source {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut parts = text.split('.').map(number);
        let field = parts.next().ok_or("a field is missing")??;
        let (component, subcomponent) = (parts.next().transpose()?, parts.next().transpose()?);
        if parts.next().is_some() {
            return Err(format!("`{text}` is too deep"));
        }
        Ok(Self { field, component, subcomponent })
    }
}

impl Kind {
    fn read(text: &str) -> Result<Self, String> {
        Ok(match text {
            "ST" => Self::Text,
            "TX" => Self::Lines,
            "NAME" => Self::Name,
            "CODE" => Self::Code,
            "DT" => Self::Date,
            "DTM" => Self::DateTime,
            "INSTANT" => Self::Instant,
            "NM" => Self::Number,
            "SI" => Self::Integer,
            "YN" => Self::Boolean,
            "CWE" => Self::Concept,
            "CODING" => Self::Coding,
            "AUTHORITY" => Self::Authority,
            "NAMESPACE" => Self::Namespace,
            "DEVICE" => Self::Device,
            "TYPECODE" => Self::TypeCode,
            "PHONE" => Self::Phone,
            "PL>Location" => Self::Place,
            "XCN>Practitioner" => Self::Person,
            name if name.bytes().all(|b| b.is_ascii_alphanumeric()) => Self::Typed(name.to_owned()),
            name => return Err(format!("the type {name} is not known")),
        })
    }
}

impl Path {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let step = |part: &str| {
            let (member, index) = match (part.strip_suffix("[]"), part.strip_suffix("[0]")) {
                (Some(member), _) => (member, Index::Each),
                (_, Some(member)) => (member, Index::First),
                _ => (part, Index::One),
            };
            let plain = !member.is_empty() && member.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if plain { Ok(Step { member: member.to_owned(), index }) } else { Err(format!("`{text}` is no member")) }
        };
        text.split('.').map(step).collect::<Result<_, _>>().map(Self)
    }
}

impl Codes {
    fn read(word: &str) -> Result<Self, String> {
        let name = word.strip_prefix('@').ok_or_else(|| format!("`{word}` is not known here"))?;
        let lenient = name.ends_with('?');
        Ok(Self { name: name.trim_end_matches('?').to_owned(), lenient })
    }
}

impl Condition {
    pub(super) fn read(text: &str, holds: bool) -> Result<Self, String> {
        let (source, value) = text.split_once('=').map_or((text, None), |(source, value)| (source, Some(value)));
        Ok(Self { source: Source::read(source)?, value: value.map(str::to_owned), holds })
    }
}
