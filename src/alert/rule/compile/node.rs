//! Reading one element at a time: where it stands, and what is wrong with it. Nothing here knows what a rule is.

use fhir_r4::Issue;
use serde_json::Value;

use crate::fhir::{OURS, UCUM, reading::Code, ucum};

/// An element and where it stands.
pub(super) struct Node<'a> {
    pub(super) value: &'a Value,
    pub(super) place: String,
}

impl<'a> Node<'a> {
    pub(super) fn at(&self, name: &str) -> String {
        format!("{}.{name}", self.place)
    }

    pub(super) fn get(&self, name: &str) -> Option<Node<'a>> {
        Some(Node { value: self.value.get(name)?, place: self.at(name) })
    }

    /// The same, or nothing at the place where it should be.
    fn get_or_null(&self, name: &str) -> Node<'a> {
        self.get(name).unwrap_or(Node { value: &Value::Null, place: self.at(name) })
    }

    pub(super) fn str(&self, name: &str) -> Option<&'a str> {
        self.value.get(name)?.as_str()
    }

    pub(super) fn list(&self, name: &str) -> Vec<Node<'a>> {
        let items = self.value.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let place = self.at(name);
        items.iter().enumerate().map(|(i, value)| Node { value, place: format!("{place}[{i}]") }).collect()
    }
}

/// The named parts of a complex extension.
pub(super) struct Fields<'a>(Vec<Node<'a>>);

impl<'a> Fields<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&Node<'a>> {
        self.0.iter().find(|part| part.str("url") == Some(name))
    }
}

#[derive(Default)]
pub(super) struct Problems(pub(super) Vec<Issue>);

impl Problems {
    pub(super) fn add<T>(&mut self, code: &'static str, place: impl Into<String>, text: &str) -> Option<T> {
        self.0.push(Issue::error(code, place, text));
        None
    }

    pub(super) fn text(&mut self, node: &Node, name: &str) -> Option<String> {
        match node.str(name).filter(|text| !text.trim().is_empty()) {
            Some(text) => Some(text.to_owned()),
            None => self.add("required", node.at(name), "a text is required"),
        }
    }

    /// The only item of a list.
    pub(super) fn only<'a>(&mut self, node: &Node<'a>, name: &str) -> Option<Node<'a>> {
        let mut items = node.list(name);
        match (items.pop(), items.is_empty()) {
            (Some(item), true) => Some(item),
            (None, _) => self.add("required", node.at(name), "exactly one is required"),
            (Some(_), false) => self.add("not-supported", node.at(name), "a rule has exactly one"),
        }
    }

    /// Refuses what stands beside the elements that are obeyed (primitive extensions say nothing to obey).
    pub(super) fn nothing_but(&mut self, node: &Node, known: &[&str]) {
        for name in node.value.as_object().into_iter().flat_map(|object| object.keys()) {
            if !known.contains(&name.as_str()) && !name.starts_with('_') {
                self.add::<()>("not-supported", node.at(name), "the rule engine would not obey this element");
            }
        }
    }

    pub(super) fn once<T>(&mut self, extension: &Node, slot: &mut Option<T>, value: Option<T>) {
        if slot.is_some() {
            self.add::<()>("structure", &extension.place, "this extension may stand only once");
        } else {
            *slot = value;
        }
    }

    /// The parts of a complex extension: the `required` exactly once, the `optional` at most once, those of `many`
    /// any number of times, and nothing else.
    pub(super) fn fields<'a>(
        &mut self,
        extension: &Node<'a>,
        required: &[&str],
        optional: &[&str],
        many: &[&str],
    ) -> Option<Fields<'a>> {
        let parts = extension.list("extension");
        let mut good = true;
        for part in &parts {
            if !part.str("url").is_some_and(|url| [required, optional, many].iter().any(|names| names.contains(&url))) {
                self.add::<()>("not-supported", part.at("url"), "the rule engine does not know this part");
            }
        }
        for (names, least) in [(required, 1), (optional, 0)] {
            for name in names {
                let count = parts.iter().filter(|part| part.str("url") == Some(name)).count();
                if count < least || count > 1 {
                    let often = if least == 1 { "exactly" } else { "at most" };
                    let text = format!("the part {name} must stand {often} once");
                    self.add::<()>("required", extension.at("extension"), &text);
                    good = false;
                }
            }
        }
        good.then_some(Fields(parts))
    }

    pub(super) fn number(&mut self, node: &Node) -> Option<f64> {
        match node.value.get("valueDecimal").and_then(Value::as_f64).filter(|number| number.is_finite()) {
            Some(number) => Some(number),
            None => self.add("value", node.at("valueDecimal"), "a decimal is required"),
        }
    }

    pub(super) fn not_negative(&mut self, node: &Node) -> Option<f64> {
        match self.number(node)? {
            number if number >= 0.0 => Some(number),
            _ => self.add("value", node.at("valueDecimal"), "must not be negative"),
        }
    }

    pub(super) fn count(&mut self, node: &Node, most: u32) -> Option<u32> {
        let count = node.value.get("valuePositiveInt").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        let text = format!("a whole number from 1 to {most} is required");
        let count = count.filter(|n| (1..=most).contains(n));
        count.or_else(|| self.add("value", node.at("valuePositiveInt"), &text))
    }

    pub(super) fn flag(&mut self, node: &Node) -> Option<bool> {
        let flag = node.value.get("valueBoolean").and_then(Value::as_bool);
        flag.or_else(|| self.add("value", node.at("valueBoolean"), "true or false is required"))
    }

    /// A code of a known list.
    pub(super) fn code<T>(&mut self, node: &Node, read: impl Fn(&str) -> Option<T>, known: &str) -> Option<T> {
        let found = node.str("valueCode").and_then(read);
        found.or_else(|| self.add("value", node.at("valueCode"), &format!("must be {known}")))
    }

    pub(super) fn coding(&mut self, node: &Node) -> Option<Code> {
        let coding = node.get_or_null("valueCoding");
        let (system, code) = (self.text(&coding, "system"), self.text(&coding, "code"));
        Some((system?, code?))
    }

    /// A Duration, in µs.
    pub(super) fn duration(&mut self, node: &Node) -> Option<i64> {
        let value = node.get_or_null("valueDuration");
        self.time(&value, |unit| ucum::convert(1.0, unit, "s"), "s, min, h, d or wk")
    }

    pub(super) fn positive(&mut self, node: &Node) -> Option<i64> {
        match self.duration(node)? {
            us if us > 0 => Some(us),
            _ => self.add("value", node.at("valueDuration"), "must be longer than nothing"),
        }
    }

    /// A quantity of time in µs; `seconds` knows the units. Nothing is longer than a century and a half.
    pub(super) fn time(&mut self, node: &Node, seconds: impl Fn(&str) -> Option<f64>, units: &str) -> Option<i64> {
        if node.str("system").is_some_and(|system| system != UCUM) {
            return self.add("value", node.at("system"), "durations are in UCUM units");
        }
        if node.get("comparator").is_some() {
            return self.add("not-supported", node.at("comparator"), "a duration is exact");
        }
        let Some(unit) = node.str("code").and_then(seconds) else {
            return self.add("value", node.at("code"), &format!("the unit of a duration is {units}"));
        };
        let value = node.value.get("value").and_then(Value::as_f64).filter(|value| *value >= 0.0);
        match value.and_then(|value| micros(value * unit)) {
            Some(us) => Some(us),
            None => self.add("value", node.at("value"), "a number of at least 0 and of a sensible size is required"),
        }
    }
}

fn micros(seconds: f64) -> Option<i64> {
    let duration = std::time::Duration::try_from_secs_f64(seconds).ok()?;
    i64::try_from(duration.as_micros()).ok().filter(|us| *us < 150 * 366 * 86_400 * 1_000_000)
}

/// The name of one of our own extensions.
pub(super) fn ours(url: &str) -> Option<&str> {
    url.strip_prefix(OURS)?.strip_prefix("/StructureDefinition/")
}
