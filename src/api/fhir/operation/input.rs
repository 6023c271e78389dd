//! The parameters of an operation, from the address and from a `Parameters` body alike: by name, each with the
//! place that an error is told at. What an operation does not know is refused, never passed over.

use serde_json::Value;

use super::{Call, value_of};
use crate::api::fhir::search::pairs;
use crate::error::Error;

/// Parameters that say how to answer.
const OF_THE_ANSWER: [&str; 2] = ["_format", "_pretty"];

pub(super) struct Input {
    given: Vec<Given>,
}

struct Given {
    name: String,
    value: Value,
    /// Where it stands, for errors.
    place: String,
}

impl Input {
    /// Everything that was sent. A body that is no `Parameters` is the resource parameter called `bare`.
    pub(super) fn of(call: &Call<'_>, bare: Option<&str>) -> Result<Self, Error> {
        let mut given: Vec<Given> = pairs(call.query)?
            .into_iter()
            .filter(|(name, _)| !OF_THE_ANSWER.contains(&name.as_str()))
            .map(|(name, value)| Given { place: format!("http.{name}"), name, value: value.into() })
            .collect();
        match (&call.body, bare) {
            (None, _) => {}
            (Some(body), _) if body.get("resourceType").is_some_and(|kind| kind == "Parameters") => {
                given.extend(of_body(body)?);
            }
            (Some(body), Some(bare)) => {
                given.push(Given { name: bare.to_owned(), value: body.clone(), place: String::new() });
            }
            (Some(_), None) => return Err(Error::invalid("structure", "http.body", "a Parameters resource is needed")),
        }
        if let Some(bad) = given.iter().find(|g| g.value.as_str().is_some_and(|text| text.contains('\0'))) {
            return Err(bad.wrong("a value cannot hold the character NUL"));
        }
        Ok(Self { given })
    }

    /// Refuses what the operation does not have.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), Error> {
        match self.given.iter().find(|given| !names.contains(&given.name.as_str())) {
            None => Ok(()),
            Some(stranger) => {
                Err(Error::invalid("not-supported", &stranger.place, "this operation has no such parameter"))
            }
        }
    }

    fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a Given> + use<'a, 'n> {
        self.given.iter().filter(move |given| given.name == name)
    }

    fn one(&self, name: &str) -> Result<Option<&Given>, Error> {
        let mut all = self.all(name);
        let first = all.next();
        match all.next() {
            None => Ok(first),
            Some(second) => Err(second.wrong("this parameter may stand once")),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Is it brought as an object, and not as a text?
    pub(super) fn is_object(&self, name: &str) -> bool {
        self.all(name).any(|given| given.value.is_object())
    }

    /// Texts, codes, uris.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&str>, Error> {
        self.all(name).map(Given::text).collect()
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        self.one(name)?.map(Given::text).transpose()
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Error> {
        let Some(given) = self.one(name)? else { return Ok(None) };
        match (&given.value, given.value.as_str()) {
            (Value::Bool(yes), _) => Ok(Some(*yes)),
            (_, Some("true")) => Ok(Some(true)),
            (_, Some("false")) => Ok(Some(false)),
            _ => Err(given.wrong("this must be true or false")),
        }
    }

    /// A whole number from `least` on.
    pub(super) fn number(&self, name: &str, least: usize) -> Result<Option<usize>, Error> {
        let Some(given) = self.one(name)? else { return Ok(None) };
        let number = match &given.value {
            Value::Number(number) => number.to_string().parse().ok(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        match number.filter(|n: &usize| *n >= least) {
            Some(number) => Ok(Some(number)),
            None => Err(given.wrong(format!("this must be a whole number, {least} at least"))),
        }
    }

    /// A decimal above zero.
    pub(super) fn positive(&self, name: &str) -> Result<Option<f64>, Error> {
        let Some(given) = self.one(name)? else { return Ok(None) };
        let number = match &given.value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        match number.filter(|n| n.is_finite() && *n > 0.0) {
            Some(number) => Ok(Some(number)),
            None => Err(given.wrong("this must be a decimal above zero")),
        }
    }

    /// Codings, periods, resources: only a body can bring them.
    pub(super) fn objects(&self, name: &str) -> Result<Vec<&Value>, Error> {
        self.all(name).map(Given::object).collect()
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<&Value>, Error> {
        self.one(name)?.map(Given::object).transpose()
    }

    /// All of it as search parameters, but for the named ones. Numbers and flags are written as texts.
    pub(super) fn pairs_without(&self, names: &[&str]) -> Result<Vec<(String, String)>, Error> {
        let others = self.given.iter().filter(|given| !names.contains(&given.name.as_str()));
        others
            .map(|given| {
                let text = match &given.value {
                    Value::String(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    Value::Bool(yes) => yes.to_string(),
                    _ => return Err(given.wrong("a search parameter is a text")),
                };
                Ok((given.name.clone(), text))
            })
            .collect()
    }
}

/// The parameters of a body: a value or a resource each.
fn of_body(body: &Value) -> Result<Vec<Given>, Error> {
    let Some(parameters) = body.get("parameter") else { return Ok(vec![]) };
    let wrong =
        |place: String| Error::invalid("structure", place, "a parameter needs a name, and a value or a resource");
    let Some(parameters) = parameters.as_array() else { return Err(wrong("Parameters.parameter".to_owned())) };
    let one = |(at, parameter): (usize, &Value)| {
        let place = format!("Parameters.parameter[{at}]");
        let name = parameter.get("name").and_then(Value::as_str);
        let value = value_of(parameter).or_else(|| parameter.get("resource"));
        match (name, value) {
            (Some(name), Some(value)) => Ok(Given { name: name.to_owned(), value: value.clone(), place }),
            _ => Err(wrong(place)),
        }
    };
    parameters.iter().enumerate().map(one).collect()
}

impl Given {
    fn wrong(&self, why: impl Into<String>) -> Error {
        Error::invalid("value", &self.place, why)
    }

    fn text(&self) -> Result<&str, Error> {
        self.value.as_str().filter(|text| !text.is_empty()).ok_or_else(|| self.wrong("this must be a text"))
    }

    fn object(&self) -> Result<&Value, Error> {
        if self.value.is_object() { Ok(&self.value) } else { Err(self.wrong("this is sent in a Parameters body")) }
    }
}

/// A parameter that must be there and is not.
pub(super) fn required(name: &str) -> Error {
    Error::invalid("required", format!("http.{name}"), format!("this operation needs the parameter {name}"))
}
