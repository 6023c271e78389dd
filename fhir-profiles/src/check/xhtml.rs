//! Narrative: well-formed XHTML of the plain kind. Whatever could run, load or leave the page is
//! refused, because somebody will show the text.

/// Elements within elements.
const MAX_DEPTH: usize = 64;

const ELEMENTS: &str = "a abbr acronym address area b bdo big blockquote br caption cite code col colgroup dd del dfn \
    div dl dt em h1 h2 h3 h4 h5 h6 hr i img ins kbd li map ol p pre q samp small span strike strong sub sup table \
    tbody td tfoot th thead tr tt u ul var";

const ATTRIBUTES: &str = "abbr accesskey align alt axis bgcolor border cellpadding cellspacing char charoff class clear \
    color cols colspan compact coords dir frame headers height hspace id lang name nowrap rowspan rules scope shape \
    size span start summary tabindex title type valign vspace width";

type Found<T> = Result<T, &'static str>;

pub(super) fn check(text: &str) -> Found<()> {
    let mut rest = text.trim();
    if !rest.starts_with("<div") || !rest.ends_with('>') {
        return Err("a narrative is one <div> of XHTML");
    }
    let mut open: Vec<&str> = Vec::new();
    let mut says_something = false;
    while let Some((before, markup)) = rest.split_once('<') {
        characters(before)?;
        says_something |= !before.trim().is_empty();
        if let Some(comment) = markup.strip_prefix("!--") {
            rest = comment.split_once("-->").ok_or("a comment does not end")?.1;
        } else if let Some(end) = markup.strip_prefix('/') {
            let (name, after) = end.split_once('>').ok_or("a tag does not end")?;
            if open.pop() != Some(name.trim_end()) {
                return Err("the tags of the narrative do not match");
            }
            rest = after;
        } else {
            let tag = tag(markup)?;
            says_something |= tag.name == "img";
            if !tag.is_empty {
                open.push(tag.name);
            }
            if open.len() > MAX_DEPTH {
                return Err("the narrative is nested too deeply");
            }
            rest = tag.after;
        }
        if open.is_empty() && !rest.is_empty() {
            return Err("a narrative is one <div> of XHTML");
        }
    }
    if !open.is_empty() {
        return Err("the tags of the narrative do not match");
    }
    if says_something { Ok(()) } else { Err("txt-2: a narrative must not be empty") }
}

struct Tag<'a> {
    name: &'a str,
    is_empty: bool,
    after: &'a str,
}

/// Reads `name attribute="value" …>` or `… />`.
fn tag(markup: &str) -> Found<Tag<'_>> {
    let end = markup.find(|c: char| !c.is_ascii_alphanumeric()).ok_or("a tag does not end")?;
    let (name, mut rest) = markup.split_at_checked(end).ok_or("a tag does not end")?;
    if !is_word_of(ELEMENTS, name) {
        return Err("txt-1: the narrative has an element that is not allowed");
    }
    loop {
        let trimmed = rest.trim_start();
        if let Some(after) = trimmed.strip_prefix('>') {
            return Ok(Tag { name, is_empty: false, after });
        }
        if let Some(after) = trimmed.strip_prefix("/>") {
            return Ok(Tag { name, is_empty: true, after });
        }
        if trimmed.len() == rest.len() {
            return Err("a tag of the narrative is malformed");
        }
        let (attribute, value) = trimmed.split_once('=').ok_or("an attribute of the narrative is malformed")?;
        let value = value.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or("an attribute needs quotes")?;
        let mut parts = value.splitn(3, quote).skip(1);
        let (Some(value), Some(after)) = (parts.next(), parts.next()) else {
            return Err("an attribute of the narrative does not end");
        };
        check_attribute(name, attribute.trim_end(), value)?;
        rest = after;
    }
}

fn is_word_of(words: &str, name: &str) -> bool {
    words.split(' ').any(|word| word == name)
}

fn check_attribute(element: &str, name: &str, value: &str) -> Found<()> {
    characters(value)?;
    if value.contains('<') {
        return Err("an attribute of the narrative is malformed");
    }
    let safe = match name {
        "xmlns" => value == "http://www.w3.org/1999/xhtml",
        "xml:lang" | "xml:id" => true,
        "href" | "src" | "longdesc" | "cite" | "usemap" => is_safe_link(element, value),
        "style" => {
            let style = value.to_ascii_lowercase();
            !["url(", "expression", "javascript", "behavior", "@import", "\\", "&"].iter().any(|w| style.contains(w))
        }
        _ => is_word_of(ATTRIBUTES, name),
    };
    if safe { Ok(()) } else { Err("txt-1: the narrative has an attribute that is not allowed") }
}

fn is_safe_link(element: &str, value: &str) -> bool {
    let Some((scheme, rest)) = value.split_once(':').filter(|(scheme, _)| !scheme.contains(['/', '?', '#', '&']))
    else {
        // No scheme, unless an entity hides one.
        return !value.split(['/', '?', '#']).next().unwrap_or_default().contains('&');
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" | "mailto" | "tel" | "urn" => true,
        "data" => element == "img" && rest.starts_with("image/") && !rest.starts_with("image/svg"),
        _ => false,
    }
}

/// Text outside tags: nothing unescaped, no control characters.
fn characters(text: &str) -> Found<()> {
    if text.bytes().any(|b| b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r')) {
        return Err("the narrative has control characters");
    }
    for part in text.split('&').skip(1) {
        let name = part.split_once(';').map_or("", |(name, _)| name);
        let number = name.strip_prefix('#').map(|n| n.strip_prefix('x').map_or((n, 10), |n| (n, 16)));
        let good = match number {
            Some((digits, base)) => u32::from_str_radix(digits, base).ok().and_then(char::from_u32).is_some(),
            // XML knows no others: a no-break space is &#160;
            None => matches!(name, "lt" | "gt" | "amp" | "quot" | "apos"),
        };
        if !good {
            return Err("the narrative has an '&' that is not escaped, or an entity that XML does not know");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_narrative_passes_and_the_rest_does_not() {
        for (text, good) in [
            ("<div xmlns=\"http://www.w3.org/1999/xhtml\"><p class='a'>72 &lt; 80 &#160;</p><br/></div>", true),
            ("<div><img src=\"data:image/png;base64,AA==\" alt=''/></div>", true),
            ("<div><a href='#x'>x</a><a href=\"https://a.example/?b=c&amp;d\">y</a></div>", true),
            ("<div><!-- a -->b</div>", true),
            ("<div> <p/> </div>", false),
            ("<p>x</p>", false),
            ("plain", false),
            ("<div>x</div><div>y</div>", false),
            ("<div>x</p></div>", false),
            ("<div>x", false),
            ("<div>x<script>alert(1)</script></div>", false),
            ("<div>x<SCRIPT/></div>", false),
            ("<div onclick='x'>x</div>", false),
            ("<div>x<a href='javascript:alert(1)'>y</a></div>", false),
            ("<div>x<a href='java&#115;cript:alert(1)'>y</a></div>", false),
            ("<div>x<a href=' javascript:alert(1)'>y</a></div>", false),
            ("<div>x<img src='data:image/svg+xml,x'/></div>", false),
            ("<div>x<iframe src='https://a.example'/></div>", false),
            ("<div style='background:url(x)'>x</div>", false),
            ("<div>a & b</div>", false),
            ("<div>a&nbsp;b</div>", false),
            ("<div>a&#xA0;b&#160;</div>", true),
            ("<div>&#xD800;</div>", false),
            ("<div>x<!DOCTYPE a></div>", false),
            ("<div>x<?php ?></div>", false),
            ("<div class=a>x</div>", false),
            ("<div class='a'id='b'>x</div>", false),
            ("<div/>", false),
        ] {
            assert_eq!(check(text).is_ok(), good, "{text}");
        }
        let deep = format!("{}x{}", "<div>".repeat(1000), "</div>".repeat(1000));
        assert!(check(&deep).is_err());
    }
}
