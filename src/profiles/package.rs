//! FHIR packages: a `.tgz` as registries hand it out, or the same packed with zstd, and those that are shipped
//! with this program. Only reading; what is done with the resources is for the caller.

use std::io::{Cursor, Read};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Profiles;

/// What a package may hold after unpacking, and one file in it: the largest guides hold a tenth of that.
const MAX_BYTES: u64 = 1 << 30;
const MAX_FILE: u64 = 64 << 20;

/// By name: the vital-signs profiles of US Core with what they need.
const SHIPPED: [(&str, &[u8]); 2] = [
    ("us-core-6.1.0", include_bytes!("../../fhir-profiles/packages/us-core-6.1.0.tar.zst")),
    ("us-core-8.0.0", include_bytes!("../../fhir-profiles/packages/us-core-8.0.0.tar.zst")),
];

/// A package that comes with this program.
pub fn shipped(name: &str) -> Option<&'static [u8]> {
    SHIPPED.iter().find(|(own, _)| *own == name).map(|(_, bytes)| *bytes)
}

/// The names of those.
pub fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// The definitions in a package, in the order of its files. Base definitions, which this program knows, and
/// everything that is no definition are passed over.
pub fn read(packed: &[u8]) -> Result<Vec<Value>> {
    let unpacked: Box<dyn Read + '_> = match packed {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(packed)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::new(Cursor::new(packed))?),
        _ => bail!("not a package: neither gzip nor zstd"),
    };
    let mut archive = tar::Archive::new(unpacked.take(MAX_BYTES));
    let mut found = Vec::new();
    for file in archive.entries().context("the package cannot be unpacked")? {
        let mut file = file.context("the package is damaged, cut short or too large")?;
        let path = file.path().context("the package holds a file without a name")?.into_owned();
        let is_own = path.parent().is_some_and(|folder| folder.as_os_str() == "package");
        if !is_own || path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        if file.size() > MAX_FILE {
            bail!("{} is too large", path.display());
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(|| format!("{} cannot be read", path.display()))?;
        // Other files, as package.json, are no resources.
        let Ok(resource) = fhir_r4::parse(&bytes, fhir_r4::Format::Json) else { continue };
        if is_wanted(&resource) {
            found.push(resource);
        }
    }
    Ok(found)
}

fn is_wanted(resource: &Value) -> bool {
    let text = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default();
    Profiles::is_definition(text("resourceType")) && text("derivation") != "specialization"
}

/// The id under which a definition is stored: its own, with its version where another version has that already.
pub fn id_beside(resource: &Value, standing: Option<&Value>) -> String {
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (id, version) = (text(resource, "id"), text(resource, "version"));
    match standing {
        Some(standing) if text(standing, "version") != version => {
            let long = format!("{id}-{version}");
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
            long.chars().filter(|c| fits(*c)).take(64).collect()
        }
        _ => id,
    }
}
