//! From the elements of a `StructureDefinition` to a tree that holds only what the profile adds.

use serde_json::Value;

use super::profile::{Bound, Constraint, Discriminator, Element, Fixed, Profile, Rules, Slicing, Sort, Type};
use super::snapshot::{self, Fault};
use crate::{
    path::Expression,
    tables::{Kind, Member, Node, TABLES},
};

/// More elements than any guide has.
const MAX_ELEMENTS: usize = 20_000;
/// Elements within elements.
const MAX_DEPTH: usize = 64;

/// `None`: a definition that is no profile of something known here, such as a logical model.
/// Bases are looked for among `all`.
pub(super) fn compile(definition: &Value, all: &[&Value]) -> Result<Option<Profile>, Fault> {
    let text = |name: &str| definition.get(name).and_then(Value::as_str).unwrap_or_default();
    let of_type = text("type");
    if text("derivation") != "constraint" || text("kind") == "logical" {
        return Ok(None);
    }
    let Some(node) = TABLES.node_of(of_type) else {
        return Err(Fault::open("the type that is profiled is not one of FHIR R4 or is primitive"));
    };
    let elements = snapshot::elements(definition, all)?;
    let root = tree(&elements, node)
        .map_err(|why| if definition.get("snapshot").is_some() { Fault::open(why) } else { Fault::made(why) })?;
    Ok(Some(Profile {
        url: text("url").to_owned(),
        version: text("version").to_owned(),
        type_name: of_type.to_owned(),
        root,
    }))
}

fn tree(elements: &[Value], node: &'static Node) -> Result<Element, String> {
    if elements.len() > MAX_ELEMENTS {
        return Err("more elements than are compiled".to_owned());
    }
    let mut builder = Builder { open: Vec::new(), root: None };
    for element in elements {
        builder.add(element, node)?;
    }
    builder.close(0);
    builder.root.ok_or_else(|| "the snapshot has no element".to_owned())
}

/// Puts elements, which come parents first, into their tree.
struct Builder {
    open: Vec<Open>,
    root: Option<Element>,
}

struct Open {
    depth: usize,
    element: Element,
    /// What the children are children of, where that is certain.
    node: Option<&'static Node>,
    /// It says something of its own; others stay only for what is below them.
    says: bool,
}

impl Builder {
    fn add(&mut self, definition: &Value, root: &'static Node) -> Result<(), String> {
        let path = text(definition, "path").ok_or("an element has no path")?;
        let depth = path.matches('.').count();
        if depth > MAX_DEPTH {
            return Err("elements are nested too deeply".to_owned());
        }
        self.close(depth);
        if (self.open.is_empty() && self.root.is_some()) || self.open.len() > depth && depth == 0 {
            return Err("the snapshot has two roots".to_owned());
        }
        if depth > 0 && self.open.last().map(|open| open.depth + 1) != Some(depth) {
            return Err("an element of the snapshot stands without the one above it".to_owned());
        }
        let full_name = path.rsplit('.').next().unwrap_or_default();
        let name = full_name.strip_suffix("[x]").unwrap_or(full_name);
        let above = self.open.last().and_then(|open| open.node);
        let members = above.map(|node| members(node, name)).unwrap_or_default();
        let element =
            element(definition, name, &members, above.filter(|_| depth > 0).or((depth == 0).then_some(root)))?;
        let node = if depth == 0 { Some(root) } else { node_below(&element, &members) };
        let says = depth == 0 || says_more(definition, &element);
        self.open.push(Open { depth, element, node, says });
        Ok(())
    }

    /// Hands every element at this depth or deeper to its parent.
    fn close(&mut self, depth: usize) {
        while self.open.last().is_some_and(|open| open.depth >= depth) {
            let Some(Open { element, says, .. }) = self.open.pop() else { return };
            let Some(parent) = self.open.last_mut() else {
                self.root = Some(element);
                return;
            };
            if !says && element.children.is_empty() && element.slices.is_empty() {
                continue;
            }
            let siblings = &mut parent.element.children;
            match (&element.slice, siblings.iter_mut().rev().find(|c| c.name == element.name)) {
                (Some(slice), Some(sliced)) => {
                    // `a/b` divides the slice `a` further.
                    let whole = slice.rsplit_once('/').map(|(whole, _)| whole.to_owned());
                    match sliced.slices.iter_mut().find(|s| s.slice == whole && whole.is_some()) {
                        Some(whole) => whole.slices.push(element),
                        None => sliced.slices.push(element),
                    }
                }
                (Some(_), None) => {
                    let sliced = Element { name: element.name.clone(), ..Element::default() };
                    siblings.push(Element { slices: vec![element], ..sliced });
                }
                _ => siblings.push(element),
            }
        }
    }
}

/// The members that a name stands for: several for a choice.
fn members(node: &'static Node, name: &str) -> Vec<&'static Member> {
    if let Some(member) = node.member(name) {
        return vec![member];
    }
    let choice = node.children.iter().position(|c| c.is_choice && c.name == name);
    node.members.iter().filter(|m| Some(usize::from(m.child)) == choice).collect()
}

fn node_below(element: &Element, members: &[&'static Member]) -> Option<&'static Node> {
    if let [one] = element.types.as_slice()
        && !matches!(one.code.as_str(), "BackboneElement" | "Element")
        && let Some(node) = TABLES.node_of(&one.code)
    {
        return Some(node);
    }
    match members {
        [Member { kind: Kind::Node(id), .. }] => TABLES.node(*id),
        [Member { kind: Kind::Primitive(_), .. }] => TABLES.node_of("Element"),
        _ => None,
    }
}

fn element(
    definition: &Value,
    name: &str,
    members: &[&'static Member],
    owner: Option<&'static Node>,
) -> Result<Element, String> {
    let max = text(definition, "max").unwrap_or("*");
    let number = |name: &str| definition.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let prefixed = |prefix: &str| {
        let all = definition.as_object()?;
        all.iter().find(|(key, _)| key.strip_prefix(prefix).is_some_and(starts_high)).map(|(_, value)| value.clone())
    };
    let fixed = prefixed("fixed").map(Fixed::Exactly).or_else(|| prefixed("pattern").map(Fixed::Pattern));
    Ok(Element {
        name: name.to_owned(),
        min: number("min").unwrap_or(0),
        max: if max == "*" { None } else { Some(max.parse().map_err(|_| "a maximum is no number")?) },
        fixed,
        types: types(definition, members),
        binding: binding(definition, members),
        min_value: prefixed("minValue"),
        max_value: prefixed("maxValue"),
        max_length: number("maxLength"),
        constraints: constraints(definition, members, owner),
        slicing: definition.get("slicing").map(slicing).transpose()?,
        slice: text(definition, "sliceName").map(str::to_owned),
        ..Element::default()
    })
}

/// Whether the profile says of an element what its base does not.
fn says_more(definition: &Value, element: &Element) -> bool {
    let base = definition.get("base");
    let changed = |name: &str| base.and_then(|b| b.get(name)) != definition.get(name);
    element.slice.is_some()
        || element.slicing.is_some()
        || element.fixed.is_some()
        || !element.types.is_empty()
        || element.binding.is_some()
        || element.min_value.is_some()
        || element.max_value.is_some()
        || element.max_length.is_some()
        || !element.constraints.is_empty()
        || changed("min")
        || changed("max")
}

/// Types where they are fewer than in the base, or say more.
fn types(definition: &Value, members: &[&'static Member]) -> Vec<Type> {
    let strings = |of: &Value, name: &str| -> Vec<String> {
        list(of, name).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let all: Vec<Type> = list(definition, "type")
        .iter()
        .filter_map(|of| {
            let code = text(of, "code").filter(|code| !code.starts_with("http://hl7.org/fhirpath/"))?;
            let mut profiles = strings(of, "profile");
            // The base definitions name it too, and it says no more than that there is no comparator.
            profiles.retain(|profile| !profile.ends_with("/SimpleQuantity"));
            let targets = if code == "Reference" { strings(of, "targetProfile") } else { Vec::new() };
            Some(Type { code: code.to_owned(), profiles, targets })
        })
        .collect();
    let narrows = |of: &Type| {
        let member = members.iter().find(|m| m.type_name == of.code);
        let targets = member.map_or(0, |m| m.targets.len());
        !of.profiles.is_empty()
            || !of.targets.is_empty() && of.targets.len() != targets && !is_any(&of.targets)
            || of.targets.iter().any(|t| !t.starts_with("http://hl7.org/fhir/StructureDefinition/"))
    };
    let backbone = matches!(members, [Member { type_name: "BackboneElement" | "Element", .. }]);
    if backbone || all.len() == members.len() && !all.iter().any(narrows) { Vec::new() } else { all }
}

fn is_any(targets: &[String]) -> bool {
    targets.iter().any(|target| target == "http://hl7.org/fhir/StructureDefinition/Resource")
}

/// Bindings that are checked, unless the base checks the same.
fn binding(definition: &Value, members: &[&'static Member]) -> Option<Bound> {
    let binding = definition.get("binding")?;
    let is_required = match text(binding, "strength")? {
        "required" => true,
        "extensible" => false,
        _ => return None,
    };
    let value_set = text(binding, "valueSet")?;
    let url = value_set.split('|').next();
    let base = members.first().and_then(|m| TABLES.value_sets.get(usize::from(m.binding?)));
    let same = base.is_some_and(|base| Some(base.url) == url);
    (!same).then(|| Bound { is_required, value_set: value_set.to_owned() })
}

/// Invariants that the base has not.
fn constraints(definition: &Value, members: &[&'static Member], owner: Option<&'static Node>) -> Vec<Constraint> {
    let is_root = members.is_empty();
    let in_base = |key: &str| {
        let of_node = |node: &Node| node.constraints.iter().chain(&node.by_hand).any(|c| c.key == key);
        let node = match members {
            [Member { kind: Kind::Node(id), .. }] => TABLES.node(*id),
            _ => owner.filter(|_| is_root),
        };
        let child = owner.zip(members.first()).and_then(|(node, m)| node.children.get(usize::from(m.child)));
        let universal = matches!(key, "ele-1" | "ext-1") || key.starts_with("dom-");
        universal
            || node.is_some_and(of_node)
            || child.is_some_and(|c| c.constraints.iter().chain(&c.by_hand).any(|c| c.key == key))
    };
    list(definition, "constraint")
        .iter()
        .filter_map(|c| {
            let (key, expression) = (text(c, "key")?, text(c, "expression")?);
            (!in_base(key)).then(|| Constraint {
                key: key.to_owned(),
                is_error: text(c, "severity") == Some("error"),
                words: text(c, "human").unwrap_or_default().to_owned(),
                expression: Expression::read(expression),
            })
        })
        .collect()
}

fn slicing(definition: &Value) -> Result<Slicing, String> {
    let discriminators = list(definition, "discriminator").iter().map(|d| {
        let path = text(d, "path").unwrap_or("$this");
        let sort = match text(d, "type") {
            Some("value" | "pattern") => Sort::Value,
            Some("exists") => Sort::Exists,
            Some("type") => Sort::Type,
            Some("profile") => Sort::Profile,
            _ => return Err("a discriminator of a kind that R4 does not know".to_owned()),
        };
        let expression = Expression::read(path).map_err(|what| format!("the path of a discriminator: {what}"))?;
        Ok(Discriminator { sort, path: path.to_owned(), expression })
    });
    Ok(Slicing {
        discriminators: discriminators.collect::<Result<_, _>>()?,
        is_ordered: definition.get("ordered").and_then(Value::as_bool).unwrap_or(false),
        rules: match text(definition, "rules") {
            Some("closed") => Rules::Closed,
            Some("openAtEnd") => Rules::OpenAtEnd,
            _ => Rules::Open,
        },
    })
}

fn starts_high(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
