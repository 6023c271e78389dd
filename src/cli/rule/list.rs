//! The rules that are shipped, as a list and as the tables of the manual.

use serde_json::Value;

use super::super::output;
use crate::alert::rule::{Condition, Gauge, Limits, Per, Rule, Sides, compile, default_plans};

/// The shipped rule with this id.
pub(super) fn shipped(id: &str) -> Option<Value> {
    default_plans().into_iter().find(|plan| plan.get("id").is_some_and(|own| own == id))
}

pub(super) fn print(markdown: bool) {
    if markdown {
        output::line("| Rule | Status | Measures | Raises | Source and use |\n|---|---|---|---|---|");
    }
    for plan in default_plans() {
        let text = |name: &str| plan.get(name).and_then(Value::as_str).unwrap_or_default();
        let Ok(rule) = compile(&plan) else { continue };
        let raises = raises(&rule);
        output::line(if markdown {
            let cells = [text("id"), text("status"), &rule.label, &raises, text("description")];
            format!("| {} |", cells.map(|cell| cell.replace('|', "\\|").replace('<', "&lt;")).join(" | "))
        } else {
            format!("{}\t{}\t{}", text("id"), text("status"), text("title"))
        });
    }
}

fn raises(rule: &Rule) -> String {
    match &rule.condition {
        Condition::Limits { gauge, limits } => {
            let all = limits_in_words(limits, rule.unit());
            let what = match gauge {
                Gauge::Value => "",
                Gauge::Rate { .. } => "rate ",
                Gauge::Change { .. } => "change ",
                Gauge::Slope { .. } => "trend ",
                Gauge::Deviation(_) => "standard deviations ",
                Gauge::Flat { .. } => "unchanged, seconds ",
                Gauge::Difference => "difference ",
            };
            format!("{what}{all}")
        }
        Condition::Missing { after, per, .. } => {
            let whose = if *per == Per::Device { "of the device" } else { "of a signal" };
            format!("technical: nothing {whose} for {} min", after / 60_000_000)
        }
        Condition::Score(kind) => format!("bands of {}", kind.title()),
        Condition::Compound { level, .. } => format!("{} when all tests hold", level.code()),
    }
}

fn limits_in_words(limits: &Sides, unit: &str) -> String {
    let sides = [&limits.low, &limits.high].into_iter().flat_map(Limits::iter);
    let words =
        sides.map(|(level, limit)| format!("{} {} {} {unit}", level.code(), limit.comparator.code(), limit.value));
    words.collect::<Vec<_>>().join("; ")
}
