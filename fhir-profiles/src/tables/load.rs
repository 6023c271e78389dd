//! Reads the condensed text: one record a line, fields divided by tabs, the first one the kind.
//!
//! | kind | fields |
//! |---|---|
//! | `V` | url: opens a value set |
//! | `S` | system, codes divided by bars: belongs to the value set above |
//! | `N` | path, `R` resource, `A` abstract resource, `D` datatype, `B` backbone: opens a node |
//! | `E` | name, min, max, `s` if in the summary, number of the value set, types: child of the node above |
//! | `F` | url: opens a profile |
//! | `X` | depth, name, slice, min, max, fixed, value set, discriminators, invariants, types |
//! | `I` | path, key, severity, expression, words: an invariant of a node or of a child |
//! | `P` | code, url, type, base, target, expression, description: a search parameter |
//! | `C` | compartment, resource type, parameters |
//!
//! A type is a name, a name with targets `Reference(Patient|Group)`, or `@path` for another node.

use super::{
    Child, Constraint, Kind, Member, Node, NodeId, Primitive, ProfileElement, Rule, Tables, ValueSet, profile::Builder,
};
use crate::{SearchKind, SearchParameter};

type Fields = std::str::Split<'static, char>;

pub(super) fn load(text: &'static str) -> Tables {
    let mut tables = Tables::default();
    name_nodes(text, &mut tables);
    let mut builder = Builder::default();
    for line in text.lines() {
        let mut fields = line.split('\t');
        match next(&mut fields) {
            "V" => tables.value_sets.push(ValueSet { url: next(&mut fields), systems: Vec::new() }),
            "S" => add_system(&mut tables, &mut fields),
            "N" => {
                let (path, kind) = (next(&mut fields), next(&mut fields));
                tables.nodes.push(Node::new(path, kind == "R" || kind == "A"));
            }
            "E" => add_child(&mut tables, &mut fields),
            "F" => {
                tables.profiles.extend(builder.finish());
                builder.open(next(&mut fields));
            }
            "X" => add_profile_element(&tables, &mut builder, &mut fields),
            "I" => add_constraint(&mut tables, &mut fields),
            "P" => add_search_parameter(&mut tables, &mut fields),
            "C" => add_compartment(&mut tables, &mut fields),
            _ => {}
        }
    }
    tables.profiles.extend(builder.finish());
    for node in &mut tables.nodes {
        node.index();
    }
    tables
}

fn next(fields: &mut Fields) -> &'static str {
    fields.next().unwrap_or_default()
}

fn words(text: &'static str) -> Vec<&'static str> {
    text.split(' ').filter(|word| !word.is_empty()).collect()
}

/// Elements refer to nodes and resource types that stand further down: give them numbers first.
fn name_nodes(text: &'static str, tables: &mut Tables) {
    let mut resources = Vec::new();
    let opened = text.lines().filter_map(|line| line.strip_prefix("N\t")).filter_map(|rest| rest.split_once('\t'));
    for (id, (path, kind)) in (0..NodeId::MAX).zip(opened) {
        tables.by_path.insert(path, id);
        if kind == "R" {
            resources.push((path, id));
        }
    }
    resources.sort_unstable();
    (tables.resource_names, tables.resource_nodes) = resources.into_iter().unzip();
}

fn add_system(tables: &mut Tables, fields: &mut Fields) {
    let system = next(fields);
    let mut codes: Vec<&str> = next(fields).split('|').collect();
    codes.sort_unstable();
    if let Some(set) = tables.value_sets.last_mut() {
        set.systems.push((system, codes));
    }
}

fn add_child(tables: &mut Tables, fields: &mut Fields) {
    let (name, min, max, summary) = (next(fields), next(fields), next(fields), next(fields));
    let binding = next(fields).parse().ok();
    let base_name = name.strip_suffix("[x]").unwrap_or(name);
    let is_list = max == "*";
    let mut members = Vec::new();
    let Some(child) = tables.nodes.last().and_then(|node| u8::try_from(node.children.len()).ok()) else { return };
    for (type_name, targets) in types(tables, next(fields)) {
        let Some(kind) = kind(tables, type_name) else { continue };
        let name = if base_name == name { name } else { choice_name(base_name, type_name) };
        let type_name = if type_name.starts_with('@') { "BackboneElement" } else { type_name };
        members.push(Member { name, child, is_list, kind, type_name, targets, binding });
    }
    if let Some(node) = tables.nodes.last_mut() {
        if min != "0" {
            node.required |= 1_u64.checked_shl(u32::from(child)).unwrap_or(0);
        }
        let is_choice = base_name != name;
        node.children.push(Child {
            name: base_name,
            is_choice,
            is_list,
            is_summary: summary == "s",
            ..Child::default()
        });
        node.members.append(&mut members);
    }
}

/// `value` and `Quantity` are `valueQuantity`. Some hundred names, made once and kept for good.
fn choice_name(base: &str, type_name: &str) -> &'static str {
    let mut letters = type_name.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase()).into_iter();
    base.chars().chain(first).chain(letters).collect::<String>().leak()
}

fn kind(tables: &Tables, type_name: &str) -> Option<Kind> {
    if type_name == "Resource" {
        return Some(Kind::Resource);
    }
    if let Some(primitive) = Primitive::of(type_name) {
        return Some(Kind::Primitive(primitive));
    }
    tables.by_path.get(type_name.trim_start_matches('@')).map(|id| Kind::Node(*id))
}

/// Types with the indices of their targets.
fn types(tables: &Tables, text: &'static str) -> Vec<(&'static str, Vec<u16>)> {
    let index = |name: &str| tables.resource_index(name).and_then(|i| u16::try_from(i).ok());
    let one = |word: &'static str| match word.strip_suffix(')').and_then(|w| w.split_once('(')) {
        Some((name, targets)) => (name, targets.split('|').filter_map(index).collect()),
        None => (word, Vec::new()),
    };
    words(text).into_iter().map(one).collect()
}

fn add_profile_element(tables: &Tables, builder: &mut Builder, fields: &mut Fields) {
    let depth = next(fields).parse().unwrap_or(0);
    let full_name = next(fields);
    let name = full_name.strip_suffix("[x]").unwrap_or(full_name);
    let slice = Some(next(fields)).filter(|s| !s.is_empty());
    let (min, max) = (next(fields).parse().unwrap_or(0), next(fields).parse().ok());
    let fixed = Some(next(fields)).filter(|s| !s.is_empty());
    let binding = next(fields).parse().ok();
    let discriminators = words(next(fields));
    let invariants = words(next(fields));
    let types = types(tables, next(fields));
    let is_choice = name != full_name;
    let element = ProfileElement {
        name,
        is_choice,
        min,
        max,
        fixed,
        binding,
        types,
        invariants,
        slice,
        discriminators,
        ..ProfileElement::default()
    };
    builder.add(depth, element);
}

/// Those that are written by hand are not computed as well.
fn add_constraint(tables: &mut Tables, fields: &mut Fields) {
    let (path, key, severity) = (next(fields), next(fields), next(fields));
    let (expression, words) = (next(fields), next(fields));
    let constraint = Constraint::new(key, severity == "error", expression, words);
    let by_hand = Rule::covers(path, key);
    let node = |tables: &Tables, path: &str| tables.by_path.get(path).map(|id| usize::from(*id));
    if let Some(node) = node(tables, path).and_then(|id| tables.nodes.get_mut(id)) {
        if by_hand { &mut node.by_hand } else { &mut node.constraints }.push(constraint);
    } else if let Some((parent, name)) = path.rsplit_once('.') {
        let bare = name.strip_suffix("[x]").unwrap_or(name);
        let node = node(tables, parent).and_then(|id| tables.nodes.get_mut(id));
        if let Some(child) = node.and_then(|n| n.children.iter_mut().find(|c| c.name == bare)) {
            if by_hand { &mut child.by_hand } else { &mut child.constraints }.push(constraint);
        }
    }
}

fn add_search_parameter(tables: &mut Tables, fields: &mut Fields) {
    let (name, url) = (next(fields), next(fields));
    let Some(kind) = SearchKind::from_code(next(fields)) else { return };
    let (base, target) = (words(next(fields)), words(next(fields)));
    let (expression, description) = (next(fields), next(fields));
    tables.search_parameters.push(SearchParameter { name, url, base, kind, expression, target, description });
}

fn add_compartment(tables: &mut Tables, fields: &mut Fields) {
    let (name, member, params) = (next(fields), next(fields), words(next(fields)));
    match tables.compartments.iter_mut().find(|(n, _)| *n == name) {
        Some((_, members)) => members.push((member, params)),
        None => tables.compartments.push((name, vec![(member, params)])),
    }
}
