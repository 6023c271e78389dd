//! The operations of a `FHIRPath` Patch carried out, one after the other, each on what the one before left.

use serde_json::{Map, Value};

use super::node::{Key, Node, Tree, capital};
use super::parameters::{Given, Operation, Work};
use super::path::Step;
use super::unfit;
use crate::error::Error;

/// An element's value, and what a primitive has beside it; null where there is none.
type Pair = (Value, Value);

pub(super) fn apply(operations: &[Operation], mut resource: Value) -> Result<Value, Error> {
    let mut visits = 0;
    for operation in operations {
        one(&mut resource, operation, &mut visits).map_err(|why| unfit(&*operation.place, why))?;
    }
    Ok(resource)
}

fn one(resource: &mut Value, operation: &Operation, visits: &mut usize) -> Result<(), &'static str> {
    let steps = operation.path.steps.as_slice();
    match &operation.work {
        Work::Add { name, value } => {
            let node = single(find(resource, steps, visits)?)?;
            add(resource, &node, name, value)
        }
        Work::Delete => match find(resource, steps, visits)?.as_slice() {
            [] => Ok(()),
            [node] => replace(resource, node, None),
            _ => Err("the path addresses more than one element"),
        },
        Work::Replace { value } => {
            let node = single(find(resource, steps, visits)?)?;
            replace(resource, &node, Some(value))
        }
        Work::Insert { index, value } => {
            let (node, name) = list_of(resource, steps, visits)?;
            let item = build(&node.below(name), value, 0)?;
            in_list(resource, &node, name, |items| {
                if *index > items.len() {
                    return Err("the index is beyond the end of the list");
                }
                items.insert(*index, item);
                Ok(())
            })
        }
        Work::Move { source, destination } => {
            let (node, name) = list_of(resource, steps, visits)?;
            in_list(resource, &node, name, |items| {
                if *source >= items.len() || *destination >= items.len() {
                    return Err("there is no such place in the list");
                }
                let item = items.remove(*source);
                items.insert(*destination, item);
                Ok(())
            })
        }
    }
}

fn find(resource: &Value, steps: &[Step], visits: &mut usize) -> Result<Vec<Node>, &'static str> {
    let mut tree = Tree::new(resource, *visits);
    let found = tree.find(steps).map_err(|_| "the patch looks at too many elements")?;
    *visits = tree.visits();
    Ok(found)
}

fn single(mut nodes: Vec<Node>) -> Result<Node, &'static str> {
    match (nodes.pop(), nodes.is_empty()) {
        (Some(node), true) => Ok(node),
        (Some(_), false) => Err("the path addresses more than one element"),
        (None, _) => Err("the path addresses nothing"),
    }
}

/// The one element that has the list, and the list's name. The list itself may be empty.
fn list_of<'s>(resource: &Value, steps: &'s [Step], visits: &mut usize) -> Result<(Node, &'s str), &'static str> {
    let Some((Step::Child(name), above)) = steps.split_last() else { return Err("the path is not that of a list") };
    let node = single(find(resource, above, visits)?)?;
    if node.is_list(name) { Ok((node, name)) } else { Err("this element is no list") }
}

fn add(resource: &mut Value, node: &Node, name: &str, given: &Given) -> Result<(), &'static str> {
    let types = node.types(name);
    if types.is_empty() {
        return Err("there is no element of this name");
    }
    let item = build(&node.below(name), given, 0)?;
    if node.is_list(name) {
        return in_list(resource, node, name, |items| {
            items.push(item);
            Ok(())
        });
    }
    let members = members(resource, &node.keys).ok_or("the path addresses no element that has others")?;
    let forms = types.iter().map(|kind| format!("{name}{}", capital(kind)));
    if forms.chain([name.to_owned()]).any(|form| has(members, &form)) {
        return Err("the element is there already");
    }
    put(members, &member_name(&types, name, given), item);
    Ok(())
}

/// Puts another value in its place, or takes it away.
fn replace(resource: &mut Value, node: &Node, given: Option<&Given>) -> Result<(), &'static str> {
    let (above, member, index) = node.place().ok_or("the resource itself cannot be replaced")?;
    let name = node.choice.as_deref().unwrap_or(member);
    let mut parent = node.clone();
    parent.keys = above.to_vec();
    let item = given.map(|given| build(node, given, 0)).transpose()?;
    if let Some(index) = index {
        return in_list(resource, &parent, member, |items| {
            match (items.get_mut(index), item) {
                (Some(place), Some(item)) => *place = item,
                (Some(_), None) => drop(items.remove(index)),
                (None, _) => {}
            }
            Ok(())
        });
    }
    let members = members(resource, above).ok_or("the path addresses nothing")?;
    let (Some(item), Some(given)) = (item, given) else {
        put(members, member, Pair::default());
        return Ok(());
    };
    let new = match (&node.choice, given) {
        (Some(_), Given::Typed { suffix, .. }) => format!("{name}{suffix}"),
        _ => member.to_owned(),
    };
    if new != member {
        put(members, member, Pair::default());
    }
    put(members, &new, item);
    Ok(())
}

/// A choice goes by the type of the value.
fn member_name(types: &[&str], name: &str, given: &Given) -> String {
    match given {
        Given::Typed { suffix, .. } if types.len() > 1 => format!("{name}{suffix}"),
        _ => name.to_owned(),
    }
}

/// The value as JSON. `node`: the element that it is for.
fn build(node: &Node, given: &Given, depth: usize) -> Result<Pair, &'static str> {
    if depth > 32 {
        return Err("the value nests too deep");
    }
    match given {
        Given::Typed { value, beside, .. } => Ok((value.clone(), beside.clone())),
        Given::Resource(resource) => Ok((resource.clone(), Value::Null)),
        Given::Parts(parts) => {
            let mut members = Map::new();
            for (name, part) in parts {
                let item = build(&node.below(name), part, depth + 1)?;
                if node.is_list(name) {
                    let mut items = take(&mut members, name);
                    items.push(item);
                    put_list(&mut members, name, items);
                } else {
                    put(&mut members, &member_name(&node.types(name), name, part), item);
                }
            }
            Ok((Value::Object(members), Value::Null))
        }
    }
}

fn in_list(
    resource: &mut Value,
    node: &Node,
    name: &str,
    work: impl FnOnce(&mut Vec<Pair>) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    let members = members(resource, &node.keys).ok_or("the path addresses no element that has others")?;
    let mut items = take(members, name);
    work(&mut items)?;
    put_list(members, name, items);
    Ok(())
}

/// The members of the element at these keys; made where a primitive has none beside its value yet.
fn members<'v>(root: &'v mut Value, keys: &[Key]) -> Option<&'v mut Map<String, Value>> {
    let (above, name, index) = match keys {
        [] => return root.as_object_mut(),
        [above @ .., Key::Member(name), Key::Index(index)] => (above, name, Some(*index)),
        [above @ .., Key::Member(name)] => (above, name, None),
        _ => return None,
    };
    let parent = members(root, above)?;
    let own = parent.get(name).and_then(|own| index.map_or(Some(own), |index| own.get(index)));
    if own.is_some_and(Value::is_object) {
        let own = parent.get_mut(name)?;
        return match index {
            Some(index) => own.get_mut(index)?.as_object_mut(),
            None => own.as_object_mut(),
        };
    }
    let beside = parent.entry(format!("_{name}")).or_insert(Value::Null);
    let beside = match index {
        None => beside,
        Some(index) => {
            if !beside.is_array() {
                *beside = Value::Array(vec![]);
            }
            let items = beside.as_array_mut()?;
            items.resize(items.len().max(index + 1), Value::Null);
            items.get_mut(index)?
        }
    };
    if !beside.is_object() {
        *beside = Value::Object(Map::new());
    }
    beside.as_object_mut()
}

fn has(members: &Map<String, Value>, name: &str) -> bool {
    members.contains_key(name) || members.contains_key(&format!("_{name}"))
}

/// The elements of a list with what each has beside it; the list is put back by [`put_list`].
fn take(members: &mut Map<String, Value>, name: &str) -> Vec<Pair> {
    let mut list = |name: &str| match members.get_mut(name).map(Value::take) {
        Some(Value::Array(items)) => items,
        Some(one) => vec![one],
        None => vec![],
    };
    let (mut values, mut beside) = (list(name), list(&format!("_{name}")));
    let length = values.len().max(beside.len());
    values.resize(length, Value::Null);
    beside.resize(length, Value::Null);
    values.into_iter().zip(beside).collect()
}

fn put_list(members: &mut Map<String, Value>, name: &str, items: Vec<Pair>) {
    let (values, beside): (Vec<Value>, Vec<Value>) = items.into_iter().unzip();
    let list = |items: Vec<Value>| if items.iter().all(Value::is_null) { Value::Null } else { Value::Array(items) };
    put(members, name, (list(values), list(beside)));
}

/// Null takes a member away.
fn put(members: &mut Map<String, Value>, name: &str, (value, beside): Pair) {
    for (name, value) in [(name.to_owned(), value), (format!("_{name}"), beside)] {
        if value.is_null() {
            members.shift_remove(&name);
        } else {
            members.insert(name, value);
        }
    }
}
