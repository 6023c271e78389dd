//! The parts of a rule together: exactly one condition, and nothing beside it that it would not obey.

use super::super::{
    AgeBand, Condition, Damping, Gauge, Level, Nature, Per, Plausible, Priority, Rule, Side, Sides, Signal, Test,
    Timing,
};
use super::gauge::looked_at;
use super::limits::Terms;
use super::node::{Node, Problems, ours};
use super::parts::Parts;
use crate::alert::score::{Kind, Parameter};

impl Problems {
    /// The condition, with the limits of ages.
    pub(super) fn condition(
        &mut self,
        action: &Node,
        parts: &Parts,
        signals: &[Signal],
    ) -> Option<(Condition, Vec<AgeBand>)> {
        let others = ["alert-stale-after", "alert-score", "alert-test"];
        let said: Vec<&str> = others.into_iter().filter(|name| parts.place(name).is_some()).collect();
        if let [_, extra, ..] = said.as_slice() {
            let place = parts.place(extra).unwrap_or_default();
            return self.add("structure", place, "a rule has one condition");
        }
        let (condition, ages) = match said.first() {
            Some(&name) => {
                self.refuse(
                    parts,
                    &["alert-limit", "alert-clear", "alert-hysteresis", "alert-gauge"],
                    "only limits obey this",
                );
                let condition = match name {
                    "alert-stale-after" => self.silent(parts)?,
                    "alert-score" => self.scored(action, parts, signals)?,
                    _ => self.tested(parts, signals)?,
                };
                (condition, vec![])
            }
            None => self.limited(action, parts, signals)?,
        };
        if !condition.is_joint() {
            self.refuse(parts, &["alert-settle", "alert-fresh"], "only what judges several signals obeys this");
        }
        let limits = if matches!(condition, Condition::Limits { gauge: Gauge::Difference, .. }) { 2 } else { 1 };
        let many = matches!(condition, Condition::Score(_) | Condition::Compound { .. });
        let device = matches!(condition, Condition::Missing { per: Per::Device, .. });
        if !many && !device && signals.len() != limits {
            let text = format!("this condition judges exactly {limits} of the signals");
            return self.add("not-supported", format!("{}.trigger[0].data", action.place), &text);
        }
        Some((condition, ages))
    }

    fn refuse(&mut self, parts: &Parts, names: &[&str], text: &str) {
        for (_, place) in parts.seen.iter().filter(|(name, _)| names.contains(name)) {
            self.add::<()>("not-supported", format!("{place}.url"), text);
        }
    }

    fn silent(&mut self, parts: &Parts) -> Option<Condition> {
        self.refuse(parts, &["alert-for", "alert-n-of-m"], "what waits for readings counts none");
        let (after, per, level) = parts.missing?;
        Some(Condition::Missing { after, per, level })
    }

    fn scored(&mut self, action: &Node, parts: &Parts, signals: &[Signal]) -> Option<Condition> {
        for (at, signal) in signals.iter().enumerate() {
            let Some(parameter) = Parameter::from_code(&signal.name) else {
                let place = format!("{}.trigger[0].data[{at}].extension", action.place);
                self.add::<()>("value", place, "the name of this signal is no parameter of a score");
                continue;
            };
            let of_kind = parts.score.into_iter().flat_map(Kind::inputs);
            if !of_kind.into_iter().any(|input| input.parameter == parameter || input.alternatives.contains(&parameter))
            {
                let place = format!("{}.trigger[0].data[{at}].extension", action.place);
                self.add::<()>("value", place, "this score has no such parameter");
            }
        }
        parts.score.map(Condition::Score)
    }

    fn tested(&mut self, parts: &Parts, signals: &[Signal]) -> Option<Condition> {
        let (node, level) = parts.test.as_ref()?;
        let test = self.test(node, signals, 0)?;
        let mut seen = Vec::new();
        looked_at(&test, &mut seen);
        for (_, signal) in signals.iter().enumerate().filter(|(at, _)| !seen.contains(at)) {
            self.add::<()>("value", &node.place, &format!("no test looks at the signal {}", signal.name));
        }
        self.possible(&test, signals, &node.place);
        Some(Condition::Compound { test, level: *level })
    }

    /// A comparison that is always or never true is a mistake.
    fn possible(&mut self, test: &Test, signals: &[Signal], place: &str) {
        match test {
            Test::All(tests) | Test::Any(tests) => tests.iter().for_each(|test| self.possible(test, signals, place)),
            Test::Not(test) => self.possible(test, signals, place),
            Test::Compare { signal, comparator, value } => {
                let range = signals.get(*signal).and_then(|signal| signal.plausible);
                let both = |p: Plausible| (comparator.holds(p.low, *value), comparator.holds(p.high, *value));
                if range.map(both).is_some_and(|(low, high)| low == high) {
                    self.add::<()>("value", place, "a comparison has the same answer for all plausible values");
                }
            }
        }
    }

    fn limited(&mut self, action: &Node, parts: &Parts, signals: &[Signal]) -> Option<(Condition, Vec<AgeBand>)> {
        let gauge = parts.gauge.unwrap_or(Gauge::Value);
        let plausible = match gauge {
            Gauge::Value => signals.first().and_then(|signal| signal.plausible),
            _ => None,
        };
        self.clears(&parts.clear, parts.hysteresis);
        let terms = Terms { hysteresis: parts.hysteresis, clear: &parts.clear, plausible };
        let (limits, ages) = self.limits(action, &parts.limits, &terms)?;
        if let (Gauge::Difference, [a, b]) = (gauge, signals)
            && a.unit != b.unit
        {
            let place = format!("{}.trigger[0].data[1].extension", action.place);
            self.add::<()>("value", place, "both signals of a difference have the same unit");
        }
        self.only_high(action, gauge, &limits);
        Some((Condition::Limits { gauge, limits }, ages))
    }

    /// How long nothing moved, and for how long, is never too little.
    fn only_high(&mut self, action: &Node, gauge: Gauge, limits: &Sides) {
        if matches!(gauge, Gauge::Flat { .. }) && !limits.get(Side::Low).is_empty() {
            self.add::<()>("value", action.at("extension"), "a flat line has only high limits, in seconds");
        }
        let cusum = matches!(gauge, Gauge::Deviation(baseline) if baseline.warm_up < 2);
        if cusum {
            self.add::<()>("value", action.at("extension"), "a deviation needs a warm-up of at least 2 readings");
        }
    }

    /// What the alerts are about, and that the condition can be about it.
    pub(super) fn nature(&mut self, parts: &Parts, condition: &Condition) -> Nature {
        let of_device =
            matches!(condition, Condition::Missing { .. } | Condition::Limits { gauge: Gauge::Flat { .. }, .. });
        let may_be = of_device || matches!(condition, Condition::Limits { gauge: Gauge::Difference, .. });
        let natural = if of_device { Nature::Technical } else { Nature::Physiological };
        let Some(said) = parts.nature else { return natural };
        let place = format!("{}.valueCode", parts.place("alert-kind").unwrap_or_default());
        match said {
            Nature::Technical if !may_be => {
                self.add::<()>("value", place, "this condition is about the patient, not about the measurement");
            }
            Nature::Physiological | Nature::Advisory if of_device => {
                self.add::<()>("value", place, "this condition is about the measurement: technical");
            }
            Nature::Advisory if levels(condition).iter().any(|level| *level > Level::Advisory) => {
                self.add::<()>("value", place, "an advisory rule has no level above advisory");
            }
            _ => {}
        }
        said
    }

    pub(super) fn timing(&mut self, parts: &Parts) -> Timing {
        let timing = Timing {
            damping: parts.damping.unwrap_or(Damping::SINGLE),
            hold: parts.hold.unwrap_or(0),
            clear_hold: parts.clear_hold.unwrap_or(0),
            regroup: parts.regroup.unwrap_or(0),
            settle: parts.settle.unwrap_or(Timing::SETTLE),
            late_after: parts.late_after.unwrap_or(Timing::LATE_AFTER),
        };
        if timing.late_after < timing.settle {
            let place = parts.place("alert-late-after").or(parts.place("alert-settle")).unwrap_or_default();
            self.add::<()>("value", place, "a reading would be late before its instant is judged");
        }
        timing
    }

    pub(super) fn priorities(&mut self, parts: &Parts) -> [Priority; 3] {
        let mut all = Level::RAISED.map(Level::priority);
        for (level, priority) in &parts.priorities {
            if let Some(place) = level.place().and_then(|at| all.get_mut(at)) {
                *place = *priority;
            }
        }
        if all.windows(2).any(|pair| matches!(pair, [less, more] if less > more)) {
            let place = parts.place("alert-priority").unwrap_or_default();
            self.add::<()>("value", place, "a more urgent level has no lower priority");
        }
        all
    }

    /// What learns what is usual is off until somebody has looked at what it would have raised.
    pub(super) fn back_tested(&mut self, plan: &Node, rule: &Rule) {
        let mut reports = 0;
        for extension in plan.list("extension") {
            match extension.str("url").and_then(ours) {
                None => {}
                Some("alert-back-tested") => {
                    reports += 1;
                    if let Some(fields) = self.fields(&extension, &["date", "report"], &[], &[]) {
                        self.report(&fields);
                    }
                }
                Some(_) => {
                    self.add::<()>("not-supported", extension.at("url"), "our extensions stand on the action");
                }
            }
        }
        if rule.active && reports == 0 && matches!(rule.gauge(), Some(Gauge::Deviation(_))) {
            let text = "a rule about what is usual is active only with alert-back-tested: a date and a report";
            self.add::<()>("business-rule", plan.at("status"), text);
        }
    }

    fn report(&mut self, fields: &super::node::Fields) {
        if let Some(date) = fields.get("date")
            && date.str("valueDateTime").and_then(crate::fhir::time::range).is_none()
        {
            self.add::<()>("value", date.at("valueDateTime"), "the time of the back-test is required");
        }
        if let Some(report) = fields.get("report")
            && report.get("valueReference").is_none()
        {
            self.text(report, "valueString");
        }
    }
}

/// The levels that a condition can reach.
fn levels(condition: &Condition) -> Vec<Level> {
    match condition {
        Condition::Limits { limits, .. } => {
            Side::BOTH.iter().flat_map(|side| limits.get(*side).iter().map(|(level, _)| level)).collect()
        }
        Condition::Missing { level, .. } | Condition::Compound { level, .. } => vec![*level],
        Condition::Score(_) => Level::RAISED.to_vec(),
    }
}
