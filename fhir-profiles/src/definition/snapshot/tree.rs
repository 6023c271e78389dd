//! Elements as a tree: each with its slices beside it and its children below it.

use serde_json::{Map, Value, json};

use crate::tables::{Kind, Node, TABLES};

/// Elements within elements.
const MAX_DEPTH: usize = 64;

pub(super) struct Branch {
    /// The last part of the path, `[x]` included.
    pub name: String,
    pub slice: Option<String>,
    pub element: Map<String, Value>,
    /// Elements in order; the slices of one follow it.
    pub children: Vec<Self>,
    /// What the children of the branch above are children of.
    pub above: Option<&'static Node>,
}

impl Branch {
    /// The root of a base definition, of which nothing is changed yet.
    pub(super) fn root(kind: &str, node: &'static Node) -> Self {
        let element = json!({"min": 0, "max": "*", "base": {"path": kind, "min": 0, "max": "*"}});
        Self::new(kind, None, members(element), Some(node))
    }

    pub(super) fn new(
        name: &str,
        slice: Option<&str>,
        element: Map<String, Value>,
        above: Option<&'static Node>,
    ) -> Self {
        Self { name: name.to_owned(), slice: slice.map(str::to_owned), element, children: Vec::new(), above }
    }

    /// The elements of a snapshot, which come parents first.
    pub(super) fn read(elements: &[Value], node: &'static Node) -> Result<Self, String> {
        let mut open: Vec<Self> = Vec::new();
        for element in elements {
            let path = element.get("path").and_then(Value::as_str).ok_or("an element has no path")?;
            let depth = path.matches('.').count();
            if depth > MAX_DEPTH || depth > open.len() || depth == 0 && !open.is_empty() {
                return Err("an element of the snapshot stands without the one above it".to_owned());
            }
            close(&mut open, depth.max(1));
            let above = open.last().map_or(Some(node), Self::node);
            let slice = element.get("sliceName").and_then(Value::as_str);
            let own = element.as_object().cloned().unwrap_or_default();
            open.push(Self::new(path.rsplit('.').next().unwrap_or_default(), slice, own, above));
        }
        close(&mut open, 1);
        open.pop().ok_or_else(|| "the snapshot has no element".to_owned())
    }

    pub(super) fn is_root(&self) -> bool {
        self.above.is_some_and(|node| node.path == self.name)
    }

    /// The codes of its types.
    pub(super) fn types(&self) -> Vec<&str> {
        let all = self.element.get("type").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        all.iter().filter_map(|of| of.get("code")?.as_str()).collect()
    }

    /// What its children are children of, where that is certain.
    pub(super) fn node(&self) -> Option<&'static Node> {
        if self.is_root() {
            return self.above;
        }
        if let [one] = self.types().as_slice()
            && !matches!(*one, "BackboneElement" | "Element")
            && let Some(node) = TABLES.node_of(one)
        {
            return Some(node);
        }
        let above = self.above?;
        let bare = self.name.strip_suffix("[x]").unwrap_or(&self.name);
        let child = above.children.iter().position(|child| child.name == bare)?;
        let mut found = above.members.iter().filter(|member| usize::from(member.child) == child);
        match (found.next()?.kind, found.next()) {
            (Kind::Node(id), None) => TABLES.node(id),
            (Kind::Resource, None) => TABLES.node_of("Resource"),
            // What every type of a choice has.
            _ => TABLES.node_of("Element"),
        }
    }

    pub(super) fn child(&self, name: &str, slice: Option<&str>) -> Option<usize> {
        self.children.iter().position(|child| child.name == name && child.slice.as_deref() == slice)
    }

    /// Puts a branch after its siblings of the same name.
    pub(super) fn grow(&mut self, branch: Self) -> usize {
        let last = self.children.iter().rposition(|child| child.name == branch.name);
        let at = last.map_or(self.children.len(), |last| last + 1);
        self.children.insert(at, branch);
        at
    }

    /// All of it as elements with ids and paths, parents first.
    pub(super) fn write(self, above_id: &str, above_path: &str, found: &mut Vec<Value>) {
        let join = |above: &str, name: &str| if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
        let path = join(above_path, &self.name);
        let mut id = join(above_id, &self.name);
        let mut element = self.element;
        if let Some(slice) = &self.slice {
            id = format!("{id}:{slice}");
            element.insert("sliceName".to_owned(), slice.as_str().into());
        }
        element.insert("id".to_owned(), id.as_str().into());
        element.insert("path".to_owned(), path.as_str().into());
        found.push(Value::Object(element));
        for child in self.children {
            child.write(&id, &path, found);
        }
    }
}

/// Hands what is open beyond this many to the branch above it.
fn close(open: &mut Vec<Branch>, depth: usize) {
    while open.len() > depth {
        let Some(branch) = open.pop() else { return };
        if let Some(above) = open.last_mut() {
            above.children.push(branch);
        }
    }
}

pub(super) fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
