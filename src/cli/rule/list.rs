//! The rules that are shipped, as a list and as the tables of the manual.

use serde_json::Value;

use super::super::output;
use crate::alert::rule::{Condition, Gauge, Limits, Per, Rule, Sides, compile, default_plans};

/// The shipped rule with this id.
pub(in crate::cli) fn shipped(id: &str) -> Option<Value> {
    default_plans().into_iter().find(|plan| plan.get("id").is_some_and(|own| own == id))
}

pub(super) fn print(markdown: bool) {
    lines(markdown).into_iter().for_each(output::line);
}

fn lines(markdown: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if markdown {
        lines.push("| Rule | Status | Measures | Raises | Source and use |\n|---|---|---|---|---|".to_owned());
    }
    for plan in default_plans() {
        let text = |name: &str| plan.get(name).and_then(Value::as_str).unwrap_or_default();
        let Ok(rule) = compile(&plan) else { continue };
        let raises = raises(&rule);
        lines.push(if markdown {
            let cells = [text("id"), text("status"), &rule.label, &raises, text("description")];
            format!("| {} |", cells.map(|cell| cell.replace('|', "\\|").replace('<', "&lt;")).join(" | "))
        } else {
            format!("{}\t{}\t{}", text("id"), text("status"), text("title"))
        });
    }
    lines
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

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::alert::score::Kind;

    const ROOT: &str = env!("CARGO_MANIFEST_DIR");

    /// A table of points as it lies among the data.
    fn points(file: &str) -> String {
        let text = std::fs::read_to_string(format!("{ROOT}/src/alert/data/{file}")).unwrap();
        let mut table = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        let mut all = String::new();
        for (at, row) in table.records().enumerate() {
            let cells: Vec<String> =
                row.unwrap().iter().map(|cell| cell.replace('<', "&lt;").replace('_', " ")).collect();
            writeln!(all, "| {} |", cells.join(" | ")).unwrap();
            if at == 0 {
                writeln!(all, "|{}", "---|".repeat(cells.len())).unwrap();
            }
        }
        all
    }

    fn ages() -> String {
        let mut all = String::from("| Score | Looks at | or else | Counts for | Needed |\n|---|---|---|---|---|\n");
        for kind in Kind::ALL {
            for needed in kind.inputs() {
                let others: Vec<&str> = needed.alternatives.iter().map(|other| other.code()).collect();
                let (what, hours) = (needed.parameter.code(), needed.max_age_s / 3600);
                let required = if needed.required { "yes" } else { "no" };
                writeln!(all, "| {} | {what} | {} | {hours} h | {required} |", kind.title(), others.join(", "))
                    .unwrap();
            }
        }
        all
    }

    #[test]
    fn what_is_shipped_stands_in_the_manual_of_the_ward() {
        let path = format!("{ROOT}/docs/rules.md");
        let mut text = std::fs::read_to_string(&path).unwrap();
        let rules = lines(true).join("\n") + "\n";
        for (name, table) in [
            ("rules", rules),
            ("ages", ages()),
            ("news2", points("news2.csv")),
            ("scores", points("scores.csv")),
            ("bedside-pews", points("bedside-pews.csv")),
        ] {
            let (before, rest) = text.split_once(&format!("<!-- {name} -->\n")).unwrap();
            let (_, after) = rest.split_once("<!-- end -->").unwrap();
            text = format!("{before}<!-- {name} -->\n{table}<!-- end -->{after}");
        }
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "UPDATE_DOCS=1 writes it");
        assert!(text.contains("decision support, not an alarm system of record"));
    }
}
