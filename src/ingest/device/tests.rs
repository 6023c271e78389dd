//! Bodies as devices send them, and what becomes of them.

use proptest::prelude::*;

use super::*;
use crate::normalize::draft::{Measured, Subject};

fn items(body: &str) -> Vec<Item> {
    parse_json(body.as_bytes(), "client-1", 0).unwrap()
}

fn draft(body: &str) -> Draft {
    items(body).remove(0).unwrap()
}

/// The places and codes of what is wrong with the only reading of a body.
fn wrong(body: &str) -> Vec<(String, &'static str)> {
    let rejected = items(body).remove(0).unwrap_err();
    rejected.issues.into_iter().map(|issue| (issue.expression, issue.code)).collect()
}

#[test]
fn one_reading_with_everything() {
    let draft = draft(
        r#"{"patient":"Patient/p1","device":{"system":"urn:s","value":"d"},"code":["8867-4",{"system":"urn:x","code":"HR","display":"Pulse"}],
            "value":72.50,"unit":"/min","time":"2026-01-02T03:04:05Z","end":"2026-01-02T03:04:06Z","id":"a1","status":"amended",
            "note":"resting","test":true}"#,
    );
    assert_eq!(draft.subject, Some(Subject::Reference("Patient/p1".to_owned())));
    assert_eq!(draft.device, Some(Subject::Identifier { system: Some("urn:s".to_owned()), value: "d".to_owned() }));
    assert_eq!((draft.place.as_str(), draft.status, draft.test), ("[0]", "amended", true));
    assert_eq!(draft.code.iter().map(|c| c.code.as_str()).collect::<Vec<_>>(), ["8867-4", "HR"]);
    let Measured::Quantity { value, unit, .. } = draft.value else { panic!("a quantity") };
    assert_eq!((value.as_str(), unit.unwrap().code.as_str()), ("72.50", "/min"));
    assert_eq!(draft.identifier, Some((None, "a1".to_owned())));
    assert_eq!(draft.effective_end.as_deref(), Some("2026-01-02T03:04:06Z"));
}

#[test]
fn the_three_shapes_of_a_body() {
    let reading = r#"{"code":"mdc:147842","value":"72.0","unit":"bpm","patient":"urn:mrn|7"}"#;
    assert_eq!(items(reading).len(), 1);
    assert_eq!(items(&format!("[{reading},{reading}]")).len(), 2);
    let envelope = r#"{"patient":"Patient/a","time":"2026-01-02T03:04:05Z","device":"Device/d","readings":[
        {"code":"8867-4","value":72},{"code":"8867-4","value":73,"patient":"Patient/b"},7]}"#;
    let read = items(envelope);
    let patients: Vec<_> = read.iter().flatten().filter_map(|d| d.subject.clone()).collect();
    assert_eq!(patients, [Subject::Reference("Patient/a".to_owned()), Subject::Reference("Patient/b".to_owned())]);
    assert!(read[..2].iter().flatten().all(|d| d.device.is_some() && d.effective.is_some()));
    assert_eq!(read[2].as_ref().unwrap_err().place, "[2]");
}

#[test]
fn other_values() {
    let value = |members: &str| draft(&format!(r#"{{"patient":"Patient/p","code":"urn:x|y",{members}}}"#)).value;
    assert_eq!(value(r#""value":"asleep""#), Measured::Text("asleep".to_owned()));
    assert_eq!(value(r#""absent":"not-a-number""#), Measured::Absent("not-a-number"));
    assert!(matches!(value(r#""value":{"system":"urn:x","code":"a"}"#), Measured::Coded(c) if c[0].code == "a"));
    assert!(matches!(value(r#""value":1e2,"unit":"x""#), Measured::Quantity { value, .. } if value == "1e+2"));
    let pressure =
        draft(r#"{"patient":"Patient/p","code":"bp","systolic":120,"diastolic":80.0,"mean":93,"unit":"mmHg"}"#);
    assert_eq!((pressure.code[0].code.as_str(), pressure.value), ("85354-9", Measured::Panel));
    assert_eq!(pressure.components.len(), 3);
    assert!(matches!(&pressure.components[1].1, Measured::Quantity { value, .. } if value == "80.0"));
    let absent = draft(r#"{"patient":"Patient/p","code":"bp","absent":"error"}"#);
    assert_eq!(
        absent.components.iter().map(|(_, v)| v.clone()).collect::<Vec<_>>(),
        [Measured::Absent("error"), Measured::Absent("error")]
    );
    let panel = draft(
        r#"{"patient":"Patient/p","code":"85354-9","components":[{"code":"8480-6","value":1,"unit":"mmHg"},{"code":"8462-4","absent":"error"}]}"#,
    );
    assert_eq!(panel.components[1].1, Measured::Absent("error"));
}

#[test]
fn each_mistake_is_named_at_its_member() {
    let base = r#""patient":"Patient/p","code":"8867-4","value":72"#;
    let table: [(&str, &[(&str, &str)]); 21] = [
        (r#"{"patient":"Device/p","code":"8867-4","value":72}"#, &[("[0].patient", "value")]),
        (r#"{"patient":"p","code":"8867-4","value":72}"#, &[("[0].patient", "value")]),
        (r#"{"patient":"Patient/p","value":72}"#, &[("[0].code", "required")]),
        (r#"{"patient":"Patient/p","code":"HR","value":72}"#, &[("[0].code", "value")]),
        (r#"{"patient":"Patient/p","code":"8867-4"}"#, &[("[0].value", "required")]),
        (r#"{"patient":"Patient/p","code":"8867-4","value":true}"#, &[("[0].value", "value")]),
        (r#"{"patient":"Patient/p","code":"8867-4","value":"high","unit":"/min"}"#, &[("[0].value", "value")]),
        (r#"{"patient":"Patient/p","code":"8867-4","value":1e99}"#, &[("[0].value", "value")]),
        (
            r#"{"patient":"Patient/p","code":"bp","systolic":120,"value":1}"#,
            &[("[0].code", "structure"), ("[0].diastolic", "required")],
        ),
        (r#"{"patient":"Patient/p","code":"85354-9","components":[]}"#, &[("[0].components", "structure")]),
        (
            r#"{"patient":"Patient/p","code":"85354-9","components":[{"code":"8480-6","value":1,"units":"x"}]}"#,
            &[("[0].components[0]", "structure")],
        ),
        (
            r#"{"patient":"Patient/p","code":"85354-9","components":[{"value":"1","unit":"x"}]}"#,
            &[("[0].components[0].code", "required")],
        ),
        (&format!(r#"{{{base},"pulse":1,"absent":"error"}}"#), &[("[0]", "structure"), ("[0].value", "structure")]),
        (&format!(r#"{{{base},"systolic":1}}"#), &[("[0].systolic", "structure")]),
        (&format!(r#"{{{base},"unit":7}}"#), &[("[0].unit", "value")]),
        (&format!(r#"{{{base},"status":"done"}}"#), &[("[0].status", "code-invalid")]),
        (&format!(r#"{{{base},"time":7,"end":"2026"}}"#), &[("[0].time", "value"), ("[0].time", "required")]),
        (&format!(r#"{{{base},"test":"yes"}}"#), &[("[0].test", "value")]),
        (&format!(r#"{{{base},"value":73}}"#), &[("[0].value", "structure")]),
        (&format!(r#"{{{base},"note":null}}"#), &[("[0].note", "structure")]),
        (&format!(r#"[{{{base}}}, {{"a":}}]"#), &[]),
    ];
    for (body, want) in table {
        if want.is_empty() {
            assert_eq!(items(body).iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
            continue;
        }
        let found = wrong(body);
        let found: Vec<(&str, &str)> = found.iter().map(|(place, code)| (place.as_str(), *code)).collect();
        assert_eq!(found, want, "{body}");
    }
}

#[test]
fn bodies_that_are_refused_whole() {
    let many = format!("[{}1]", "1,".repeat(MAX_ITEMS));
    for (body, code) in [
        ("", "structure"),
        ("7", "structure"),
        ("[1,", "structure"),
        ("{]", "structure"),
        ("[]", "required"),
        (r#"{"readings":[]}"#, "required"),
        (r#"{"readings":{}}"#, "structure"),
        (r#"{"readings":[1],"readings":[2]}"#, "structure"),
        (r#"{"readings":[1],"ward":"x"}"#, "structure"),
        (r#"{"readings":[1],"patient":x}"#, "structure"),
        (many.as_str(), "too-long"),
    ] {
        assert_eq!(parse_json(body.as_bytes(), "s", 0).unwrap_err().code, code);
    }
}

#[test]
fn a_bad_line_does_no_harm() {
    let body = b"{\"patient\":\"Patient/p\",\"code\":\"8867-4\",\"value\":72}\r\n\n{oops\n{\"patient\":\"Patient/p\",\"code\":\"8867-4\",\"value\":73}";
    let read = parse_ndjson(body, "s").unwrap();
    assert_eq!(read.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(read[1].as_ref().unwrap_err().place, "line 3");
    assert_eq!(read[2].as_ref().unwrap().place, "line 4");
    assert_eq!(parse_ndjson(b"\n \n", "s").unwrap_err().code, "required");
}

#[test]
fn keys_tell_readings_apart() {
    let with = |members: &str| draft(&format!(r#"{{"patient":"Patient/p","code":"8867-4",{members}}}"#)).key;
    assert_eq!(with(r#""value":72,"id":"a""#), with(r#""value":73,"id":"a""#), "the sender's identifier decides");
    assert_eq!(with(r#""value":72"#), with(r#""value":72,"note":"x""#));
    let all = [
        with(r#""value":72"#),
        with(r#""value":72.0"#),
        with(r#""value":72,"time":"2026-01-01""#),
        with(r#""value":72,"unit":"/min""#),
        with(r#""value":72,"device":"Device/d""#),
        with(r#""absent":"error""#),
        with(r#""value":72,"id":"72""#),
    ];
    let different: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
    let other = parse_json(br#"{"patient":"Patient/p","code":"8867-4","value":72}"#, "other", 0)
        .unwrap()
        .remove(0)
        .unwrap()
        .key;
    assert_ne!(other, all[0], "another sender");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..80), text in "[{}\\[\\]\",:a-z0-9 ]{0,60}") {
        for body in [body.as_slice(), text.as_bytes()] {
            let _ = (parse_json(body, "s", 0), parse_ndjson(body, "s"));
        }
    }

    #[test]
    fn any_member_is_read_or_refused(name in prop::sample::select(vec!["patient", "device", "code", "value", "unit", "systolic",
            "components", "absent", "time", "end", "id", "status", "note", "test"]),
            value in prop::sample::select(vec!["1", "\"x\"", "{}", "[]", "[1]", "{\"code\":1}", "true", "null", "\"|\"", "-", "[[\"x\"]]"])) {
        let body = format!(r#"[{{"patient":"Patient/p","code":"8867-4","{name}":{value}}},{{"patient":"Patient/p","code":"8867-4","value":1}}]"#);
        let read = parse_json(body.as_bytes(), "s", 0).unwrap();
        prop_assert!(read[1].is_ok());
    }
}

#[test]
fn a_body_cut_short_says_where() {
    for (body, text) in [
        ("[{\"code\":\"8867-4\"},\n {\"code\":", "the body is cut short at line 2 column 9"),
        ("[1,2", "the body is cut short at line 1 column 4"),
        ("{\"readings\":[1,", "the body is cut short at line 1 column 15"),
        ("[1 2", "the body is no JSON at line 1 column 4"),
        ("[1],[2]", "the body is no JSON at line 1 column 4"),
        ("7", "the body is neither a JSON object nor a JSON array of readings"),
        ("", "the body is neither a JSON object nor a JSON array of readings"),
    ] {
        let issue = parse_json(body.as_bytes(), "s", 0).unwrap_err();
        assert_eq!((issue.expression.as_str(), issue.diagnostics.as_str()), ("http.body", text), "{body}");
    }
}
