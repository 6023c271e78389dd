//! Elements of a resource and how a path finds them. An element of a primitive type is two members of the JSON
//! (`birthDate` and `_birthDate`), and two lists when it repeats; here it is one.

use serde_json::{Map, Value};

use super::path::{Condition, Literal, Path, Step};

/// How many elements all paths of a patch may look at.
const MAX_VISITS: usize = 500_000;

/// One element: where it is, and what the definitions know it by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// Members and indices from the resource down.
    pub keys: Vec<Key>,
    /// The resource that it belongs to, and the names from there on.
    kind: String,
    names: Vec<String>,
    /// The name without its type, where it is one form of a choice.
    pub choice: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Member(String),
    Index(usize),
}

pub(super) struct Tree<'v> {
    root: &'v Value,
    visits: usize,
}

/// A patch that looks at too much is stopped.
#[derive(Debug)]
pub(super) struct TooMuch;

impl Node {
    pub(super) fn root(resource: &Value) -> Self {
        let kind = resource.get("resourceType").and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { keys: vec![], kind, names: vec![], choice: None }
    }

    /// The member, and the index where it is one of a list.
    pub(super) fn place(&self) -> Option<(&[Key], &str, Option<usize>)> {
        match self.keys.as_slice() {
            [above @ .., Key::Member(name), Key::Index(at)] => Some((above, name, Some(*at))),
            [above @ .., Key::Member(name)] => Some((above, name, None)),
            _ => None,
        }
    }

    /// The types of the element of this name below it.
    pub(super) fn types(&self, name: &str) -> Vec<&'static str> {
        // What every element has, those of primitive types too.
        match name {
            "extension" => return vec!["Extension"],
            "id" if !self.keys.is_empty() => return vec!["string"],
            _ => {}
        }
        fhir_r4::types_of(&self.kind, &self.path(name))
    }

    pub(super) fn is_list(&self, name: &str) -> bool {
        name == "extension" || fhir_r4::is_list(&self.kind, &self.path(name))
    }

    fn path<'n>(&'n self, name: &'n str) -> Vec<&'n str> {
        self.names.iter().map(String::as_str).chain([name]).collect()
    }

    /// The element that would be below it, whether it is there or not.
    pub(super) fn below(&self, name: &str) -> Self {
        if name == "extension" {
            return Self { keys: self.keys.clone(), kind: "Extension".to_owned(), names: vec![], choice: None };
        }
        let names = self.names.iter().cloned().chain([name.to_owned()]).collect();
        Self { keys: self.keys.clone(), kind: self.kind.clone(), names, choice: None }
    }

    /// A resource in a resource is known by its own definition.
    fn enter(&mut self, value: Option<&Value>) {
        if let Some(kind) = value.and_then(|value| value.get("resourceType")?.as_str()) {
            (self.kind, self.names) = (kind.to_owned(), vec![]);
        }
    }

    fn is_type(&self, name: &str) -> bool {
        let same = |own: &str| capital(own) == capital(name);
        if let (Some(choice), Some((_, member, _))) = (&self.choice, self.place()) {
            return member.strip_prefix(choice.as_str()).is_some_and(same);
        }
        match self.names.split_last() {
            Some(_) => {
                let path: Vec<&str> = self.names.iter().map(String::as_str).collect();
                fhir_r4::types_of(&self.kind, &path).iter().any(|own| same(own))
            }
            None => self.kind == name,
        }
    }
}

/// `Quantity` of `quantity`: as a choice spells it.
pub(super) fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// The object that holds the members of the element at these keys. What a primitive has beside its value is in the
/// member with the underscore.
pub(super) fn container<'v>(root: &'v Value, keys: &[Key]) -> Option<&'v Map<String, Value>> {
    if let Some(Value::Object(members)) = at(root, keys) {
        return Some(members);
    }
    let (above, name, index) = match keys {
        [above @ .., Key::Member(name), Key::Index(index)] => (above, name, Some(*index)),
        [above @ .., Key::Member(name)] => (above, name, None),
        _ => return None,
    };
    let beside = container(root, above)?.get(&format!("_{name}"))?;
    index.map_or(Some(beside), |index| beside.get(index))?.as_object()
}

fn at<'v>(root: &'v Value, keys: &[Key]) -> Option<&'v Value> {
    let Some((last, above)) = keys.split_last() else { return Some(root) };
    match last {
        Key::Index(index) => at(root, above)?.get(*index),
        Key::Member(name) => container(root, above)?.get(name),
    }
}

impl<'v> Tree<'v> {
    pub(super) fn new(root: &'v Value, visits: usize) -> Self {
        Self { root, visits }
    }

    pub(super) fn visits(&self) -> usize {
        self.visits
    }

    fn visit(&mut self) -> Result<(), TooMuch> {
        self.visits += 1;
        if self.visits > MAX_VISITS { Err(TooMuch) } else { Ok(()) }
    }

    /// The elements that a path addresses. One that begins with the type of the resource begins at it.
    pub(super) fn find(&mut self, path: &[Step]) -> Result<Vec<Node>, TooMuch> {
        let root = Node::root(self.root);
        let rest = match path.split_first() {
            Some((Step::Child(name), rest))
                if [root.kind.as_str(), "Resource", "DomainResource"].contains(&name.as_str()) =>
            {
                rest
            }
            _ => path,
        };
        self.walk(vec![root], rest)
    }

    fn walk(&mut self, mut nodes: Vec<Node>, steps: &[Step]) -> Result<Vec<Node>, TooMuch> {
        for step in steps {
            nodes = match step {
                Step::Nth(index) => nodes.into_iter().skip(*index).take(1).collect(),
                Step::Last => nodes.pop().into_iter().collect(),
                Step::OfType(name) => nodes.into_iter().filter(|node| node.is_type(name)).collect(),
                Step::Child(name) => {
                    let mut below = Vec::new();
                    for node in &nodes {
                        self.children(node, name, &mut below)?;
                    }
                    below
                }
                Step::Where(condition) => {
                    let mut kept = Vec::new();
                    for node in nodes {
                        if self.holds(&node, condition)? {
                            kept.push(node);
                        }
                    }
                    kept
                }
            };
        }
        Ok(nodes)
    }

    fn children(&mut self, node: &Node, name: &str, found: &mut Vec<Node>) -> Result<(), TooMuch> {
        self.visit()?;
        let Some(members) = container(self.root, &node.keys) else { return Ok(()) };
        if name == "resourceType" {
            return Ok(());
        }
        let (bare, beside) = (members.get(name), members.get(&format!("_{name}")));
        if bare.is_some() || beside.is_some() {
            return self.elements(node, name, None, (bare, beside), found);
        }
        for kind in node.types(name) {
            let member = format!("{name}{}", capital(kind));
            let both = (members.get(&member), members.get(&format!("_{member}")));
            if both.0.is_some() || both.1.is_some() {
                return self.elements(node, &member, Some(name), both, found);
            }
        }
        Ok(())
    }

    fn elements(
        &mut self,
        node: &Node,
        member: &str,
        choice: Option<&str>,
        (bare, beside): (Option<&Value>, Option<&Value>),
        found: &mut Vec<Node>,
    ) -> Result<(), TooMuch> {
        let mut element = node.below(member);
        element.choice = choice.map(str::to_owned);
        element.keys.push(Key::Member(member.to_owned()));
        let length = [bare, beside].into_iter().flatten().filter_map(|value| value.as_array().map(Vec::len)).max();
        let Some(length) = length else {
            element.enter(bare);
            found.push(element);
            return Ok(());
        };
        for index in 0..length {
            self.visit()?;
            let mut item = element.clone();
            item.keys.push(Key::Index(index));
            item.enter(bare.and_then(|items| items.get(index)));
            found.push(item);
        }
        Ok(())
    }

    fn holds(&mut self, node: &Node, condition: &Condition) -> Result<bool, TooMuch> {
        self.visit()?;
        match condition {
            Condition::Or(all) => {
                for one in all {
                    if self.holds(node, one)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Condition::And(all) => {
                for one in all {
                    if !self.holds(node, one)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Condition::Not(one) => Ok(!self.holds(node, one)?),
            Condition::Exists(Path { steps }) => Ok(!self.walk(vec![node.clone()], steps)?.is_empty()),
            Condition::Compare { path, equal, literal } => {
                let values = self.walk(vec![node.clone()], &path.steps)?;
                let mut same =
                    values.iter().filter_map(|value| at(self.root, &value.keys)).map(|v| is_same(v, literal));
                Ok(if *equal { same.any(|same| same) } else { !values.is_empty() && same.all(|same| !same) })
            }
        }
    }
}

fn is_same(value: &Value, literal: &Literal) -> bool {
    match (value, literal) {
        (Value::String(own), Literal::Text(text)) => own == text,
        (Value::Bool(own), Literal::Boolean(given)) => own == given,
        (Value::Number(own), Literal::Number(text)) => own.as_str() == text || own.as_f64() == text.parse().ok(),
        _ => false,
    }
}
