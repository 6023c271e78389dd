//! The parts of a document (OBX of MDM): text, encapsulated data and pointers become `DocumentReference.content`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map as Object, Value, json};

use super::message::Segment;

/// Adds what an OBX holds to a document, or says why not. Texts that follow each other are one text.
pub(super) fn part(obx: &Segment<'_>, document: &mut Value) -> Option<(usize, &'static str)> {
    let attachment = match obx.text(2, 1).as_str() {
        "ED" => encapsulated(obx),
        "RP" => pointer(obx),
        "TX" | "FT" | "ST" | "" => {
            text(obx, document);
            return None;
        }
        _ => Err("values of this type are no part of a document"),
    };
    match attachment {
        Ok(attachment) => {
            add(document, attachment);
            None
        }
        Err(why) => Some((5, why)),
    }
}

/// ED: source ^ type ^ subtype ^ encoding ^ data.
fn encapsulated(obx: &Segment<'_>) -> Result<Object<String, Value>, &'static str> {
    let ed = obx.repetitions(5).next().ok_or("there are no data")?;
    let data = ed.text(5);
    let data = match ed.text(4).as_str() {
        "Base64" | "base64" | "BASE64" => {
            let packed: String = data.split_whitespace().collect();
            if STANDARD.decode(&packed).is_err() {
                return Err("this is no base64");
            }
            packed
        }
        "A" | "" => STANDARD.encode(data),
        "Hex" | "hex" | "HEX" => STANDARD.encode(hex(&data).ok_or("this is no hexadecimal text")?),
        _ => return Err("this encoding is not known"),
    };
    if data.is_empty() {
        return Err("there are no data");
    }
    let mut attachment = Object::new();
    attachment.extend(media(&ed.text(2), &ed.text(3)).map(|media| ("contentType".to_owned(), media.into())));
    attachment.insert("data".into(), data.into());
    Ok(attachment)
}

/// RP: pointer ^ application ^ type ^ subtype.
fn pointer(obx: &Segment<'_>) -> Result<Object<String, Value>, &'static str> {
    let rp = obx.repetitions(5).next().ok_or("there is no pointer")?;
    let url = rp.text(1);
    if url.is_empty() || url.contains(char::is_whitespace) {
        return Err("this is no pointer");
    }
    let mut attachment = Object::new();
    attachment.extend(media(&rp.text(3), &rp.text(4)).map(|media| ("contentType".to_owned(), media.into())));
    attachment.insert("url".into(), url.into());
    Ok(attachment)
}

fn text(obx: &Segment<'_>, document: &mut Value) {
    let lines: Vec<String> = obx.repetitions(5).map(|line| line.whole()).collect();
    let text = lines.join("\n");
    if text.trim().is_empty() {
        return;
    }
    let content = document.get_mut("content").and_then(Value::as_array_mut);
    let last = content.and_then(|content| content.last_mut()).and_then(|last| last.get_mut("attachment"));
    let plain = last.filter(|it| it.get("contentType").is_some_and(|media| media == "text/plain"));
    if let Some(Value::Object(members)) = plain {
        let before = members.get("data").and_then(Value::as_str).and_then(|data| STANDARD.decode(data).ok());
        let mut all = before.unwrap_or_default();
        all.push(b'\n');
        all.extend_from_slice(text.as_bytes());
        members.insert("data".into(), STANDARD.encode(all).into());
        return;
    }
    let mut attachment = Object::new();
    attachment.insert("contentType".into(), "text/plain".into());
    attachment.insert("data".into(), STANDARD.encode(text).into());
    add(document, attachment);
}

/// The title that the document has already belongs to its first part.
fn add(document: &mut Value, attachment: Object<String, Value>) {
    let Value::Object(members) = document else { return };
    let content = members.entry("content").or_insert_with(|| Value::Array(vec![]));
    let Value::Array(content) = content else { return };
    let titled = content.first_mut().and_then(|first| first.get_mut("attachment")).and_then(Value::as_object_mut);
    match titled.filter(|it| !it.contains_key("data") && !it.contains_key("url")) {
        Some(first) => first.extend(attachment),
        None => content.push(json!({"attachment": attachment})),
    }
}

fn media(kind: &str, subtype: &str) -> Option<String> {
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.'))
    };
    let known = match (kind, subtype.to_ascii_lowercase().as_str()) {
        (_, "pdf") => "application/pdf",
        ("IM" | "image", "jpeg" | "jpg") => "image/jpeg",
        ("IM" | "image", "png") => "image/png",
        ("IM" | "image", "tiff") => "image/tiff",
        ("TX" | "FT" | "TEXT", "html") => "text/html",
        ("TX" | "FT" | "TEXT", _) => "text/plain",
        (kind, subtype) if kind.chars().all(|c| c.is_ascii_lowercase()) && plain(kind) && plain(subtype) => {
            return Some(format!("{kind}/{subtype}"));
        }
        _ => return None,
    };
    Some(known.to_owned())
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let byte = |pair: &[u32]| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}
