//! The name of a search parameter: modifiers, chains (`subject:Patient.name`) and reverse chains
//! (`_has:Observation:patient:code`), each taken apart from the left until a plain parameter is reached.

use fhir_r4::SearchKind;

use super::operand::{self, Modifier};
use super::text::split;
use super::{Filter, Operand, Problem, find, problem};
use crate::fhir::params::{self, Facet, Param};
use crate::fhir::registry::Params;

/// Values of one parameter, and levels of one chain. More would be a query that nobody means.
pub(super) const MAX_VALUES: usize = 500;
const MAX_DEPTH: usize = 6;
/// Types that a chain without a type may lead through.
const MAX_TARGETS: usize = 12;

/// What a pair of the query string asks; none when the type has no such parameter.
pub(super) fn filter(
    params: &Params,
    kind: &'static str,
    name: &str,
    value: &str,
    depth: usize,
) -> Result<Option<Filter>, Problem> {
    if depth > MAX_DEPTH {
        return Err(problem("too-costly", format!("a chain has at most {MAX_DEPTH} levels")));
    }
    if let Some(rest) = name.strip_prefix("_has:") {
        return referred(params, rest, value, depth).map(Some);
    }
    if name == "_list" {
        return listed(params, value, depth).map(Some);
    }
    if let Some((link, rest)) = name.split_once('.') {
        return chain(params, kind, link, rest, value, depth);
    }
    let (name, modifier) = name.split_once(':').map_or((name, None), |(name, modifier)| (name, Some(modifier)));
    match find(params, kind, name)? {
        Some(param) => plain(kind, param, modifier, value).map(Some),
        None => Ok(None),
    }
}

fn unknown(kind: &str, name: &str) -> Problem {
    problem("not-supported", format!("{kind} has no search parameter {name}"))
}

/// `_has:Observation:patient:code`, from the type on.
fn referred(params: &Params, rest: &str, value: &str, depth: usize) -> Result<Filter, Problem> {
    let mut parts = rest.splitn(3, ':');
    let (Some(kind), Some(link), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(problem("value", "_has is written _has:Type:reference:parameter"));
    };
    let kind = type_name(kind).ok_or_else(|| problem("value", "_has names no R4 resource type"))?;
    let link = find(params, kind, link)?
        .filter(|p| p.kind == SearchKind::Reference)
        .ok_or_else(|| problem("not-supported", format!("{kind} has no such reference parameter")))?;
    let inner = filter(params, kind, name, value, depth + 1)?.ok_or_else(|| unknown(kind, name))?;
    has(kind, link, inner)
}

/// `_list=42`: what an entry of the List refers to.
fn listed(params: &Params, value: &str, depth: usize) -> Result<Filter, Problem> {
    if value.starts_with('$') {
        return Err(problem("not-supported", "this server has no functional lists"));
    }
    let link = params.find("List", "item").ok_or_else(|| unknown("List", "item"))?;
    let inner = filter(params, "List", "_id", value, depth + 1)?.ok_or_else(|| unknown("List", "_id"))?;
    has("List", link, inner)
}

fn has(kind: &'static str, link: &'static Param, inner: Filter) -> Result<Filter, Problem> {
    let param = params::referred().ok_or_else(|| problem("not-supported", "not supported"))?;
    Ok(Filter::new(param, vec![Operand::Has { kind, link, filters: vec![inner] }]))
}

/// `subject:Patient.name`, `patient.organization.name`
fn chain(
    params: &Params,
    kind: &str,
    link: &str,
    rest: &str,
    value: &str,
    depth: usize,
) -> Result<Option<Filter>, Problem> {
    let (name, only) = link.split_once(':').map_or((link, None), |(name, only)| (name, Some(only)));
    let Some(param) = find(params, kind, name)? else { return Ok(None) };
    if param.kind != SearchKind::Reference {
        return Err(problem("not-supported", format!("{name} is no reference: nothing can follow it")));
    }
    let targets = match only {
        Some(only) => vec![target(param, only)?],
        None => param.target.clone(),
    };
    let mut operands = Vec::new();
    for target in targets {
        match filter(params, target, rest, value, depth + 1) {
            Ok(Some(inner)) => operands.push(Operand::Chain { kind: target, filters: vec![inner] }),
            Ok(None) if only.is_some() => return Err(unknown(target, rest)),
            Ok(None) => {}
            // Several types may have the parameter, and only some of them in a way that fits.
            Err(problem)
                if only.is_some() || param.target.len() == 1 || matches!(problem.code, "too-costly" | "incomplete") =>
            {
                return Err(problem);
            }
            Err(_) => {}
        }
    }
    match operands.len() {
        0 => Err(problem("not-supported", format!("nothing that {name} refers to has the parameter {rest}"))),
        1..=MAX_TARGETS => Ok(Some(Filter::new(param, operands))),
        _ => {
            Err(problem("too-costly", format!("{name} may refer to many types: name one, as in {name}:Patient.{rest}")))
        }
    }
}

fn type_name(name: &str) -> Option<&'static str> {
    fhir_r4::resource_type_index(name).and_then(|index| fhir_r4::resource_types().get(index)).copied()
}

fn target(param: &Param, name: &str) -> Result<&'static str, Problem> {
    let known = param.target.iter().find(|target| **target == name).copied();
    known.ok_or_else(|| problem("not-supported", format!("{} does not refer to this type", param.name)))
}

fn plain(kind: &str, param: &'static Param, modifier: Option<&str>, value: &str) -> Result<Filter, Problem> {
    let (meaning, negated, facet) = meaning(param, modifier)?;
    let values = split(value, ',');
    if values.len() > MAX_VALUES {
        return Err(problem("too-costly", format!("at most {MAX_VALUES} values at once")));
    }
    let operands =
        values.iter().map(|v| operand::operand(kind, param, meaning, v)).collect::<Result<Vec<_>, Problem>>()?;
    Ok(Filter { param, negated, facet, operands })
}

/// What the modifier means for a parameter of this type, if it means anything: what the values are, whether none
/// of them may match, and where they are looked for.
fn meaning<'a>(param: &Param, modifier: Option<&'a str>) -> Result<(Modifier<'a>, bool, Facet), Problem> {
    use SearchKind::{Composite, Reference, String, Token, Uri};
    let Some(modifier) = modifier else { return Ok((Modifier::None, false, Facet::Value)) };
    let value = |modifier| Ok((modifier, false, Facet::Value));
    // What stands in a column of Observation is its code or its reference, and nothing beside.
    let rows = param.column.is_none();
    match (modifier, param.kind) {
        ("missing", kind) if kind != Composite => value(Modifier::Missing),
        ("exact", String | Uri) => value(Modifier::Exact),
        ("contains", String | Uri) => value(Modifier::Contains),
        ("below", Uri) => value(Modifier::Below),
        ("above", Uri) => value(Modifier::Above),
        ("below", Token) if param.name != "_id" => value(Modifier::Below),
        ("above", Token) if param.name != "_id" => value(Modifier::Above),
        ("not", Token) => Ok((Modifier::None, true, Facet::Value)),
        ("in", Token) if param.name != "_id" => value(Modifier::In),
        ("not-in", Token) if param.name != "_id" => Ok((Modifier::In, true, Facet::Value)),
        ("text", Token) if rows || is_named(param) => Ok((Modifier::Text, false, Facet::Text)),
        ("text", Reference) if rows => Ok((Modifier::Text, false, Facet::Text)),
        ("of-type", Token) if param.name == "identifier" => Ok((Modifier::OfType, false, Facet::OfType)),
        ("identifier", Reference) => Ok((Modifier::Identifier, false, Facet::Identifier)),
        (kind, Reference) if type_name(kind).is_some() => {
            target(param, kind).map(|_| (Modifier::Type(kind), false, Facet::Value))
        }
        _ => Err(problem("not-supported", "this modifier means nothing for this parameter")),
    }
}

/// Columns of concepts, whose names the dictionary knows.
fn is_named(param: &Param) -> bool {
    use crate::fhir::params::Column;
    matches!(param.column, Some(Column::Concept | Column::Category))
}
