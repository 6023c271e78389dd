//! What a file is: known by how it begins, helped by what it is called. Nothing is read here but the head.

use std::path::Path;

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A table with a header, as POST /device/v1/csv takes it.
    Csv,
    /// A reading of the compact form a line.
    Ndjson,
    /// A FHIR resource a line.
    FhirNdjson,
    /// A FHIR Bundle in JSON.
    FhirJson,
    /// A FHIR Bundle in XML.
    FhirXml,
    /// One FHIR resource that is no Bundle, in JSON or XML.
    FhirResource,
    /// export.xml of Apple Health, or the archive that holds it.
    AppleHealth,
}

impl Format {
    /// Resources, which are sent after it is known what they are called on the server.
    pub(super) fn is_fhir(self) -> bool {
        matches!(self, Self::FhirNdjson | Self::FhirJson | Self::FhirXml | Self::FhirResource)
    }
}

/// What a file is by its first bytes (without a byte order mark) and by its name.
pub(super) fn of(head: &[u8], path: &Path) -> Option<Format> {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start();
    let name = path.to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let lines = matches!(name.rsplit('.').next(), Some("ndjson" | "jsonl"));
    match text.chars().next()? {
        '<' if text.contains("<!DOCTYPE HealthData") || text.contains("<HealthData") => Some(Format::AppleHealth),
        '<' if text.contains("<Bundle") => Some(Format::FhirXml),
        '<' => text.contains("http://hl7.org/fhir").then_some(Format::FhirResource),
        '{' => json(text, lines),
        _ => is_table(text).then_some(Format::Csv),
    }
}

fn json(text: &str, lines: bool) -> Option<Format> {
    let members = outer(text);
    let member = |name: &str| members.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    match member("resourceType") {
        Some("Bundle") if !lines => Some(Format::FhirJson),
        Some(_) if lines || is_line(text) => Some(Format::FhirNdjson),
        Some(_) => Some(Format::FhirResource),
        None if member("entry").is_some() => Some(Format::FhirJson),
        // A line of what was rejected before.
        None if member("rejected").is_some() && text.contains("\"resourceType\"") => Some(Format::FhirNdjson),
        None if lines => Some(Format::Ndjson),
        None if !is_line(text) => None,
        None => (member("code").is_some() || member("rejected").is_some()).then_some(Format::Ndjson),
    }
}

/// Whether an object stands on the first line by itself, or that line has no end yet.
fn is_line(text: &str) -> bool {
    text.split_once('\n').is_none_or(|(first, _)| serde_json::from_str::<serde::de::IgnoredAny>(first).is_ok())
}

/// The members of the object that a text begins with, as far as they are there; values that are no texts are empty.
fn outer(text: &str) -> Vec<(String, String)> {
    let (mut depth, mut found, mut name, mut chars) = (0_usize, Vec::new(), None, text.chars());
    while let Some(letter) = chars.next() {
        match letter {
            '{' | '[' => depth += 1,
            '}' | ']' if depth <= 1 => break,
            '}' | ']' => depth -= 1,
            '"' => {
                let mut string = String::new();
                while let Some(letter) = chars.next().filter(|letter| *letter != '"') {
                    string.extend(if letter == '\\' { chars.next() } else { Some(letter) });
                }
                match name.take() {
                    _ if depth != 1 => {}
                    None => name = Some(string),
                    Some(own) => found.push((own, string)),
                }
            }
            ',' if depth == 1 => {
                found.extend(name.take().map(|own| (own, String::new())));
            }
            _ => {}
        }
    }
    found.extend(name.map(|own| (own, String::new())));
    found
}

/// A header with the columns that every table of readings has.
fn is_table(text: &str) -> bool {
    let header = text.lines().next().unwrap_or_default();
    let columns: Vec<String> =
        header.split([',', ';', '\t']).map(|name| name.trim().trim_matches('"').to_ascii_lowercase()).collect();
    ["code", "value"].iter().all(|name| columns.iter().any(|column| column == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_how_they_begin() {
        let bundle = "{\"entry\": [{\"resource\": {\"resourceType\": \"Patient\"}}], \"resourceType\": \"Bundle\"}";
        for (text, name, want) in [
            ("time,patient,code,value\n", "x", Some(Format::Csv)),
            ("\"Code\";\"Value\"\n", "x.txt", Some(Format::Csv)),
            ("name,phone\n", "x.csv", None),
            ("{\"code\":\"8867-4\",\"value\":72}\n", "x", Some(Format::Ndjson)),
            ("{\"patient\":\"Patient/p\",\"code\":\"bp\"}\n", "x.json", Some(Format::Ndjson)),
            ("{\"resourceType\":\"Patient\"}\n{\"resourceType\":\"Observation\"}", "x", Some(Format::FhirNdjson)),
            ("{\"id\":\"a\",\"resourceType\":\"Patient\"}\n", "x.ndjson", Some(Format::FhirNdjson)),
            ("{\n \"resourceType\" : \"Bundle\",\n \"type\": \"transaction\"", "x", Some(Format::FhirJson)),
            ("{\n  \"resourceType\": \"Patient\"\n}\n", "x.json", Some(Format::FhirResource)),
            ("<Patient xmlns=\"http://hl7.org/fhir\"/>", "x.xml", Some(Format::FhirResource)),
            ("{\n  \"code\": \"8867-4\"\n}\n", "x.json", None),
            ("{\"code\": \"8867-4\",\n}\n", "x.ndjson", Some(Format::Ndjson)),
            ("{\"resourceType\":\"Bundle\"}\n", "x.ndjson.gz", Some(Format::FhirNdjson)),
            (bundle, "x.json", Some(Format::FhirJson)),
            ("{\"a\\\"\": {\"resourceType\": 1}, \"resourceType\": \"Patient\"}", "x", Some(Format::FhirNdjson)),
            ("<?xml version=\"1.0\"?>\n<!DOCTYPE HealthData [\n", "x", Some(Format::AppleHealth)),
            ("<HealthData locale=\"es_ES\">", "x", Some(Format::AppleHealth)),
            ("<?xml version=\"1.0\"?><Bundle xmlns=\"http://hl7.org/fhir\">", "x", Some(Format::FhirXml)),
            ("<html>", "x.xml", None),
            ("{\"resultCount\": 3}", "x.json", None),
            ("", "x.csv", None),
            ("\0\0", "x", None),
        ] {
            assert_eq!(of(text.as_bytes(), Path::new(name)), want, "{text}");
        }
    }
}
