//! One reading of the compact form, member by member, made into a draft. All that is wrong with it is said at
//! once, each at its member; no value is ever repeated.

use fhir_r4::Issue;
use serde_json::{Map, Value};

use super::unknown;
use crate::fhir::{LOINC, reference};
use crate::normalize::codes::{self, DIASTOLIC, MDC, MEAN, PANEL, SYSTOLIC};
use crate::normalize::decimal;
use crate::normalize::draft::{Coding, Draft, Judged, Measured, Subject};

const MEMBERS: [&str; 16] = [
    "patient",
    "device",
    "code",
    "value",
    "unit",
    "systolic",
    "diastolic",
    "mean",
    "components",
    "absent",
    "time",
    "end",
    "id",
    "status",
    "note",
    "test",
];
const COMPONENT: [&str; 4] = ["code", "value", "unit", "absent"];

const STATUS: [&str; 8] =
    ["registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown"];

/// The codes of data-absent-reason.
const ABSENT: [&str; 15] = [
    "unknown",
    "asked-unknown",
    "temp-unknown",
    "not-asked",
    "asked-declined",
    "masked",
    "not-applicable",
    "unsupported",
    "as-text",
    "error",
    "not-a-number",
    "negative-infinity",
    "positive-infinity",
    "not-performed",
    "not-permitted",
];

/// The longest identifier of a sender.
const LONGEST_ID: usize = 200;

type Object = Map<String, Value>;

/// Reads one reading; `defaults` are the members of the envelope.
pub(super) fn draft(object: &Object, defaults: &Object, place: &str, sender: &str) -> Result<Draft, Vec<Issue>> {
    let mut read = Reader::new(place);
    read.only(object, &MEMBERS);
    let (subject, device) = read.whose(object, defaults);
    let (code, value, components) = read.measured(object);
    let effective = object.get("time").or_else(|| defaults.get("time")).and_then(|value| read.text("time", value));
    let effective_end = object.get("end").and_then(|value| read.text("end", value));
    if effective_end.is_some() && effective.is_none() {
        read.refuse::<()>("required", "time", "an end needs a time at which it began");
    }
    let id = read.identifier("id", object.get("id"));
    let status = match object.get("status") {
        None => "final",
        Some(value) => read.one_of("status", value, &STATUS).unwrap_or("final"),
    };
    let test = read.flag("test", object.get("test"));
    let note = object.get("note").and_then(|value| read.text("note", value));
    if !read.issues.is_empty() {
        return Err(read.issues);
    }
    let mut draft = Draft {
        place: place.to_owned(),
        subject,
        device,
        metric: None,
        status,
        code,
        value,
        components,
        judged: Judged::default(),
        parts_judged: Vec::new(),
        effective,
        effective_end,
        told: None,
        key: String::new(),
        identifier: id.map(|id| (None, id)),
        test,
        note,
        amends: false,
    };
    draft.key = key(&draft, sender);
    Ok(draft)
}

/// What makes it the same reading: the sender's identifier, else all that was measured, where and when.
fn key(draft: &Draft, sender: &str) -> String {
    if let Some((_, id)) = &draft.identifier {
        return format!("{sender}\u{1f}id\u{1f}{id}");
    }
    let whom = |subject: &Subject| match subject {
        Subject::Reference(text) => text.clone(),
        Subject::Identifier { system, value } => format!("{}|{value}", system.as_deref().unwrap_or_default()),
    };
    let mut key = format!("{sender}\u{1f}reading\u{1f}{}", draft.subject.as_ref().map(whom).unwrap_or_default());
    let mut add = |text: &str| {
        key.push('\u{1f}');
        key.push_str(text);
    };
    add(&draft.device.as_ref().map(whom).unwrap_or_default());
    add(draft.effective.as_deref().unwrap_or_default());
    add(draft.effective_end.as_deref().unwrap_or_default());
    for (codings, value) in
        std::iter::once((&draft.code, &draft.value)).chain(draft.components.iter().map(|(c, v)| (c, v)))
    {
        for coding in codings {
            add(&coding.system);
            add(&coding.code);
        }
        match value {
            Measured::Quantity { value, unit, .. } => {
                add(value);
                add(unit.as_ref().map(|u| u.code.as_str()).unwrap_or_default());
            }
            Measured::Text(text) | Measured::DateTime(text) | Measured::Time(text) => add(text),
            Measured::Coded(codings) => codings.iter().for_each(|c| add(&c.code)),
            Measured::Absent(reason) => add(reason),
            Measured::Sampled(sampled) => add(&sampled.data),
            Measured::Panel => {}
        }
    }
    key
}

/// Reads members and collects what is wrong with them.
pub(super) struct Reader<'a> {
    place: &'a str,
    pub(super) issues: Vec<Issue>,
}

type Panel = Vec<(Vec<Coding>, Measured)>;

impl<'a> Reader<'a> {
    pub(super) fn new(place: &'a str) -> Self {
        Self { place, issues: Vec::new() }
    }

    /// Members that are none of these.
    pub(super) fn only(&mut self, object: &Object, known: &[&str]) {
        for name in object.keys().filter(|name| !known.contains(&name.as_str())) {
            self.issues.push(unknown(self.place, name));
        }
    }

    /// Whom it is about, and by which device: its own, or those that stand for all.
    pub(super) fn whose(&mut self, object: &Object, defaults: &Object) -> (Option<Subject>, Option<Subject>) {
        let either = |name: &str| object.get(name).or_else(|| defaults.get(name));
        (
            either("patient").and_then(|value| self.subject("patient", value, "Patient")),
            either("device").and_then(|value| self.subject("device", value, "Device")),
        )
    }

    /// False when it is not given.
    pub(super) fn flag(&mut self, member: &str, value: Option<&Value>) -> bool {
        match value {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => self.refuse("value", member, "true or false is needed").unwrap_or(false),
        }
    }

    /// The sender's own identifier.
    pub(super) fn identifier(&mut self, member: &str, value: Option<&Value>) -> Option<String> {
        let id = value.and_then(|value| self.text(member, value))?;
        if id.len() > LONGEST_ID {
            return self.refuse("too-long", member, "the identifier is too long");
        }
        Some(id)
    }

    pub(super) fn refuse<T>(&mut self, code: &'static str, member: &str, why: &str) -> Option<T> {
        self.issues.push(Issue::error(code, format!("{}.{member}", self.place), why));
        None
    }

    pub(super) fn text(&mut self, member: &str, value: &Value) -> Option<String> {
        match value.as_str().map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => Some(text.to_owned()),
            None => self.refuse("value", member, "a text is needed"),
        }
    }

    fn one_of(&mut self, member: &str, value: &Value, known: &[&'static str]) -> Option<&'static str> {
        match known.iter().find(|code| value.as_str() == Some(**code)) {
            Some(code) => Some(code),
            None => self.refuse("code-invalid", member, "this is none of the codes that are known here"),
        }
    }

    fn subject(&mut self, member: &str, value: &Value, kind: &str) -> Option<Subject> {
        let identifier = |system: &str, value: &str| {
            let system = Some(system.trim()).filter(|s| !s.is_empty()).map(str::to_owned);
            Some(value.trim()).filter(|v| !v.is_empty()).map(|v| Subject::Identifier { system, value: v.to_owned() })
        };
        let found = match value {
            Value::String(text) => match text.split_once('|') {
                Some((system, value)) => identifier(system, value),
                None => reference::local(text)
                    .filter(|local| local.resource_type == kind && local.version.is_none())
                    .map(|_| Subject::Reference(text.clone())),
            },
            Value::Object(object) if object.keys().all(|k| k == "system" || k == "value") => {
                let text = |name: &str| object.get(name).map_or(Some(""), Value::as_str);
                text("system").zip(text("value")).and_then(|(system, value)| identifier(system, value))
            }
            _ => None,
        };
        if found.is_none() {
            let why = format!("`{kind}/id`, `system|value` or an object of system and value is needed");
            self.refuse::<()>("value", member, &why);
        }
        found
    }

    /// The code with its value, absence or components.
    fn measured(&mut self, object: &Object) -> (Vec<Coding>, Measured, Panel) {
        let pressure = object.get("code").and_then(Value::as_str) == Some("bp");
        let parts = [("systolic", SYSTOLIC), ("diastolic", DIASTOLIC), ("mean", MEAN)];
        let given = ["value", "components", "absent"].iter().filter(|name| object.contains_key(**name)).count();
        if pressure {
            if given > usize::from(object.contains_key("absent")) {
                self.refuse::<()>(
                    "structure",
                    "code",
                    "a blood pressure has systolic and diastolic instead of a value",
                );
            }
            return self.pressure(object, &parts);
        }
        for (name, _) in parts.iter().filter(|(name, _)| object.contains_key(*name)) {
            self.refuse::<()>("structure", name, "this belongs to the code `bp` only");
        }
        if given == 0 {
            self.refuse::<()>("required", "value", "a value, components or the reason of its absence is needed");
        } else if given > 1 {
            self.refuse::<()>("structure", "value", "only one of value, components and absent can be given");
        }
        let code = self.code("code", object.get("code"));
        let Some(list) = object.get("components") else { return (code, self.value("", object), Vec::new()) };
        let components = list.as_array().filter(|list| !list.is_empty()).cloned().unwrap_or_else(|| {
            self.refuse::<()>("value", "components", "a list of components is needed");
            Vec::new()
        });
        let components = components.iter().enumerate().map(|(at, component)| self.component(at, component)).collect();
        (code, Measured::Panel, components)
    }

    fn pressure(&mut self, object: &Object, parts: &[(&str, &str)]) -> (Vec<Coding>, Measured, Panel) {
        let panel = vec![codes::loinc(PANEL)];
        if let Some(reason) = object.get("absent") {
            // The profile wants both parts even when there is nothing to say but why.
            let reason = self.one_of("absent", reason, &ABSENT).unwrap_or("unknown");
            let absent = [SYSTOLIC, DIASTOLIC].map(|loinc| (vec![codes::loinc(loinc)], Measured::Absent(reason)));
            return (panel, Measured::Panel, absent.into());
        }
        let mut components = Vec::new();
        for (name, loinc) in parts {
            match object.get(*name) {
                Some(value) => {
                    components.push((vec![codes::loinc(loinc)], self.amount(name, value, object.get("unit"))));
                }
                None if *loinc == MEAN => {}
                None => _ = self.refuse::<()>("required", name, "a blood pressure needs systolic and diastolic"),
            }
        }
        (panel, Measured::Panel, components)
    }

    fn component(&mut self, at: usize, component: &Value) -> (Vec<Coding>, Measured) {
        let place = format!("components[{at}]");
        let Some(object) = component.as_object() else {
            self.refuse::<()>("value", &place, "an object is needed");
            return (Vec::new(), Measured::Panel);
        };
        for name in object.keys().filter(|name| !COMPONENT.contains(&name.as_str())) {
            self.issues.push(unknown(&format!("{}.{place}", self.place), name));
        }
        if object.contains_key("value") == object.contains_key("absent") {
            self.refuse::<()>("required", &place, "a value or the reason of its absence is needed, not both");
        }
        (self.code(&format!("{place}.code"), object.get("code")), self.value(&format!("{place}."), object))
    }

    fn value(&mut self, before: &str, object: &Object) -> Measured {
        if let Some(reason) = object.get("absent") {
            return Measured::Absent(self.one_of(&format!("{before}absent"), reason, &ABSENT).unwrap_or("unknown"));
        }
        let member = format!("{before}value");
        match (object.get("value"), object.get("unit")) {
            (None, _) => Measured::Panel,
            (Some(Value::String(text)), None) => Measured::Text(text.clone()),
            (Some(Value::Object(_)), None) => Measured::Coded(self.code(&member, object.get("value"))),
            (Some(value), unit) => self.amount(&member, value, unit),
        }
    }

    /// A number with its unit.
    fn amount(&mut self, member: &str, value: &Value, unit: Option<&Value>) -> Measured {
        let unit_member = member.rsplit_once('.').map_or("unit".to_owned(), |(before, _)| format!("{before}.unit"));
        let unit = unit.and_then(|unit| self.text(&unit_member, unit));
        let text = match value {
            Value::Number(number) => decimal(&number.to_string()),
            Value::String(text) if unit.is_some() => decimal(text),
            _ => None,
        };
        if text.is_none() {
            self.refuse::<()>("value", member, "a decimal number is needed, and one that can be measured");
        }
        let unit = unit.map(|code| Coding { system: String::new(), code, display: None });
        Measured::Quantity { value: text.unwrap_or_default(), comparator: None, unit }
    }

    pub(super) fn code(&mut self, member: &str, value: Option<&Value>) -> Vec<Coding> {
        let codings: Option<Vec<Coding>> = match value {
            Some(Value::Array(list)) if !list.is_empty() => list.iter().map(coding).collect(),
            Some(value) => coding(value).map(|coding| vec![coding]),
            None => {
                self.refuse::<()>("required", member, "the code is missing");
                return Vec::new();
            }
        };
        codings.unwrap_or_else(|| {
            self.refuse::<()>(
                "value",
                member,
                "a LOINC code, `mdc:code`, `system|code` or an object of these is needed",
            );
            Vec::new()
        })
    }
}

fn coding(value: &Value) -> Option<Coding> {
    let made = |system: &str, code: &str, display: Option<&str>| {
        let (system, code) = (system.trim(), code.trim());
        let plain = !code.is_empty() && !code.contains("  ") && !code.chars().any(char::is_control);
        let system = (!system.is_empty() && !system.contains(char::is_whitespace)).then(|| system.to_owned())?;
        plain.then(|| Coding { system, code: code.to_owned(), display: display.map(str::to_owned) })
    };
    match value {
        Value::String(text) => match (text.split_once('|'), text.split_once(':')) {
            (Some((system, code)), _) => made(system, code, None),
            (None, Some(("mdc", code))) => made(MDC, code, None),
            (None, Some(("loinc", code))) => made(LOINC, code, None),
            (None, None) if codes::is_loinc(text) => made(LOINC, text, None),
            _ => None,
        },
        Value::Object(object) if object.keys().all(|k| matches!(k.as_str(), "system" | "code" | "display")) => {
            let text = |name: &str| object.get(name).and_then(Value::as_str);
            let display = text("display").filter(|d| !d.trim().is_empty());
            made(text("system").unwrap_or(LOINC), text("code")?, display)
        }
        _ => None,
    }
}
