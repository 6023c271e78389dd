//! XML, through fhirbolt's generic element codec. The gate before it refuses what its reader should
//! never see (document types, entities, nesting); what the codec would spoil is taken out before it
//! and put back after it; and what it reads must pass the same rules as JSON.

mod gate;
mod keep;
mod unknown;

use std::panic::{AssertUnwindSafe, catch_unwind};

use fhirbolt::{FhirReleases, element::Element};
use serde_json::Value;

use crate::{Issue, json};

type Generic = Element<{ FhirReleases::R4 }>;

pub(crate) fn parse(bytes: &[u8]) -> Result<Value, Vec<Issue>> {
    let refuse = |text: &str| vec![Issue::error("structure", "Resource", text)];
    let text = std::str::from_utf8(bytes).map_err(|_| refuse("invalid UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = gate::without_declaration(text).map_err(refuse)?;
    let narratives = gate::check(text).map_err(refuse)?;
    let (text, narratives) = keep::take_narratives(text, &narratives);
    // The codec is old and unmaintained: a panic in it must not take the server down.
    let read = catch_unwind(AssertUnwindSafe(|| {
        let element: Generic = fhirbolt::xml::from_str(&text, None).ok()?;
        fhirbolt::json::to_vec(&element, None).ok()
    }));
    let json = read.ok().flatten().ok_or_else(|| match unknown::first(&text) {
        Some(place) => vec![Issue::error("structure", place, "R4 has no element of this name here")],
        None => refuse("the XML is not a FHIR R4 resource"),
    })?;
    let mut resource = json::parse(&json)?;
    keep::put_narratives_back(&mut resource, &narratives);
    Ok(resource)
}

/// Writes a resource as XML, elements in the order of the definitions, decimals digit for digit.
pub fn write_xml(resource: &Value) -> Result<Vec<u8>, Issue> {
    let refuse = || Issue::error("processing", "Resource", "the resource cannot be written as XML");
    // Reading the JSON back applies the strict rules: on an empty array, for one, the codec panics.
    let bytes = serde_json::to_vec(resource).map_err(|_| refuse())?;
    let mut resource = json::parse(&bytes).map_err(|mut issues| issues.pop().unwrap_or_else(refuse))?;
    let kept = keep::Kept::take(&mut resource).ok_or_else(refuse)?;
    let written = catch_unwind(AssertUnwindSafe(|| {
        let element: Generic = fhirbolt::json::from_json_value(resource, None).ok()?;
        fhirbolt::xml::to_string(&element, None).ok()
    }));
    let xml = written.ok().flatten().ok_or_else(refuse)?;
    kept.put_back(&xml).map(String::into_bytes).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn there_and_back(resource: &Value) -> Value {
        parse(&write_xml(resource).unwrap()).unwrap()
    }

    #[test]
    fn every_character_and_digit_survives() {
        let text = "a\r\n\tb \u{e9} \u{f8ff}n <&> \"' \u{1f600} ]]>";
        let mut resource = json!({"resourceType": "Observation", "status": "final", "code": {"text": text},
            "text": {"status": "generated", "div":
                "<div class=\"a\" xmlns=\"http://www.w3.org/1999/xhtml\">\n <b>a</b> <i>b</i>&#160;&lt;<div>\u{f8ff}d7;</div> </div>"},
            "valueQuantity": {"value": 0, "unit": "x"}, "_status": {"id": "s"}});
        for number in ["72.50", "0.10000000000000000000000000010", "-1.0e-7", "100", "0.0"] {
            resource["valueQuantity"]["value"] = Value::Number(number.parse().unwrap());
            assert_eq!(there_and_back(&resource), resource);
        }
    }

    #[test]
    fn declarations_say_the_same_in_many_ways() {
        for (declaration, good) in [
            ("", true),
            ("<?xml version=\"1.0\"?>", true),
            ("<?xml version='1.0' encoding='utf-8' standalone='yes' ?>", true),
            ("<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>", true),
            ("<?xml version=\"1.0\" encoding=\"us-ascii\"?>", true),
            ("<?xml version=\"1.1\"?>", false),
            ("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>", false),
            ("<?xml version=\"1.0\" encoding=\"UTF-8\"", false),
            ("<?xml-stylesheet href=\"a\"?>", false),
        ] {
            let read = parse(
                format!("{declaration}<Patient xmlns=\"http://hl7.org/fhir\"><active value=\"true\"/></Patient>")
                    .as_bytes(),
            );
            assert_eq!(read.is_ok(), good, "{declaration}: {read:?}");
        }
    }

    #[test]
    fn lines_end_as_they_like() {
        let patient = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Patient xmlns=\"http://hl7.org/fhir\">\n  <active value=\"true\"/>\n</Patient>\n\n";
        for end in ["\n", "\r\n", "\r"] {
            let read = parse(patient.replace('\n', end).as_bytes());
            assert_eq!(read.unwrap(), json!({"resourceType": "Patient", "active": true}), "{end:?}");
        }
    }

    #[test]
    fn white_space_in_attributes_is_escaped_for_other_readers() {
        let resource = json!({"resourceType": "Basic", "code": {"text": "a\nb\tc"}});
        let xml = String::from_utf8(write_xml(&resource).unwrap()).unwrap();
        assert!(xml.contains("value=\"a&#10;b&#9;c\""), "{xml}");
    }

    #[test]
    fn what_cannot_be_xml_is_refused() {
        for resource in [
            json!({"resourceType": "Basic", "identifier": []}),
            json!({"resourceType": "Basic", "code": {"text": "\u{0}"}}),
            json!({"resourceType": "Basic", "code": {"text": "\u{ffff}"}}),
            json!({"resourceType": "Basic", "banana": 1}),
            json!({"resourceType": "Banana"}),
            json!({"resourceType": "Basic", "text": {"status": "empty", "div": "<div>a<b></div>"}}),
            json!([]),
            json!(null),
        ] {
            assert!(write_xml(&resource).is_err(), "{resource}");
        }
    }

    #[test]
    fn foreign_xml_is_refused() {
        for text in [
            "",
            "plain",
            "<Patient/>",
            "<Patient xmlns=\"http://example.org\"/>",
            "<Banana xmlns=\"http://hl7.org/fhir\"><id value=\"a\"/></Banana>",
            "<Patient xmlns=\"http://hl7.org/fhir\"><banana value=\"a\"/></Patient>",
            "<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"\"/></Patient>",
            "<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"a\"/>",
            "<Patient xmlns=\"http://hl7.org/fhir\"><active value=\"maybe\"/></Patient>",
            "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><Patient xmlns=\"http://hl7.org/fhir\"/>",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"\xff").is_err());
    }
}
