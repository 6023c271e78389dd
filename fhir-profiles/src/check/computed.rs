//! Invariants that are computed as the definitions write them. Those that stand on every reading are
//! written by hand next door; a test holds the two together.

use serde_json::Value;

use super::{value::Object, walk::Walk};
use crate::{
    Severity,
    path::{Context, Expression, Item, Stop},
    tables::{Constraint, Member, Node},
};

pub(super) fn of_node<'v>(walk: &mut Walk<'v>, node: &'static Node, object: &'v Object) {
    if node.constraints.is_empty() {
        return;
    }
    let item = Item::Element { node, type_name: node.path, object };
    for constraint in &node.constraints {
        judge(walk, constraint, &item);
    }
}

/// Invariants of one child, item by item.
pub(super) fn of_child<'v>(
    walk: &mut Walk<'v>,
    node: &'static Node,
    member: &'static Member,
    value: Option<&'v Value>,
    beside: Option<&'v Value>,
) {
    let Some(child) = node.children.get(usize::from(member.child)).filter(|c| !c.constraints.is_empty()) else {
        return;
    };
    let list = |v: Option<&'v Value>| v.and_then(Value::as_array);
    let (values, extensions) = (list(value), list(beside));
    if values.is_none() && extensions.is_none() {
        if let Some(item) = Item::of(member, value, beside) {
            child.constraints.iter().for_each(|constraint| judge(walk, constraint, &item));
        }
        return;
    }
    let at = |all: Option<&'v Vec<Value>>, i: usize| all.and_then(|all| all.get(i));
    for i in 0..values.map_or(0, Vec::len).max(extensions.map_or(0, Vec::len)) {
        let Some(item) = Item::of(member, at(values, i), at(extensions, i)) else { continue };
        walk.path.push_index(i);
        child.constraints.iter().for_each(|constraint| judge(walk, constraint, &item));
        walk.path.pop();
    }
}

fn judge<'v>(walk: &mut Walk<'v>, constraint: &'static Constraint, item: &Item<'v>) {
    let Ok(expression) = constraint.expression() else { return };
    let severity = if constraint.is_error { Severity::Error } else { Severity::Warning };
    match holds(walk, expression, item) {
        Ok(Some(true)) | Err(Stop::Unknown | Stop::Wrong) => {}
        // An error wants a yes; a warning, written less carefully, keeps silent without a no.
        Ok(None) if severity != Severity::Error => {}
        Ok(_) => walk.tell(severity, "invariant", format!("{}: {}", constraint.key, constraint.words)),
        Err(Stop::Spent) => walk.spent(),
    }
}

/// Whether an expression holds for a part of what is being walked; nothing where it finds nothing.
pub(super) fn holds<'v>(walk: &Walk<'v>, expression: &'v Expression, item: &Item<'v>) -> Result<Option<bool>, Stop> {
    expression.holds(item, &context(walk)?, &walk.fuel)
}

/// What an expression finds from a part of what is being walked on.
pub(super) fn items<'v>(walk: &Walk<'v>, expression: &'v Expression, item: &Item<'v>) -> Result<Vec<Item<'v>>, Stop> {
    expression.items(item, &context(walk)?, &walk.fuel)
}

fn context<'v>(walk: &Walk<'v>) -> Result<Context<'v>, Stop> {
    let root = walk.frame.resource.ok_or(Stop::Unknown)?;
    Ok(Context { resource: walk.frame.inner.unwrap_or(root), root, definitions: walk.definitions })
}
