//! The small part of `FHIRPath` that R4's `SearchParameter` expressions are written in, compiled to steps over
//! JSON. An expression outside it compiles to an error, and its parameter is then not declared: the server
//! never claims a search that it cannot do.

use serde_json::Value;

use super::reference;

/// One alternative of an expression: a way from the resource to the values that are indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// A member; when there is none of that name, the choice elements that it names (`value` -> `valueQuantity`).
    Child(String),
    /// `(x as Quantity)`: the one member `xQuantity`.
    Choice(String),
    /// `.where(system='phone')`
    Where {
        member: String,
        equals: String,
    },
    /// `.where(resolve() is Patient)`
    Resolves(String),
    Nth(usize),
    /// `x.exists() and x != false`: one boolean, true unless absent or false.
    ExistsAndNotFalse,
}

/// What an expression of one resource type selects: all alternatives that begin at that type.
pub fn compile(expression: &str, resource_type: &str) -> Result<Vec<Selector>, String> {
    let mut selectors = Vec::new();
    for alternative in split_top(expression, '|') {
        if let Some(selector) = compile_one(alternative.trim(), resource_type)? {
            selectors.push(selector);
        }
    }
    Ok(selectors)
}

/// What a path selects that begins at an element: `value.as(Quantity) | value.as(Range)`.
pub fn compile_below(path: &str) -> Result<Vec<Selector>, String> {
    let one = |text: &str| {
        let mut steps = Vec::new();
        push_steps(&mut steps, &format!(".{}", text.trim()))?;
        Ok(Selector { steps })
    };
    split_top(path, '|').into_iter().map(one).collect()
}

fn compile_one(text: &str, resource_type: &str) -> Result<Option<Selector>, String> {
    if let Some((left, right)) = text.split_once(".exists() and ") {
        let path = compile_path(left, resource_type)?;
        let same = right.strip_suffix(" != false").is_some_and(|r| r == left);
        return match path {
            Some(mut selector) if same => {
                selector.steps.push(Step::ExistsAndNotFalse);
                Ok(Some(selector))
            }
            None => Ok(None),
            _ => Err(format!("not supported: {text}")),
        };
    }
    // `(Observation.value as Quantity).text` and the like
    if let Some(rest) = text.strip_prefix('(') {
        let (inner, tail) = rest.split_once(')').ok_or("unbalanced parenthesis")?;
        let Some(mut selector) = compile_path(inner.trim(), resource_type)? else { return Ok(None) };
        push_steps(&mut selector.steps, tail)?;
        return Ok(Some(selector));
    }
    compile_path(text, resource_type)
}

fn compile_path(text: &str, resource_type: &str) -> Result<Option<Selector>, String> {
    let (path, cast) = match text.split_once(" as ") {
        Some((path, cast)) => (path.trim(), Some(cast.trim())),
        None => (text, None),
    };
    // `name | alias`: the path of an expression without a type begins at the resource.
    let bare = path.starts_with(|c: char| c.is_ascii_lowercase()) && path.chars().all(|c| c.is_ascii_alphanumeric());
    let rooted = if bare { format!("{resource_type}.{path}") } else { path.to_owned() };
    let (root, rest) = rooted.find('.').map_or((rooted.as_str(), ""), |dot| rooted.split_at(dot));
    if root != resource_type && root != "Resource" && root != "DomainResource" {
        return if root.starts_with(|c: char| c.is_ascii_uppercase()) {
            Ok(None)
        } else {
            Err(format!("not supported: {text}"))
        };
    }
    let mut steps = Vec::new();
    push_steps(&mut steps, rest)?;
    if let Some(cast) = cast {
        cast_last(&mut steps, cast)?;
    }
    Ok(Some(Selector { steps }))
}

fn push_steps(steps: &mut Vec<Step>, mut rest: &str) -> Result<(), String> {
    while !rest.is_empty() {
        rest = rest.strip_prefix('.').ok_or_else(|| format!("not supported: {rest}"))?;
        let end = segment_end(rest);
        let (segment, tail) = rest.split_at_checked(end).ok_or("bad path")?;
        push_segment(steps, segment)?;
        rest = tail;
    }
    Ok(())
}

/// Where the segment ends: at the next dot outside parentheses.
fn segment_end(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '.' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

fn push_segment(steps: &mut Vec<Step>, segment: &str) -> Result<(), String> {
    if let Some(cast) = segment.strip_prefix("as(").and_then(|s| s.strip_suffix(')')) {
        return cast_last(steps, cast);
    }
    if let Some(cast) = segment.strip_prefix("ofType(").and_then(|s| s.strip_suffix(')')) {
        return cast_last(steps, cast);
    }
    if let Some(condition) = segment.strip_prefix("where(").and_then(|s| s.strip_suffix(')')) {
        steps.push(condition_step(condition)?);
        return Ok(());
    }
    let (name, index) = match segment.strip_suffix(']').and_then(|s| s.split_once('[')) {
        Some((name, index)) => (name, Some(index.parse::<usize>().map_err(|_| "bad index")?)),
        None => (segment, None),
    };
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(format!("not supported: {segment}"));
    }
    steps.push(Step::Child(name.to_owned()));
    steps.extend(index.map(Step::Nth));
    Ok(())
}

fn condition_step(condition: &str) -> Result<Step, String> {
    if let Some(kind) = condition.strip_prefix("resolve() is ") {
        return Ok(Step::Resolves(kind.to_owned()));
    }
    match condition.split_once('=') {
        Some((member, quoted)) => match quoted.strip_prefix('\'').and_then(|q| q.strip_suffix('\'')) {
            Some(equals) => Ok(Step::Where { member: member.to_owned(), equals: equals.to_owned() }),
            None => Err(format!("not supported: where({condition})")),
        },
        None => Err(format!("not supported: where({condition})")),
    }
}

fn cast_last(steps: &mut Vec<Step>, cast: &str) -> Result<(), String> {
    match steps.pop() {
        Some(Step::Child(name)) => {
            steps.push(Step::Choice(choice_member(&name, cast)));
            Ok(())
        }
        _ => Err(format!("not supported: as {cast}")),
    }
}

fn choice_member(name: &str, cast: &str) -> String {
    let mut letters = cast.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    name.chars().chain(first).chain(letters).collect()
}

/// The datatypes that a choice element may end in.
const CHOICE_TYPES: [&str; 32] = [
    "Quantity",
    "CodeableConcept",
    "String",
    "Boolean",
    "Integer",
    "Range",
    "Ratio",
    "SampledData",
    "Time",
    "DateTime",
    "Period",
    "Timing",
    "Instant",
    "Date",
    "Age",
    "Reference",
    "Canonical",
    "Uri",
    "Coding",
    "Attachment",
    "Identifier",
    "Duration",
    "Money",
    "Decimal",
    "Code",
    "Markdown",
    "Base64Binary",
    "HumanName",
    "Address",
    "ContactPoint",
    "Expression",
    "Annotation",
];

impl Selector {
    /// The names of the elements on the way, choices by their full names.
    pub fn path(&self) -> Vec<&str> {
        let names = self.steps.iter().filter_map(|step| match step {
            Step::Child(name) | Step::Choice(name) => Some(name.as_str()),
            _ => None,
        });
        names.collect()
    }

    /// Whether it gives true or false instead of what stands there.
    pub fn is_condition(&self) -> bool {
        self.steps.contains(&Step::ExistsAndNotFalse)
    }

    /// The resource type that a reference must point to.
    pub fn resolves(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match step {
            Step::Resolves(kind) => Some(kind.as_str()),
            _ => None,
        })
    }

    /// Calls `found` for every value that the selector reaches; arrays are walked through.
    pub fn walk<'a>(&self, resource: &'a Value, found: &mut dyn FnMut(&'a Value)) {
        walk_steps(&self.steps, resource, found);
    }
}

fn walk_steps<'a>(steps: &[Step], at: &'a Value, found: &mut dyn FnMut(&'a Value)) {
    if let Value::Array(items) = at {
        if let Some((Step::Nth(n), rest)) = steps.split_first() {
            if let Some(item) = items.get(*n) {
                walk_steps(rest, item, found);
            }
            return;
        }
        for item in items {
            walk_steps(steps, item, found);
        }
        return;
    }
    let Some((step, rest)) = steps.split_first() else {
        if !at.is_null() {
            found(at);
        }
        return;
    };
    match step {
        Step::Child(name) => walk_child(name, rest, at, found),
        Step::Choice(member) => {
            if let Some(next) = at.get(member) {
                walk_steps(rest, next, found);
            }
        }
        Step::Where { member, equals } => {
            if at.get(member).and_then(Value::as_str) == Some(equals) {
                walk_steps(rest, at, found);
            }
        }
        Step::Resolves(kind) => {
            let target = at.get("reference").and_then(Value::as_str).and_then(reference::resource_type);
            let declared = at.get("type").and_then(Value::as_str);
            if target.or(declared) == Some(kind.as_str()) {
                walk_steps(rest, at, found);
            }
        }
        // An index on something that is not an array: the first is the thing itself.
        Step::Nth(n) => {
            if *n == 0 {
                walk_steps(rest, at, found);
            }
        }
        Step::ExistsAndNotFalse => {
            found(if at == &Value::Bool(false) { &Value::Bool(false) } else { &Value::Bool(true) });
        }
    }
}

fn walk_child<'a>(name: &str, rest: &[Step], at: &'a Value, found: &mut dyn FnMut(&'a Value)) {
    let Some(object) = at.as_object() else { return };
    if let Some(next) = object.get(name) {
        return walk_steps(rest, next, found);
    }
    for (member, next) in object {
        if member.strip_prefix(name).is_some_and(|end| CHOICE_TYPES.contains(&end)) {
            walk_steps(rest, next, found);
        }
    }
}

/// Splits at `separator` outside parentheses.
fn split_top(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0_usize, 0_usize);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            c if c == separator && depth == 0 => {
                parts.push(text.get(from..at).unwrap_or_default());
                from = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text.get(from..).unwrap_or_default());
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn select(expression: &str, resource: &Value) -> Vec<String> {
        let kind = resource["resourceType"].as_str().unwrap();
        let mut found = Vec::new();
        for selector in compile(expression, kind).unwrap() {
            selector.walk(resource, &mut |v| found.push(v.to_string()));
        }
        found
    }

    #[test]
    fn selects_what_the_expressions_of_r4_select() {
        let patient = json!({"resourceType": "Patient", "deceasedDateTime": "2020-01-01", "name": [{"family": "A", "given": ["B", "C"]}],
            "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "e"}]});
        let observation = json!({"resourceType": "Observation", "subject": {"reference": "Patient/1"}, "valueQuantity": {"value": 1},
            "effectiveDateTime": "2020"});
        let table: [(&str, &Value, &[&str]); 10] = [
            ("Patient.name.given", &patient, &["\"B\"", "\"C\""]),
            ("Patient.telecom.where(system='email')", &patient, &["{\"system\":\"email\",\"value\":\"e\"}"]),
            ("Patient.deceased.exists() and Patient.deceased != false", &patient, &["true"]),
            (
                "Account.subject.where(resolve() is Patient) | Observation.subject.where(resolve() is Patient)",
                &observation,
                &["{\"reference\":\"Patient/1\"}"],
            ),
            ("Observation.subject.where(resolve() is Group)", &observation, &[]),
            ("(Observation.value as Quantity) | (Observation.value as SampledData)", &observation, &["{\"value\":1}"]),
            ("(Observation.value as CodeableConcept).text", &observation, &[]),
            ("Observation.effective", &observation, &["\"2020\""]),
            ("Observation.value.as(Quantity)", &observation, &["{\"value\":1}"]),
            ("Patient.name[0].family", &patient, &["\"A\""]),
        ];
        for (expression, resource, expected) in table {
            assert_eq!(select(expression, resource), expected, "{expression}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for expression in ["Patient.name.first()", "Patient.where(a or b)", "Patient..name", "(Patient.name"] {
            assert!(compile(expression, "Patient").is_err(), "{expression}");
        }
    }
}
