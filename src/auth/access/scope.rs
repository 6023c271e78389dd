//! SMART's scopes of resources, in both versions: `patient/Observation.rs?category=vital-signs`, `user/*.read`. Read
//! here, and nowhere else; one that cannot be enforced is refused, never ignored: to ignore one is to widen it.

use std::fmt;

use super::{Action, Denied};
use crate::fhir::constraint;

/// Whose resources a scope is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// Those of the patient in context.
    Patient,
    /// What the user may see.
    User,
    /// What the client may see.
    System,
}

/// What a resource must have: one of these values of a search parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub param: String,
    /// With commas between.
    pub values: String,
}

/// One resource scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    pub context: Context,
    /// `None` is `*`.
    pub resource_type: Option<String>,
    /// A part of `cruds`.
    pub actions: String,
    /// All of them must hold.
    pub conditions: Vec<Condition>,
}

impl Scope {
    pub fn covers(&self, action: Action, resource_type: &str) -> bool {
        self.actions.contains(action.letter()) && self.resource_type.as_deref().is_none_or(|t| t == resource_type)
    }

    /// Whether everything that `other` grants is granted by this one too.
    pub fn includes(&self, other: &Self) -> bool {
        self.context == other.context
            && (self.resource_type.is_none() || self.resource_type == other.resource_type)
            && other.actions.chars().all(|letter| self.actions.contains(letter))
            && self.conditions.iter().all(|own| other.conditions.contains(own))
    }

    /// Whether both may cover the same thing, each under conditions of its own.
    fn meets(&self, other: &Self) -> bool {
        let same_type =
            self.resource_type.is_none() || other.resource_type.is_none() || self.resource_type == other.resource_type;
        same_type && self.context == other.context && other.actions.chars().any(|letter| self.actions.contains(letter))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let context = match self.context {
            Context::Patient => "patient",
            Context::User => "user",
            Context::System => "system",
        };
        write!(f, "{context}/{}.{}", self.resource_type.as_deref().unwrap_or("*"), self.actions)?;
        for (at, Condition { param, values }) in self.conditions.iter().enumerate() {
            write!(f, "{}{param}={values}", if at == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

/// Scopes that say something about the login, not about resources.
pub const OTHER_SCOPES: [&str; 9] = [
    "openid",
    "profile",
    "fhirUser",
    "launch",
    "launch/patient",
    "launch/encounter",
    "offline_access",
    "online_access",
    "smart/orchestrate_launch",
];

/// The resource scopes of a list; the others in it are known.
pub fn parse_all(scopes: &str) -> Result<Vec<Scope>, Denied> {
    let all = scopes.split_ascii_whitespace().filter(|scope| !OTHER_SCOPES.contains(scope));
    let all = all.map(parse).collect::<Result<Vec<_>, _>>()?;
    let conditional = |scope: &&Scope| !scope.conditions.is_empty();
    for (at, one) in all.iter().enumerate().filter(|(_, scope)| conditional(scope)) {
        let mut others = all.iter().take(at).filter(conditional);
        if let Some(other) = others.find(|other| one.meets(other) && !can_be_one(one, other)) {
            let why =
                "together with another of these scopes it cannot be enforced: both must name the same one parameter";
            return Err(Denied::Scope { scope: printable(&other.to_string()), why });
        }
    }
    Ok(all)
}

fn can_be_one(one: &Scope, other: &Scope) -> bool {
    match (one.conditions.as_slice(), other.conditions.as_slice()) {
        ([own], [theirs]) => own.param == theirs.param,
        (own, theirs) => own == theirs,
    }
}

/// The conditions of scopes of which one is enough.
pub(super) fn merged(scopes: &[&Scope]) -> Vec<Condition> {
    let mut merged: Vec<Condition> = Vec::new();
    for condition in scopes.iter().flat_map(|scope| &scope.conditions) {
        match merged.iter_mut().find(|known| known.param == condition.param) {
            Some(known) if known.values != condition.values => {
                known.values = format!("{},{}", known.values, condition.values);
            }
            Some(_) => {}
            None => merged.push(condition.clone()),
        }
    }
    merged
}

/// `context/Type.actions`, in v2 or v1 form.
pub fn parse(scope: &str) -> Result<Scope, Denied> {
    let refuse = |why| Denied::Scope { scope: printable(scope), why };
    let (plain, query) = scope.split_once('?').map_or((scope, None), |(plain, query)| (plain, Some(query)));
    let (context, rest) = plain.split_once('/').ok_or_else(|| refuse("it is not known"))?;
    let context = match context {
        "patient" => Context::Patient,
        "user" => Context::User,
        "system" => Context::System,
        _ => return Err(refuse("its context is none of patient, user, system")),
    };
    let (name, actions) = rest.split_once('.').ok_or_else(|| refuse("it names no actions"))?;
    let resource_type = match name {
        "*" => None,
        name if is_type_name(name) => Some(name.to_owned()),
        _ => return Err(refuse("it names no resource type")),
    };
    let actions = match actions {
        "read" => "rs",
        "write" => "cud",
        "*" => "cruds",
        v2 if is_part_of_cruds(v2) => v2,
        _ => return Err(refuse("its actions are not a part of cruds, in that order")),
    };
    let conditions = match (query, &resource_type) {
        (None, _) => Vec::new(),
        (Some(_), None) => return Err(refuse("constraints need one resource type")),
        (Some(_), _) if actions.contains(['c', 'u', 'd']) => {
            return Err(refuse("constraints are enforced for reading and searching (r, s) only"));
        }
        (Some(query), Some(kind)) => conditions(kind, query).map_err(refuse)?,
    };
    Ok(Scope { context, resource_type, actions: actions.to_owned(), conditions })
}

fn conditions(kind: &str, query: &str) -> Result<Vec<Condition>, &'static str> {
    let mut all: Vec<Condition> = Vec::new();
    for (param, values) in form_urlencoded::parse(query.as_bytes()).into_owned() {
        if let Some(why) = constraint::refusal(kind, &param, &values) {
            return Err(why);
        }
        if values.contains(char::is_whitespace) || all.iter().any(|known| known.param == param) {
            return Err("a parameter stands twice, or its value has a space");
        }
        all.push(Condition { param, values });
    }
    if all.is_empty() { Err("its constraint is empty") } else { Ok(all) }
}

/// Some of the letters, in order, none twice.
fn is_part_of_cruds(letters: &str) -> bool {
    let mut left = "cruds".chars();
    !letters.is_empty() && letters.chars().all(|letter| left.any(|l| l == letter))
}

pub(super) fn is_type_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphabetic())
}

/// A scope is the caller's text: what is not plain is not repeated.
pub fn printable(scope: &str) -> String {
    let plain = |c: &char| c.is_ascii_graphic() && *c != '"';
    scope.chars().filter(plain).take(80).collect()
}
