//! TOML as plain values and back. Numbers keep the digits that they are written with.

use std::collections::HashMap;
use std::ops::Range;
use std::str::FromStr;

use serde_json::{Map, Number, Value};
use toml_edit::{Array, DocumentMut, ImDocument, InlineTable, Item, Table, TableLike};

use super::Fault;

/// What a text says, and on which line each key stands.
pub(super) struct Parsed {
    pub(super) value: Value,
    lines: HashMap<String, usize>,
}

impl Parsed {
    /// The line of a key (`limit[0].side`), or of the nearest one around it.
    pub(super) fn line(&self, key: &str) -> usize {
        let mut key = key;
        loop {
            if let Some(line) = self.lines.get(key) {
                return *line;
            }
            match key.rfind(['.', '[']).and_then(|at| key.get(..at)) {
                Some(around) => key = around,
                None => return 1,
            }
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    lines: HashMap<String, usize>,
}

pub(super) fn read(text: &str) -> Result<Parsed, Fault> {
    let document = ImDocument::parse(text).map_err(|error| Fault {
        line: line_of(text, error.span()),
        key: String::new(),
        text: error.message().to_owned(),
    })?;
    let mut reader = Reader { text, lines: HashMap::new() };
    let value = reader.table("", document.as_table())?;
    Ok(Parsed { value, lines: reader.lines })
}

fn line_of(text: &str, span: Option<Range<usize>>) -> usize {
    let before = span.and_then(|span| text.as_bytes().get(..span.start)).unwrap_or_default();
    before.split(|byte| *byte == b'\n').count()
}

impl Reader<'_> {
    fn table(&mut self, at: &str, table: &dyn TableLike) -> Result<Value, Fault> {
        let mut object = Map::new();
        for (name, item) in table.iter() {
            let key = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
            let span = table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
            self.lines.insert(key.clone(), line_of(self.text, span));
            object.insert(name.to_owned(), self.item(&key, item)?);
        }
        Ok(Value::Object(object))
    }

    fn item(&mut self, key: &str, item: &Item) -> Result<Value, Fault> {
        match item {
            Item::None => Ok(Value::Null),
            Item::Table(table) => self.table(key, table),
            Item::Value(value) => self.value(key, value),
            Item::ArrayOfTables(tables) => {
                let mut all = Vec::new();
                for (at, table) in tables.iter().enumerate() {
                    let key = format!("{key}[{at}]");
                    self.lines.insert(key.clone(), line_of(self.text, table.span()));
                    all.push(self.table(&key, table)?);
                }
                Ok(Value::Array(all))
            }
        }
    }

    fn value(&mut self, key: &str, value: &toml_edit::Value) -> Result<Value, Fault> {
        let fault =
            |text: &str| Fault { line: line_of(self.text, value.span()), key: key.to_owned(), text: text.to_owned() };
        let written = value.span().and_then(|span| self.text.get(span)).unwrap_or_default();
        match value {
            toml_edit::Value::String(text) => Ok(Value::String(text.value().clone())),
            toml_edit::Value::Boolean(is) => Ok(Value::Bool(*is.value())),
            toml_edit::Value::Integer(number) => Ok(Value::Number(plain(written).unwrap_or((*number.value()).into()))),
            toml_edit::Value::Float(_) => {
                plain(written).map(Value::Number).ok_or_else(|| fault("this is no decimal number"))
            }
            toml_edit::Value::Datetime(_) => Err(fault("dates and times are written as text, in quotes")),
            toml_edit::Value::InlineTable(table) => self.table(key, table),
            toml_edit::Value::Array(array) => {
                let mut all = Vec::new();
                for (at, item) in array.iter().enumerate() {
                    let key = format!("{key}[{at}]");
                    self.lines.insert(key.clone(), line_of(self.text, item.span()));
                    all.push(self.value(&key, item)?);
                }
                Ok(Value::Array(all))
            }
        }
    }
}

/// A number without what JSON does not write.
fn plain(text: &str) -> Option<Number> {
    Number::from_str(&text.trim_start_matches('+').replace('_', "")).ok()
}

/// The text of these values; none where TOML has no word for one of them (null, whole numbers of 20 digits).
pub(super) fn write(value: &Map<String, Value>) -> Option<String> {
    let mut document = DocumentMut::new();
    *document.as_table_mut() = table(value)?;
    Some(document.to_string())
}

/// Simple values first, or they would belong to the tables before them.
fn table(object: &Map<String, Value>) -> Option<Table> {
    let mut table = Table::new();
    let (tables, simple): (Vec<_>, Vec<_>) =
        object.iter().partition(|(name, value)| *name == "fhir" && value.is_object() || is_table(value));
    for (name, value) in simple {
        table.insert(name, Item::Value(inline(value)?));
    }
    for (name, value) in tables {
        let item = match value {
            Value::Object(object) => Item::Table(self::table(object)?),
            _ => Item::ArrayOfTables(
                value.as_array()?.iter().map(|one| self::table(one.as_object()?)).collect::<Option<_>>()?,
            ),
        };
        table.insert(name, item);
    }
    Some(table)
}

/// What is long gets lines of its own.
fn is_table(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.values().any(|inner| inner.is_object() || inner.is_array()) && !is_test(object),
        Value::Array(items) => {
            items.iter().all(Value::is_object) && items.iter().any(|item| item.as_object().is_some_and(|o| o.len() > 2))
        }
        _ => false,
    }
}

/// Nested tests read better on one line.
fn is_test(object: &Map<String, Value>) -> bool {
    ["all", "any", "not", "compare"].iter().any(|name| object.contains_key(*name))
}

fn inline(value: &Value) -> Option<toml_edit::Value> {
    match value {
        Value::Null => None,
        Value::Bool(is) => Some((*is).into()),
        Value::Number(number) => number.to_string().parse().ok(),
        Value::String(text) => Some(text.as_str().into()),
        Value::Array(items) => {
            let mut array = Array::new();
            for item in items {
                array.push(inline(item)?);
            }
            Some(array.into())
        }
        Value::Object(object) => {
            let mut table = InlineTable::new();
            for (name, value) in object {
                table.insert(name, inline(value)?);
            }
            Some(table.into())
        }
    }
}
