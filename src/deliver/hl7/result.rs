//! ORU^R01: readings as IHE PCD-01 reports them, one OBX a value. Numbers have the digits that they were sent with. Pure.

use serde_json::Value;

use super::head::{Head, coded, joined, stamp, system};
use crate::fhir::reading;
use crate::hl7::write::Writer;

const PROFILE: &str = "IHE_PCD_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.1.1^ISO";
const MONITORING: &str = "182777000^monitoring of patient^SCT";

/// A value as OBX has it.
struct Row {
    code: String,
    /// OBX-2 and OBX-5; both empty where there is no value.
    kind: &'static str,
    value: String,
    unit: String,
    range: String,
    flag: String,
    status: &'static str,
    at: String,
    device: String,
}

/// Is there something that an OBX can say? Waveforms are not sent.
pub(super) fn says_something(reading: &Value) -> bool {
    is_said(reading) || reading::list(reading.get("component")).any(is_said)
}

fn is_said(node: &Value) -> bool {
    value(None, node).is_some() || node.get("dataAbsentReason").is_some()
}

pub(super) fn message(head: Head<'_>, readings: &[Value]) -> Vec<u8> {
    let writer = head.writer;
    let rows: Vec<Row> = readings.iter().flat_map(|reading| rows(writer, reading)).collect();
    let mut times: Vec<&str> = rows.iter().map(|row| row.at.as_str()).filter(|at| !at.is_empty()).collect();
    times.sort_unstable();
    let [first, last] = [times.first(), times.last()].map(|at| at.copied().unwrap_or_default().to_owned());
    let filler = writer.components(&[head.control.to_owned(), head.to.application.clone()]);
    let order = [(3, filler), (4, MONITORING.to_owned()), (7, first), (8, last)];
    let mut lines = head.lines(["ORU", "R01", "ORU_R01"], PROFILE);
    lines.push(writer.line("OBR", 1, &order));
    lines.extend(rows.into_iter().enumerate().map(|(n, row)| {
        let Row { code, kind, value, unit, range, flag, status, at, device } = row;
        let fields = [
            (2, kind.to_owned()),
            (3, code),
            (4, format!("1.0.0.{}", n + 1)),
            (5, value),
            (6, unit),
            (7, range),
            (8, flag),
            (11, status.to_owned()),
            (14, at),
            (18, device),
        ];
        writer.line("OBX", n + 1, &fields)
    }));
    joined(&lines)
}

fn rows(writer: Writer<'_>, reading: &Value) -> Vec<Row> {
    let status = status(reading);
    let text = |pointer: &str| reading.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let effective = [text("/effectiveDateTime"), text("/effectiveInstant"), text("/effectivePeriod/start")];
    let at = stamp(effective.into_iter().find(|text| !text.is_empty()).unwrap_or(text("/issued")));
    let device = device(writer, reading);
    let row = |node: &Value| {
        let found = value(Some(writer), node);
        let status = if found.is_none() { "X" } else { status };
        let (kind, value) = found.unwrap_or_default();
        Row {
            code: coded(writer, node.get("code").unwrap_or(&Value::Null)),
            kind,
            value,
            unit: unit(writer, node),
            range: range(writer, node),
            flag: flag(node),
            status,
            at: at.clone(),
            device: device.clone(),
        }
    };
    let components = reading::list(reading.get("component"));
    std::iter::once(reading).chain(components).filter(|node| is_said(node)).map(row).collect()
}

/// OBX-11
fn status(reading: &Value) -> &'static str {
    match reading::str_of(reading, "status") {
        Some("registered") => "I",
        Some("preliminary") => "P",
        Some("amended" | "corrected") => "C",
        Some("cancelled") => "X",
        Some("entered-in-error") => "W",
        _ => "F",
    }
}

/// Type and value; without a writer only whether there is one.
fn value(writer: Option<Writer<'_>>, node: &Value) -> Option<(&'static str, String)> {
    let escaped = |text: &str| writer.map(|writer| writer.text(text)).unwrap_or_default();
    if let Some(quantity) = node.get("valueQuantity") {
        let number = quantity.get("value").filter(|number| number.is_number())?.to_string();
        return Some(match reading::str_of(quantity, "comparator") {
            Some(comparator) => ("SN", format!("{comparator}^{number}")),
            None => ("NM", number),
        });
    }
    if let Some(concept) = node.get("valueCodeableConcept") {
        return Some(("CWE", writer.map(|writer| coded(writer, concept)).unwrap_or_default()));
    }
    if let Some(text) = reading::str_of(node, "valueString") {
        return Some(("ST", escaped(text)));
    }
    if let Some(number) = node.get("valueInteger") {
        return Some(("NM", number.to_string()));
    }
    if let Some(is) = node.get("valueBoolean").and_then(Value::as_bool) {
        return Some(("CWE", if is { "Y^Yes^HL70136" } else { "N^No^HL70136" }.to_owned()));
    }
    if let Some(then) = reading::str_of(node, "valueDateTime") {
        return Some(("DTM", stamp(then)));
    }
    reading::str_of(node, "valueTime").map(|time| ("TM", time.replace(':', "")))
}

fn unit(writer: Writer<'_>, node: &Value) -> String {
    let Some(quantity) = node.get("valueQuantity") else { return String::new() };
    let part = |member: &str| reading::str_of(quantity, member).unwrap_or_default().to_owned();
    let (code, text) = (part("code"), part("unit"));
    if code.is_empty() {
        writer.components(&[text])
    } else {
        writer.components(&[code, text, system(&part("system")).to_owned()])
    }
}

/// OBX-7: `60-100`, `>60`, `<100`, or a text.
fn range(writer: Writer<'_>, node: &Value) -> String {
    let Some(range) = reading::list(node.get("referenceRange")).next() else { return String::new() };
    let end = |member: &str| range.get(member).and_then(|end| end.get("value")).map(Value::to_string);
    match (end("low"), end("high")) {
        (Some(low), Some(high)) => format!("{low}-{high}"),
        (Some(low), None) => format!(">{low}"),
        (None, Some(high)) => format!("<{high}"),
        (None, None) => writer.text(reading::str_of(range, "text").unwrap_or_default()),
    }
}

/// OBX-8: the code of the first interpretation, which is HL7 v2's own.
fn flag(node: &Value) -> String {
    let first = reading::list(node.get("interpretation")).next();
    first.and_then(|first| reading::codings(Some(first)).into_iter().next()).map(|(_, code)| code).unwrap_or_default()
}

/// OBX-18: the identifier or the id of the device.
fn device(writer: Writer<'_>, reading: &Value) -> String {
    let text = |pointer: &str| reading.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let named = text("/device/identifier/value");
    if named.is_empty() {
        let id = text("/device/reference").trim_start_matches("Device/").to_owned();
        return writer.components(&[id]);
    }
    writer.components(&[named, String::new(), text("/device/identifier/system"), "URI".to_owned()])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::config::destination::Destination;
    use crate::fhir::LOINC;
    use crate::hl7::Separators;
    use crate::ingest::hl7::message::parse;

    fn written(readings: &[Value]) -> String {
        let writer = Writer { separators: Separators::default(), authorities: &[] };
        let to = &Destination { receiving_application: "HIS".into(), ..Destination::default() };
        let who = &["PID|1||r1".to_owned()];
        let head = Head { to, writer, control: "V7", committed: 1_767_323_045_250_000, who };
        String::from_utf8(message(head, readings)).unwrap()
    }

    #[test]
    fn values_are_rows() {
        let at = "2026-01-02T03:04:05.250+01:00";
        let of = |more: Value| {
            let mut reading = json!({"status": "final", "effectiveDateTime": at, "device": {"reference": "Device/d1"},
                "code": {"coding": [{"system": LOINC, "code": "8867-4", "display": "Heart rate"}]}});
            reading.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            reading
        };
        let quantity: Value = serde_json::from_str(
            r#"{"value": 72.50, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"}"#,
        )
        .unwrap();
        let table = [
            (
                of(json!({"valueQuantity": quantity, "interpretation": [{"coding": [{"code": "H"}]}],
                    "referenceRange": [{"low": {"value": 50}, "high": {"value": 100}}]})),
                "OBX|1|NM|8867-4^Heart rate^LN|1.0.0.1|72.50|/min^/min^UCUM|50-100|H|||F|||20260102030405.250+0100||||d1",
            ),
            (
                of(json!({"status": "entered-in-error", "valueQuantity": {"value": 5, "comparator": "<"}})),
                "OBX|1|SN|8867-4^Heart rate^LN|1.0.0.1|<^5|||||| W|||",
            ),
            (
                of(json!({"status": "amended", "valueString": "a|b^c"})),
                "OBX|1|ST|8867-4^Heart rate^LN|1.0.0.1|a\\F\\b\\S\\c||||||C|||",
            ),
            (of(json!({"dataAbsentReason": {"text": "x"}})), "OBX|1||8867-4^Heart rate^LN|1.0.0.1|||||||X|||"),
            (of(json!({"valueBoolean": true})), "OBX|1|CWE|8867-4^Heart rate^LN|1.0.0.1|Y^Yes^HL70136||||||F|||"),
        ];
        for (reading, row) in table {
            let text = written(&[reading]);
            assert!(text.contains(&format!("\r{}", row.replace(" W", "W"))), "{text}\n{row}");
        }
        let panel = of(json!({"component": [
            {"code": {"text": "a"}, "valueInteger": 1}, {"code": {"text": "b"}, "valueInteger": 2}]}));
        let text = written(&[panel]);
        assert!(text.starts_with("MSH|^~\\&|VIGIA||HIS||20260102030405.250+0000||ORU^R01^ORU_R01|V7|P|2.6|||AL|NE||UNICODE UTF-8|||IHE_PCD_001"), "{text}");
        assert!(text.contains("\rOBX|1|NM|^a|1.0.0.1|1|") && text.contains("\rOBX|2|NM|^b|1.0.0.2|2|"), "{text}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(text in "\\PC{1,30}", code in "[a-z|^~&\\\\]{1,10}") {
            let reading = json!({"status": "final", "valueString": text, "code": {"coding": [{"code": code}]}});
            let message = parse(written(&[reading]).as_bytes()).unwrap();
            let segment = message.segments().map(Result::unwrap).find(|segment| segment.name == "OBX").unwrap();
            prop_assert_eq!(segment.text(5, 1), text.trim());
            prop_assert_eq!(segment.text(3, 1), code);
        }
    }
}
