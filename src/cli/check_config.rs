//! `vigia check-config`: the effective settings, redacted, and what stands against production use.

use super::output;
use crate::config::Config;

pub(super) fn run(config: &Config) {
    output::line(config.redacted());
    let problems = config.production_problems();
    if problems.is_empty() {
        output::line("# ready for `vigia serve`");
    }
    for problem in problems {
        output::line(format!("# `vigia serve` refuses: {problem}"));
    }
}
