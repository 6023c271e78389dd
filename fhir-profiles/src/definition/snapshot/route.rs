//! From an element of a differential to the branch that it changes, by its id or by its path. Branches on the way
//! that no profile has touched yet are taken from the base definition, new slices from what they are slices of.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Fault, MAX_ELEMENTS, base, merge, tree::Branch};

const MAX_STEPS: usize = 64;

/// A part of a way: the name, and the slice where there is one.
#[derive(Clone, PartialEq, Eq)]
struct Step {
    name: String,
    slice: Option<String>,
}

pub(super) fn apply(root: &mut Branch, differential: &[Value]) -> Result<(), Fault> {
    let mut seen = HashMap::new();
    let mut grown = 0;
    for (at, change) in differential.iter().enumerate() {
        let text = |name: &str| change.get(name).and_then(Value::as_str);
        let name = text("id").or_else(|| text("path")).unwrap_or("an element");
        let fault = |why: String| Fault::at(at, format!("{name}: {why}"));
        let steps = steps(change, &root.name, &mut seen).map_err(fault)?;
        let branch = walk(root, &steps, change, &mut grown).map_err(fault)?;
        merge::apply(branch, change).map_err(fault)?;
        if grown > MAX_ELEMENTS {
            return Err(fault("more elements than are compiled".to_owned()));
        }
    }
    Ok(())
}

/// The way below the root. A differential without ids goes by its order: what stands below a path is below the
/// slice of it that came last.
fn steps(change: &Value, root: &str, seen: &mut HashMap<String, Vec<Step>>) -> Result<Vec<Step>, String> {
    let text = |name: &str| change.get(name).and_then(Value::as_str);
    let path = text("path").ok_or("it has no path")?;
    let names: Vec<&str> = path.split('.').collect();
    if names.len() > MAX_STEPS {
        return Err("nested too deeply".to_owned());
    }
    let Some((&first, below)) = names.split_first().filter(|(first, _)| **first == root) else {
        return Err(format!("the path does not begin with {root}"));
    };
    let mut steps = match by_id(text("id").unwrap_or_default(), first, below) {
        Some(steps) => steps,
        None => match below.split_last() {
            None => Vec::new(),
            Some((last, rest)) => {
                let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
                let plain = || rest.iter().map(|name| Step { name: (*name).to_owned(), slice: None }).collect();
                let mut steps = seen.get(parent).cloned().unwrap_or_else(plain);
                steps.push(Step { name: (*last).to_owned(), slice: None });
                steps
            }
        },
    };
    if let (Some(last), Some(slice)) = (steps.last_mut(), text("sliceName")) {
        last.slice = Some(slice.to_owned());
    }
    let inner = format!("{path}.");
    seen.retain(|other, _| !other.starts_with(&inner));
    seen.insert(path.to_owned(), steps.clone());
    Ok(steps)
}

/// The way that an id tells, if it is one that tells a way.
fn by_id(id: &str, root: &str, names: &[&str]) -> Option<Vec<Step>> {
    let mut parts = id.split('.');
    let rest: Vec<&str> = parts.next().filter(|first| *first == root).map(|_| parts.collect())?;
    if rest.len() != names.len() {
        return None;
    }
    let step = |(part, name): (&str, &&str)| {
        let (own, slice) = part.split_once(':').map_or((part, None), |(own, slice)| (own, Some(slice)));
        // The path may name the type where the id names the slice of the choice.
        let same = own == *name || own.ends_with("[x]") && slice.is_none_or(|slice| slice == *name);
        same.then(|| Step { name: own.to_owned(), slice: slice.map(str::to_owned) })
    };
    rest.into_iter().zip(names).map(step).collect()
}

fn walk<'b>(root: &'b mut Branch, steps: &[Step], change: &Value, grown: &mut usize) -> Result<&'b mut Branch, String> {
    let mut branch = root;
    let mut inside = false;
    for (i, step) in steps.iter().enumerate() {
        // Within a slice a type that is named is the only one that is left, and elsewhere if its types are given.
        let narrows = inside || i + 1 == steps.len() && change.get("type").is_some();
        inside = inside || step.slice.is_some();
        let at = enter(branch, step, narrows, grown)?;
        branch = branch.children.get_mut(at).ok_or("no such element")?;
    }
    Ok(branch)
}

/// The place of a child, made where it is not there yet.
fn enter(parent: &mut Branch, step: &Step, narrows: bool, grown: &mut usize) -> Result<usize, String> {
    let node = parent.node();
    let member = node.and_then(|node| node.member(&step.name).zip(Some(node)));
    // `valueQuantity` is `value[x]` as far as it is a Quantity.
    let typed = member.and_then(|(member, node)| {
        let child = node.children.get(usize::from(member.child))?;
        child.is_choice.then(|| (format!("{}[x]", child.name), member.type_name))
    });
    let name = typed.as_ref().map_or(step.name.as_str(), |(name, _)| name);
    let whole = if let Some(at) = parent.child(name, None) {
        at
    } else {
        let missing = || format!("there is no element {}", step.name);
        let own = node.and_then(|node| base::element(node, name)).ok_or_else(missing)?;
        *grown += 1;
        parent.grow(Branch::new(name, None, own, node))
    };
    let Some(sliced) = parent.children.get_mut(whole) else { return Err("no such element".to_owned()) };
    let slice = match (&step.slice, &typed) {
        (Some(slice), _) => slice.as_str(),
        (None, None) => return Ok(whole),
        (None, Some((_, of))) if sliced.types() == [*of] => return Ok(whole),
        (None, Some((_, of))) if narrows => {
            narrow(sliced, of)?;
            return Ok(whole);
        }
        (None, Some(_)) => step.name.as_str(),
    };
    if !sliced.element.contains_key("slicing") {
        let by = by_default(sliced).ok_or("the element is not sliced, so it has no slices")?;
        sliced.element.insert("slicing".to_owned(), by);
    }
    let mut own = sliced.element.clone();
    if let Some(at) = parent.child(name, Some(slice)) {
        return Ok(at);
    }
    for inherited in ["slicing", "constraint", "binding"] {
        own.remove(inherited);
    }
    own.retain(|key, _| !key.starts_with("fixed") && !key.starts_with("pattern"));
    own.insert("min".to_owned(), 0.into());
    let of = typed.as_ref().map(|(_, of)| *of).or_else(|| of_name(node, name, slice));
    if let Some(of) = of {
        own.insert("type".to_owned(), json!([{"code": of}]));
    }
    *grown += 1;
    Ok(parent.grow(Branch::new(name, Some(slice), own, node)))
}

/// Leaves one type of a choice, with all that is said of it.
fn narrow(choice: &mut Branch, of: &str) -> Result<(), String> {
    let types = choice.element.get_mut("type").and_then(Value::as_array_mut);
    let Some(types) = types.filter(|all| all.iter().any(|own| own.get("code").is_some_and(|code| code == of))) else {
        return Err(format!("{of} is none of the types that are left"));
    };
    types.retain(|own| own.get("code").is_some_and(|code| code == of));
    Ok(())
}

/// The type by which a slice of a choice is called.
fn of_name(node: Option<&'static crate::tables::Node>, name: &str, slice: &str) -> Option<&'static str> {
    name.ends_with("[x]").then(|| node?.member(slice).map(|member| member.type_name)).flatten()
}

/// How slices are told apart where nobody says it: extensions by their URL, choices by their type.
fn by_default(sliced: &Branch) -> Option<Value> {
    let (kind, path) = match sliced.name.as_str() {
        "extension" | "modifierExtension" => ("value", "url"),
        name if name.ends_with("[x]") => ("type", "$this"),
        _ => return None,
    };
    Some(json!({"discriminator": [{"type": kind, "path": path}], "ordered": false, "rules": "open"}))
}
