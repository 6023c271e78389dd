//! `alert-gauge` and `alert-test`: the number that is held against limits, and tests joined by all, any and not.

use super::super::{Baseline, Comparator, Daily, Gauge, Method, Pick, Signal, Test};
use super::node::{Fields, Node, Problems};
use crate::alert::pattern::Zone;

/// Kinds of gauges with the parts that each must and may have.
const KINDS: [(&str, &[&str], &[&str]); 7] = [
    ("value", &[], &[]),
    ("rate", &["window", "per"], &[]),
    ("change", &["window"], &[]),
    ("slope", &["memory", "per"], &[]),
    ("deviation", &["method", "memory", "warm-up"], &["slack", "daily"]),
    ("flat", &[], &["tolerance"]),
    ("difference", &[], &[]),
];
const PARTS: [&str; 9] = ["kind", "window", "per", "memory", "method", "warm-up", "slack", "daily", "tolerance"];
/// How deep tests are nested at most.
const DEPTH: u8 = 8;

impl Problems {
    pub(super) fn gauge(&mut self, extension: &Node) -> Option<Gauge> {
        let [_, others @ ..] = &PARTS;
        let fields = self.fields(extension, &["kind"], others, &[])?;
        let known = KINDS.map(|(code, ..)| code).join(", ");
        let kind = fields.get("kind")?;
        let (code, required, optional) =
            self.code(kind, |code| KINDS.into_iter().find(|(kind, ..)| *kind == code), &format!("one of {known}"))?;
        for name in others {
            match fields.get(name) {
                Some(part) if !required.contains(name) && !optional.contains(name) => {
                    self.add::<()>("not-supported", &part.place, &format!("says nothing about a {code}"));
                }
                None if required.contains(name) => {
                    self.add::<()>("required", extension.at("extension"), &format!("a {code} needs the part {name}"));
                }
                _ => {}
            }
        }
        let mut time = |name: &str| fields.get(name).and_then(|part| self.positive(part));
        let (window, per, memory) = (time("window"), time("per"), time("memory"));
        Some(match code {
            "value" => Gauge::Value,
            "rate" => Gauge::Rate { window: window?, per: per? },
            "change" => Gauge::Change { window: window? },
            "slope" => Gauge::Slope { memory: memory?, per: per? },
            "deviation" => Gauge::Deviation(self.baseline(&fields, memory?)?),
            "flat" => Gauge::Flat {
                tolerance: match fields.get("tolerance") {
                    Some(part) => self.not_negative(part)?,
                    None => 0.0,
                },
            },
            _ => Gauge::Difference,
        })
    }

    fn baseline(&mut self, fields: &Fields, memory: i64) -> Option<Baseline> {
        let method = self.method(fields);
        let warm_up = self.count(fields.get("warm-up")?, 1_000_000);
        let daily = match fields.get("daily") {
            Some(part) => Some(self.daily(part)?),
            None => None,
        };
        Some(Baseline { method: method?, memory, warm_up: warm_up?, daily })
    }

    fn method(&mut self, fields: &Fields) -> Option<Method> {
        let part = fields.get("method")?;
        let code = part.str("valueCode").unwrap_or_default();
        match (code, fields.get("slack")) {
            ("cusum", Some(slack)) => Some(Method::Cusum { slack: self.not_negative(slack)? }),
            ("cusum", None) => self.add("required", &part.place, "a cusum needs the part slack"),
            ("ewma" | "robust", Some(slack)) => self.add("not-supported", &slack.place, "only a cusum has a slack"),
            ("ewma", None) => Some(Method::Ewma),
            ("robust", None) => Some(Method::Robust),
            _ => self.add("value", part.at("valueCode"), "must be ewma, cusum or robust"),
        }
    }

    fn daily(&mut self, part: &Node) -> Option<Daily> {
        let fields = self.fields(part, &["from", "to", "pick"], &["zone"], &[])?;
        let (from, to) = (self.minute(fields.get("from")?), self.minute(fields.get("to")?));
        let pick = |code: &str| match code {
            "lowest" => Some(Pick::Lowest),
            "highest" => Some(Pick::Highest),
            "mean" => Some(Pick::Mean),
            _ => None,
        };
        let pick = self.code(fields.get("pick")?, pick, "lowest, highest or mean");
        let zone = match fields.get("zone") {
            Some(zone) => self.zone(zone)?,
            None => Zone::UTC,
        };
        let (from, to) = (from?, to?);
        if from == to {
            return self.add("value", &part.place, "from and to are the same time");
        }
        Some(Daily { from, to, zone, pick: pick? })
    }

    /// `07:30:00` as minutes after midnight.
    fn minute(&mut self, node: &Node) -> Option<u16> {
        let mut parts = node.str("valueTime").unwrap_or_default().splitn(3, ':');
        let mut number = |below: u16| parts.next()?.parse::<u16>().ok().filter(|n| *n < below);
        match (number(24), number(60), number(1)) {
            (Some(hour), Some(minute), Some(_)) => Some(hour * 60 + minute),
            _ => self.add("value", node.at("valueTime"), "a time of day in whole minutes is required, as 07:30:00"),
        }
    }

    fn zone(&mut self, node: &Node) -> Option<Zone> {
        let text = node.str("valueString").unwrap_or_default();
        let zone = Zone::named(text).or_else(|| Zone::parse(text));
        zone.or_else(|| {
            self.add("value", node.at("valueString"), "a time zone is required, as Europe/Madrid or +01:00")
        })
    }

    /// One node of a test: the extension's name says what it is.
    pub(super) fn test(&mut self, node: &Node, signals: &[Signal], depth: u8) -> Option<Test> {
        if depth > DEPTH {
            return self.add("too-long", &node.place, "tests are nested too deeply");
        }
        match node.str("url") {
            Some("compare") => self.compare(node, signals),
            Some("not") => {
                let inner = self.only(node, "extension")?;
                Some(Test::Not(Box::new(self.test(&inner, signals, depth + 1)?)))
            }
            Some(join @ ("all" | "any")) => {
                let parts = node.list("extension");
                let found: Vec<Option<Test>> = parts.iter().map(|part| self.test(part, signals, depth + 1)).collect();
                if parts.is_empty() {
                    return self.add("required", node.at("extension"), "at least one test is required");
                }
                let tests = found.into_iter().collect::<Option<Vec<_>>>()?;
                Some(if join == "all" { Test::All(tests) } else { Test::Any(tests) })
            }
            _ => self.add("not-supported", node.at("url"), "a test is all, any, not or compare"),
        }
    }

    fn compare(&mut self, node: &Node, signals: &[Signal]) -> Option<Test> {
        let fields = self.fields(node, &["signal", "comparator", "value"], &[], &[])?;
        let place = |code: &str| signals.iter().position(|signal| signal.name == code);
        let signal = self.code(fields.get("signal")?, place, "the name of a signal of this rule");
        let comparator = self.code(fields.get("comparator")?, Comparator::from_code, "<, <=, > or >=");
        let value = self.number(fields.get("value")?);
        Some(Test::Compare { signal: signal?, comparator: comparator?, value: value? })
    }
}

/// Which signals a test looks at.
pub(super) fn looked_at(test: &Test, seen: &mut Vec<usize>) {
    match test {
        Test::Compare { signal, .. } => seen.push(*signal),
        Test::Not(test) => looked_at(test, seen),
        Test::All(tests) | Test::Any(tests) => tests.iter().for_each(|test| looked_at(test, seen)),
    }
}
