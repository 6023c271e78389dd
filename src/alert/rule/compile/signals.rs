//! The trigger: which readings a rule takes, and what each of them is to it.

use fhir_r4::NumberPath;

use super::super::Signal;
use super::node::{Node, Problems, ours};
use super::parts::SignalParts;
use crate::fhir::reading::Code;

/// More signals than any score has.
const MOST: usize = 32;

impl Problems {
    /// One signal a `DataRequirement`. A single one may be described by extensions of the action (`own`).
    pub(super) fn signals(&mut self, action: &Node, own: SignalParts, path: Option<NumberPath>) -> Option<Vec<Signal>> {
        let trigger = self.only(action, "trigger")?;
        self.nothing_but(&trigger, &["id", "type", "data"]);
        if trigger.str("type") != Some("data-added") {
            self.add::<()>("not-supported", trigger.at("type"), "rules are triggered by data-added");
        }
        let data = trigger.list("data");
        if data.is_empty() || data.len() > MOST {
            return self.add("required", trigger.at("data"), &format!("one to {MOST} signals are required"));
        }
        if let [only] = data.as_slice() {
            let mut own = own;
            self.signal_parts(only, &mut own);
            return Some(vec![self.signal(only, action, own, path)?]);
        }
        self.only_of_signals(action);
        if path.is_some() {
            self.add::<()>("not-supported", action.at("condition"), "an expression needs a rule with one signal");
        }
        let mut signals: Vec<Signal> = Vec::new();
        for one in &data {
            let mut parts = SignalParts::default();
            self.signal_parts(one, &mut parts);
            match &parts.name {
                None => self.add("required", one.at("extension"), "alert-signal is required"),
                Some(name) if signals.iter().any(|signal| signal.name == *name) => {
                    self.add("value", one.at("extension"), "another signal has this name")
                }
                Some(_) => Some(()),
            };
            signals.extend(self.signal(one, one, parts, None));
        }
        self.apart(&trigger, &signals);
        (signals.len() == data.len()).then_some(signals)
    }

    /// A reading is taken by one signal only.
    fn apart(&mut self, trigger: &Node, signals: &[Signal]) {
        for (at, signal) in signals.iter().enumerate() {
            let before = signals.iter().take(at).flat_map(|other| &other.codes);
            if before.into_iter().any(|code| signal.codes.contains(code)) {
                let place = format!("{}[{at}].codeFilter[0].code", trigger.at("data"));
                self.add::<()>("value", place, "another signal has this coding");
            }
        }
    }

    /// With several signals each is described on its own.
    fn only_of_signals(&mut self, action: &Node) {
        let names = ["alert-unit", "alert-plausible", "alert-except", "alert-answer", "alert-fresh"];
        for extension in action.list("extension") {
            if extension.str("url").and_then(ours).is_some_and(|name| names.contains(&name)) {
                self.add::<()>(
                    "not-supported",
                    extension.at("url"),
                    "with several signals this stands on each of them",
                );
            }
        }
    }

    fn signal_parts(&mut self, data: &Node, parts: &mut SignalParts) {
        for extension in data.list("extension") {
            let Some(name) = extension.str("url").and_then(ours) else { continue };
            if !self.signal_part(name, &extension, parts) {
                self.add::<()>(
                    "not-supported",
                    extension.at("url"),
                    "the rule engine does not know this extension here",
                );
            }
        }
    }

    fn signal(&mut self, data: &Node, owner: &Node, parts: SignalParts, path: Option<NumberPath>) -> Option<Signal> {
        self.nothing_but(data, &["id", "extension", "type", "codeFilter", "mustSupport"]);
        if data.str("type") != Some("Observation") {
            self.add::<()>("not-supported", data.at("type"), "rules are triggered by Observations");
        }
        let codes = self.codes(data);
        let unit = parts.unit.or_else(|| self.add("required", owner.at("extension"), "alert-unit is required"));
        Some(Signal {
            name: parts.name.unwrap_or_default(),
            codes: codes?,
            except: parts.except,
            unit: unit?,
            plausible: parts.plausible,
            answers: parts.answers,
            fresh: parts.fresh,
            path,
        })
    }

    fn codes(&mut self, data: &Node) -> Option<Vec<Code>> {
        let filter = self.only(data, "codeFilter")?;
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

    /// The one condition that is evaluated on the Observation itself.
    pub(super) fn path(&mut self, action: &Node) -> Option<NumberPath> {
        action.get("condition")?;
        let condition = self.only(action, "condition")?;
        self.nothing_but(&condition, &["id", "kind", "expression"]);
        if condition.str("kind") != Some("applicability") {
            self.add::<()>("not-supported", condition.at("kind"), "conditions of rules are of kind applicability");
        }
        let Some(expression) = condition.get("expression") else {
            return self.add("required", condition.at("expression"), "an expression is required");
        };
        self.nothing_but(&expression, &["id", "description", "name", "language", "expression"]);
        if expression.str("language") != Some("text/fhirpath") {
            self.add::<()>("not-supported", expression.at("language"), "expressions of rules are text/fhirpath");
        }
        let text = self.text(&expression, "expression")?;
        match NumberPath::read(&text) {
            Ok(path) => Some(path),
            Err(why) => self.add("value", expression.at("expression"), &why),
        }
    }
}
