//! A search as it was asked for: the query string turned into typed conditions over declared parameters.
//! It knows the search page of R4 and nothing of tables; the store compiles it to SQL.

use fhir_r4::{Issue, SearchKind};

use super::index::fold;
use super::params::{self, Param};
use super::{reference, time};

/// How many resources a page has when nothing is said, and at most.
pub const DEFAULT_COUNT: usize = 50;
pub const MAX_COUNT: usize = 1000;

/// Parameters that say how to answer, not what to find.
const RESULT_PARAMETERS: [&str; 6] = ["_count", "_cursor", "_total", "_sort", "_format", "_pretty"];

#[derive(Clone, Debug)]
pub struct Query {
    pub resource_type: &'static str,
    /// All of them must hold.
    pub filters: Vec<Filter>,
    /// Of these at least one, where there are any: what puts a resource into a compartment.
    pub any: Vec<Filter>,
    /// At most one sort key; empty means the server's own order.
    pub sort: Vec<Sort>,
    pub count: usize,
    /// The opaque text of a page link.
    pub cursor: Option<String>,
    /// Count all matches (`_total=accurate`), or none.
    pub total: bool,
}

#[derive(Clone)]
pub struct Filter {
    pub param: &'static Param,
    /// `:not`: none of the operands may match.
    pub negated: bool,
    /// Any of them may match.
    pub operands: Vec<Operand>,
}

#[derive(Clone, Copy)]
pub struct Sort {
    pub param: &'static Param,
    pub descending: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    Id(String),
    /// `system`: none = any system, empty = without a system. `code`: none = every code of the system.
    Token {
        system: Option<String>,
        code: Option<String>,
    },
    /// The local references that it may mean (`subject=1` may be several types).
    References(Vec<String>),
    Uri(String),
    Text {
        folded: String,
        exact: String,
        mode: TextMode,
    },
    Date {
        prefix: Prefix,
        start: i64,
        end: i64,
    },
    /// `low`/`high`: the interval that the written precision stands for.
    Quantity {
        prefix: Prefix,
        value: f64,
        low: f64,
        high: f64,
        unit: Option<Unit>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub system: Option<String>,
    pub code: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextMode {
    StartsWith,
    Contains,
    Exact,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    Sa,
    Eb,
    Ap,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}{:?}", self.param.name, if self.negated { ":not" } else { "" }, self.operands)
    }
}

impl std::fmt::Debug for Sort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", if self.descending { "-" } else { "" }, self.param.name)
    }
}

/// Reads the decoded pairs of a query string. A parameter that the type does not have is refused unless
/// `lenient`: a filter that is silently dropped would show resources that nobody asked for.
pub fn parse(resource_type: &str, pairs: &[(String, String)], lenient: bool) -> Result<Query, Vec<Issue>> {
    let Some(resource_type) =
        fhir_r4::resource_type_index(resource_type).and_then(|i| fhir_r4::resource_types().get(i))
    else {
        return Err(vec![Issue::error("not-supported", "", "this is no R4 resource type")]);
    };
    let mut query = Query {
        resource_type,
        filters: vec![],
        any: vec![],
        sort: vec![],
        count: DEFAULT_COUNT,
        cursor: None,
        total: false,
    };
    let mut issues = Vec::new();
    for (name, value) in pairs {
        if let Err(problem) = read_pair(&mut query, name, value, lenient) {
            issues.push(Issue::error(problem.code, format!("http.{name}"), problem.text));
        }
    }
    if issues.is_empty() { Ok(query) } else { Err(issues) }
}

impl Query {
    /// A search of the house's own, with conditions that it knows to be right.
    pub fn new(resource_type: &str, conditions: &[(&str, &str)], count: usize) -> Result<Self, Vec<Issue>> {
        let pairs: Vec<(String, String)> =
            conditions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ok(Self { count, ..parse(resource_type, &pairs, false)? })
    }
}

/// Whether the type has this parameter, with or without a modifier.
pub fn is_known(resource_type: &str, name: &str) -> bool {
    let bare = name.split(':').next().unwrap_or(name);
    RESULT_PARAMETERS.contains(&bare) || params::find(resource_type, bare).is_some()
}

struct Problem {
    code: &'static str,
    text: String,
}

fn problem(code: &'static str, text: impl Into<String>) -> Problem {
    Problem { code, text: text.into() }
}

fn read_pair(query: &mut Query, name: &str, value: &str, lenient: bool) -> Result<(), Problem> {
    // No text of FHIR holds it, and not every database can be asked for it.
    if value.contains('\0') {
        return Err(problem("value", "a value cannot hold the character NUL"));
    }
    match name {
        "_count" => {
            let count: usize = value.parse().map_err(|_| problem("value", "_count must be a whole number"))?;
            query.count = count.min(MAX_COUNT);
        }
        "_cursor" => query.cursor = Some(value.to_owned()),
        "_total" => {
            query.total = match value {
                "accurate" | "estimate" => true,
                "none" => false,
                _ => return Err(problem("value", "_total is none, estimate or accurate")),
            }
        }
        "_sort" => read_sort(query, value)?,
        "_format" | "_pretty" => {}
        _ => read_filter(query, name, value, lenient)?,
    }
    Ok(())
}

fn read_sort(query: &mut Query, value: &str) -> Result<(), Problem> {
    for key in value.split(',').filter(|k| !k.is_empty()) {
        let (descending, name) = key.strip_prefix('-').map_or((false, key), |name| (true, name));
        let param = params::find(query.resource_type, name)
            .ok_or_else(|| problem("not-supported", "cannot sort by a parameter that the type does not have"))?;
        query.sort.push(Sort { param, descending });
    }
    if query.sort.len() > 1 {
        return Err(problem("not-supported", "one sort key at most"));
    }
    Ok(())
}

fn read_filter(query: &mut Query, name: &str, value: &str, lenient: bool) -> Result<(), Problem> {
    let (name, modifier) = name.split_once(':').map_or((name, None), |(name, modifier)| (name, Some(modifier)));
    let Some(param) = params::find(query.resource_type, name) else {
        return if lenient {
            Ok(())
        } else {
            Err(problem("not-supported", format!("{} has no such search parameter", query.resource_type)))
        };
    };
    let negated = match modifier {
        Some("not") if param.kind == SearchKind::Token => true,
        Some("exact" | "contains") if param.kind == SearchKind::String => false,
        Some(kind) if param.kind == SearchKind::Reference && param.target.contains(&kind) => false,
        None => false,
        Some(_) => return Err(problem("not-supported", "this modifier is not supported here")),
    };
    let operands =
        split(value, ',').iter().map(|v| operand(param, modifier, v)).collect::<Result<Vec<_>, Problem>>()?;
    if operands.is_empty() {
        return Err(problem("value", "a search parameter needs a value"));
    }
    query.filters.push(Filter { param, negated, operands });
    Ok(())
}

fn operand(param: &Param, modifier: Option<&str>, value: &str) -> Result<Operand, Problem> {
    if value.is_empty() {
        return Err(problem("value", "an empty value matches nothing"));
    }
    if param.name == "_id" {
        return Ok(Operand::Id(unescape(value)));
    }
    match param.kind {
        SearchKind::Token => Ok(token(value)),
        SearchKind::Reference => Ok(reference_operand(param, modifier, &unescape(value))),
        SearchKind::String => {
            let mode = match modifier {
                Some("exact") => TextMode::Exact,
                Some("contains") => TextMode::Contains,
                _ => TextMode::StartsWith,
            };
            let exact = unescape(value);
            Ok(Operand::Text { folded: fold(&exact), exact, mode })
        }
        SearchKind::Date => {
            let (prefix, text) = prefix(value);
            let range = time::range(text).ok_or_else(|| problem("value", "this is no FHIR date or dateTime"))?;
            Ok(Operand::Date { prefix, start: range.start, end: range.end })
        }
        SearchKind::Number | SearchKind::Quantity => quantity(value),
        SearchKind::Uri => Ok(Operand::Uri(unescape(value))),
        SearchKind::Composite | SearchKind::Special => Err(problem("not-supported", "not supported")),
    }
}

fn token(value: &str) -> Operand {
    let parts = split(value, '|');
    match parts.as_slice() {
        [code] => Operand::Token { system: None, code: Some(unescape(code)) },
        [system, code, ..] => {
            Operand::Token { system: Some(unescape(system)), code: Some(unescape(code)).filter(|c| !c.is_empty()) }
        }
        [] => Operand::Token { system: None, code: None },
    }
}

fn reference_operand(param: &Param, modifier: Option<&str>, value: &str) -> Operand {
    if reference::local(value).is_some() {
        return Operand::References(vec![reference::unversioned(value).to_owned()]);
    }
    if !reference::is_id(value) {
        return Operand::Uri(value.to_owned());
    }
    // A bare id: every type that the parameter may point to; `patient` only ever means a Patient.
    let kinds: Vec<&str> = match modifier {
        Some(kind) => vec![kind],
        None if param.name == "patient" => vec!["Patient"],
        None => param.target.to_vec(),
    };
    Operand::References(kinds.iter().map(|kind| format!("{kind}/{value}")).collect())
}

fn quantity(value: &str) -> Result<Operand, Problem> {
    let (prefix, rest) = prefix(value);
    let parts = split(rest, '|');
    let text = parts.first().map_or("", String::as_str);
    let number: f64 =
        text.parse().ok().filter(|n: &f64| n.is_finite()).ok_or_else(|| problem("value", "this is no decimal"))?;
    let half = half_of_last_digit(text);
    let unit = match (parts.get(1), parts.get(2)) {
        (Some(system), Some(code)) if !code.is_empty() => {
            Some(Unit { system: Some(unescape(system)).filter(|s| !s.is_empty()), code: unescape(code) })
        }
        _ => None,
    };
    Ok(Operand::Quantity { prefix, value: number, low: number - half, high: number + half, unit })
}

/// `5.40` stands for [5.395, 5.405): half a unit of the last written digit to each side.
fn half_of_last_digit(text: &str) -> f64 {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let decimals = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let exponent: i32 = exponent.parse().unwrap_or(0);
    0.5 * 10_f64.powi(exponent.saturating_sub(i32::try_from(decimals).unwrap_or(i32::MAX)))
}

fn prefix(value: &str) -> (Prefix, &str) {
    let known = [
        ("eq", Prefix::Eq),
        ("ne", Prefix::Ne),
        ("gt", Prefix::Gt),
        ("lt", Prefix::Lt),
        ("ge", Prefix::Ge),
        ("le", Prefix::Le),
        ("sa", Prefix::Sa),
        ("eb", Prefix::Eb),
        ("ap", Prefix::Ap),
    ];
    known.iter().find_map(|(text, prefix)| Some((*prefix, value.strip_prefix(text)?))).unwrap_or((Prefix::Eq, value))
}

/// Splits at an unescaped separator; the parts keep their escapes.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == separator && !escaped {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    parts
}

/// Takes the backslash off `\,` `\|` `\$` `\\`.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(kind: &str, name: &str, value: &str) -> Result<Operand, Vec<Issue>> {
        let query = parse(kind, &[(name.to_owned(), value.to_owned())], false)?;
        Ok(query.filters[0].operands[0].clone())
    }

    #[test]
    fn reads_each_kind_of_value() {
        let token =
            |s: Option<&str>, c: Option<&str>| Operand::Token { system: s.map(Into::into), code: c.map(Into::into) };
        assert_eq!(one("Observation", "code", "8867-4").unwrap(), token(None, Some("8867-4")));
        assert_eq!(
            one("Observation", "code", "http://loinc.org|8867-4").unwrap(),
            token(Some("http://loinc.org"), Some("8867-4"))
        );
        assert_eq!(one("Patient", "identifier", "|7").unwrap(), token(Some(""), Some("7")));
        assert_eq!(one("Patient", "identifier", "urn:x|").unwrap(), token(Some("urn:x"), None));
        assert_eq!(one("Patient", "identifier", r"a\|b\,c").unwrap(), token(None, Some("a|b,c")));
        assert_eq!(one("Observation", "patient", "1").unwrap(), Operand::References(vec!["Patient/1".into()]));
        assert_eq!(one("Observation", "subject", "Group/2").unwrap(), Operand::References(vec!["Group/2".into()]));
        assert!(matches!(one("Observation", "value-quantity", "gt5.40||mm[Hg]").unwrap(),
            Operand::Quantity { prefix: Prefix::Gt, low, high, .. } if (low - 5.395).abs() < 1e-9 && (high - 5.405).abs() < 1e-9));
        assert!(matches!(one("Observation", "date", "ge2026-01").unwrap(), Operand::Date { prefix: Prefix::Ge, .. }));
    }

    #[test]
    fn refuses_what_it_cannot_do_and_names_it() {
        for (name, value) in [
            ("nope", "1"),
            ("code:text", "x"),
            ("date", "yesterday"),
            ("value-quantity", "NaN"),
            ("_count", "x"),
            ("_sort", "nope"),
            ("code", ""),
        ] {
            let issues = parse("Observation", &[(name.to_owned(), value.to_owned())], false).unwrap_err();
            assert_eq!(issues[0].expression, format!("http.{name}"));
        }
        assert!(parse("Observation", &[("nope".to_owned(), "1".to_owned())], true).is_ok());
    }

    proptest! {
        #[test]
        fn no_query_string_panics(name in "[a-z_:-]{0,16}", value in ".{0,60}") {
            for kind in ["Observation", "Patient"] {
                let _ = parse(kind, &[(name.clone(), value.clone())], false);
            }
        }
    }
}
