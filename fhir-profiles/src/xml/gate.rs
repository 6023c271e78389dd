//! Looks over an XML text before the codec reads it: no document type, no entity of its own making,
//! no processing instruction but the declaration, no deep nesting. It never builds a tree.

use std::ops::Range;

/// FHIR nests an object per element; `Narrative.div` may nest a little deeper by itself.
const MAX_DEPTH: usize = 80;

type Checked<T> = Result<T, &'static str>;

/// What follows the declaration, if there is one. The codec knows no other way to write it than its own.
pub(super) fn without_declaration(text: &str) -> Checked<&str> {
    let Some(inside) = text.strip_prefix("<?xml").filter(|rest| rest.starts_with(|c: char| c.is_ascii_whitespace()))
    else {
        return Ok(text);
    };
    let (declared, rest) = inside.split_once("?>").ok_or("the XML declaration is not closed")?;
    let declared = declared.replace(['"', '\''], " ");
    let says = |name: &str| {
        let (_, after) = declared.split_once(name)?;
        Some(after.trim_start().strip_prefix('=')?.split_ascii_whitespace().next().unwrap_or_default())
    };
    if says("version") != Some("1.0") {
        return Err("the XML version must be 1.0");
    }
    let is_read = |encoding: &str| ["utf-8", "us-ascii"].contains(&encoding.to_ascii_lowercase().as_str());
    if says("encoding").is_some_and(|encoding| !is_read(encoding)) {
        return Err("the XML encoding must be UTF-8");
    }
    Ok(rest)
}

/// Answers where the narratives stand: the outermost `div` elements.
pub(super) fn check(text: &str) -> Checked<Vec<Range<usize>>> {
    let mut rest = text;
    let mut depth = 0_usize;
    let mut narratives = Vec::new();
    // Where the outermost div began, and how deep it stands.
    let mut open: Option<(usize, usize)> = None;
    while let Some(at) = rest.find('<') {
        entities(rest.get(..at).unwrap_or_default())?;
        let markup = rest.get(at..).unwrap_or_default();
        let place = text.len() - markup.len();
        rest = if let Some(comment) = markup.strip_prefix("<!--") {
            after(comment, "-->")?
        } else if let Some(data) = markup.strip_prefix("<![CDATA[") {
            after(data, "]]>")?
        } else if markup.starts_with("<!") {
            return Err("a document type is not allowed");
        } else if markup.starts_with("<?") {
            return Err("processing instructions are not allowed");
        } else {
            let (tag, rest) = tag(markup)?;
            entities(tag)?;
            if tag.starts_with("</") {
                depth = depth.checked_sub(1).ok_or("an end tag without a start")?;
                if let Some((start, _)) = open.take_if(|(_, level)| *level == depth) {
                    narratives.push(start..text.len() - rest.len());
                }
            } else if !tag.ends_with("/>") {
                if open.is_none() && is_div(tag) {
                    open = Some((place, depth));
                }
                depth += 1;
            }
            if depth > MAX_DEPTH {
                return Err("nested too deeply");
            }
            rest
        };
    }
    entities(rest)?;
    if depth > 0 { Err("an element is not closed") } else { Ok(narratives) }
}

fn is_div(tag: &str) -> bool {
    tag.strip_prefix("<div").is_some_and(|rest| rest.starts_with(|c: char| c == '>' || c.is_ascii_whitespace()))
}

fn after<'a>(text: &'a str, end: &str) -> Checked<&'a str> {
    text.split_once(end).map(|(_, rest)| rest).ok_or("markup that does not end")
}

/// Divides after the `>` that closes a tag; one inside quotes does not.
pub(super) fn tag(text: &str) -> Checked<(&str, &str)> {
    let mut quote = None;
    for (i, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return text.split_at_checked(i + 1).ok_or("markup that does not end"),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    Err("markup that does not end")
}

/// Only the five entities of XML itself and character references are understood.
fn entities(text: &str) -> Checked<()> {
    for name in text.split('&').skip(1) {
        let name = name.split(';').next().unwrap_or_default();
        let known = matches!(name, "lt" | "gt" | "amp" | "quot" | "apos");
        if !known && !name.starts_with('#') {
            return Err("only the predefined entities are allowed");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_documents_pass() {
        for (text, passes) in [
            ("<a b='x > y'><!-- <c> --><d/></a>", true),
            ("<a>&lt;&#233;&#xe9;<![CDATA[<&x;]]></a>", true),
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", false),
            ("<a>&nbsp;</a>", false),
            ("<a b='&c;'/>", false),
            ("<a><?php x ?></a>", false),
            ("<a><b></a>", false),
            ("</a>", false),
            ("<a", false),
            ("<!-- ", false),
        ] {
            assert_eq!(check(text).is_ok(), passes, "{text}");
        }
    }

    #[test]
    fn narratives_are_found() {
        let text = "<a><div b='>'>x<div/><div>y</div></div><divan/><c/><div>z</div></a>";
        let found: Vec<&str> = check(text).unwrap().into_iter().filter_map(|place| text.get(place)).collect();
        assert_eq!(found, ["<div b='>'>x<div/><div>y</div></div>", "<div>z</div>"]);
    }

    #[test]
    fn depth_is_bounded_without_recursion() {
        assert!(check(&format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000))).is_err());
    }
}
