//! `vigia verify`: whether the audit trail is what was recorded. May run beside a server.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use secrecy::ExposeSecret;

use super::{database, output};
use crate::audit::chain::hex;
use crate::auth::access::Access;
use crate::auth::checkpoint::{self, Checkpoint};
use crate::clock::Clock;
use crate::config::Config;
use crate::store::Verified;

#[derive(Args, Debug)]
pub(super) struct Options {
    /// A signed statement of how far the trail came: compared with the trail when it is there, else written.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

pub(super) async fn run(config: Config, options: Options) -> Result<()> {
    let store = database::open(&config)?;
    let key = || config.secrets.signing_key().context("the signing key of the server is needed");
    let known = match options.checkpoint.as_deref().filter(|file| file.exists()) {
        Some(file) => Some(read(file, key()?.expose_secret())?),
        None => None,
    };
    let walked = store.verify_trail(&Access::system("verify"), known.as_ref().map(|known| known.seq)).await?;
    let walked = match walked {
        Ok(walked) => walked,
        Err(broken) => bail!("entry {} of the audit trail: {}", broken.seq, broken.what),
    };
    match (known, options.checkpoint) {
        (Some(known), _) => compare(&known, &walked)?,
        (None, Some(file)) => {
            let made = Checkpoint { seq: walked.entries, hash: hex(&walked.hash), at: Clock::default().now_seconds() };
            write(&file, &checkpoint::sign(key()?.expose_secret(), &made)?)?;
        }
        (None, None) => {}
    }
    output::line(format!("{} entries, each as it was recorded; the last is {}", walked.entries, hex(&walked.hash)));
    Ok(())
}

fn read(file: &Path, key: &str) -> Result<Checkpoint> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    checkpoint::read(key, text.trim()).with_context(|| format!("{} is no checkpoint of this server", file.display()))
}

fn write(file: &Path, text: &str) -> Result<()> {
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    made.and_then(|mut made| std::io::Write::write_all(&mut made, format!("{text}\n").as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// What a trail that was written anew from its start cannot fake.
fn compare(known: &Checkpoint, walked: &Verified) -> Result<()> {
    if known.seq > walked.entries {
        bail!("entry {} of the audit trail: it was there at the checkpoint and was cut off", walked.entries + 1);
    }
    let is_same = known.seq == 0 || walked.at.is_some_and(|hash| hex(&hash) == known.hash);
    if !is_same {
        bail!("entry {} of the audit trail: it or one before it is not what it was at the checkpoint", known.seq);
    }
    Ok(())
}
