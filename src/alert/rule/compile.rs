//! PlanDefinition -> Rule. A plan is refused as a whole, with every problem and its element named, when it says
//! anything that would not be obeyed: a rule that runs differently from what its author reads is worse than none.
//!
//! The form: `type` eca-rule, one `action` with one `data-added` trigger on Observation whose `codeFilter` (path
//! `code`) lists the codings of one measurement, the most specific first. What is tested stands in extensions of
//! the action, below `https://vigia.dev/fhir/StructureDefinition/`:
//!
//! | extension | value | meaning |
//! |---|---|---|
//! | `alert-unit` | code, 1..1 | UCUM unit of all numbers of the rule |
//! | `alert-limit` | `side` low\|high, `level` warning\|critical, `comparator` < <= > >= (codes), `value` decimal; 1..4 | a limit |
//! | `alert-n-of-m` | `n`, `m` positiveInt; 0..1 | n of the last m readings must agree; without it each reading counts |
//! | `alert-hysteresis` | decimal, 0..1 | how far inside a limit a value must be to leave the level |
//! | `alert-plausible` | `low`, `high` decimal; 0..1 | what lies outside is a technical alert and nothing else |
//! | `alert-except` | Coding, 0..* | a reading that also carries this coding is left to another rule |
//!
//! Extensions of others are of no concern to us; unknown ones below our own base are refused.

use fhir_r4::Issue;
use serde_json::Value;

use super::{Comparator, Condition, Damping, Gauge, Level, Limit, Plausible, Rule, Side, Sides, Signal, Timing};
use crate::fhir::OURS;
use crate::fhir::reading::{self, Code};

/// Compiles a plan. The list of problems is never empty.
pub fn compile(plan: &Value) -> Result<Rule, Vec<Issue>> {
    let mut problems = Problems::default();
    match problems.plan(&Node { value: plan, place: "PlanDefinition".to_owned() }) {
        Some(rule) if problems.0.is_empty() => Ok(rule),
        _ => Err(problems.0),
    }
}

/// Limits that stand in for those of a rule: the same extensions, on the resource at `place`.
pub fn limits_of(place: &str, resource: &Value) -> Result<Sides, Vec<Issue>> {
    let (mut problems, mut parts) = (Problems::default(), Parts::default());
    let node = Node { value: resource, place: place.to_owned() };
    for extension in node.list("extension") {
        if matches!(extension.str("url").and_then(ours), Some("alert-limit" | "alert-hysteresis")) {
            problems.extension(&extension, &mut parts);
        }
    }
    match problems.thresholds(&node, &parts) {
        Some(Condition::Limits { limits, .. }) if problems.0.is_empty() => Ok(limits),
        _ => Err(problems.0),
    }
}

/// An element and where it stands.
struct Node<'a> {
    value: &'a Value,
    place: String,
}

impl<'a> Node<'a> {
    fn at(&self, name: &str) -> String {
        format!("{}.{name}", self.place)
    }

    fn get(&self, name: &str) -> Option<Node<'a>> {
        Some(Node { value: self.value.get(name)?, place: self.at(name) })
    }

    fn str(&self, name: &str) -> Option<&'a str> {
        self.value.get(name)?.as_str()
    }

    fn list(&self, name: &str) -> Vec<Node<'a>> {
        let items = self.value.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let place = self.at(name);
        items.iter().enumerate().map(|(i, value)| Node { value, place: format!("{place}[{i}]") }).collect()
    }
}

#[derive(Default)]
struct Problems(Vec<Issue>);

/// The parts of an action that are extensions, as far as they were found.
#[derive(Default)]
struct Parts {
    unit: Option<String>,
    limits: Vec<(Side, Level, Comparator, f64, String)>,
    damping: Option<Damping>,
    hysteresis: Option<f64>,
    plausible: Option<Plausible>,
    except: Vec<Code>,
}

impl Problems {
    fn add<T>(&mut self, code: &'static str, place: impl Into<String>, text: &str) -> Option<T> {
        self.0.push(Issue::error(code, place, text));
        None
    }

    fn text(&mut self, node: &Node, name: &str) -> Option<String> {
        match node.str(name).filter(|text| !text.trim().is_empty()) {
            Some(text) => Some(text.to_owned()),
            None => self.add("required", node.at(name), "a text is required"),
        }
    }

    /// The only item of a list.
    fn only<'a>(&mut self, node: &Node<'a>, name: &str) -> Option<Node<'a>> {
        let mut items = node.list(name);
        match (items.pop(), items.is_empty()) {
            (Some(item), true) => Some(item),
            (None, _) => self.add("required", node.at(name), "exactly one is required"),
            (Some(_), false) => self.add("not-supported", node.at(name), "a rule has exactly one"),
        }
    }

    /// Refuses what stands beside the elements that are obeyed (primitive extensions say nothing to obey).
    fn nothing_but(&mut self, node: &Node, known: &[&str]) {
        for name in node.value.as_object().into_iter().flat_map(|object| object.keys()) {
            if !known.contains(&name.as_str()) && !name.starts_with('_') {
                self.add::<()>("not-supported", node.at(name), "the rule engine would not obey this element");
            }
        }
    }

    fn plan(&mut self, plan: &Node) -> Option<Rule> {
        if plan.str("resourceType") != Some("PlanDefinition") {
            return self.add("structure", "PlanDefinition", "a rule is a PlanDefinition");
        }
        for name in ["implicitRules", "modifierExtension", "subjectReference", "useContext", "effectivePeriod"] {
            if plan.get(name).is_some() {
                self.add::<()>("not-supported", plan.at(name), "the rule engine would not obey this element");
            }
        }
        if !reading::codings(plan.value.get("type")).iter().any(|(_, code)| code == "eca-rule") {
            self.add::<()>("value", plan.at("type"), "only plans of type eca-rule are rules");
        }
        for extension in plan.list("extension").iter().filter(|e| e.str("url").and_then(ours).is_some()) {
            self.add::<()>("not-supported", extension.at("url"), "our extensions stand on the action");
        }
        let active = match plan.str("status") {
            Some("active") => Some(true),
            Some("draft" | "retired" | "unknown") => Some(false),
            _ => self.add("value", plan.at("status"), "must be draft, active, retired or unknown"),
        };
        let url = self.text(plan, "url");
        let version = self.text(plan, "version");
        if url.as_ref().is_some_and(|url| url.contains('|')) {
            self.add::<()>("value", plan.at("url"), "a canonical url holds no version");
        }
        let action = self.only(plan, "action")?;
        let known =
            ["id", "extension", "prefix", "title", "description", "textEquivalent", "priority", "code", "reason"];
        self.nothing_but(&action, &[&known[..], &["documentation", "trigger"]].concat());
        let label = action.str("title").or_else(|| plan.str("title")).map(str::to_owned);
        let label = label.or_else(|| self.add("required", action.at("title"), "a rule has a title"));
        let codes = self.trigger(&action);
        let mut parts = Parts::default();
        for extension in action.list("extension") {
            self.extension(&extension, &mut parts);
        }
        let unit = parts.unit.take().or_else(|| self.add("required", action.at("extension"), "alert-unit is required"));
        let condition = self.thresholds(&action, &parts);
        Some(Rule {
            id: plan.str("id").unwrap_or_default().to_owned(),
            url: url?,
            version: version?,
            active: active?,
            shadow: false,
            label: label?,
            signals: vec![Signal {
                codes: codes?,
                except: parts.except,
                unit: unit?,
                plausible: parts.plausible,
                ..Signal::default()
            }],
            condition: condition?,
            ages: vec![],
            timing: Timing { damping: parts.damping.unwrap_or(Damping::SINGLE), ..Timing::PLAIN },
            latch: None,
            priorities: Level::RAISED.map(Level::priority),
        })
    }

    /// The codings of the readings that the rule judges.
    fn trigger(&mut self, action: &Node) -> Option<Vec<Code>> {
        let trigger = self.only(action, "trigger")?;
        self.nothing_but(&trigger, &["id", "type", "data"]);
        if trigger.str("type") != Some("data-added") {
            self.add::<()>("not-supported", trigger.at("type"), "rules are triggered by data-added");
        }
        let data = self.only(&trigger, "data")?;
        self.nothing_but(&data, &["id", "type", "codeFilter", "mustSupport"]);
        if data.str("type") != Some("Observation") {
            self.add::<()>("not-supported", data.at("type"), "rules are triggered by Observations");
        }
        let filter = self.only(&data, "codeFilter")?;
        self.nothing_but(&filter, &["id", "path", "code"]);
        if filter.str("path") != Some("code") {
            self.add::<()>("not-supported", filter.at("path"), "readings are found by their code");
        }
        let mut codes = Vec::new();
        for coding in filter.list("code") {
            let (system, code) = (self.text(&coding, "system"), self.text(&coding, "code"));
            codes.push((system?, code?));
        }
        if codes.is_empty() {
            return self.add("required", filter.at("code"), "at least one coding is required");
        }
        Some(codes)
    }

    fn extension(&mut self, extension: &Node, parts: &mut Parts) {
        let Some(url) = self.text(extension, "url") else { return };
        match ours(&url) {
            None => {}
            Some("alert-unit") => {
                let unit = self.text(extension, "valueCode");
                self.once(extension, &mut parts.unit, unit);
            }
            Some("alert-limit") => {
                if let Some(limit) = self.limit(extension) {
                    parts.limits.push(limit);
                }
            }
            Some("alert-n-of-m") => {
                let damping = self.damping(extension);
                self.once(extension, &mut parts.damping, damping);
            }
            Some("alert-hysteresis") => {
                let hysteresis = self.number(extension).and_then(|h| {
                    if h >= 0.0 {
                        Some(h)
                    } else {
                        self.add("value", extension.at("valueDecimal"), "must not be negative")
                    }
                });
                self.once(extension, &mut parts.hysteresis, hysteresis);
            }
            Some("alert-plausible") => {
                let plausible = self.plausible(extension);
                self.once(extension, &mut parts.plausible, plausible);
            }
            Some("alert-except") => {
                let coding = extension
                    .get("valueCoding")
                    .unwrap_or(Node { value: &Value::Null, place: extension.at("valueCoding") });
                if let (Some(system), Some(code)) = (self.text(&coding, "system"), self.text(&coding, "code")) {
                    parts.except.push((system, code));
                }
            }
            Some(_) => {
                self.add::<()>("not-supported", extension.at("url"), "the rule engine does not know this extension");
            }
        }
    }

    fn once<T>(&mut self, extension: &Node, slot: &mut Option<T>, value: Option<T>) {
        if slot.is_some() {
            self.add::<()>("structure", &extension.place, "this extension may stand only once");
        } else {
            *slot = value;
        }
    }

    /// The named parts of a complex extension, each exactly once and nothing else.
    fn inner<'a, const N: usize>(&mut self, extension: &Node<'a>, names: [&str; N]) -> Option<[Node<'a>; N]> {
        let parts = extension.list("extension");
        let known = |part: &Node| part.str("url").is_some_and(|url| names.contains(&url));
        for part in parts.iter().filter(|part| !known(part)) {
            self.add::<()>("not-supported", part.at("url"), "the rule engine does not know this part");
        }
        let mut found = Vec::new();
        for name in names {
            let mut same = parts.iter().filter(|part| part.str("url") == Some(name));
            if let (Some(part), None) = (same.next(), same.next()) {
                found.push(Node { value: part.value, place: part.place.clone() });
            } else {
                let text = format!("the part {name} must stand exactly once");
                self.add::<()>("required", extension.at("extension"), &text);
            }
        }
        found.try_into().ok()
    }

    fn number(&mut self, node: &Node) -> Option<f64> {
        match node.value.get("valueDecimal").and_then(Value::as_f64).filter(|number| number.is_finite()) {
            Some(number) => Some(number),
            None => self.add("value", node.at("valueDecimal"), "a decimal is required"),
        }
    }

    fn count(&mut self, node: &Node) -> Option<u8> {
        let count = node.value.get("valuePositiveInt").and_then(Value::as_u64).and_then(|n| u8::try_from(n).ok());
        let text = format!("a whole number from 1 to {} is required", Damping::MAX);
        let count = count.filter(|n| (1..=Damping::MAX).contains(n));
        count.or_else(|| self.add("value", node.at("valuePositiveInt"), &text))
    }

    fn damping(&mut self, extension: &Node) -> Option<Damping> {
        let [n, m] = self.inner(extension, ["n", "m"])?;
        let (n, m) = (self.count(&n), self.count(&m));
        let (n, m) = (n?, m?);
        if n > m {
            return self.add("value", &extension.place, "n must not be more than m");
        }
        Some(Damping { n, m })
    }

    fn plausible(&mut self, extension: &Node) -> Option<Plausible> {
        let [low, high] = self.inner(extension, ["low", "high"])?;
        let (low, high) = (self.number(&low), self.number(&high));
        let (low, high) = (low?, high?);
        if low >= high {
            return self.add("value", &extension.place, "low must be less than high");
        }
        Some(Plausible { low, high })
    }

    fn limit(&mut self, extension: &Node) -> Option<(Side, Level, Comparator, f64, String)> {
        let [side, level, comparator, value] = self.inner(extension, ["side", "level", "comparator", "value"])?;
        let value = self.number(&value);
        let side = match side.str("valueCode") {
            Some("low") => Some(Side::Low),
            Some("high") => Some(Side::High),
            _ => self.add("value", side.at("valueCode"), "must be low or high"),
        };
        let level = match level.str("valueCode").and_then(Level::from_code) {
            Some(level) => Some(level),
            None => self.add("value", level.at("valueCode"), "must be advisory, warning or critical"),
        };
        let place = comparator.at("valueCode");
        let comparator = match comparator.str("valueCode").and_then(Comparator::from_code) {
            Some(comparator) => Some(comparator),
            None => self.add("value", place.as_str(), "must be <, <=, > or >="),
        };
        let (side, comparator) = (side?, comparator?);
        if comparator.side() != side {
            return self.add("value", place, "a low limit is broken by < or <=, a high limit by > or >=");
        }
        Some((side, level?, comparator, value?, extension.place.clone()))
    }

    /// The limits together: none twice, none that cannot be reached, and normal values between them.
    fn thresholds(&mut self, action: &Node, parts: &Parts) -> Option<Condition> {
        let mut limits = Sides::default();
        let hysteresis = parts.hysteresis.unwrap_or(0.0);
        for (side, level, comparator, value, place) in &parts.limits {
            let limit = Limit::new(*comparator, *value, hysteresis);
            if limits.get_mut(*side).set(*level, limit).is_some() {
                self.add::<()>("structure", place, "this side has this limit already");
            }
            if parts.plausible.is_some_and(|p| *value < p.low || *value > p.high) {
                self.add::<()>("value", place, "no plausible value would break this limit");
            }
        }
        if Side::BOTH.iter().all(|side| limits.get(*side).is_empty()) {
            return self.add("required", action.at("extension"), "at least one alert-limit is required");
        }
        for side in Side::BOTH {
            let mut values = limits.get(side).iter().map(|(_, limit)| limit.value);
            let mut less = values.next();
            for value in values {
                if less.is_some_and(|less| side.worse(less, value)) {
                    self.add::<()>("value", action.at("extension"), "the more urgent limit lies further out");
                }
                less = Some(value);
            }
        }
        let inner = |side: Side| limits.get(side).iter().next().map(|(_, limit)| limit.clear);
        if let (Some(low), Some(high)) = (inner(Side::Low), inner(Side::High))
            && low >= high
        {
            self.add::<()>("value", action.at("extension"), "no normal values are left between low and high limits");
        }
        Some(Condition::Limits { gauge: Gauge::Value, limits })
    }
}

/// The name of one of our own extensions.
fn ours(url: &str) -> Option<&str> {
    url.strip_prefix(OURS)?.strip_prefix("/StructureDefinition/")
}

#[cfg(test)]
mod tests;
