//! Secrets in files, so that they stand in no history of commands and in no list of processes.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// The first line of a file; `-` is standard input. `option`: what named it.
pub(super) fn first_line(file: &Path, option: &str) -> Result<String> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).with_context(|| format!("{option}: cannot read it"))?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let line = text.lines().next().unwrap_or_default().to_owned();
    ensure!(!line.is_empty(), "{option}: there is nothing in it");
    Ok(line)
}
