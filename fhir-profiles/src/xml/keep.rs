//! What the codec would spoil. Reading and writing, it strips white space from narrative, so that
//! words run together, and it writes line ends in attributes bare, where other readers take them
//! for spaces. Narrative therefore passes by it, and white space goes through it under another name.

use std::ops::Range;

use serde_json::Value;

use crate::{check::is_narrative, resource_type_index};

const XHTML: &str = "http://www.w3.org/1999/xhtml";
/// A private character announces what was put in the place of something else.
const MARK: char = '\u{f8ff}';

/// Puts a number in the place of each narrative.
pub(super) fn take_narratives<'a>(text: &'a str, places: &[Range<usize>]) -> (String, Vec<&'a str>) {
    let (mut short, mut taken, mut from) = (String::with_capacity(text.len()), Vec::new(), 0);
    for place in places {
        let Some(narrative) = text.get(place.clone()) else { continue };
        let start_tag = narrative.split('>').next().unwrap_or_default();
        if !start_tag.contains(XHTML) {
            continue; // of another namespace: the codec refuses it
        }
        short.push_str(text.get(from..place.start).unwrap_or_default());
        short.push_str(&placeholder(taken.len()));
        taken.push(narrative);
        from = place.end;
    }
    short.push_str(text.get(from..).unwrap_or_default());
    (short, taken)
}

fn placeholder(number: usize) -> String {
    format!("<div xmlns=\"{XHTML}\">{MARK}d{number};</div>")
}

pub(super) fn put_narratives_back(value: &mut Value, taken: &[&str]) {
    match value {
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                if name == "div" {
                    let number = value.as_str().and_then(|text| text.split_once(MARK)).map(|(_, rest)| rest);
                    let number =
                        number.and_then(|rest| rest.strip_prefix('d')?.split(';').next()?.parse::<usize>().ok());
                    if let Some(narrative) = number.and_then(|n| taken.get(n)) {
                        *value = Value::String((*narrative).to_owned());
                    }
                } else {
                    put_narratives_back(value, taken);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| put_narratives_back(item, taken)),
        _ => {}
    }
}

/// The narratives taken out of a resource that is about to be written.
#[derive(Default)]
pub(super) struct Kept {
    narratives: Vec<String>,
}

impl Kept {
    /// `None` if something in the resource cannot stand in XML.
    pub(super) fn take(resource: &mut Value) -> Option<Self> {
        let mut kept = Self::default();
        kept.walk(resource)?;
        Some(kept)
    }

    fn walk(&mut self, value: &mut Value) -> Option<()> {
        match value {
            Value::Object(members) => members.iter_mut().try_for_each(|(name, value)| match value {
                Value::String(text) if name == "div" => {
                    if !is_narrative(text) {
                        return None;
                    }
                    let placeholder = placeholder(self.narratives.len());
                    self.narratives.push(with_namespace(std::mem::replace(text, placeholder)));
                    Some(())
                }
                // The type becomes the name of an XML element, and the codec writes any.
                Value::String(text) if name == "resourceType" => resource_type_index(text).map(|_| ()),
                value => self.walk(value),
            }),
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.walk(item)),
            Value::String(text) => {
                if text.contains(['\n', '\r', '\t', MARK]) {
                    *text = disguised(text);
                }
                text.chars().all(|c| c >= ' ' && c != '\u{fffe}' && c != '\u{ffff}').then_some(())
            }
            _ => Some(()),
        }
    }

    pub(super) fn put_back(self, xml: &str) -> Option<String> {
        let mut parts = xml.split(MARK);
        let mut whole = String::from(parts.next()?);
        for part in parts {
            let (kind, rest) = part.split_at_checked(1)?;
            match kind {
                "n" => whole.push_str("&#10;"),
                "r" => whole.push_str("&#13;"),
                "t" => whole.push_str("&#9;"),
                "m" => whole.push(MARK),
                "d" => {
                    let (number, rest) = rest.split_once(';')?;
                    whole.truncate(whole.rfind("<div")?);
                    whole.push_str(self.narratives.get(number.parse::<usize>().ok()?)?);
                    whole.push_str(rest.split_once("</div>")?.1);
                    continue;
                }
                _ => return None,
            }
            whole.push_str(rest);
        }
        Some(whole)
    }
}

fn disguised(text: &str) -> String {
    let mut new = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        let letter = match c {
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            MARK => 'm',
            other => {
                new.push(other);
                continue;
            }
        };
        new.push(MARK);
        new.push(letter);
    }
    new
}

fn with_namespace(narrative: String) -> String {
    let has_it = narrative.split('>').next().is_some_and(|tag| tag.contains(XHTML));
    match narrative.trim().strip_prefix("<div") {
        Some(rest) if !has_it => format!("<div xmlns=\"{XHTML}\"{rest}"),
        _ => narrative,
    }
}
