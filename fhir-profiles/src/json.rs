//! JSON, read strictly. What this room refuses needs no definition: doubled members, nulls outside
//! arrays, empty arrays, objects and strings, nesting, numbers beyond any use. It never echoes values.

mod key;
mod number;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, map::Entry};

use crate::Issue;
use key::{AnyKey, Key};

/// Objects within objects. FHIR sets no limit; nothing sensible comes near this one.
const MAX_DEPTH: usize = 64;
/// Beyond this many problems the rest is not listed.
const MAX_PROBLEMS: usize = 200;

pub(crate) fn parse(bytes: &[u8]) -> Result<Value, Vec<Issue>> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        vec![Issue::error("structure", "Resource", format!("invalid UTF-8 after byte {}", e.valid_up_to()))]
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut problems = Problems::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Any { problems: &mut problems, depth: 0 }.deserialize(&mut reader);
    match read.and_then(|value| reader.end().map(|()| value)) {
        // The texts of serde_json tell a line and a column and repeat nothing of the input.
        Err(error) => {
            let place = std::mem::take(&mut problems.broken);
            problems.found.push(Problem { place, code: "structure", text: error.to_string() });
        }
        Ok(Value::Object(object)) if problems.found.is_empty() => return Ok(Value::Object(object)),
        Ok(Value::Object(_)) => {}
        Ok(_) => problems.note("structure", "a resource is a JSON object"),
    }
    if problems.more > 0 {
        let text = format!("and {} more problems that are not listed", problems.more);
        problems.found.push(Problem { place: String::new(), code: "too-costly", text });
    }
    let root = problems.root.as_deref().unwrap_or("Resource");
    let name = |p: Problem| Issue::error(p.code, format!("{root}{}", p.place), p.text);
    Err(problems.found.into_iter().map(name).collect())
}

/// A place is built from the inside out: each level that is left puts its own name before it.
struct Problem {
    place: String,
    code: &'static str,
    text: String,
}

#[derive(Default)]
struct Problems {
    found: Vec<Problem>,
    /// Problems beyond those that are listed.
    more: usize,
    /// Where reading broke off, if it did.
    broken: String,
    /// The type of the outermost resource, once it has been read.
    root: Option<String>,
}

impl Problems {
    fn note(&mut self, code: &'static str, text: &str) {
        if self.found.len() < MAX_PROBLEMS {
            self.found.push(Problem { place: String::new(), code, text: text.into() });
        } else {
            self.more += 1;
        }
    }

    /// Everything found since there were `before` problems lies below `step`.
    fn left(&mut self, before: usize, broken: bool, step: impl FnOnce() -> String) {
        if !broken && self.found.len() == before {
            return;
        }
        let step = step();
        for problem in self.found.iter_mut().skip(before) {
            problem.place.insert_str(0, &step);
        }
        if broken {
            self.broken.insert_str(0, &step);
        }
    }
}

/// Only what can be the name of an element is shown; anything else stays at its parent's place.
fn step(key: &str) -> String {
    let name = key.strip_prefix('_').unwrap_or(key);
    let plain = !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric());
    if plain { format!(".{name}") } else { String::new() }
}

/// Reads one value of any kind.
struct Any<'a> {
    problems: &'a mut Problems,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Any<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        if value.is_empty() {
            self.problems.note("structure", "a string must not be empty");
        }
        Ok(Value::String(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let before = self.problems.found.len();
            let read = access.next_element_seed(Any { problems: self.problems, depth: self.depth });
            self.problems.left(before, read.is_err(), || format!("[{}]", items.len()));
            match read? {
                Some(item) => items.push(item),
                None => break,
            }
        }
        if items.is_empty() {
            self.problems.note("structure", "an array must not be empty");
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let depth = self.depth + 1;
        let mut members = Map::new();
        while let Some(key) = access.next_key_seed(AnyKey)? {
            let Key::Member(key) = key else {
                return number::read(access.next_value::<String>()?.as_str(), self.problems);
            };
            if depth > MAX_DEPTH {
                return Err(A::Error::custom("nested too deeply"));
            }
            let before = self.problems.found.len();
            let read = access.next_value_seed(Any { problems: self.problems, depth });
            if matches!(read, Ok(Value::Null)) {
                self.problems.note("structure", "null is no value; leave the member out");
            }
            if key::is_private(&key) {
                self.problems.note("structure", "this member is not allowed");
            }
            self.problems.left(before, read.is_err(), || step(&key));
            let value = read?;
            if depth == 1 && key == "resourceType" {
                self.problems.root = value.as_str().filter(|name| !step(name).is_empty()).map(Into::into);
            }
            match members.entry(key) {
                Entry::Vacant(free) => {
                    free.insert(value);
                }
                Entry::Occupied(taken) => {
                    let before = self.problems.found.len();
                    self.problems.note("structure", "the member is there more than once");
                    self.problems.left(before, false, || step(taken.key()));
                }
            }
        }
        if members.is_empty() {
            self.problems.note("structure", "an object must not be empty");
        }
        Ok(Value::Object(members))
    }
}
