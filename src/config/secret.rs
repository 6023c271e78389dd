//! What must never be shown: the keys and the database's password. They are typed so that
//! neither `Debug` nor `Serialize` can show them; `check-config` and logs get stars.

use anyhow::{Context, Result, anyhow, bail};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::path::{Path, PathBuf};

/// First line of a signing key that `vigia demo` made. `vigia serve` refuses such a key.
pub const DEMO_KEY_LINE: &str = "# vigia demo key";
/// How a seal key begins that `vigia demo` made. `vigia serve` refuses it as well.
pub const DEMO_SEAL_PREFIX: &str = "demo:";
/// What stands for a secret wherever the configuration is shown.
const HIDDEN: &str = "********";

/// A database URL, which may hold a password: shown without it.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL with its password.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", without_password(&self.0))
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Hides more rather than less: all from the first colon to the last `@`, and every parameter
/// that speaks of a password.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let rest = match rest.rsplit_once('@') {
        Some((user, host)) if user.contains(':') => {
            format!("{}:{HIDDEN}@{host}", user.split_once(':').map_or(user, |(name, _)| name))
        }
        _ => rest.to_owned(),
    };
    let Some((path, query)) = rest.split_once('?') else { return format!("{scheme}://{rest}") };
    let query: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((key, _)) if key.to_ascii_lowercase().contains("pass") => format!("{key}={HIDDEN}"),
            _ => pair.to_owned(),
        })
        .collect();
    format!("{scheme}://{path}?{}", query.join("&"))
}

/// Keys. `vigia keygen` makes them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Secrets {
    /// PEM file (PKCS#8, P-256) that signs access tokens. `VIGIA__SECRETS__SIGNING_KEY_FILE`
    pub signing_key_file: Option<PathBuf>,
    /// Keys that signed access tokens before: what they signed is good until it expires. To change the key, name the old
    /// one here for an hour. `VIGIA__SECRETS__RETIRED_SIGNING_KEY_FILES`
    pub retired_signing_key_files: Vec<PathBuf>,
    /// 64 hexadecimal digits; seals cursors and what else must come back unchanged.
    /// `VIGIA__SECRETS__SEAL_KEY`
    #[serde(serialize_with = "hidden")]
    pub seal_key: Option<SecretString>,
    /// The same from a file. `VIGIA__SECRETS__SEAL_KEY_FILE`
    pub seal_key_file: Option<PathBuf>,
}

#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
pub(super) fn hidden<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|_| HIDDEN).serialize(serializer)
}

impl Secrets {
    /// The signing key's PEM text.
    pub fn signing_key(&self) -> Result<SecretString> {
        let path = self.signing_key_file.as_ref().ok_or_else(|| anyhow!("secrets.signing_key_file is not set"))?;
        read_secret("secrets.signing_key_file", path)
    }

    /// The PEM texts of the keys that signed before.
    pub fn retired_signing_keys(&self) -> Result<Vec<SecretString>> {
        self.retired_signing_key_files
            .iter()
            .map(|path| read_secret("secrets.retired_signing_key_files", path))
            .collect()
    }

    /// The seal key's 32 bytes.
    pub fn seal_key(&self) -> Result<[u8; 32]> {
        let text = self.seal_key_text()?;
        let digits = text.expose_secret().trim();
        let digits = digits.strip_prefix(DEMO_SEAL_PREFIX).unwrap_or(digits);
        from_hex(digits).ok_or_else(|| anyhow!("secrets.seal_key is not made of 64 hexadecimal digits"))
    }

    /// Why these keys are not fit for patients: missing, unreadable, or the demonstration's own.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let hint = "`vigia keygen` makes one";
        match self.signing_key() {
            Err(error) => problems.push(format!(
                "{error:#}: the key that signs access tokens (VIGIA__SECRETS__SIGNING_KEY_FILE); {hint}"
            )),
            Ok(pem) if pem.expose_secret().trim_start().starts_with(DEMO_KEY_LINE) => problems.push(format!(
                "secrets.signing_key_file (VIGIA__SECRETS__SIGNING_KEY_FILE) holds a demonstration key; {hint}"
            )),
            Ok(pem) if !pem.expose_secret().contains("-----BEGIN PRIVATE KEY-----") => problems.push(format!(
                "secrets.signing_key_file (VIGIA__SECRETS__SIGNING_KEY_FILE) holds no PKCS#8 private key; {hint}"
            )),
            Ok(_) => {}
        }
        let demo = self.seal_key_text().is_ok_and(|t| t.expose_secret().trim().starts_with(DEMO_SEAL_PREFIX));
        match self.seal_key() {
            Err(error) => problems.push(format!("{error:#} (VIGIA__SECRETS__SEAL_KEY or _SEAL_KEY_FILE); {hint}")),
            Ok(_) if demo => problems.push(format!(
                "secrets.seal_key (VIGIA__SECRETS__SEAL_KEY or _SEAL_KEY_FILE) is a demonstration key; {hint}"
            )),
            Ok(bytes) if bytes.iter().all(|b| Some(b) == bytes.first()) => {
                problems.push(format!("secrets.seal_key (VIGIA__SECRETS__SEAL_KEY) can be guessed; {hint}"));
            }
            Ok(_) => {}
        }
        problems
    }

    fn seal_key_text(&self) -> Result<SecretString> {
        match (&self.seal_key, &self.seal_key_file) {
            (Some(_), Some(_)) => bail!("secrets.seal_key and secrets.seal_key_file are both set; keep one"),
            (Some(text), None) => Ok(text.clone()),
            (None, Some(path)) => read_secret("secrets.seal_key_file", path),
            (None, None) => bail!("secrets.seal_key is not set (nor secrets.seal_key_file)"),
        }
    }
}

fn read_secret(key: &str, path: &Path) -> Result<SecretString> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{key} = {} cannot be read", path.display()))?;
    Ok(text.into())
}

fn from_hex(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, place) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(digits.get(place..place + 2)?, 16).ok()?;
    }
    Some(bytes)
}
