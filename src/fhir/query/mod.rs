//! A search as it was asked for: the query string turned into typed conditions over declared parameters.
//! It knows the search page of R4 and nothing of tables; the store compiles it to SQL.

mod condition;
mod near;
mod operand;
mod text;

use fhir_r4::{Issue, SearchKind};

use super::params::{self, Facet, Param};
use super::reading::Code;
use super::reference;
use super::registry::Params;
use super::terminology::Direction;
pub use operand::of_type_code;

/// How many resources a page has when nothing is said, and at most.
pub const DEFAULT_COUNT: usize = 50;
pub const MAX_COUNT: usize = 1000;

/// Matches are counted so far when an estimate is asked for.
pub const ESTIMATE: i64 = 10_000;

/// Conditions, values of all of them and sort keys of one query.
const MAX_FILTERS: usize = 60;
const MAX_OPERANDS: usize = 2000;
/// So many codes of a value set weigh as much as a value that is written out.
const CODES_A_VALUE: usize = 10;
const MAX_SORTS: usize = 6;

/// Parameters that say how to answer, not what to find. Those that shape what is shown are read by who shows it.
const RESULT_PARAMETERS: [&str; 12] = [
    "_count",
    "_cursor",
    "_total",
    "_sort",
    "_format",
    "_pretty",
    "_summary",
    "_elements",
    "_include",
    "_revinclude",
    "_contained",
    "_containedType",
];

#[derive(Clone, Debug)]
pub struct Query {
    pub resource_type: &'static str,
    /// All of them must hold.
    pub filters: Vec<Filter>,
    /// Of these at least one, where there are any: what puts a resource into a compartment.
    pub any: Vec<Filter>,
    /// The first key decides, the next among what it leaves equal; empty means the server's own order.
    pub sort: Vec<Sort>,
    pub count: usize,
    /// The opaque text of a page link.
    pub cursor: Option<String>,
    /// Count the matches, or not.
    pub total: bool,
    /// With `total`: so many at most (`_total=estimate`).
    pub total_limit: Option<i64>,
}

/// One condition: a parameter, and values of which any may match.
#[derive(Clone, PartialEq)]
pub struct Filter {
    pub param: &'static Param,
    /// `:not`, `:not-in`: none of the operands may match.
    pub negated: bool,
    pub facet: Facet,
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
    UriLike {
        text: String,
        mode: Match,
    },
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
    /// `near`: at most so many metres from a place.
    Near {
        latitude: f64,
        longitude: f64,
        metres: f64,
    },
    /// `:missing`
    Missing(bool),
    /// `:in`, `:not-in`, and `:above`, `:below` of a token: codes, none until they are known (`Query::resolve`).
    In {
        of: CodesOf,
        codes: Option<Vec<Code>>,
    },
    /// The values of a composite parameter, in its order.
    Parts(Vec<Self>),
    /// What the reference points to is of this type, and all of this holds for it.
    Chain {
        kind: &'static str,
        filters: Vec<Filter>,
    },
    /// Something of this type refers here by this parameter, and all of this holds for it.
    Has {
        kind: &'static str,
        link: &'static Param,
        filters: Vec<Filter>,
    },
}

/// What codes are asked for by, instead of being written out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CodesOf {
    /// Everything that the value set of this url holds.
    ValueSet(String),
    /// The concept, and what is above or below it.
    Concept { system: String, code: String, direction: Direction },
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

/// How a uri is like another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    Contains,
    /// It begins with this.
    Below,
    /// This begins with it.
    Above,
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
        let not = if self.negated { ":not" } else { "" };
        write!(f, "{}{not}{:?}", self.param.index_name(self.facet), self.operands)
    }
}

impl std::fmt::Debug for Sort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", if self.descending { "-" } else { "" }, self.param.name)
    }
}

/// Reads the decoded pairs of a query string. A parameter that the type does not have is refused unless
/// `lenient`: a filter that is silently dropped would show resources that nobody asked for.
pub fn parse(
    params: &Params,
    resource_type: &str,
    pairs: &[(String, String)],
    lenient: bool,
) -> Result<Query, Vec<Issue>> {
    let Some(resource_type) =
        fhir_r4::resource_type_index(resource_type).and_then(|i| fhir_r4::resource_types().get(i))
    else {
        return Err(vec![Issue::error("not-supported", "", "this is no R4 resource type")]);
    };
    let mut query = Query::of(resource_type, vec![], DEFAULT_COUNT);
    let mut issues = Vec::new();
    for (name, value) in pairs {
        if let Err(problem) = read_pair(params, &mut query, name, value, lenient) {
            issues.push(Issue::error(problem.code, format!("http.{name}"), problem.text));
        }
    }
    if issues.is_empty() { Ok(query) } else { Err(issues) }
}

impl Query {
    /// A search of the house's own, with conditions that it knows to be right, over the built-in parameters.
    pub fn new(resource_type: &str, conditions: &[(&str, &str)], count: usize) -> Result<Self, Vec<Issue>> {
        let pairs: Vec<(String, String)> =
            conditions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ok(Self { count, ..parse(&Params::default(), resource_type, &pairs, false)? })
    }

    /// The same with conditions that need no reading.
    pub fn of(resource_type: &'static str, filters: Vec<Filter>, count: usize) -> Self {
        Self { resource_type, filters, any: vec![], sort: vec![], count, cursor: None, total: false, total_limit: None }
    }

    /// What the codes of are not known yet.
    pub fn unresolved(&mut self) -> Vec<CodesOf> {
        let mut found = Vec::new();
        each_operand(&mut self.filters, &mut |operand| {
            if let Operand::In { of, codes: None } = operand {
                found.push(of.clone());
            }
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether it asks for more than one search may cost, its value sets included.
    pub fn is_too_costly(&self) -> bool {
        self.filters.len() > MAX_FILTERS || self.filters.iter().map(weight).sum::<usize>() > MAX_OPERANDS
    }

    /// A reference by the address of this server means the local one, too.
    pub fn localise(&mut self, base: &str) {
        localise(&mut self.filters, base);
    }

    /// Says the codes, wherever the query asks for them.
    pub fn resolve(&mut self, wanted: &CodesOf, found: &[Code]) {
        each_operand(&mut self.filters, &mut |operand| match operand {
            Operand::In { of, codes } if of == wanted => *codes = Some(found.to_vec()),
            _ => {}
        });
    }
}

fn localise(filters: &mut [Filter], base: &str) {
    for filter in filters {
        let mut own = Vec::new();
        for operand in &mut filter.operands {
            match operand {
                Operand::Uri(text) if filter.param.kind == SearchKind::Reference => {
                    let local = reference::own(text, base).map(|local| reference::unversioned(local).to_owned());
                    own.extend(local.map(|local| Operand::References(vec![local])));
                }
                Operand::Chain { filters, .. } | Operand::Has { filters, .. } => localise(filters, base),
                _ => {}
            }
        }
        // A column holds local references alone; an index row may be of a canonical, which is told as it is.
        if filter.param.column.is_some() && !own.is_empty() {
            filter.operands.retain(|operand| !matches!(operand, Operand::Uri(_)));
        }
        filter.operands.extend(own);
    }
}

fn each_operand(filters: &mut [Filter], work: &mut dyn FnMut(&mut Operand)) {
    for operand in filters.iter_mut().flat_map(|filter| &mut filter.operands) {
        work(operand);
        if let Operand::Chain { filters, .. } | Operand::Has { filters, .. } = operand {
            each_operand(filters, work);
        }
    }
}

impl Filter {
    /// Any of the operands must match.
    pub fn new(param: &'static Param, operands: Vec<Operand>) -> Self {
        Self { param, negated: false, facet: Facet::Value, operands }
    }

    /// Whether other resources than the one that it is about decide on it.
    pub fn asks_elsewhere(&self) -> bool {
        self.operands.iter().any(|operand| matches!(operand, Operand::Chain { .. } | Operand::Has { .. }))
    }

    /// Its operands, if they are plain values of the parameter that may match.
    pub fn values(&self) -> Option<&[Operand]> {
        let plain = |operand: &Operand| {
            !matches!(operand, Operand::Missing(_) | Operand::Chain { .. } | Operand::Has { .. } | Operand::In { .. })
        };
        let is_plain = !self.negated && self.facet == Facet::Value && self.operands.iter().all(plain);
        is_plain.then_some(&self.operands)
    }
}

/// Whether the type has this parameter, with or without a modifier.
pub fn is_known(params: &Params, resource_type: &str, name: &str) -> bool {
    let bare = name.split([':', '.']).next().unwrap_or(name);
    RESULT_PARAMETERS.contains(&bare) || ["_has", "_list"].contains(&bare) || params.is_declared(resource_type, bare)
}

struct Problem {
    code: &'static str,
    text: String,
}

fn problem(code: &'static str, text: impl Into<String>) -> Problem {
    Problem { code, text: text.into() }
}

/// The parameter, if the type has it. One that is not indexed everywhere yet would find only a part of what there is.
fn find(params: &Params, kind: &str, name: &str) -> Result<Option<&'static Param>, Problem> {
    let found = params.find(kind, name);
    if found.is_none() && params.is_waiting(kind, name) {
        let text = format!("{kind} is searched by {name} as soon as $reindex has gone over what is stored");
        return Err(problem("incomplete", text));
    }
    Ok(found)
}

fn read_pair(params: &Params, query: &mut Query, name: &str, value: &str, lenient: bool) -> Result<(), Problem> {
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
            (query.total, query.total_limit) = match value {
                "accurate" => (true, None),
                "estimate" => (true, Some(ESTIMATE)),
                "none" => (false, None),
                _ => return Err(problem("value", "_total is none, estimate or accurate")),
            }
        }
        "_sort" => read_sort(params, query, value)?,
        other if RESULT_PARAMETERS.contains(&other.split(':').next().unwrap_or(other)) => {}
        _ => read_filter(params, query, name, value, lenient)?,
    }
    Ok(())
}

fn read_sort(params: &Params, query: &mut Query, value: &str) -> Result<(), Problem> {
    for key in value.split(',').filter(|k| !k.is_empty()) {
        let (descending, name) = key.strip_prefix('-').map_or((false, key), |name| (true, name));
        let param = find(params, query.resource_type, name)?
            .ok_or_else(|| problem("not-supported", "cannot sort by a parameter that the type does not have"))?;
        if !params::is_sortable(param) {
            return Err(problem("not-supported", format!("{name} gives no order")));
        }
        query.sort.push(Sort { param, descending });
    }
    if query.sort.len() > MAX_SORTS {
        return Err(problem("too-costly", format!("at most {MAX_SORTS} sort keys")));
    }
    Ok(())
}

fn read_filter(params: &Params, query: &mut Query, name: &str, value: &str, lenient: bool) -> Result<(), Problem> {
    let Some(filter) = condition::filter(params, query.resource_type, name, value, 0)? else {
        return if lenient {
            Ok(())
        } else {
            Err(problem("not-supported", format!("{} has no such search parameter", query.resource_type)))
        };
    };
    query.filters.push(filter);
    if query.is_too_costly() {
        return Err(problem("too-costly", "the query has too many conditions"));
    }
    Ok(())
}

/// The values of a condition, on all levels.
fn weight(filter: &Filter) -> usize {
    let one = |operand: &Operand| match operand {
        Operand::Chain { filters, .. } | Operand::Has { filters, .. } => filters.iter().map(weight).sum(),
        Operand::References(texts) => texts.len(),
        Operand::In { codes: Some(codes), .. } => codes.len() / CODES_A_VALUE + 1,
        _ => 1,
    };
    filter.operands.iter().map(one).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(kind: &str, name: &str, value: &str) -> Result<Operand, Vec<Issue>> {
        let query = parse(&Params::default(), kind, &[(name.to_owned(), value.to_owned())], false)?;
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
            ("device:text", "x"),
            ("code:exact", "x"),
            ("date:not", "2026"),
            ("subject:Organization", "1"),
            ("code.display", "x"),
            ("patient.nope", "x"),
            ("_has:Observation:code:code", "x"),
            ("code-value-quantity", "1"),
            ("status:missing", "maybe"),
            ("date", "yesterday"),
            ("value-quantity", "NaN"),
            ("_count", "x"),
            ("_sort", "nope"),
            ("code", ""),
        ] {
            let issues =
                parse(&Params::default(), "Observation", &[(name.to_owned(), value.to_owned())], false).unwrap_err();
            assert_eq!(issues[0].expression, format!("http.{name}"));
        }
        assert!(parse(&Params::default(), "Observation", &[("nope".to_owned(), "1".to_owned())], true).is_ok());
    }

    #[test]
    fn value_sets_that_are_not_embedded_are_asked_for_and_told() {
        let pairs = [("patient._has:Condition:patient:code:in", "urn:mine"), ("status:not-in", "urn:other")];
        let mut query = Query::new("Observation", &pairs, 10).unwrap();
        let set = |url: &str| CodesOf::ValueSet(url.to_owned());
        assert_eq!(query.unresolved(), [set("urn:mine"), set("urn:other")]);
        query.resolve(&set("urn:mine"), &[("urn:s".to_owned(), "1".to_owned())]);
        assert_eq!(query.unresolved(), [set("urn:other")]);
        let embedded = [("gender:in", "http://hl7.org/fhir/ValueSet/administrative-gender")];
        assert!(Query::new("Patient", &embedded, 10).unwrap().unresolved().is_empty());
    }

    proptest! {
        #[test]
        fn no_query_string_panics(name in "[a-z_:-]{0,16}", value in ".{0,60}") {
            for kind in ["Observation", "Patient"] {
                let _ = parse(&Params::default(), kind, &[(name.clone(), value.clone())], false);
            }
        }
    }
}
