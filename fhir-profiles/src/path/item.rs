//! One thing that an expression finds: a part of a resource, with its type from the definitions, or a
//! value that was computed.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::Stop;
use crate::tables::{Kind, Member, Node, Primitive, TABLES};

pub(crate) type Object = Map<String, Value>;

#[derive(Clone)]
pub(crate) enum Item<'v> {
    Element {
        node: &'static Node,
        type_name: &'v str,
        object: &'v Object,
    },
    /// A primitive element: its value, or what stands beside it, or both.
    Primitive {
        kind: Primitive,
        value: Option<&'v Value>,
        beside: Option<&'v Object>,
    },
    /// The target of a reference that is not here: of it only the type is known.
    Elsewhere(&'static Node),
    Boolean(bool),
    Integer(i64),
    Decimal(Cow<'v, str>),
    Text(Cow<'v, str>),
    Time(Cow<'v, str>),
}

impl<'v> Item<'v> {
    /// A resource, or nothing where its type is none.
    pub(crate) fn resource(object: &'v Object) -> Option<Self> {
        let (name, node) = TABLES.resource(object.get("resourceType")?.as_str()?)?;
        Some(Self::Element { node, type_name: name, object })
    }

    /// A value where a member of an object stands.
    pub(crate) fn of(member: &'static Member, value: Option<&'v Value>, beside: Option<&'v Value>) -> Option<Self> {
        match member.kind {
            Kind::Primitive(kind) => {
                let value = value.filter(|v| !v.is_null());
                let beside = beside.and_then(Value::as_object);
                (value.is_some() || beside.is_some()).then_some(Self::Primitive { kind, value, beside })
            }
            Kind::Node(id) => {
                let node = TABLES.node(id)?;
                Some(Self::Element { node, type_name: member.type_name, object: value?.as_object()? })
            }
            Kind::Resource => Self::resource(value?.as_object()?),
        }
    }

    /// What a boolean is asked of.
    pub(super) fn boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(is) => Some(*is),
            Self::Primitive { value: Some(Value::Bool(is)), .. } => Some(*is),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Time(text) => Some(text),
            Self::Primitive { value: Some(Value::String(text)), .. } => Some(text),
            _ => None,
        }
    }

    /// The digits of a number.
    pub(super) fn number(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Integer(number) => Some(Cow::Owned(number.to_string())),
            Self::Decimal(text) => Some(Cow::Borrowed(text)),
            Self::Primitive { value: Some(Value::Number(number)), .. } => Some(Cow::Owned(number.to_string())),
            _ => None,
        }
    }

    pub(super) fn is_time(&self) -> bool {
        use Primitive::{Date, DateTime, Instant, Time};
        match self {
            Self::Time(_) => true,
            Self::Primitive { kind, .. } => matches!(kind, Date | DateTime | Instant | Time),
            _ => false,
        }
    }

    /// A primitive value rather than an element with children.
    pub(super) fn has_value(&self) -> bool {
        match self {
            Self::Element { .. } | Self::Elsewhere(_) => false,
            Self::Primitive { value, .. } => value.is_some(),
            _ => true,
        }
    }

    pub(crate) fn type_name(&self) -> &str {
        match self {
            Self::Element { type_name, .. } => type_name,
            Self::Elsewhere(node) => node.path,
            Self::Primitive { kind, .. } => kind.name(),
            Self::Boolean(_) => "boolean",
            Self::Integer(_) => "integer",
            Self::Decimal(_) => "decimal",
            Self::Text(_) => "string",
            Self::Time(_) => "dateTime",
        }
    }

    /// Whether the item is of a type, or of one that is derived from it.
    pub(crate) fn is(&self, wanted: &str) -> bool {
        let own = self.type_name();
        let system = !matches!(self, Self::Element { .. } | Self::Elsewhere(_));
        if own == wanted || system && own.eq_ignore_ascii_case(wanted) {
            return true;
        }
        match wanted {
            "string" | "String" => matches!(own, "code" | "id" | "markdown"),
            "uri" => matches!(own, "url" | "canonical" | "oid" | "uuid"),
            "integer" | "Integer" => matches!(own, "positiveInt" | "unsignedInt"),
            "DateTime" => matches!(own, "instant"),
            "Quantity" => matches!(own, "Age" | "Count" | "Distance" | "Duration" | "MoneyQuantity" | "SimpleQuantity"),
            "Resource" => matches!(self, Self::Element { node, .. } | Self::Elsewhere(node) if node.is_resource),
            "DomainResource" => {
                matches!(self, Self::Element { node, .. } | Self::Elsewhere(node)
                    if node.is_resource && node.member("extension").is_some())
            }
            "Element" => !matches!(self, Self::Element { node, .. } | Self::Elsewhere(node) if node.is_resource),
            _ => false,
        }
    }

    /// The children of a name, added to `found`. A choice goes by its bare name.
    pub(super) fn children(&self, name: &str, found: &mut Vec<Self>) -> Result<(), Stop> {
        match self {
            Self::Element { node, object, .. } => {
                if let Some(member) = node.member(name) {
                    add(member, object, found);
                } else {
                    let choice = node.children.iter().position(|c| c.is_choice && c.name == name);
                    for member in node.members.iter().filter(|m| Some(usize::from(m.child)) == choice) {
                        add(member, object, found);
                    }
                }
            }
            Self::Primitive { beside: Some(object), .. } => {
                if let Some(member) = TABLES.node_of("Element").and_then(|node| node.member(name)) {
                    add(member, object, found);
                }
            }
            Self::Elsewhere(_) => return Err(Stop::Unknown),
            _ => {}
        }
        Ok(())
    }

    /// All children, added to `found`.
    pub(crate) fn all_children(&self, found: &mut Vec<Self>) -> Result<(), Stop> {
        let (node, object) = match self {
            Self::Element { node, object, .. } => (*node, *object),
            Self::Primitive { beside: Some(object), .. } => match TABLES.node_of("Element") {
                Some(node) => (node, *object),
                None => return Ok(()),
            },
            Self::Elsewhere(_) => return Err(Stop::Unknown),
            _ => return Ok(()),
        };
        for key in object.keys() {
            let bare = key.strip_prefix('_').unwrap_or(key);
            let again = bare.len() < key.len() && object.contains_key(bare);
            if let Some(member) = node.member(bare).filter(|_| !again) {
                add(member, object, found);
            }
        }
        Ok(())
    }
}

/// What stands in an object as this member.
fn add<'v>(member: &'static Member, object: &'v Object, found: &mut Vec<Item<'v>>) {
    let value = object.get(member.name);
    // Looking for what stands beside a primitive costs a text: only where anything does.
    let beside = match member.kind {
        Kind::Primitive(_) if object.keys().any(|key| key.starts_with('_')) => {
            object.get(["_", member.name].concat().as_str())
        }
        _ => None,
    };
    match (value, beside) {
        (Some(Value::Array(items)), beside) => {
            let beside = beside.and_then(Value::as_array);
            let at = |i: usize| beside.and_then(|all| all.get(i));
            found.extend(items.iter().enumerate().filter_map(|(i, value)| Item::of(member, Some(value), at(i))));
        }
        (None, Some(Value::Array(all))) => {
            found.extend(all.iter().filter_map(|beside| Item::of(member, None, Some(beside))));
        }
        _ => found.extend(Item::of(member, value, beside)),
    }
}
