//! Limits as extensions say them, and the limits of a rule together: none twice, none that cannot be reached, each
//! more urgent one further out, and normal values between the sides. Limits of an age are a set of their own.

use serde_json::Value;

use super::super::{AgeBand, Comparator, Level, Limit, Plausible, Side, Sides};
use super::node::{Node, Problems};

const DAY: i64 = 86_400_000_000;
/// A year and a month of UCUM (`a_j`, `mo_j`), in days.
const YEAR: f64 = 365.25;

/// One `alert-limit`.
pub(super) struct Stated {
    side: Side,
    level: Level,
    comparator: Comparator,
    value: f64,
    age: Option<(i64, i64)>,
    place: String,
}

/// One `alert-clear`.
pub(super) struct Clear {
    side: Side,
    level: Level,
    value: f64,
    place: String,
}

/// How limits are left.
pub(super) struct Terms<'a> {
    pub(super) hysteresis: Option<f64>,
    pub(super) clear: &'a [Clear],
    /// What the judged number can be, if that is known.
    pub(super) plausible: Option<Plausible>,
}

const LEVELS: &str = "advisory, warning or critical";

impl Problems {
    pub(super) fn level(&mut self, node: &Node) -> Option<Level> {
        self.code(node, Level::from_code, LEVELS)
    }

    fn side(&mut self, node: &Node) -> Option<Side> {
        self.code(node, |code| Side::BOTH.into_iter().find(|side| side.code() == code), "low or high")
    }

    pub(super) fn stated(&mut self, extension: &Node) -> Option<Stated> {
        let fields = self.fields(extension, &["side", "level", "comparator", "value"], &["age"], &[])?;
        let value = self.number(fields.get("value")?);
        let side = self.side(fields.get("side")?);
        let level = self.level(fields.get("level")?);
        let place = fields.get("comparator")?.at("valueCode");
        let comparator = self.code(fields.get("comparator")?, Comparator::from_code, "<, <=, > or >=");
        let age = match fields.get("age") {
            Some(age) => Some(self.age(age)?),
            None => None,
        };
        let (side, comparator) = (side?, comparator?);
        if comparator.side() != side {
            return self.add("value", place, "a low limit is broken by < or <=, a high limit by > or >=");
        }
        Some(Stated { side, level: level?, comparator, value: value?, age, place: extension.place.clone() })
    }

    pub(super) fn clear(&mut self, extension: &Node) -> Option<Clear> {
        let fields = self.fields(extension, &["side", "level", "value"], &[], &[])?;
        let side = self.side(fields.get("side")?);
        let level = self.level(fields.get("level")?);
        let value = self.number(fields.get("value")?);
        Some(Clear { side: side?, level: level?, value: value?, place: extension.place.clone() })
    }

    /// Days of age, from and up to; an end that is not said is open.
    fn age(&mut self, node: &Node) -> Option<(i64, i64)> {
        let Some(range) = node.get("valueRange") else {
            return self.add("required", node.at("valueRange"), "ages from low up to, and without, high");
        };
        let seconds = |unit: &str| {
            let days = match unit {
                "a" => YEAR,
                "mo" => YEAR / 12.0,
                "wk" => 7.0,
                "d" => 1.0,
                _ => return None,
            };
            Some(days * 86_400.0)
        };
        let mut end = |name: &str, open: i64| match range.get(name) {
            Some(end) => self.time(&end, seconds, "a, mo, wk or d").map(|us| us / DAY),
            None => Some(open),
        };
        let (from, to) = (end("low", 0), end("high", i64::MAX));
        let (from, to) = (from?, to?);
        if from >= to {
            return self.add("value", range.place, "low must be less than high");
        }
        Some((from, to))
    }

    /// The limits together, without those of ages; then those of each age.
    pub(super) fn limits(&mut self, node: &Node, stated: &[Stated], terms: &Terms) -> Option<(Sides, Vec<AgeBand>)> {
        let mut ages: Vec<(i64, i64)> = stated.iter().filter_map(|limit| limit.age).collect();
        ages.sort_unstable();
        ages.dedup();
        if ages.windows(2).any(|pair| matches!(pair, [(_, to), (from, _)] if from < to)) {
            self.add::<()>("value", node.at("extension"), "the ages of limits overlap");
        }
        let general = self.sides(node, stated, None, terms);
        let mut bands = Vec::new();
        for (from, to) in ages {
            let limits = self.sides(node, stated, Some((from, to)), terms);
            bands.push(AgeBand { from, to, limits });
        }
        if stated.is_empty() {
            return self.add("required", node.at("extension"), "at least one alert-limit is required");
        }
        Some((general, bands))
    }

    fn sides(&mut self, node: &Node, stated: &[Stated], age: Option<(i64, i64)>, terms: &Terms) -> Sides {
        let mut limits = Sides::default();
        for said in stated.iter().filter(|limit| limit.age == age) {
            let limit = self.limit(said, terms);
            if limits.get_mut(said.side).set(said.level, limit).is_some() {
                self.add::<()>("structure", &said.place, "this side has this limit already");
            }
            if terms.plausible.is_some_and(|p| said.value < p.low || said.value > p.high) {
                self.add::<()>("value", &said.place, "no plausible value would break this limit");
            }
        }
        if age.is_none() {
            for clear in terms.clear.iter().filter(|clear| limits.get(clear.side).get(clear.level).is_none()) {
                self.add::<()>("value", &clear.place, "there is no such limit to be clear of");
            }
        }
        self.in_order(node, &limits);
        limits
    }

    fn limit(&mut self, said: &Stated, terms: &Terms) -> Limit {
        let mut limit = Limit::new(said.comparator, said.value, terms.hysteresis.unwrap_or(0.0));
        let own = terms.clear.iter().filter(|_| said.age.is_none());
        for clear in own.filter(|clear| (clear.side, clear.level) == (said.side, said.level)) {
            if said.side.worse(clear.value, said.value) {
                self.add::<()>("value", &clear.place, "what is clear of a limit lies on its normal side");
            }
            limit.clear = clear.value;
        }
        limit
    }

    fn in_order(&mut self, node: &Node, limits: &Sides) {
        for side in Side::BOTH {
            let all: Vec<Limit> = limits.get(side).iter().map(|(_, limit)| limit).collect();
            let inward =
                |pair: &[Limit]| matches!(pair, [a, b] if side.worse(a.value, b.value) || side.worse(a.clear, b.clear));
            if all.windows(2).any(inward) {
                self.add::<()>("value", node.at("extension"), "the more urgent limit lies further out");
            }
        }
        let inner = |side: Side| limits.get(side).iter().next().map(|(_, limit)| limit.clear);
        if let (Some(low), Some(high)) = (inner(Side::Low), inner(Side::High))
            && low >= high
        {
            self.add::<()>("value", node.at("extension"), "no normal values are left between low and high limits");
        }
    }

    /// `alert-clear` may stand once a side and level, and not beside a hysteresis.
    pub(super) fn clears(&mut self, clears: &[Clear], hysteresis: Option<f64>) {
        for (at, clear) in clears.iter().enumerate() {
            let same = |other: &Clear| (other.side, other.level) == (clear.side, clear.level);
            if hysteresis.is_some() {
                self.add::<()>(
                    "structure",
                    &clear.place,
                    "either alert-clear or alert-hysteresis says when a level is left",
                );
            } else if clears.iter().take(at).any(same) {
                self.add::<()>("structure", &clear.place, "this limit has this already");
            }
        }
    }

    pub(super) fn plausible(&mut self, extension: &Node) -> Option<Plausible> {
        let fields = self.fields(extension, &["low", "high"], &[], &[])?;
        let (low, high) = (self.number(fields.get("low")?), self.number(fields.get("high")?));
        let (low, high) = (low?, high?);
        if low >= high {
            return self.add("value", &extension.place, "low must be less than high");
        }
        Some(Plausible { low, high })
    }
}

/// Limits that stand in for those of a rule: the same extensions, on the resource at `place`.
pub fn limits_of(place: &str, resource: &Value) -> Result<Sides, Vec<fhir_r4::Issue>> {
    let mut problems = Problems::default();
    let node = Node { value: resource, place: place.to_owned() };
    let (mut stated, mut hysteresis, mut clear) = (Vec::new(), None, Vec::new());
    for extension in node.list("extension") {
        match extension.str("url").and_then(super::node::ours) {
            Some("alert-limit") => stated.extend(problems.stated(&extension)),
            Some("alert-clear") => clear.extend(problems.clear(&extension)),
            Some("alert-hysteresis") => {
                let value = problems.not_negative(&extension);
                problems.once(&extension, &mut hysteresis, value);
            }
            _ => {}
        }
    }
    problems.clears(&clear, hysteresis);
    let limits = problems.limits(&node, &stated, &Terms { hysteresis, clear: &clear, plausible: None });
    if stated.iter().any(|limit| limit.age.is_some()) {
        problems.add::<()>("not-supported", node.at("extension"), "limits of one patient or ward have no age");
    }
    match limits {
        Some((limits, _)) if problems.0.is_empty() => Ok(limits),
        _ => Err(problems.0),
    }
}
