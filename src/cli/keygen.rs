//! `vigia keygen`: the signing key of tokens and the key that seals page links, as files that only their owner
//! can read. What it prints belongs into the settings: `vigia keygen >> vigia.toml`.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::output;
use crate::auth::token::generate_pem;
use crate::config::{Config, DEMO_KEY_LINE, DEMO_SEAL_PREFIX};

#[derive(Args, Debug)]
pub(super) struct Options {
    /// Where the files go; the data directory when not given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(config: &Config, options: &Options) -> Result<()> {
    let dir = options.out.as_ref().unwrap_or(&config.data_dir);
    let (signing, seal) = write_keys(dir, false)?;
    // JSON's strings are TOML's as well. Nothing but settings is said: it goes into the settings file.
    let text = |path: &Path| serde_json::Value::from(path.display().to_string());
    output::line("\n# made by `vigia keygen`; keep the files where only the server can read them\n[secrets]");
    output::line(format!("signing_key_file = {}\nseal_key_file = {}", text(&signing), text(&seal)));
    Ok(())
}

/// Writes both keys; existing ones are never overwritten. `demo` marks them, and `serve` refuses them.
pub(super) fn write_keys(dir: &Path, demo: bool) -> Result<(PathBuf, PathBuf)> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make {}", dir.display()))?;
    let (signing, seal) = (dir.join("signing-key.pem"), dir.join("seal-key"));
    let mark = if demo { format!("{DEMO_KEY_LINE}\n") } else { String::new() };
    write_new(&signing, &format!("{mark}{}", generate_pem()?))?;
    let bytes: [u8; 32] = rand::random();
    let digits = bytes.iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"));
    let mark = if demo { DEMO_SEAL_PREFIX } else { "" };
    write_new(&seal, &format!("{mark}{digits}\n"))?;
    Ok((signing, seal))
}

fn write_new(path: &Path, content: &str) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match file {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("{} is there already; a key is never overwritten", path.display())
        }
        other => other.and_then(|mut file| file.write_all(content.as_bytes())),
    }
    .with_context(|| format!("cannot write {}", path.display()))
}
