//! Elements as the tables have them: those of the base definitions, and those of the embedded profiles.

use serde_json::{Map, Value, json};

use super::tree::{Branch, members};
use crate::tables::{Kind, Member, Node, Profile, ProfileElement, TABLES};

const BASE: &str = "http://hl7.org/fhir/StructureDefinition/";

/// The invariants of the vital-signs profiles, which the tables know by their keys.
const INVARIANTS: [(&str, &str, &str); 3] = [
    ("vs-1", "($this as dateTime).toString().length() >= 8", "the time must be known to the day"),
    (
        "vs-2",
        "(component.empty() and hasMember.empty()) implies (dataAbsentReason.exists() or value.exists())",
        "without components or members there must be a value or the reason for its absence",
    ),
    ("vs-3", "value.exists() or dataAbsentReason.exists()", "there must be a value or the reason for its absence"),
];

/// An element of a base definition by its name, which for a choice ends with `[x]`.
pub(super) fn element(node: &'static Node, name: &str) -> Option<Map<String, Value>> {
    let bare = name.strip_suffix("[x]");
    let at = node.children.iter().position(|c| c.name == bare.unwrap_or(name) && c.is_choice == bare.is_some())?;
    let child = node.children.get(at)?;
    let of_child: Vec<&Member> = node.members.iter().filter(|m| usize::from(m.child) == at).collect();
    let is_required =
        u32::try_from(at).ok().and_then(|at| 1_u64.checked_shl(at)).is_some_and(|b| node.required & b != 0);
    let (min, max) = (u8::from(is_required), if child.is_list { "*" } else { "1" });
    let mut element = members(json!({
        "min": min, "max": max, "base": {"path": format!("{}.{name}", node.path), "min": min, "max": max},
        "type": of_child.iter().map(|m| of_type(m.type_name, &m.targets)).collect::<Vec<_>>()}));
    let set = of_child.first().and_then(|m| TABLES.value_sets.get(usize::from(m.binding?)));
    if let Some(set) = set {
        element.insert("binding".to_owned(), json!({"strength": "required", "valueSet": set.url}));
    }
    Some(element)
}

fn of_type(name: &str, targets: &[u16]) -> Value {
    let names = targets.iter().filter_map(|target| TABLES.resource_names.get(usize::from(*target)));
    let profiles: Vec<String> = names.map(|name| format!("{BASE}{name}")).collect();
    if profiles.is_empty() { json!({"code": name}) } else { json!({"code": name, "targetProfile": profiles}) }
}

/// A profile that is embedded, as a tree.
pub(super) fn of_embedded(profile: &'static Profile, node: &'static Node) -> Branch {
    let mut root = Branch::root(node.path, node);
    fill(&mut root, &profile.root);
    root
}

fn fill(branch: &mut Branch, said: &'static ProfileElement) {
    let constraints: Vec<Value> = said.invariants.iter().filter_map(|key| invariant(key)).collect();
    if !constraints.is_empty() {
        branch.element.insert("constraint".to_owned(), constraints.into());
    }
    for child in &said.children {
        add(branch, child);
        for slice in &child.slices {
            add(branch, slice);
        }
    }
}

fn add(parent: &mut Branch, said: &'static ProfileElement) {
    let node = parent.node();
    let name = if said.is_choice { format!("{}[x]", said.name) } else { said.name.to_owned() };
    let mut own = node.and_then(|node| element(node, &name)).unwrap_or_default();
    own.insert("min".to_owned(), said.min.into());
    own.insert("max".to_owned(), said.max.map_or_else(|| "*".to_owned(), |max| max.to_string()).into());
    if let Some(fixed) = said.fixed {
        own.insert(fixed_name(node, said.name), fixed.into());
    }
    if !said.types.is_empty() {
        own.insert("type".to_owned(), said.types.iter().map(|(name, targets)| of_type(name, targets)).collect());
    }
    if let Some(set) = said.binding.and_then(|set| TABLES.value_sets.get(usize::from(set))) {
        own.insert("binding".to_owned(), json!({"strength": "required", "valueSet": set.url}));
    }
    if !said.discriminators.is_empty() {
        let one = |path: &&str| match *path {
            "$type" => json!({"type": "type", "path": "$this"}),
            path => json!({"type": "value", "path": path}),
        };
        let all: Vec<Value> = said.discriminators.iter().map(one).collect();
        own.insert("slicing".to_owned(), json!({"discriminator": all, "rules": "open"}));
    }
    let mut branch = Branch::new(&name, said.slice, own, node);
    fill(&mut branch, said);
    parent.children.push(branch);
}

fn invariant(key: &str) -> Option<Value> {
    let (key, expression, human) = INVARIANTS.iter().find(|(own, ..)| *own == key)?;
    Some(json!({"key": key, "severity": "error", "human": human, "expression": expression}))
}

/// `fixedUri`, `fixedCode`.
fn fixed_name(node: Option<&'static Node>, name: &str) -> String {
    let kind = node.and_then(|node| node.member(name)).map(|member| member.kind);
    let of = if let Some(Kind::Primitive(kind)) = kind { kind.name() } else { "string" };
    let mut letters = of.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    "fixed".chars().chain(first).chain(letters).collect()
}
