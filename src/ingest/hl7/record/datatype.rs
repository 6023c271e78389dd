//! Data types of HL7 v2 as FHIR's: identifiers, names, addresses, telecoms, coded values, times. What says nothing
//! becomes nothing.

use serde_json::{Map, Value, json};

use super::table::{Codes, Datatype, Tables};
use crate::ingest::hl7::message::Repetition;
use crate::ingest::hl7::{Channel, coded, party, time};

const IDENTIFIER_TYPE: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";

/// The value of one repetition. `Err`: it holds something that cannot be read as what it should be.
pub(super) fn value(
    datatype: &Datatype,
    own: Repetition<'_, '_>,
    tables: &Tables,
    channel: &Channel,
) -> Result<Option<Value>, &'static str> {
    let codes = |name: &String| tables.codes(name);
    Ok(match datatype {
        Datatype::Cx => identifier(own, channel),
        Datatype::Ei => entity(own),
        Datatype::Xpn(used) => name(own, used.as_deref()),
        Datatype::Xad => address(own),
        Datatype::Xtn(used) => telecom(own, used),
        Datatype::Xon => text(own.text(1)).map(|name| json!({"display": name})),
        Datatype::Cwe(table) => concept(own, table.as_ref().and_then(codes)),
        Datatype::Coding(table) => known(&own.text(1), |code| coding(code, codes(table)))?,
        Datatype::Code(table) => known(&own.text(1), |code| codes(table)?.get(code).map(Value::from))?,
        Datatype::Date => match instant(&own.text(1), channel)? {
            Some(at) => at.get(..10.min(at.len())).map(Value::from),
            None => None,
        },
        Datatype::Time => instant(&own.text(1), channel)?.map(Value::from),
        Datatype::Boolean => match own.text(1).to_ascii_uppercase().as_str() {
            "Y" => Some(true.into()),
            "N" => Some(false.into()),
            "" => None,
            _ => return Err("this is neither Y nor N"),
        },
        Datatype::Text => text(own.whole()),
    })
}

fn known(code: &str, find: impl Fn(&str) -> Option<Value>) -> Result<Option<Value>, &'static str> {
    if code.is_empty() {
        return Ok(None);
    }
    find(code).map(Some).ok_or("this code is not in its table")
}

fn text(text: String) -> Option<Value> {
    (!text.trim().is_empty()).then(|| text.into())
}

fn instant(text: &str, channel: &Channel) -> Result<Option<String>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    time::date_time(text, channel.default_zone).map(Some).ok_or("this is no time")
}

/// Puts what there is; none when there is nothing.
fn object(members: Vec<(&str, Option<Value>)>) -> Option<Value> {
    let there = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let object: Map<String, Value> = there.collect();
    (!object.is_empty()).then_some(Value::Object(object))
}

fn texts(all: impl IntoIterator<Item = String>) -> Option<Value> {
    let all: Vec<Value> = all.into_iter().filter_map(text).collect();
    (!all.is_empty()).then_some(Value::Array(all))
}

pub(super) fn identifier(cx: Repetition<'_, '_>, channel: &Channel) -> Option<Value> {
    let value = text(cx.text(1))?;
    let kind = text(cx.text(5)).map(|code| json!({"coding": [{"system": IDENTIFIER_TYPE, "code": code}]}));
    object(vec![("type", kind), ("system", party::authority(cx, channel).map(Value::from)), ("value", Some(value))])
}

fn entity(ei: Repetition<'_, '_>) -> Option<Value> {
    let value = text(ei.text(1))?;
    object(vec![("system", party::uri(&ei.text(3), &ei.text(4)).map(Value::from)), ("value", Some(value))])
}

/// HL7 table 0200.
fn name(xpn: Repetition<'_, '_>, used: Option<&str>) -> Option<Value> {
    let (family, given) = (text(xpn.text(1)), texts([xpn.text(2), xpn.text(3)]));
    if family.is_none() && given.is_none() {
        return None;
    }
    let told = match xpn.text(7).as_str() {
        "L" => Some("official"),
        "M" => Some("maiden"),
        "N" => Some("nickname"),
        "T" => Some("temp"),
        "A" | "D" => Some("usual"),
        "S" => Some("anonymous"),
        _ => used,
    };
    object(vec![
        ("use", told.map(Value::from)),
        ("family", family),
        ("given", given),
        ("prefix", texts([xpn.text(5)])),
        ("suffix", texts([xpn.text(4), xpn.text(6)])),
    ])
}

/// HL7 table 0190.
fn address(xad: Repetition<'_, '_>) -> Option<Value> {
    let told = match xad.text(7).as_str() {
        "H" | "P" | "L" => Some("home"),
        "B" | "O" => Some("work"),
        "C" | "BR" => Some("temp"),
        "BA" => Some("old"),
        _ => None,
    };
    let place = object(vec![
        ("line", texts([xad.text(1), xad.text(2)])),
        ("city", text(xad.text(3))),
        ("district", text(xad.text(9))),
        ("state", text(xad.text(4))),
        ("postalCode", text(xad.text(5))),
        ("country", text(xad.text(6))),
    ])?;
    let mut address = object(vec![("use", told.map(Value::from))]).unwrap_or_else(|| json!({}));
    if let (Some(all), Value::Object(place)) = (address.as_object_mut(), place) {
        all.extend(place);
    }
    Some(address)
}

/// HL7 tables 0201 and 0202.
fn telecom(xtn: Repetition<'_, '_>, used: &str) -> Option<Value> {
    let (kind, mail) = (xtn.text(3), xtn.text(4));
    let parts = [5, 6, 7].map(|at| xtn.text(at)).into_iter().filter(|part| !part.is_empty());
    let whole = [xtn.text(1), xtn.text(12), parts.collect::<Vec<_>>().join(" ")];
    let number = whole.into_iter().find(|number| !number.trim().is_empty());
    let (system, value) = match (kind.as_str(), number, mail) {
        (_, None, mail) if !mail.is_empty() => ("email", mail),
        ("Internet", Some(number), mail) => ("email", if mail.is_empty() { number } else { mail }),
        ("FX", Some(number), _) => ("fax", number),
        ("BP", Some(number), _) => ("pager", number),
        (_, Some(number), _) => ("phone", number),
        _ => return None,
    };
    let told = match xtn.text(2).as_str() {
        _ if kind == "CP" => "mobile",
        "PRN" | "ORN" | "VHN" => "home",
        "WPN" => "work",
        _ => used,
    };
    Some(json!({"system": system, "value": value, "use": told}))
}

fn concept(cwe: Repetition<'_, '_>, codes: Option<&Codes>) -> Option<Value> {
    let read = coded::codings(cwe);
    let mut codings: Vec<Value> = codes.and_then(|codes| coding(&cwe.text(1), Some(codes))).into_iter().collect();
    // A code of nobody is only kept as text.
    for own in read.codings.iter().filter(|own| !own.system.is_empty() && !own.code.is_empty()) {
        let display = own.display.clone().map(Value::from);
        codings.extend(object(vec![
            ("system", Some(own.system.clone().into())),
            ("code", Some(own.code.clone().into())),
            ("display", display),
        ]));
    }
    let words = [9, 2, 5, 1].into_iter().map(|at| cwe.text(at)).find(|words| !words.is_empty());
    let list = (!codings.is_empty()).then_some(Value::Array(codings));
    object(vec![("coding", list), ("text", words.map(Value::from))])
}

/// A Coding of the table; a code that is not in it only as it was sent.
fn coding(code: &str, codes: Option<&Codes>) -> Option<Value> {
    let codes = codes?;
    let known = codes.get(code)?;
    object(vec![("system", codes.system.clone().map(Value::from)), ("code", Some(known.into()))])
}
