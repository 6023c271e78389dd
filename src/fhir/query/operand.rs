//! One value of a search parameter: what its text means by the parameter's type and modifier.

use fhir_r4::SearchKind;

use super::text::{half_of_last_digit, prefix, split, unescape};
use super::{CodesOf, Match, Operand, Problem, TextMode, Unit, near, problem};
use crate::fhir::index::fold;
use crate::fhir::params::{self, Param};
use crate::fhir::terminology::Direction;
use crate::fhir::{reference, time};

/// What a modifier makes of the values of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Modifier<'a> {
    None,
    Missing,
    Exact,
    Contains,
    Text,
    Above,
    Below,
    In,
    OfType,
    Identifier,
    Type(&'a str),
}

pub(super) fn operand(kind: &str, param: &Param, modifier: Modifier<'_>, value: &str) -> Result<Operand, Problem> {
    if value.is_empty() {
        return Err(problem("value", "an empty value matches nothing"));
    }
    let is_token = modifier == Modifier::Identifier || param.kind == SearchKind::Token && param.name != "_id";
    if is_token && !matches!(modifier, Modifier::Text | Modifier::In | Modifier::OfType) && split(value, '|').len() > 2
    {
        return Err(problem("value", r"a token is code or system|code; a bar in either is written \|"));
    }
    match modifier {
        Modifier::Missing => return missing(value),
        Modifier::Text => return Ok(text(value, TextMode::StartsWith)),
        Modifier::In => return Ok(in_value_set(&unescape(value))),
        Modifier::Above if param.kind == SearchKind::Token => return subsumption(param, value, Direction::Above),
        Modifier::Below if param.kind == SearchKind::Token => return subsumption(param, value, Direction::Below),
        Modifier::Identifier => return Ok(token(value)),
        Modifier::OfType => return of_type(value),
        _ => {}
    }
    if param.name == "_id" {
        return Ok(Operand::Id(unescape(value)));
    }
    match param.kind {
        SearchKind::Token => Ok(token(value)),
        SearchKind::Reference => reference_operand(param, modifier, &unescape(value)),
        SearchKind::String => Ok(text(
            value,
            match modifier {
                Modifier::Exact => TextMode::Exact,
                Modifier::Contains => TextMode::Contains,
                _ => TextMode::StartsWith,
            },
        )),
        SearchKind::Date => {
            let (prefix, text) = prefix(value);
            let range = time::range(text).ok_or_else(|| problem("value", "this is no FHIR date or dateTime"))?;
            Ok(Operand::Date { prefix, start: range.start, end: range.end })
        }
        SearchKind::Number => number(value),
        SearchKind::Quantity => quantity(value),
        SearchKind::Uri => Ok(match modifier {
            Modifier::Contains => Operand::UriLike { text: unescape(value), mode: Match::Contains },
            Modifier::Below => Operand::UriLike { text: unescape(value), mode: Match::Below },
            Modifier::Above => Operand::UriLike { text: unescape(value), mode: Match::Above },
            _ => Operand::Uri(unescape(value)),
        }),
        SearchKind::Composite => composite(kind, param, value),
        SearchKind::Special => near::operand(value),
    }
}

fn missing(value: &str) -> Result<Operand, Problem> {
    match value {
        "true" => Ok(Operand::Missing(true)),
        "false" => Ok(Operand::Missing(false)),
        _ => Err(problem("value", ":missing is true or false")),
    }
}

fn text(value: &str, mode: TextMode) -> Operand {
    let exact = unescape(value);
    Operand::Text { folded: fold(&exact), exact, mode }
}

pub(super) fn token(value: &str) -> Operand {
    let parts = split(value, '|');
    match parts.as_slice() {
        [code] => Operand::Token { system: None, code: Some(unescape(code)) },
        [system, code, ..] => {
            Operand::Token { system: Some(unescape(system)), code: Some(unescape(code)).filter(|c| !c.is_empty()) }
        }
        [] => Operand::Token { system: None, code: None },
    }
}

/// `system|code|value`: the type of an identifier and its value, both needed.
fn of_type(value: &str) -> Result<Operand, Problem> {
    let parts: Vec<String> = split(value, '|').iter().map(|part| unescape(part)).collect();
    match parts.as_slice() {
        [system, code, value] if !code.is_empty() && !value.is_empty() => {
            let code = Some(of_type_code(code, value));
            Ok(Operand::Token { system: Some(system.clone()), code })
        }
        _ => Err(problem("value", ":of-type takes system|code|value")),
    }
}

/// The type of an identifier and its value as one code: what the index holds.
pub fn of_type_code(code: &str, value: &str) -> String {
    format!("{code}|{value}")
}

/// The codes of a value set that the definitions hold; of any other the caller must say them.
fn in_value_set(url: &str) -> Operand {
    let known = fhir_r4::value_set(url).map(|systems| {
        let codes = |(system, codes): &(&str, Vec<&str>)| -> Vec<(String, String)> {
            codes.iter().map(|code| ((*system).to_owned(), (*code).to_owned())).collect()
        };
        systems.iter().flat_map(codes).collect()
    });
    Operand::In { of: CodesOf::ValueSet(url.to_owned()), codes: known }
}

/// `system|code`: the concept, and what it subsumes or is subsumed by. A `code` element has the system of its binding.
fn subsumption(param: &Param, value: &str, direction: Direction) -> Result<Operand, Problem> {
    let (system, code) = match token(value) {
        Operand::Token { system: Some(system), code: Some(code) } if !system.is_empty() => (system, code),
        Operand::Token { system: None, code: Some(code) } => match param.systems.as_slice() {
            [system] => ((*system).to_owned(), code),
            _ => return Err(problem("value", ":above and :below take system|code")),
        },
        _ => return Err(problem("value", ":above and :below take system|code")),
    };
    Ok(Operand::In { of: CodesOf::Concept { system, code, direction }, codes: None })
}

fn reference_operand(param: &Param, modifier: Modifier<'_>, value: &str) -> Result<Operand, Problem> {
    if let Some(local) = reference::local(value) {
        return match modifier {
            Modifier::Type(kind) if kind != local.resource_type => {
                Err(problem("value", "the value is of another type than the modifier says"))
            }
            _ => Ok(Operand::References(vec![reference::unversioned(value).to_owned()])),
        };
    }
    if !reference::is_id(value) {
        return Ok(Operand::Uri(value.to_owned()));
    }
    // A bare id: every type that the parameter may point to.
    let kinds: Vec<&str> = match modifier {
        Modifier::Type(kind) => vec![kind],
        _ => param.target.clone(),
    };
    Ok(Operand::References(kinds.iter().map(|kind| format!("{kind}/{value}")).collect()))
}

pub(super) fn decimal(text: &str) -> Result<f64, Problem> {
    let fits = text.bytes().all(|b| b.is_ascii_digit() || b".+-eE".contains(&b));
    let number: Option<f64> = text.parse().ok().filter(|n: &f64| fits && n.is_finite());
    number.ok_or_else(|| problem("value", "this is no decimal"))
}

fn number(value: &str) -> Result<Operand, Problem> {
    let (prefix, text) = prefix(value);
    let (value, half) = (decimal(text)?, half_of_last_digit(text));
    Ok(Operand::Quantity { prefix, value, low: value - half, high: value + half, unit: None })
}

fn quantity(value: &str) -> Result<Operand, Problem> {
    let (prefix, rest) = prefix(value);
    let parts: Vec<String> = split(rest, '|').iter().map(|part| unescape(part)).collect();
    let (text, unit) = match parts.as_slice() {
        [text] => (text, None),
        [text, system, code] if code.is_empty() && system.is_empty() => (text, None),
        [text, system, code] if !code.is_empty() => {
            (text, Some(Unit { system: Some(system.clone()).filter(|s| !s.is_empty()), code: code.clone() }))
        }
        _ => return Err(problem("value", "a quantity is number, number|system|code or number||code")),
    };
    let (value, half) = (decimal(text)?, half_of_last_digit(text));
    Ok(Operand::Quantity { prefix, value, low: value - half, high: value + half, unit })
}

fn composite(kind: &str, param: &Param, value: &str) -> Result<Operand, Problem> {
    let values = split(value, '$');
    if values.len() != param.parts.len() {
        return Err(problem("value", format!("{} values joined by $ are needed", param.parts.len())));
    }
    let one = |(part, value): (&crate::fhir::composite::Part, &String)| {
        let param = params::find(kind, part.param).ok_or_else(|| problem("not-supported", "not supported"))?;
        operand(kind, param, Modifier::None, value)
    };
    Ok(Operand::Parts(param.parts.iter().zip(&values).map(one).collect::<Result<_, _>>()?))
}
