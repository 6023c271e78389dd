//! The rows that say what the fields of a segment become, and the code tables that they name: read from text of one
//! form, ours and a site's own. What cannot be read is an error that names the row.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, bail, ensure};
use toml_edit::{Array, DocumentMut, Table};

const OURS: &str = include_str!("mapping.toml");

/// One field and what it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub field: usize,
    pub datatype: Datatype,
    /// The element and those above it, the outermost first.
    pub path: Vec<String>,
    /// Each repetition is an item of the list.
    pub list: bool,
}

/// How a value is read. The text says for what a telecom is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Datatype {
    Cx,
    Ei,
    Xpn(Option<String>),
    Xad,
    Xtn(String),
    Xon,
    /// With a table of codes that stand beside what was sent.
    Cwe(Option<String>),
    /// A Coding of a table; what is not in it is not taken.
    Coding(String),
    /// A code of a table; what is not in it is not taken.
    Code(String),
    Date,
    Time,
    Boolean,
    Text,
}

/// The codes of a table in their order; the system of what they become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Codes {
    pub system: Option<String>,
    all: BTreeMap<String, String>,
}

impl Codes {
    pub(super) fn get(&self, code: &str) -> Option<&str> {
        self.all.get(&code.to_ascii_uppercase()).map(String::as_str)
    }
}

/// What becomes of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Segment {
    pub resource: String,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    segments: HashMap<String, Segment>,
    codes: HashMap<String, Codes>,
}

impl Tables {
    /// Our rows, and a site's own (`mapping`) before them.
    pub fn new(site: Option<&str>) -> Result<Self> {
        let mut tables = Self::default();
        tables.add(OURS)?;
        if let Some(site) = site {
            tables.add(site)?;
        }
        Ok(tables)
    }

    pub(super) fn segment(&self, name: &str) -> Option<&Segment> {
        self.segments.get(name)
    }

    pub(super) fn codes(&self, name: &str) -> Option<&Codes> {
        self.codes.get(name)
    }

    fn add(&mut self, text: &str) -> Result<()> {
        let document: DocumentMut = text.parse().context("no TOML")?;
        for (part, item) in document.iter() {
            let tables = item.as_table().with_context(|| format!("{part} is no table"))?;
            for (name, item) in tables {
                let table = item.as_table().with_context(|| format!("{part}.{name} is no table"))?;
                match part {
                    "segment" => self.segment_of(name, table).with_context(|| format!("segment.{name}"))?,
                    "code" => self.codes_of(name, table).with_context(|| format!("code.{name}"))?,
                    _ => bail!("{part}: there are segment and code"),
                }
            }
        }
        self.check()
    }

    fn segment_of(&mut self, name: &str, table: &Table) -> Result<()> {
        let own = self.segments.entry(name.to_owned()).or_default();
        for (key, item) in table {
            match key {
                "resource" => item.as_str().context("resource is no text")?.clone_into(&mut own.resource),
                "fields" => {
                    for (at, row) in item.as_array().context("fields is no list")?.iter().enumerate() {
                        let row = row.as_array().and_then(row_of).with_context(|| {
                            format!("fields[{at}] is no [field, \"data type\", \"element\"] with a known data type")
                        })?;
                        own.rows.retain(|known| known.field != row.field || known.path != row.path);
                        own.rows.push(row);
                    }
                }
                _ => bail!("{key}: there are resource and fields"),
            }
        }
        ensure!(
            fhir_r4::resource_type_index(&own.resource).is_some(),
            "resource: {} is no resource type",
            own.resource
        );
        Ok(())
    }

    fn codes_of(&mut self, name: &str, table: &Table) -> Result<()> {
        let own = self.codes.entry(name.to_owned()).or_default();
        for (key, item) in table {
            let text = item.as_str().with_context(|| format!("{key} is no text"))?.to_owned();
            match key {
                "system" => own.system = Some(text),
                _ => _ = own.all.insert(key.to_ascii_uppercase(), text),
            }
        }
        Ok(())
    }

    /// Every table of codes that a row names is there.
    fn check(&self) -> Result<()> {
        for (name, segment) in &self.segments {
            for row in &segment.rows {
                let (Datatype::Cwe(Some(named)) | Datatype::Coding(named) | Datatype::Code(named)) = &row.datatype
                else {
                    continue;
                };
                ensure!(self.codes.contains_key(named), "segment.{name}: there is no code.{named}");
            }
        }
        Ok(())
    }
}

fn row_of(row: &Array) -> Option<Row> {
    let [field, datatype, path] = [0, 1, 2].map(|at| row.get(at));
    let field = usize::try_from(field?.as_integer()?).ok()?;
    let (datatype, path) = (datatype_of(datatype?.as_str()?)?, path?.as_str()?);
    let list = path.ends_with('*');
    let path: Vec<String> = path.trim_end_matches('*').split('.').map(str::to_owned).collect();
    (row.len() == 3 && field > 0 && path.iter().all(|part| !part.is_empty())).then_some(Row {
        field,
        datatype,
        path,
        list,
    })
}

fn datatype_of(text: &str) -> Option<Datatype> {
    let (name, more) = text.split_once(' ').map_or((text, None), |(name, more)| (name, Some(more.to_owned())));
    Some(match (name, more) {
        ("CX", None) => Datatype::Cx,
        ("EI", None) => Datatype::Ei,
        ("XPN", more) => Datatype::Xpn(more),
        ("XAD", None) => Datatype::Xad,
        ("XTN", Some(used)) => Datatype::Xtn(used),
        ("XON", None) => Datatype::Xon,
        ("CWE", more) => Datatype::Cwe(more),
        ("coding", Some(table)) => Datatype::Coding(table),
        ("code", Some(table)) => Datatype::Code(table),
        ("DT", None) => Datatype::Date,
        ("TS", None) => Datatype::Time,
        ("boolean", None) => Datatype::Boolean,
        ("ST", None) => Datatype::Text,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn ours_can_be_read_and_a_site_adds_its_own() {
        let ours = Tables::new(None).unwrap();
        assert_eq!(ours.codes("gender").unwrap().get("m"), Some("male"));
        let site = r#"
            [segment.PID]
            fields = [[8, "code sex", "gender"], [22, "CWE", "extension*"]]
            [segment.ZPI]
            resource = "Patient"
            fields = [[3, "XTN home", "telecom*"]]
            [code.sex]
            H = "male"
        "#;
        let own = Tables::new(Some(site)).unwrap();
        let (before, after) = (ours.segment("PID").unwrap(), own.segment("PID").unwrap());
        assert_eq!((after.rows.len(), after.resource.as_str()), (before.rows.len() + 1, "Patient"));
        assert!(ours.segment("ZPI").is_none() && own.segment("ZPI").is_some());
    }

    #[test]
    fn the_rows_stand_in_the_manual() {
        let mut table = String::from("| segment | resource | field | read as | element |\n|---|---|---|---|---|\n");
        let document: DocumentMut = OURS.parse().unwrap();
        for (name, segment) in document["segment"].as_table().unwrap() {
            for row in segment["fields"].as_array().unwrap() {
                let text = |at: usize| row.as_array().unwrap().get(at).unwrap().as_str().unwrap();
                let field = row.as_array().unwrap().get(0).unwrap().as_integer().unwrap();
                let resource = segment["resource"].as_str().unwrap();
                writeln!(table, "| {name} | {resource} | {field} | {} | `{}` |", text(1), text(2).replace('*', "[]"))
                    .unwrap();
            }
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/hl7v2.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (before, rest) = text.split_once("<!-- fields -->\n").unwrap();
        let after = rest.split_once("<!-- end -->").unwrap().1;
        let expected = format!("{before}<!-- fields -->\n{table}<!-- end -->{after}");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &expected).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), expected, "UPDATE_DOCS=1 writes it");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let table = [
            ("[segment", "no TOML"),
            ("x = 1", "x is no table"),
            ("[segment.ZZZ]\nfields = []", "segment.ZZZ"),
            ("[segment.PID]\nfields = [[8]]", "fields[0]"),
            ("[segment.PID]\nfields = [[8, \"XYZ\", \"gender\"]]", "fields[0]"),
            ("[segment.PID]\nfields = [[8, \"code sex\", \"gender\"]]", "code.sex"),
            ("[segment.PID]\nother = 1", "other"),
            ("[code.gender]\nM = 1", "M is no text"),
        ];
        for (text, word) in table {
            let error = format!("{:#}", Tables::new(Some(text)).unwrap_err());
            assert!(error.contains(word), "{word} is not in: {error}");
        }
    }
}
