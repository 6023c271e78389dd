//! The extensions of an action and of a signal, as far as they were found. What they are together is not judged
//! here.

use super::super::{Damping, Gauge, Level, Nature, Per, Plausible, Priority};
use super::limits::{Clear, Stated};
use super::node::{Node, Problems, ours};
use crate::alert::score;
use crate::fhir::reading::Code;

/// What describes one signal.
#[derive(Default)]
pub(super) struct SignalParts {
    pub(super) name: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) plausible: Option<Plausible>,
    pub(super) except: Vec<Code>,
    pub(super) answers: Vec<(Code, f64)>,
    pub(super) fresh: Option<i64>,
}

/// What describes the rule. Of durations also the place, for what is said against them later.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) signal: SignalParts,
    pub(super) limits: Vec<Stated>,
    pub(super) clear: Vec<Clear>,
    pub(super) hysteresis: Option<f64>,
    pub(super) damping: Option<Damping>,
    pub(super) hold: Option<i64>,
    pub(super) clear_hold: Option<i64>,
    pub(super) regroup: Option<i64>,
    pub(super) settle: Option<i64>,
    pub(super) late_after: Option<i64>,
    /// `None`: never.
    pub(super) latch: Option<Level>,
    pub(super) priorities: Vec<(Level, Priority)>,
    pub(super) missing: Option<(i64, Per, Level)>,
    pub(super) nature: Option<Nature>,
    pub(super) shadow: Option<bool>,
    pub(super) gauge: Option<Gauge>,
    pub(super) score: Option<score::Kind>,
    pub(super) test: Option<(Node<'a>, Level)>,
    /// Every extension that stands there, and where.
    pub(super) seen: Vec<(&'a str, String)>,
}

impl Parts<'_> {
    pub(super) fn place(&self, name: &str) -> Option<&str> {
        self.seen.iter().find(|(seen, _)| *seen == name).map(|(_, place)| place.as_str())
    }
}

impl Problems {
    pub(super) fn parts<'a>(&mut self, action: &Node<'a>) -> Parts<'a> {
        let mut parts = Parts::default();
        for extension in action.list("extension") {
            let Some(url) = extension.str("url").filter(|url| !url.is_empty()) else {
                self.add::<()>("required", extension.at("url"), "a text is required");
                continue;
            };
            let Some(name) = ours(url) else { continue };
            parts.seen.push((name, extension.place.clone()));
            let known = self.timing_part(name, &extension, &mut parts)
                || self.rule_part(name, &extension, &mut parts)
                || self.signal_part(name, &extension, &mut parts.signal);
            if !known || name == "alert-signal" {
                self.unknown(&extension);
            }
        }
        parts
    }

    fn unknown(&mut self, extension: &Node) {
        self.add::<()>("not-supported", extension.at("url"), "the rule engine does not know this extension here");
    }

    fn timing_part(&mut self, name: &str, extension: &Node, parts: &mut Parts) -> bool {
        let slot = match name {
            "alert-for" => &mut parts.hold,
            "alert-clear-for" => &mut parts.clear_hold,
            "alert-regroup" => &mut parts.regroup,
            "alert-settle" => &mut parts.settle,
            "alert-late-after" => &mut parts.late_after,
            _ => return false,
        };
        let duration = self.duration(extension);
        self.once(extension, slot, duration);
        true
    }

    fn rule_part<'a>(&mut self, name: &str, extension: &Node<'a>, parts: &mut Parts<'a>) -> bool {
        match name {
            "alert-limit" => parts.limits.extend(self.stated(extension)),
            "alert-clear" => parts.clear.extend(self.clear(extension)),
            "alert-hysteresis" => {
                let value = self.not_negative(extension);
                self.once(extension, &mut parts.hysteresis, value);
            }
            "alert-n-of-m" => {
                let damping = self.damping(extension);
                self.once(extension, &mut parts.damping, damping);
            }
            "alert-latch" => {
                let level = |code: &str| if code == "none" { Some(Level::None) } else { Level::from_code(code) };
                let level = self.code(extension, level, "advisory, warning, critical or none");
                self.once(extension, &mut parts.latch, level);
            }
            "alert-priority" => self.priority(extension, parts),
            "alert-stale-after" => {
                let missing = self.missing(extension);
                self.once(extension, &mut parts.missing, missing);
            }
            "alert-kind" => {
                let nature = self.code(extension, Nature::from_code, "physiological, technical or advisory");
                self.once(extension, &mut parts.nature, nature);
            }
            "alert-shadow" => {
                let shadow = self.flag(extension);
                self.once(extension, &mut parts.shadow, shadow);
            }
            "alert-gauge" => {
                let gauge = self.gauge(extension);
                self.once(extension, &mut parts.gauge, gauge);
            }
            "alert-score" => {
                let known = score::Kind::ALL.map(score::Kind::code).join(", ");
                let kind = self.code(extension, score::Kind::from_code, &format!("one of {known}"));
                self.once(extension, &mut parts.score, kind);
            }
            "alert-test" => {
                let test = self.fields(extension, &["level"], &["all", "any", "not", "compare"], &[]);
                let test = test.and_then(|fields| {
                    let level = fields.get("level").and_then(|level| self.level(level));
                    let mut tests = extension.list("extension").into_iter().filter(|p| p.str("url") != Some("level"));
                    match (tests.next(), tests.next()) {
                        (Some(test), None) => Some((test, level?)),
                        _ => self.add("required", extension.at("extension"), "exactly one test is required"),
                    }
                });
                self.once(extension, &mut parts.test, test);
            }
            // What `vigia rule test` runs; says nothing to obey.
            "alert-case" => {}
            _ => return false,
        }
        true
    }

    /// True: it says something of a signal.
    pub(super) fn signal_part(&mut self, name: &str, extension: &Node, parts: &mut SignalParts) -> bool {
        match name {
            "alert-signal" => {
                let name = self.text(extension, "valueCode");
                self.once(extension, &mut parts.name, name);
            }
            "alert-unit" => {
                let unit = self.text(extension, "valueCode");
                self.once(extension, &mut parts.unit, unit);
            }
            "alert-plausible" => {
                let plausible = self.plausible(extension);
                self.once(extension, &mut parts.plausible, plausible);
            }
            "alert-except" => parts.except.extend(self.coding(extension)),
            "alert-answer" => {
                let answer = self.fields(extension, &["answer", "number"], &[], &[]).and_then(|fields| {
                    let (coding, number) = (self.coding(fields.get("answer")?), self.number(fields.get("number")?));
                    Some((coding?, number?))
                });
                if let Some((coding, _)) = &answer
                    && parts.answers.iter().any(|(known, _)| known == coding)
                {
                    self.add::<()>("structure", &extension.place, "this answer has a number already");
                }
                parts.answers.extend(answer);
            }
            "alert-fresh" => {
                let fresh = self.positive(extension);
                self.once(extension, &mut parts.fresh, fresh);
            }
            _ => return false,
        }
        true
    }

    fn damping(&mut self, extension: &Node) -> Option<Damping> {
        let fields = self.fields(extension, &["n", "m"], &[], &[])?;
        let most = u32::from(Damping::MAX);
        let mut count = |name: &str| self.count(fields.get(name)?, most).and_then(|n| u8::try_from(n).ok());
        let (n, m) = (count("n"), count("m"));
        let (n, m) = (n?, m?);
        if n > m {
            return self.add("value", &extension.place, "n must not be more than m");
        }
        Some(Damping { n, m })
    }

    fn priority(&mut self, extension: &Node, parts: &mut Parts) {
        let Some(fields) = self.fields(extension, &["level", "priority"], &[], &[]) else { return };
        let level = fields.get("level").and_then(|level| self.level(level));
        let priority =
            fields.get("priority").and_then(|node| self.code(node, Priority::from_code, "low, medium or high"));
        if parts.priorities.iter().any(|(known, _)| Some(*known) == level) {
            self.add::<()>("structure", &extension.place, "this level has a priority already");
        }
        parts.priorities.extend(level.zip(priority));
    }

    fn missing(&mut self, extension: &Node) -> Option<(i64, Per, Level)> {
        let fields = self.fields(extension, &["after", "per", "level"], &[], &[])?;
        let after = self.positive(fields.get("after")?);
        let per = |code: &str| match code {
            "signal" => Some(Per::Signal),
            "device" => Some(Per::Device),
            _ => None,
        };
        let per = self.code(fields.get("per")?, per, "signal or device");
        let level = self.level(fields.get("level")?);
        Some((after?, per?, level?))
    }
}
