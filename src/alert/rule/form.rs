//! Our extensions of a PlanDefinition: where each stands, what it holds, and what it means. The short form of rules
//! (`toml`), its JSON Schema and the reference for authors are made from this table; `compile` reads the values.

/// What an extension, or a part of one, holds.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// One of these; any where there are none.
    Code(&'static [&'static str]),
    Text,
    Decimal,
    Count,
    Flag,
    /// A quantity of time: `15 min`.
    Duration,
    /// A time of day.
    Time,
    DateTime,
    Coding,
    /// Ages from the first up to, and without, the second.
    Ages,
    Parts(&'static [Part]),
    /// The same in a row: `[0, 120, "spo2"]`.
    Row(&'static [Part]),
    /// Nested `all`, `any`, `not`, `compare`, beside the level.
    Test,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Often {
    Once,
    Maybe,
    Many,
}

#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub name: &'static str,
    pub often: Often,
    pub shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Plan,
    Action,
    /// A signal; of a rule with a single one also the action.
    Signal,
}

#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// The key of the short form; the extension has `alert-` before it.
    pub key: &'static str,
    pub place: Place,
    pub often: Often,
    pub shape: Shape,
    pub meaning: &'static str,
    pub example: &'static str,
}

use Often::{Many, Maybe, Once};
use Shape::{Code, Coding, Count, DateTime, Decimal, Duration, Flag, Parts, Row, Text, Time};

const fn part(name: &'static str, often: Often, shape: Shape) -> Part {
    Part { name, often, shape }
}

const LEVEL: Shape = Code(&["advisory", "warning", "critical"]);
const SIDE: Shape = Code(&["low", "high"]);
const COMPARATOR: Shape = Code(&["<", "<=", ">", ">="]);
pub const COMPARE: [Part; 3] =
    [part("signal", Once, Code(&[])), part("comparator", Once, COMPARATOR), part("value", Once, Decimal)];
const DAILY: [Part; 4] = [
    part("from", Once, Time),
    part("to", Once, Time),
    part("zone", Maybe, Text),
    part("pick", Once, Code(&["lowest", "highest", "mean"])),
];
const GAUGE: [Part; 9] = [
    part("kind", Once, Code(&["value", "rate", "change", "slope", "deviation", "flat", "difference"])),
    part("window", Maybe, Duration),
    part("per", Maybe, Duration),
    part("memory", Maybe, Duration),
    part("method", Maybe, Code(&["ewma", "cusum", "robust"])),
    part("warm-up", Maybe, Count),
    part("slack", Maybe, Decimal),
    part("daily", Maybe, Parts(&DAILY)),
    part("tolerance", Maybe, Decimal),
];
const READING: [Part; 3] = [part("at", Once, Decimal), part("value", Once, Decimal), part("signal", Maybe, Code(&[]))];
const EVENT: [Part; 4] = [
    part("at", Once, Decimal),
    part("kind", Once, Code(&["raise", "escalate", "deescalate", "resolve"])),
    part("cause", Once, Code(&[])),
    part("level", Once, Code(&[])),
];
const CASE: [Part; 4] = [
    part("name", Once, Text),
    part("reading", Many, Row(&READING)),
    part("event", Many, Row(&EVENT)),
    part("until", Maybe, Decimal),
];

const fn form(
    key: &'static str,
    place: Place,
    often: Often,
    shape: Shape,
    meaning: &'static str,
    example: &'static str,
) -> Form {
    Form { key, place, often, shape, meaning, example }
}

use Place::{Action, Plan, Signal};

#[rustfmt::skip]
pub const FORMS: [Form; 25] = [
    form("back-tested", Plan, Maybe, Parts(&[part("date", Once, DateTime), part("report", Once, Text)]),
        "when and with what result the rule was tried on stored history; without it a deviation is not active",
        r#"back-tested = { date = "2026-03-01", report = "0.2 raises a patient-day on ward 3, agreed by Dr Ruiz" }"#),
    form("signal", Signal, Maybe, Code(&[]),
        "the name of a signal where a rule has several; of a score the parameter",
        r#"signal = "spo2""#),
    form("unit", Signal, Maybe, Code(&[]),
        "UCUM unit of the numbers of the signal; readings are converted to it. Required",
        r#"unit = "/min""#),
    form("plausible", Signal, Maybe, Parts(&[part("low", Once, Decimal), part("high", Once, Decimal)]),
        "what lies outside is a technical alert and nothing else; both ends may be true",
        "plausible = { low = 10, high = 300 }"),
    form("except", Signal, Many, Coding,
        "a reading that also carries this coding is left to another rule",
        r#"except = [{ loinc = "8889-8" }]"#),
    form("answer", Signal, Many, Parts(&[part("answer", Once, Coding), part("number", Once, Decimal)]),
        "the number that a coded answer stands for",
        r#"answer = [{ answer = { snomed = "248234008" }, number = 0 }]"#),
    form("fresh", Signal, Maybe, Duration,
        "how long a reading stands for the present; without it until the next. Only where several signals are judged",
        r#"fresh = "4 h""#),
    form("limit", Action, Many, Parts(&[part("side", Once, SIDE), part("level", Once, LEVEL),
            part("comparator", Once, COMPARATOR), part("value", Once, Decimal), part("age", Maybe, Shape::Ages)]),
        "a limit of the value, or of the gauge; at most one a side, level and age. Limits of an age stand in for all others",
        r#"limit = [{ side = "high", level = "critical", comparator = ">=", value = 131 }, { side = "high", level = "critical", comparator = ">=", value = 180, age = { from = "1 mo", to = "1 a" } }]"#),
    form("hysteresis", Action, Maybe, Decimal,
        "how far inside a limit a value must be to leave the level",
        "hysteresis = 3"),
    form("clear", Action, Many, Parts(&[part("side", Once, SIDE), part("level", Once, LEVEL), part("value", Once, Decimal)]),
        "the limit beyond which a level is left, said for one limit instead of a hysteresis for all",
        r#"clear = [{ side = "high", level = "critical", value = 125 }]"#),
    form("gauge", Action, Maybe, Parts(&GAUGE),
        "the number that limits are held against: value (default); rate or slope in `per`; change within `window`; deviation, in \
         standard deviations from the patient's own mean; flat, in seconds without a move beyond `tolerance`; difference, \
         first signal minus second",
        r#"gauge = { kind = "rate", window = "15 min", per = "1 min" }"#),
    form("score", Action, Maybe, Code(&[]),
        "a score of all signals instead of limits; its bands are the levels",
        r#"score = "news2""#),
    form("test", Action, Maybe, Shape::Test,
        "tests of the latest readings joined by all, any and not, instead of limits. What is not known is not true",
        r#"test = { level = "warning", all = [{ compare = { signal = "heart-rate", comparator = ">", value = 100 } }, { not = { compare = { signal = "spo2", comparator = ">=", value = 92 } } }] }"#),
    form("stale-after", Action, Maybe, Parts(&[part("after", Once, Duration),
            part("per", Once, Code(&["signal", "device"])), part("level", Once, LEVEL)]),
        "an alert when nothing has come for so long, instead of limits: from each signal by itself, or from a device",
        r#"stale-after = { after = "10 min", per = "signal", level = "warning" }"#),
    form("n-of-m", Action, Maybe, Parts(&[part("n", Once, Count), part("m", Once, Count)]),
        "n of the last m readings must agree; without it each reading counts",
        "n-of-m = { n = 2, m = 3 }"),
    form("for", Action, Maybe, Duration,
        "a level is reached only after it has held so long",
        r#"for = "15 s""#),
    form("clear-for", Action, Maybe, Duration,
        "a level is left only after it has been clear so long",
        r#"clear-for = "30 s""#),
    form("regroup", Action, Maybe, Duration,
        "what comes back within this time is the same episode",
        r#"regroup = "5 min""#),
    form("settle", Action, Maybe, Duration,
        "how long the readings of an instant are waited for where several signals are judged; 2 s",
        r#"settle = "5 s""#),
    form("late-after", Action, Maybe, Duration,
        "a reading that comes later is history and sounds nowhere; 15 min",
        r#"late-after = "4 h""#),
    form("latch", Action, Maybe, Code(&["advisory", "warning", "critical", "none"]),
        "from this level on an alert stays until acknowledged; critical for what speaks of the patient, else none",
        r#"latch = "none""#),
    form("priority", Action, Many, Parts(&[part("level", Once, LEVEL), part("priority", Once, Code(&["low", "medium", "high"]))]),
        "the priority (IEC 60601-1-8) of a level; low, medium and high",
        r#"priority = [{ level = "warning", priority = "high" }]"#),
    form("kind", Action, Maybe, Code(&["physiological", "technical", "advisory"]),
        "what the alerts are about; what is missing or flat is technical, a difference may be, all else is physiological \
         or, with no level above advisory, advisory",
        r#"kind = "advisory""#),
    form("shadow", Action, Maybe, Flag,
        "alerts are recorded and nobody is told",
        "shadow = true"),
    form("case", Action, Many, Parts(&CASE),
        "what `vigia rule test` runs: readings (minute, value, signal) in, events (minute, kind, cause, level) out",
        r#"case = [{ name = "two in a row", reading = [[0, 120], [1, 120]], event = [[1, "raise", "threshold-high", "warning"]] }]"#),
];

/// The form of an extension of ours, by its name behind our base.
pub fn form_of(name: &str) -> Option<&'static Form> {
    let key = name.strip_prefix("alert-")?;
    FORMS.iter().find(|form| form.key == key)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn every_extension_stands_in_the_docs() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rules-format.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (before, rest) = text.split_once("in_the_docs -->\n").unwrap();
        let (_, after) = rest.split_once("<!-- end -->").unwrap();
        let mut table = String::from("| Key | Stands on | Often | Meaning | Example |\n|---|---|---|---|---|\n");
        for form in FORMS {
            let place = format!("{:?}", form.place);
            let often = match form.often {
                Once => "1..1",
                Maybe => "0..1",
                Many => "0..*",
            };
            let example = form.example.replace('|', "\\|");
            writeln!(table, "| `{}` | {} | {often} | {} | `{example}` |", form.key, place.to_lowercase(), form.meaning)
                .unwrap();
        }
        let now = format!("{before}in_the_docs -->\n{table}<!-- end -->{after}");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), now, "UPDATE_DOCS=1 writes it");
    }
}
