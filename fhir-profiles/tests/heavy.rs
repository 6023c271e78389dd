//! Bodies of a megabyte that somebody shaped to hurt. Each gets its answer, with the problems bounded in number.
//! What they cost is shown by `cargo test --release -p fhir-r4 --test heavy -- --nocapture`.

use std::time::Instant;

use fhir_r4::{Definitions, Format, Issue, parse};

/// Unoptimised, a quarter of it shows the same.
const SIZE: usize = if cfg!(debug_assertions) { 1 << 18 } else { 1 << 20 };

/// As many repetitions as a megabyte holds; the part is told its number.
fn fill(before: &str, part: impl Fn(usize) -> String, after: &str) -> String {
    let mut text = String::with_capacity(SIZE + 256);
    text.push_str(before);
    let mut number = 0;
    while text.len() < SIZE {
        if number > 0 {
            text.push(',');
        }
        text.push_str(&part(number));
        number += 1;
    }
    text.push_str(after);
    text
}

/// The same without commas, for XML and for texts.
fn repeat(before: &str, part: &str, after: &str) -> String {
    [before, &part.repeat(SIZE / part.len()), after].concat()
}

fn ask(text: &str, format: Format) -> Vec<Issue> {
    let definitions = Definitions::default();
    match parse(text.as_bytes(), format) {
        Ok(resource) => definitions.validate(&resource, &[]),
        Err(issues) => issues,
    }
}

#[test]
fn no_body_is_too_much() {
    use Format::{Json, Xml};
    let ns = "xmlns=\"http://hl7.org/fhir\"";
    let xhtml = "{\"resourceType\":\"Patient\",\"text\":{\"status\":\"generated\",\"div\":\"<div>";
    let structure = "{\"resourceType\":\"StructureDefinition\",\"url\":\"urn:x\",\"name\":\"X\",\"status\":\"draft\",\
        \"kind\":\"resource\",\"abstract\":false,\"type\":\"Patient\",\"snapshot\":{\"element\":[";
    let cases: Vec<(&str, Format, String, &str)> = vec![
        ("unknown members", Json, fill("{\"resourceType\":\"Patient\",", |i| format!("\"a{i}\":1"), "}"), "structure"),
        ("short members", Json, fill("{\"resourceType\":\"Patient\",", |i| format!("\"{i:x}\":0"), "}"), "structure"),
        ("one member again", Json, fill("{\"resourceType\":\"Patient\",", |_| "\"id\":\"a\"".into(), "}"), "structure"),
        (
            "an error at the end",
            Json,
            fill(
                "{\"resourceType\":\"Patient\",\"name\":[",
                |i| format!("{{\"family\":\"n{i}\"}}"),
                ",{\"banana\":1}]}",
            ),
            "structure",
        ),
        ("errors only", Json, fill("{\"resourceType\":\"Patient\",\"name\":[", |_| "7".into(), "]}"), "structure"),
        ("empty objects", Json, fill("{\"resourceType\":\"Patient\",\"name\":[", |_| "{}".into(), "]}"), "structure"),
        (
            "nulls",
            Json,
            fill("{\"resourceType\":\"Patient\",\"name\":[{\"given\":[", |_| "null".into(), "]}]}"),
            "structure",
        ),
        ("deep arrays", Json, "[".repeat(SIZE), "structure"),
        ("deep objects", Json, "{\"a\":".repeat(SIZE / 5), "structure"),
        (
            "deep extensions",
            Json,
            repeat("{\"resourceType\":\"Patient\",", "\"extension\":[{\"url\":\"u\",", ""),
            "structure",
        ),
        ("a number", Json, repeat("{\"resourceType\":\"Observation\",\"valueInteger\":1", "0", "}"), "value"),
        ("an id", Json, repeat("{\"resourceType\":\"Patient\",\"id\":\"", "a", "\"}"), "value"),
        (
            "an oid",
            Json,
            repeat(
                "{\"resourceType\":\"ValueSet\",\"status\":\"draft\",\"extension\":[{\"url\":\"u\",\"valueOid\":\"urn:oid:1",
                ".1",
                ".\"}]}",
            ),
            "value",
        ),
        ("a date", Json, repeat("{\"resourceType\":\"Patient\",\"birthDate\":\"2026-01-0", "1", "\"}"), "value"),
        (
            "base64",
            Json,
            repeat("{\"resourceType\":\"Binary\",\"contentType\":\"x/y\",\"data\":\"", "AAAA", "=A\"}"),
            "value",
        ),
        ("a code", Json, repeat("{\"resourceType\":\"Patient\",\"gender\":\"", "a ", "\"}"), "value"),
        (
            "a reference",
            Json,
            repeat(
                "{\"resourceType\":\"Patient\",\"managingOrganization\":{\"reference\":\"Organization/",
                "a/",
                "\"}}",
            ),
            "value",
        ),
        ("tags", Json, repeat(xhtml, "<b>", "\"}}"), "value"),
        ("flat tags", Json, repeat(xhtml, "<b/>", "</p>\"}}"), "value"),
        ("attributes", Json, repeat(&format!("{xhtml}<p "), "a=''", "\"}}"), "value"),
        ("open comments", Json, repeat(xhtml, "<!--", "\"}}"), "value"),
        ("ampersands", Json, repeat(xhtml, "&", "</div>\"}}"), "value"),
        (
            "contained",
            Json,
            fill(
                "{\"resourceType\":\"Patient\",\"contained\":[",
                |i| format!("{{\"resourceType\":\"Basic\",\"id\":\"c{i}\",\"code\":{{\"text\":\"x\"}}}}"),
                "]}",
            ),
            "invariant",
        ),
        (
            "contained twice",
            Json,
            fill(
                "{\"resourceType\":\"Patient\",\"contained\":[",
                |_| "{\"resourceType\":\"Basic\",\"id\":\"c\",\"code\":{\"text\":\"x\"}}".into(),
                "]}",
            ),
            "invariant",
        ),
        (
            "entries",
            Json,
            fill(
                "{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[",
                |_| "{\"fullUrl\":\"urn:x:1\",\"resource\":{\"resourceType\":\"Patient\",\"active\":true}}".into(),
                "]}",
            ),
            "invariant",
        ),
        (
            "components",
            Json,
            fill(
                "{\"resourceType\":\"Observation\",\"status\":\"final\",\"valueInteger\":1,\"code\":{\"coding\":[{\"code\":\"x\"}]},\"component\":[",
                |_| "{\"code\":{\"coding\":[{\"code\":\"x\"}]}}".into(),
                "]}",
            ),
            "invariant",
        ),
        (
            "codings",
            Json,
            fill(
                "{\"resourceType\":\"Observation\",\"status\":\"final\",\"category\":[{\"coding\":[{\"system\":\"http://terminology.hl7.org/CodeSystem/observation-category\",\"code\":\"vital-signs\"}]}],\"code\":{\"coding\":[",
                |i| format!("{{\"system\":\"http://loinc.org\",\"code\":\"{i}\"}}"),
                "]}}",
            ),
            "invariant",
        ),
        (
            "claims",
            Json,
            fill(
                "{\"resourceType\":\"Patient\",\"active\":true,\"meta\":{\"profile\":[",
                |i| format!("\"urn:p:{i}\""),
                "]}}",
            ),
            "not-found",
        ),
        (
            "vital claims",
            Json,
            fill(
                "{\"resourceType\":\"Observation\",\"status\":\"final\",\"code\":{\"text\":\"x\"},\"meta\":{\"profile\":[",
                |i| format!("\"http://hl7.org/fhir/StructureDefinition/bp|{i}\""),
                "]}}",
            ),
            "",
        ),
        (
            "questions",
            Json,
            fill(
                "{\"resourceType\":\"Questionnaire\",\"status\":\"draft\",\"item\":[",
                |_| "{\"linkId\":\"1\",\"type\":\"group\"}".into(),
                "]}",
            ),
            "invariant",
        ),
        (
            "concepts",
            Json,
            fill(
                "{\"resourceType\":\"CodeSystem\",\"status\":\"draft\",\"content\":\"complete\",\"concept\":[",
                |i| format!("{{\"code\":\"{}\"}}", i % 9_999),
                "]}",
            ),
            "invariant",
        ),
        (
            "includes",
            Json,
            fill(
                "{\"resourceType\":\"ValueSet\",\"status\":\"draft\",\"compose\":{\"include\":[",
                |_| "{\"filter\":[{}]}".into(),
                "]}}",
            ),
            "structure",
        ),
        (
            "elements",
            Json,
            fill(structure, |i| format!("{{\"id\":\"{i}\",\"path\":\"Patient.a\"}}"), "]}}"),
            "invariant",
        ),
        (
            "paths that almost match",
            Json,
            format!("{structure}{{\"id\":\"a\",\"path\":\"{} \"}}]}}}}", "a.b[x]:ccc".repeat(SIZE / 20)),
            "invariant",
        ),
        (
            "slice names",
            Json,
            repeat(&format!("{structure}{{\"id\":\"a\",\"path\":\"Patient\",\"sliceName\":\""), "[a-]/@", "!\"}]}}"),
            "invariant",
        ),
        (
            "lists of lists",
            Json,
            fill(
                "{\"resourceType\":\"MeasureReport\",\"group\":[",
                |_| "{\"stratifier\":[{\"stratum\":[{\"component\":[{}]}]}]}".into(),
                "]}",
            ),
            "structure",
        ),
        (
            "parameters",
            Json,
            fill("{\"resourceType\":\"Parameters\",\"parameter\":[", |_| "{\"name\":\"a\"}".into(), "]}"),
            "invariant",
        ),
        (
            "laughs",
            Xml,
            format!(
                "<!DOCTYPE a [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><Patient {ns}><id value=\"&b;\"/></Patient>"
            ),
            "structure",
        ),
        ("deep elements", Xml, repeat("", "<a>", ""), "structure"),
        (
            "elements of XML",
            Xml,
            repeat(&format!("<Patient {ns}>"), "<name><family value=\"a\"/></name>", "</Patient>"),
            "",
        ),
        ("unknown elements", Xml, repeat(&format!("<Patient {ns}>"), "<a/>", "</Patient>"), "structure"),
        ("XML attributes", Xml, fill("<Patient ", |i| format!("a{i}=\"\""), "/>").replace(',', " "), "structure"),
        ("one XML attribute", Xml, repeat(&format!("<Patient {ns}><id value=\""), "a", "\"/></Patient>"), "value"),
        (
            "character references",
            Xml,
            repeat(&format!("<Patient {ns}><id value=\""), "&#65;", "\"/></Patient>"),
            "value",
        ),
        ("comments", Xml, repeat(&format!("<Patient {ns}><active value=\"true\"/>"), "<!-- -->", "</Patient>"), ""),
        ("namespaces", Xml, repeat("", "<a xmlns=\"http://hl7.org/fhir\">", ""), "structure"),
        (
            "narratives",
            Xml,
            repeat(&format!("<Patient {ns}>"), "<div xmlns=\"http://www.w3.org/1999/xhtml\">a</div>", "</Patient>"),
            "structure",
        ),
        (
            "divs",
            Xml,
            repeat(
                &format!(
                    "<Patient {ns}><text><status value=\"generated\"/><div xmlns=\"http://www.w3.org/1999/xhtml\">"
                ),
                "<p>a</p>",
                "</div></text></Patient>",
            ),
            "",
        ),
        ("quotes", Xml, repeat(&format!("<Patient {ns}>"), "<a b='", ""), "structure"),
    ];
    ask("{}", Json);
    let mut wrong = Vec::new();
    for (name, format, text, expected) in &cases {
        let start = Instant::now();
        let issues = ask(text, *format);
        println!("{name:<26} {:>8} B {:>6} ms {:>4} issues", text.len(), start.elapsed().as_millis(), issues.len());
        assert!(issues.len() <= 202, "{name}: {}", issues.len());
        let first = issues.iter().find(|i| i.severity != fhir_r4::Severity::Information);
        if first.map_or("", |i| i.code) != *expected {
            wrong.push(format!("{name}: {first:?}"));
        }
        assert!(issues.iter().all(|i| i.expression.len() < 2_000 && i.diagnostics.len() < 1_000), "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
