//! A loaded profile as a tree: what it says beyond the base definition, and the way to it.

use serde_json::Value;

use crate::path::Expression;

pub(crate) struct Profile {
    pub(crate) url: String,
    pub(crate) version: String,
    /// The resource type or datatype that it is about.
    pub(crate) type_name: String,
    pub(crate) root: Element,
}

impl Profile {
    pub(crate) fn canonical(&self) -> String {
        if self.version.is_empty() { self.url.clone() } else { format!("{}|{}", self.url, self.version) }
    }
}

#[derive(Default)]
pub(crate) struct Element {
    /// Without the `[x]` of a choice.
    pub(crate) name: String,
    pub(crate) min: usize,
    /// `None`: no bound.
    pub(crate) max: Option<usize>,
    pub(crate) fixed: Option<Fixed>,
    /// Empty: as in the base.
    pub(crate) types: Vec<Type>,
    pub(crate) binding: Option<Bound>,
    pub(crate) min_value: Option<Value>,
    pub(crate) max_value: Option<Value>,
    pub(crate) max_length: Option<usize>,
    pub(crate) constraints: Vec<Constraint>,
    pub(crate) slicing: Option<Slicing>,
    /// The name of this slice, if it is one.
    pub(crate) slice: Option<String>,
    pub(crate) slices: Vec<Element>,
    pub(crate) children: Vec<Element>,
}

pub(crate) enum Fixed {
    /// The value and nothing else.
    Exactly(Value),
    /// At least this.
    Pattern(Value),
}

pub(crate) struct Type {
    pub(crate) code: String,
    /// Profiles of the value: one of them must fit.
    pub(crate) profiles: Vec<String>,
    /// What a reference may point to.
    pub(crate) targets: Vec<String>,
}

pub(crate) struct Bound {
    pub(crate) is_required: bool,
    pub(crate) value_set: String,
}

pub(crate) struct Constraint {
    pub(crate) key: String,
    pub(crate) is_error: bool,
    pub(crate) words: String,
    pub(crate) expression: Result<Expression, String>,
}

pub(crate) struct Slicing {
    pub(crate) discriminators: Vec<Discriminator>,
    pub(crate) is_ordered: bool,
    pub(crate) rules: Rules,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    Open,
    OpenAtEnd,
    Closed,
}

pub(crate) struct Discriminator {
    pub(crate) sort: Sort,
    pub(crate) path: String,
    pub(crate) expression: Expression,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// A pattern is a value of which not everything is said.
    Value,
    Exists,
    Type,
    Profile,
}

impl Element {
    /// What stands at a path of this element or of the slices on the way.
    pub(crate) fn at(&self, path: &str) -> Option<&Self> {
        if path == "$this" || path.is_empty() {
            return Some(self);
        }
        let (name, rest) = path.split_once('.').map_or((path, ""), |(name, rest)| (name, rest));
        let child = self.children.iter().find(|c| c.name == name)?;
        let said = |e: &&Self| e.fixed.is_some() || e.binding.is_some() || !e.types.is_empty();
        let all = || std::iter::once(child).chain(&child.slices);
        all().filter_map(|c| c.at(rest)).find(said).or_else(|| child.at(rest))
    }

    /// The value that is fixed at a path, by the element there or by one on the way to it.
    pub(crate) fn fixed_at(&self, path: &str) -> Option<(&Value, bool)> {
        let (name, rest) = match path {
            "$this" | "" => ("", ""),
            _ => path.split_once('.').unwrap_or((path, "")),
        };
        let below = || {
            let child = self.children.iter().find(|c| c.name == name)?;
            std::iter::once(child).chain(&child.slices).find_map(|c| c.fixed_at(rest))
        };
        let own = || match &self.fixed {
            Some(Fixed::Exactly(value)) => part(value, path).map(|v| (v, path.is_empty() || path == "$this")),
            Some(Fixed::Pattern(value)) => part(value, path).map(|v| (v, false)),
            None => None,
        };
        if name.is_empty() { own() } else { below().or_else(own) }
    }
}

/// The first value at a path below a fixed value.
fn part<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if path == "$this" || path.is_empty() {
        return Some(value);
    }
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    match value.get(name)? {
        Value::Array(items) => items.iter().find_map(|item| part(item, rest)),
        below => part(below, rest),
    }
}
