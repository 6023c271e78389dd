//! A `SearchParameter` resource read and judged: whether this server can search by it. What it cannot do is refused
//! with the element that asks for it, so that nobody waits for a search that never comes.

use fhir_r4::{Issue, SearchKind, SearchParameter};
use serde_json::Value;

use super::expression::{self, Selector};
use super::reading::{list, str_of};
use super::registry::Params;

/// Longer expressions nobody writes by hand.
const MAX_EXPRESSION: usize = 4000;
/// Types that are no `DomainResource`.
const PLAIN: [&str; 3] = ["Binary", "Bundle", "Parameters"];

/// What an active definition declares.
#[derive(Debug)]
pub struct Declared {
    name: String,
    url: String,
    kind: SearchKind,
    base: Vec<&'static str>,
    expression: String,
    target: Vec<&'static str>,
    description: String,
    /// The types of which it selects something.
    pub kinds: Vec<&'static str>,
}

/// None: it is a draft or retired, and nothing is searched by it.
pub fn read(resource: &Value, others: &Params) -> Result<Option<Declared>, Vec<Issue>> {
    if str_of(resource, "status") != Some("active") {
        return Ok(None);
    }
    judged(resource, others).map(Some).map_err(|issue| vec![issue])
}

fn judged(resource: &Value, others: &Params) -> Result<Declared, Issue> {
    let name = str_of(resource, "code").unwrap_or_default().to_owned();
    if !is_name(&name) {
        return Err(wrong(
            "business-rule",
            "code",
            "a code begins with a letter and has letters, digits, - and _ alone",
        ));
    }
    let kind = kind(resource)?;
    let (base, possible, general) = base(resource)?;
    let expression = str_of(resource, "expression").unwrap_or_default().trim().to_owned();
    if expression.is_empty() || expression.len() > MAX_EXPRESSION {
        return Err(wrong("business-rule", "expression", "an expression is needed, of 4000 bytes at most"));
    }
    let mut kinds = Vec::new();
    for resource_type in possible {
        let selectors = expression::compile(&expression, resource_type)
            .map_err(|why| wrong("business-rule", "expression", format!("this server cannot run it: {why}")))?;
        if selectors.is_empty() {
            if general {
                continue;
            }
            return Err(wrong("business-rule", "expression", format!("it selects nothing of {resource_type}")));
        }
        for selector in &selectors {
            fits(kind, resource_type, selector)?;
        }
        if others.is_taken(resource_type, &name, str_of(resource, "id")) {
            return Err(wrong("duplicate", "code", format!("{resource_type} has a parameter {name} already")));
        }
        kinds.push(resource_type);
    }
    if kinds.is_empty() {
        return Err(wrong("business-rule", "expression", "it selects nothing of any base"));
    }
    let target = targets(resource)?;
    let text = |member: &str| str_of(resource, member).unwrap_or_default().to_owned();
    Ok(Declared { name, url: text("url"), kind, base, expression, target, description: text("description"), kinds })
}

fn wrong(code: &'static str, element: &str, text: impl Into<String>) -> Issue {
    Issue::error(code, format!("SearchParameter.{element}"), text)
}

fn is_name(code: &str) -> bool {
    code.len() <= 64
        && code.starts_with(|c: char| c.is_ascii_alphabetic())
        && code.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn kind(resource: &Value) -> Result<SearchKind, Issue> {
    match str_of(resource, "type").and_then(SearchKind::from_code) {
        None => Err(wrong("business-rule", "type", "this is no type of a search parameter")),
        Some(SearchKind::Composite | SearchKind::Special) => {
            Err(wrong("business-rule", "type", "this server takes no composite and no special parameters of others"))
        }
        Some(kind) => Ok(kind),
    }
}

type Bases = (Vec<&'static str>, Vec<&'static str>, bool);

/// The bases, the types that they mean, and whether one of them means many.
fn base(resource: &Value) -> Result<Bases, Issue> {
    let (mut base, mut kinds, mut general) = (Vec::new(), Vec::new(), false);
    for (at, given) in list(resource.get("base")).enumerate() {
        match given.as_str().unwrap_or_default() {
            "Resource" => {
                (general, kinds) = (true, fhir_r4::resource_types().to_vec());
                base.push("Resource");
            }
            "DomainResource" => {
                general = true;
                kinds.extend(fhir_r4::resource_types().iter().filter(|kind| !PLAIN.contains(kind)));
                base.push("DomainResource");
            }
            given => {
                let known = resource_type(given);
                let known =
                    known.ok_or_else(|| wrong("business-rule", &format!("base[{at}]"), "this is no type of R4"))?;
                kinds.push(known);
                base.push(known);
            }
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    Ok((base, kinds, general))
}

fn targets(resource: &Value) -> Result<Vec<&'static str>, Issue> {
    let given: Vec<&Value> = list(resource.get("target")).collect();
    if given.is_empty() {
        return Ok(fhir_r4::resource_types().to_vec());
    }
    let one = |(at, given): (usize, &&Value)| {
        let known = given.as_str().and_then(resource_type);
        known.ok_or_else(|| wrong("business-rule", &format!("target[{at}]"), "this is no type of R4"))
    };
    given.iter().enumerate().map(one).collect()
}

fn resource_type(name: &str) -> Option<&'static str> {
    fhir_r4::resource_type_index(name).and_then(|index| fhir_r4::resource_types().get(index)).copied()
}

/// Whether what is selected can be searched as this type: R4 search, the table of each type.
fn fits(kind: SearchKind, resource_type: &str, selector: &Selector) -> Result<(), Issue> {
    let path = selector.path();
    let types = fhir_r4::types_of(resource_type, &path);
    let place = format!("{resource_type}.{}", path.join("."));
    if types.is_empty() {
        return Err(wrong("business-rule", "expression", format!("there is no element {place}")));
    }
    let fitting = selector.is_condition() && kind == SearchKind::Token
        || !selector.is_condition() && types.iter().any(|name| fitting(kind).contains(name));
    if fitting {
        return Ok(());
    }
    Err(wrong("business-rule", "type", format!("{place} cannot be searched by this type: it is {}", types.join(", "))))
}

fn fitting(kind: SearchKind) -> &'static [&'static str] {
    match kind {
        SearchKind::Token => {
            &["boolean", "code", "CodeableConcept", "Coding", "ContactPoint", "id", "Identifier", "string", "uri"]
        }
        SearchKind::Reference => &["canonical", "Reference", "uri"],
        SearchKind::String => &["Address", "HumanName", "markdown", "string"],
        SearchKind::Date => &["date", "dateTime", "instant", "Period", "Timing"],
        SearchKind::Number => &["decimal", "integer", "positiveInt", "unsignedInt"],
        SearchKind::Quantity => {
            &["Age", "Count", "Distance", "Duration", "Money", "Quantity", "Range", "SimpleQuantity"]
        }
        SearchKind::Uri => &["canonical", "oid", "uri", "url", "uuid"],
        SearchKind::Composite | SearchKind::Special => &[],
    }
}

impl Declared {
    /// As the built-in ones are defined: for the life of the process.
    pub(super) fn into_definition(self) -> SearchParameter {
        SearchParameter {
            name: self.name.leak(),
            url: self.url.leak(),
            base: self.base,
            kind: self.kind,
            expression: self.expression.leak(),
            target: self.target,
            description: self.description.leak(),
        }
    }
}
