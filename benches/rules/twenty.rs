//! Twenty rules of one signal, of every kind that a ward may have at once.

use anyhow::{Context, Result, anyhow, ensure};
use vigia::alert::rule::{RuleSet, compile, toml};

const HIGH: &str = r#"limit = [{ side = "high", level = "warning", comparator = ">=", value = 111 }, { side = "high", level = "critical", comparator = ">=", value = 131 }]
"#;
const BOTH: &str = r#"limit = [{ side = "low", level = "critical", comparator = "<=", value = 40 }, { side = "low", level = "warning", comparator = "<=", value = 50 }, { side = "high", level = "warning", comparator = ">=", value = 111 }, { side = "high", level = "critical", comparator = ">=", value = 131 }]
hysteresis = 3
"#;
const STEEP: &str = r#"limit = [{ side = "high", level = "warning", comparator = ">=", value = 20 }]
"#;
const ODD: &str = r#"limit = [{ side = "high", level = "warning", comparator = ">=", value = 3 }]
"#;
const LONG: &str = r#"limit = [{ side = "high", level = "warning", comparator = ">=", value = 600 }]
"#;

/// A name, limits, and what else the rule says.
const TABLE: [(&str, &str, &str); 20] = [
    ("single", BOTH, ""),
    ("two-of-two", BOTH, "n-of-m = { n = 2, m = 2 }"),
    ("three-of-five", BOTH, "n-of-m = { n = 3, m = 5 }"),
    ("eight-of-ten", BOTH, "n-of-m = { n = 8, m = 10 }"),
    ("twenty-of-thirty", HIGH, "n-of-m = { n = 20, m = 30 }"),
    ("held", BOTH, "for = \"15 s\""),
    ("held-long", HIGH, "for = \"5 min\""),
    ("clear-slowly", BOTH, "clear-for = \"2 min\""),
    ("held-and-clear-slowly", BOTH, "for = \"30 s\"\nclear-for = \"30 s\""),
    ("two-of-three-held", BOTH, "n-of-m = { n = 2, m = 3 }\nfor = \"30 s\""),
    ("rate-1", STEEP, "gauge = { kind = \"rate\", window = \"1 min\", per = \"1 min\" }"),
    ("rate-15", STEEP, "gauge = { kind = \"rate\", window = \"15 min\", per = \"1 min\" }"),
    ("change-10", STEEP, "gauge = { kind = \"change\", window = \"10 min\" }"),
    ("change-60", STEEP, "gauge = { kind = \"change\", window = \"1 h\" }"),
    ("slope-30", STEEP, "gauge = { kind = \"slope\", memory = \"30 min\", per = \"1 h\" }"),
    (
        "deviation",
        ODD,
        "gauge = { kind = \"deviation\", method = \"ewma\", memory = \"1 d\", warm-up = 30 }\nback-tested = { date = \"2026-03-01\", report = \"a bench\" }",
    ),
    ("flat", LONG, "gauge = { kind = \"flat\" }"),
    ("flat-tolerant", LONG, "gauge = { kind = \"flat\", tolerance = 1 }"),
    ("missing-10", "", "stale-after = { after = \"10 min\", per = \"signal\", level = \"warning\" }"),
    ("missing-60", "", "stale-after = { after = \"1 h\", per = \"signal\", level = \"warning\" }"),
];

pub(crate) fn rules() -> Result<RuleSet> {
    let mut rules = Vec::new();
    for (name, limits, more) in TABLE {
        let plausible = if limits.is_empty() { "" } else { "plausible = { low = 10, high = 300 }\n" };
        let text = format!(
            "id = \"{name}\"\nurl = \"urn:bench:{name}\"\nversion = \"1\"\ntitle = \"{name}\"\nstatus = \"active\"\nlabel = \"Heart rate\"\n\
             codes = [{{ loinc = \"8867-4\" }}]\nunit = \"/min\"\n{plausible}{limits}{more}\n"
        );
        let plan = toml::import(&text).map_err(|fault| anyhow!("{name}: {fault}"))?;
        let rule = compile(&plan).map_err(|issues| anyhow!("{issues:?}")).context(name)?;
        rules.push(rule);
    }
    let rules = RuleSet::new(rules);
    ensure!(rules.rules().len() == TABLE.len(), "a rule is not in force");
    Ok(rules)
}
