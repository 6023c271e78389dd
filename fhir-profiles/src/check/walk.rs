//! The walk over a resource beside its definition: which members may stand here, how many, of
//! which type. What one element says is left to the neighbours of this module.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{
    binding, computed, held, invariant,
    path::Path,
    primitive, profile, reference,
    value::{Object, list, text},
};
use crate::{
    Issue, Severity,
    definition::Definitions,
    path::Fuel,
    tables::{Kind, Member, Node, NodeId, Primitive, Rule, TABLES},
};

/// Steps of a path. The parser allows far fewer; values built in memory may come from anywhere.
const MAX_STEPS: usize = 256;
/// Beyond this many problems the rest is not listed.
const MAX_ISSUES: usize = 200;
/// Steps that the invariants of one resource and of all in it may take: a fraction of a second.
const MAX_STEPS_OF_INVARIANTS: u64 = 2_000_000;

pub(super) struct Walk<'v> {
    pub(super) definitions: Option<&'v Definitions>,
    /// Everything is told, also what was not checked.
    pub(super) is_thorough: bool,
    pub(super) path: Path<'v>,
    issues: Vec<Issue>,
    shell: bool,
    pub(super) frame: Frame<'v>,
    pub(super) fuel: Fuel,
    /// Problems beyond those that are listed.
    more: usize,
    is_spent: bool,
    asked: &'v [&'v str],
    more_before: Vec<usize>,
}

/// What belongs to the resource that holds the element at hand, and to the ones contained in it.
/// Anybody may send thousands of either, so everything is found by its hash.
#[derive(Default)]
pub(super) struct Frame<'v> {
    /// The resource, and the one contained in it that is being walked.
    pub(super) resource: Option<&'v Object>,
    pub(super) inner: Option<&'v Object>,
    pub(super) contained: &'v [Value],
    /// Ids of contained resources, and their types.
    pub(super) types: HashMap<&'v str, Option<&'v str>>,
    /// Which of `contained` is being walked.
    pub(super) inside: Option<usize>,
    /// Ids that something refers to.
    pub(super) referred: HashSet<&'v str>,
    /// Contained resources that refer to their container.
    pub(super) referring: HashSet<usize>,
}

impl<'v> Frame<'v> {
    pub(super) fn contained_by_id(&self, id: &str) -> Option<&'v Object> {
        let own = |c: &&'v Value| c.get("id").and_then(Value::as_str) == Some(id);
        self.contained.iter().find(own).and_then(Value::as_object)
    }

    fn of(resource: &'v Object) -> Self {
        let contained = list(resource, "contained");
        let objects = contained.iter().filter_map(Value::as_object);
        let types = objects.filter_map(|c| Some((text(c, "id")?, text(c, "resourceType")))).collect();
        Self { resource: Some(resource), contained, types, ..Self::default() }
    }
}

impl<'v> Walk<'v> {
    pub(super) fn new(shell: bool, definitions: Option<&'v Definitions>) -> Self {
        Self {
            definitions,
            is_thorough: false,
            path: Path::default(),
            issues: Vec::new(),
            shell,
            frame: Frame::default(),
            fuel: Fuel::new(MAX_STEPS_OF_INVARIANTS),
            more: 0,
            is_spent: false,
            asked: &[],
            more_before: Vec::new(),
        }
    }

    pub(super) fn finish(mut self) -> Vec<Issue> {
        if self.more > 0 {
            let root = self.issues.first().and_then(|i| i.expression.split(['.', '[']).next()).unwrap_or_default();
            let text = format!("and {} more problems that are not listed", self.more);
            self.issues.push(Issue::error("too-costly", root, text));
        }
        self.issues
    }

    pub(super) fn report(&mut self, code: &'static str, text: impl Into<String>) {
        self.tell(Severity::Error, code, text);
    }

    pub(super) fn tell(&mut self, severity: Severity, code: &'static str, text: impl Into<String>) {
        if self.issues.len() < MAX_ISSUES {
            let (expression, diagnostics) = (self.path.render(), text.into());
            self.issues.push(Issue { severity, code, expression, diagnostics });
        } else if severity == Severity::Error {
            self.more += 1;
        }
    }

    /// The invariants of this resource cost more than is spent on one. It is not stored unjudged.
    pub(super) fn spent(&mut self) {
        if !self.is_spent {
            self.is_spent = true;
            self.report("too-costly", "the invariants of this resource cannot be computed in reasonable time");
        }
    }

    pub(super) fn report_at(&mut self, name: &'v str, code: &'static str, text: impl Into<String>) {
        self.path.push(name);
        self.report(code, text);
        self.path.pop();
    }

    /// Two profiles may find the same fault.
    pub(super) fn tell_once(&mut self, severity: Severity, code: &'static str, text: &str) {
        if self.issues.len() < MAX_ISSUES {
            let place = self.path.render();
            if self.issues.iter().any(|i| i.code == code && i.expression == place && i.diagnostics == text) {
                return;
            }
        }
        self.tell(severity, code, text);
    }

    pub(super) fn is_spent(&self) -> bool {
        self.is_spent
    }

    /// Where an attempt begins that may be forgotten.
    pub(super) fn mark(&mut self) -> Vec<Issue> {
        self.more_before.push(self.more);
        std::mem::take(&mut self.issues)
    }

    /// Takes back what was told since; whether nothing was wrong.
    pub(super) fn forget_since(&mut self, before: Vec<Issue>) -> bool {
        let found = std::mem::replace(&mut self.issues, before);
        self.more = self.more_before.pop().unwrap_or(self.more);
        if self.is_spent && !self.issues.iter().any(|i| i.code == "too-costly") {
            self.issues.extend(found.iter().find(|i| i.code == "too-costly").cloned());
        }
        found.iter().all(|i| i.severity != Severity::Error)
    }

    pub(super) fn root(&mut self, value: &'v Value) {
        let name = value.get("resourceType").and_then(Value::as_str).and_then(|name| TABLES.resource(name));
        self.path.push(name.map_or("Resource", |(name, _)| name));
        self.resource(value, None);
    }

    /// Like [`Self::root`]; the outermost resource is held to these profiles whether it claims them or not.
    pub(super) fn root_with(&mut self, value: &'v Value, profiles: &'v [&'v str]) {
        self.asked = profiles;
        self.root(value);
    }

    /// The profiles that somebody asks for, at the outermost resource.
    pub(super) fn asked(&self) -> &'v [&'v str] {
        if self.path.depth() == 1 { self.asked } else { &[] }
    }

    /// A whole resource, which is independent or the n-th one contained in another.
    fn resource(&mut self, value: &'v Value, contained: Option<usize>) {
        let Some(object) = value.as_object() else {
            return self.report("structure", "a resource must be a JSON object");
        };
        let Some(name) = text(object, "resourceType") else {
            return self.report_at("resourceType", "required", "the type of the resource is missing");
        };
        let Some((_, node)) = TABLES.resource(name) else {
            return self.report_at("resourceType", "value", "not a resource type of FHIR R4");
        };
        if contained.is_some() {
            let outer = std::mem::replace(&mut self.frame.inside, contained);
            let outer_object = self.frame.inner.replace(object);
            self.object(node, object);
            held::claims(self, object);
            (self.frame.inside, self.frame.inner) = (outer, outer_object);
            invariant::contained(self, object);
        } else {
            let outer = std::mem::replace(&mut self.frame, Frame::of(object));
            self.object(node, object);
            invariant::container(self);
            held::claims(self, object);
            self.frame = outer;
        }
    }

    /// An object with the children that its node allows.
    fn object(&mut self, node: &'static Node, object: &'v Object) {
        if self.path.depth() > MAX_STEPS {
            return self.report("structure", "nested too deeply");
        }
        let extended = object.keys().any(|key| key.starts_with('_'));
        let mut seen = 0_u64;
        for (key, value) in object {
            let (name, is_extension) = key.strip_prefix('_').map_or((key.as_str(), false), |name| (name, true));
            let Some(member) = node.member(name) else {
                self.unknown(node, key);
                continue;
            };
            let beside = if is_extension {
                object.get(name)
            } else if extended {
                object.get(format!("_{name}").as_str())
            } else {
                None
            };
            if is_extension && beside.is_some() {
                continue; // seen together with the value
            }
            self.path.push(name);
            let bit = 1_u64.checked_shl(u32::from(member.child)).unwrap_or(0);
            if seen & bit != 0 {
                self.report("structure", "only one type of a choice may be given");
            }
            seen |= bit;
            match member.kind {
                Kind::Primitive(kind) if is_extension => self.primitives(member, kind, None, Some(value)),
                Kind::Primitive(kind) => self.primitives(member, kind, Some(value), beside),
                _ if is_extension || beside.is_some() => {
                    self.report("structure", "only a primitive has a member that begins with '_'");
                }
                Kind::Resource if self.shell && node.rule == Rule::BundleEntry => {}
                _ => self.complex(node, member, value),
            }
            let (value, beside) = if is_extension { (None, Some(value)) } else { (Some(value), beside) };
            computed::of_child(self, node, member, value, beside);
            self.path.pop();
        }
        self.missing(node, node.required & !seen);
        // What stands beside a primitive is judged together with its value.
        let is_beside = node.path == "Element";
        if object.len() <= 1 && object.keys().all(|key| key == "id") && !node.is_resource && !is_beside {
            self.report("structure", "an element needs a value or children");
        }
        invariant::check(self, node.rule, object);
        computed::of_node(self, node, object);
        if node.rule == Rule::Observation {
            profile::observation(self, object);
        }
    }

    fn unknown(&mut self, node: &'static Node, key: &'v str) {
        if node.is_resource && key == "resourceType" {
            return;
        }
        let is_name = key.len() <= 64 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if is_name {
            self.report_at(key, "structure", format!("{} has no element of this name", node.path));
        } else {
            self.report("structure", format!("{} has no element of such a name", node.path));
        }
    }

    fn missing(&mut self, node: &'static Node, missing: u64) {
        if missing == 0 {
            return;
        }
        for (i, child) in (0_u32..).zip(&node.children) {
            if 1_u64.checked_shl(i).unwrap_or(0) & missing != 0 {
                self.report_at(child.name, "required", "the element is missing");
            }
        }
    }

    /// A datatype, a backbone element or a resource, or a list of such.
    fn complex(&mut self, node: &'static Node, member: &'static Member, value: &'v Value) {
        match (member.is_list, value) {
            (true, Value::Array(items)) => {
                if items.is_empty() {
                    self.report("structure", "an array must not be empty");
                }
                for (i, item) in items.iter().enumerate() {
                    self.path.push_index(i);
                    match member.kind {
                        Kind::Node(id) => self.element(member, id, item),
                        _ => self.resource(item, (node.is_resource && member.name == "contained").then_some(i)),
                    }
                    self.path.pop();
                }
            }
            (true, _) => self.report("structure", "must be an array"),
            (false, Value::Array(_)) => self.report("structure", "must not be an array"),
            (false, _) => match member.kind {
                Kind::Node(id) => self.element(member, id, value),
                _ => self.resource(value, None),
            },
        }
    }

    fn element(&mut self, member: &'static Member, id: NodeId, value: &'v Value) {
        let Some(object) = value.as_object() else { return self.report("structure", "must be an object") };
        let Some(node) = TABLES.node(id) else { return };
        self.object(node, object);
        if node.rule == Rule::Reference {
            reference::check(self, &member.targets, object);
        } else if let Some(set) = member.binding.and_then(|b| TABLES.value_sets.get(usize::from(b))) {
            match binding::problem(set, node.rule, object) {
                Some((Some(place), text)) => self.report_at(place, "code-invalid", text),
                Some((None, text)) => self.report("code-invalid", text),
                None => {}
            }
        }
    }

    /// A primitive, or a list of them, with the extensions that stand beside it.
    fn primitives(
        &mut self,
        member: &'static Member,
        kind: Primitive,
        values: Option<&'v Value>,
        extensions: Option<&'v Value>,
    ) {
        if !member.is_list {
            return match (values, extensions) {
                (Some(Value::Array(_)), _) | (_, Some(Value::Array(_))) => {
                    self.report("structure", "must not be an array");
                }
                _ => self.primitive(member, kind, values, extensions),
            };
        }
        let (Some(values), Some(extensions)) = (items(values), items(extensions)) else {
            return self.report("structure", "must be an array");
        };
        if !values.is_empty() && !extensions.is_empty() && values.len() != extensions.len() {
            self.report("structure", "values and their extensions must be arrays of the same length");
        }
        let given = |item: Option<&'v Value>| item.filter(|v| !v.is_null());
        for i in 0..values.len().max(extensions.len()) {
            self.path.push_index(i);
            let (value, extension) = (given(values.get(i)), given(extensions.get(i)));
            if value.is_none() && extension.is_none() {
                self.report("structure", "null stands only where the other array has something");
            }
            self.primitive(member, kind, value, extension);
            self.path.pop();
        }
    }

    fn primitive(
        &mut self,
        member: &'static Member,
        kind: Primitive,
        value: Option<&'v Value>,
        extension: Option<&'v Value>,
    ) {
        if let Some(value) = value {
            match primitive::check(kind, value) {
                Err(text) => self.report("value", text),
                Ok(()) => {
                    if let Some(text) = value.as_str() {
                        self.said(member, kind, text);
                    }
                }
            }
        }
        match extension {
            None => {}
            Some(Value::Object(object)) => {
                if let Some(node) = TABLES.node_of("Element") {
                    self.object(node, object);
                }
                if value.is_none() && object.keys().all(|key| key == "id") {
                    self.report("structure", "an element needs a value or children");
                }
            }
            Some(_) => self.report("structure", "must be an object with id or extension"),
        }
    }

    /// A well-formed code must be in its value set; a URI may refer to a contained resource.
    fn said(&mut self, member: &'static Member, kind: Primitive, text: &'v str) {
        if let Some(set) = member.binding.and_then(|b| TABLES.value_sets.get(usize::from(b)))
            && !set.has_code(text)
        {
            self.report("code-invalid", format!("not a code of the value set {}", set.name()));
        }
        if !self.frame.contained.is_empty()
            && matches!(kind, Primitive::Uri | Primitive::Url | Primitive::Canonical)
            && let Some(id) = text.strip_prefix('#')
        {
            self.refer(id);
        }
    }

    /// Something refers to `#id`; an empty id is the container.
    pub(super) fn refer(&mut self, id: &'v str) {
        match (id, self.frame.inside) {
            ("", Some(inside)) => {
                self.frame.referring.insert(inside);
            }
            _ => {
                self.frame.referred.insert(id);
            }
        }
    }
}

/// The items of an array that may be missing; `None` if it is no array, or an empty one.
fn items(value: Option<&Value>) -> Option<&[Value]> {
    match value {
        None => Some(&[]),
        Some(Value::Array(items)) if !items.is_empty() => Some(items),
        Some(_) => None,
    }
}
