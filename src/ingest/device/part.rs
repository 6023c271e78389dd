//! One reading out of a payload that may hold several, and what all of a payload have in common. Made into drafts
//! here, so that each form of the door says only what was measured.

use crate::fhir::{LOINC, UCUM};
use crate::normalize::codes::{self, MDC};
use crate::normalize::draft::{Coding, Draft, Judged, Measured, Subject};

/// What keeps the parts of a key apart: no text that is sent can hold it unescaped.
const BETWEEN: char = '\u{1f}';

/// One reading of a payload.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    /// What tells it from the others of its payload.
    pub(super) name: String,
    pub(super) code: Vec<Coding>,
    pub(super) value: Measured,
    pub(super) components: Vec<(Vec<Coding>, Measured)>,
    pub(super) notes: Vec<String>,
    pub(super) status: &'static str,
    pub(super) test: bool,
}

impl Part {
    pub(super) fn new(name: impl Into<String>, code: Vec<Coding>, value: Measured) -> Self {
        Self { name: name.into(), code, value, components: vec![], notes: vec![], status: "final", test: false }
    }
}

/// Where readings come from, and when they were taken.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) place: String,
    pub(super) subject: Option<Subject>,
    pub(super) device: Option<Subject>,
    pub(super) effective: Option<String>,
    pub(super) effective_end: Option<String>,
    /// The sender's own identifier of the payload.
    pub(super) id: Option<String>,
    /// What makes the payload itself, where it has no identifier.
    pub(super) content: Vec<String>,
}

impl Origin {
    /// The draft of one part. `form`: which form of the door it came by; `sender`: who sends.
    pub(super) fn draft(&self, part: Part, form: &str, sender: &str) -> Draft {
        Draft {
            place: self.place.clone(),
            key: self.key(form, sender, &part.name),
            subject: self.subject.clone(),
            device: self.device.clone(),
            metric: None,
            status: part.status,
            code: part.code,
            value: part.value,
            components: part.components,
            judged: Judged::default(),
            parts_judged: Vec::new(),
            effective: self.effective.clone(),
            effective_end: self.effective_end.clone(),
            told: None,
            identifier: self.id.clone().map(|id| (None, id)),
            test: part.test,
            note: (!part.notes.is_empty()).then(|| part.notes.join("\n")),
            amends: false,
        }
    }

    /// The sender's identifier, else the payload with whom it is about and by which device.
    fn key(&self, form: &str, sender: &str, part: &str) -> String {
        let mut all = vec![sender, form];
        if let Some(id) = &self.id {
            all.extend(["id", id]);
        } else {
            all.push("content");
            all.extend(self.subject.as_ref().map_or(["", ""], named));
            all.extend(self.device.as_ref().map_or(["", ""], named));
            all.extend(self.content.iter().map(String::as_str));
        }
        all.push(part);
        all.join(&BETWEEN.to_string())
    }
}

fn named(subject: &Subject) -> [&str; 2] {
    match subject {
        Subject::Reference(text) => ["", text],
        Subject::Identifier { system, value } => [system.as_deref().unwrap_or("|"), value],
    }
}

/// A number that stands as it was sent, with its unit of UCUM.
pub(super) fn quantity(value: impl Into<String>, unit: &str) -> Measured {
    let unit = (!unit.is_empty()).then(|| Coding { system: UCUM.to_owned(), code: unit.to_owned(), display: None });
    Measured::Quantity { value: value.into(), comparator: None, unit }
}

/// A code of LOINC, one of MDC, or both; an empty text is none. `name` is the reference id of the MDC code.
pub(super) fn coded(loinc: &str, mdc: &str, name: &str) -> Vec<Coding> {
    let of = |system: &str, code: &str, display: Option<&str>| Coding {
        system: system.to_owned(),
        code: code.to_owned(),
        display: display.filter(|text| !text.is_empty()).map(str::to_owned),
    };
    let both = [of(LOINC, loinc, codes::display_of(loinc)), of(MDC, mdc, Some(name))];
    both.into_iter().filter(|coding| !coding.code.is_empty()).collect()
}

/// What has a name and no code.
pub(super) fn text(name: &str) -> Vec<Coding> {
    vec![Coding { system: String::new(), code: String::new(), display: Some(name.to_owned()) }]
}
