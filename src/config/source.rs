//! Where values come from, and how they are told back: variables of the environment as a layer
//! of figment, its errors with key and origin, and the effective configuration as TOML.

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

const PREFIX: &str = "VIGIA__";

/// Variables of our prefix as a figment provider. Only whole numbers and booleans become such;
/// all else, and every secret, stays the text that it is (a key of digits is no number).
pub(super) struct Environment(pub(super) Vec<(String, String)>);

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut root = Dict::new();
        for (key, text) in &self.0 {
            let Some(key) = key.strip_prefix(PREFIX) else { continue };
            let path: Vec<String> = key.split("__").map(str::to_ascii_lowercase).collect();
            let secret = path.first().is_some_and(|section| section == "secrets");
            let value = match (text.parse::<bool>(), text.parse::<i64>()) {
                (Ok(flag), _) if !secret => Value::from(flag),
                (_, Ok(number)) if !secret => Value::from(number),
                _ => Value::from(text.as_str()),
            };
            insert(&mut root, &path, value);
        }
        Ok(Profile::Default.collect(root))
    }
}

fn insert(dict: &mut Dict, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            dict.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let entry = dict.entry(first.clone()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, inner) = entry {
                insert(inner, rest, value);
            }
        }
    }
}

/// Every problem that figment found, each with its key and where that came from. Values of
/// secrets are not repeated.
pub(super) fn explain(errors: figment::Error) -> anyhow::Error {
    let lines: Vec<String> = errors
        .into_iter()
        .map(|error| {
            let key = error.path.join(".");
            let what = match &error.kind {
                figment::error::Kind::UnknownField(field, known) => {
                    format!("`{field}` is no key here; the keys are {}", known.join(", "))
                }
                _ if key.starts_with("secrets") || key.starts_with("database.url") => {
                    "the value has the wrong form".to_owned()
                }
                // A syntax error quotes the line, which may be a secret's: keep the place alone.
                kind if key.is_empty() => kind
                    .to_string()
                    .lines()
                    .filter(|l| !l.contains('|') && !l.contains('`'))
                    .collect::<Vec<_>>()
                    .join("; "),
                kind => kind.to_string(),
            };
            let from = error.metadata.as_ref().map_or("the configuration".to_owned(), |m| source(m, &key));
            if key.is_empty() { format!("{from}: {what}") } else { format!("{key} (from {from}): {what}") }
        })
        .collect();
    anyhow::anyhow!("{}", lines.join("\n"))
}

pub(super) fn source(metadata: &Metadata, key: &str) -> String {
    match &metadata.source {
        Some(file) => file.to_string(),
        None => format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__")),
    }
}

/// A key as TOML writes it.
fn written(key: &str) -> String {
    let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { key.to_owned() } else { serde_json::Value::from(key).to_string() }
}

/// A value on one line; none where there is none.
fn inline(value: &serde_json::Value) -> Option<String> {
    use serde_json::Value;
    match value {
        Value::Null => None,
        Value::Array(all) => Some(format!("[{}]", all.iter().filter_map(inline).collect::<Vec<_>>().join(", "))),
        Value::Object(members) => {
            let members =
                members.iter().filter_map(|(key, value)| Some(format!("{} = {}", written(key), inline(value)?)));
            Some(format!("{{ {} }}", members.collect::<Vec<_>>().join(", ")))
        }
        // JSON's strings, numbers and booleans are TOML's as well.
        plain => Some(plain.to_string()),
    }
}

/// Plain values first, then the tables: TOML's own order.
pub(super) fn write_table(text: &mut String, name: &str, table: &serde_json::Map<String, serde_json::Value>) {
    for (key, value) in table.iter().filter(|(_, value)| !value.is_object()) {
        let key = written(key);
        let unset = || format!("# {key} is not set\n");
        text.push_str(&inline(value).map_or_else(unset, |value| format!("{key} = {value}\n")));
    }
    for (key, value) in table {
        if let serde_json::Value::Object(inner) = value {
            let full = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            text.extend(["\n[", &full, "]\n"]);
            write_table(text, &full, inner);
        }
    }
}
