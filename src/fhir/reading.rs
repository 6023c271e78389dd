//! A reading: what the house needs of an Observation while it is on its way (index columns, rings, rules,
//! the live page), taken out of the resource once.

use serde_json::Value;

use super::{mdc, reference, time};

/// One coding as a pair; an absent system is the empty text.
pub type Code = (String, String);

/// A number with its unit, as measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Amount {
    pub value: f64,
    /// The decimal as it was sent.
    pub text: String,
    pub system: Option<String>,
    /// The unit's code, else its human name.
    pub unit: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    pub subject: Option<String>,
    pub device: Option<String>,
    pub encounter: Option<String>,
    /// Its own, and the LOINC code that is said by its MDC codes where it has none.
    pub codings: Vec<Code>,
    /// `code.text`, which stands for the concept when there is no coding.
    pub text: Option<String>,
    pub category: Vec<Code>,
    pub status: Status,
    /// What the effective time covers: [start, end) in µs.
    pub effective: Option<(i64, i64)>,
    pub value: Option<Amount>,
    pub components: Vec<(Vec<Code>, Amount)>,
    /// Coded values, its own and those of its components: what was asked, and what was answered.
    pub answers: Vec<(Vec<Code>, Vec<Code>)>,
    /// Marked `HTEST`: kept, shown as such, never alerted on.
    pub test: bool,
}

/// `Observation.status`, in the order of its code system; the numbers are what is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    Registered,
    Preliminary,
    #[default]
    Final,
    Amended,
    Corrected,
    Cancelled,
    EnteredInError,
    Unknown,
}

impl Status {
    const ALL: [(Self, &'static str, i16); 8] = [
        (Self::Registered, "registered", 0),
        (Self::Preliminary, "preliminary", 1),
        (Self::Final, "final", 2),
        (Self::Amended, "amended", 3),
        (Self::Corrected, "corrected", 4),
        (Self::Cancelled, "cancelled", 5),
        (Self::EnteredInError, "entered-in-error", 6),
        (Self::Unknown, "unknown", 7),
    ];

    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, text, _)| *text == code).map(|(status, ..)| *status)
    }

    /// The number stored for it.
    pub fn number(self) -> i16 {
        Self::ALL.iter().find(|(status, ..)| *status == self).map_or(7, |(_, _, number)| *number)
    }

    pub fn code(self) -> &'static str {
        Self::ALL.iter().find(|(status, ..)| *status == self).map_or("unknown", |(_, code, _)| code)
    }

    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.iter().map(|(status, ..)| *status)
    }

    /// May it be shown as a value and judged by rules?
    pub fn counts(self) -> bool {
        matches!(self, Self::Final | Self::Preliminary | Self::Amended | Self::Corrected)
    }
}

impl Reading {
    /// Takes the reading out of an Observation; parts that are absent stay empty.
    pub fn of(observation: &Value) -> Self {
        let code = observation.get("code");
        let value = observation.get("valueQuantity").and_then(amount);
        Self {
            subject: local_reference(observation.get("subject")),
            device: local_reference(observation.get("device")),
            encounter: local_reference(observation.get("encounter")),
            codings: said(codings(code), value.as_ref()),
            text: code.and_then(|c| c.get("text")).and_then(Value::as_str).map(str::to_owned),
            category: list(observation.get("category")).flat_map(|c| codings(Some(c))).collect(),
            status: str_of(observation, "status").and_then(Status::from_code).unwrap_or(Status::Unknown),
            effective: effective(observation),
            value,
            components: list(observation.get("component")).filter_map(component).collect(),
            answers: std::iter::once(observation)
                .chain(list(observation.get("component")))
                .filter_map(answer)
                .collect(),
            test: is_test(observation),
        }
    }

    /// Has it this code (system and code)?
    pub fn has_code(&self, system: &str, code: &str) -> bool {
        self.codings.iter().any(|(s, c)| s == system && c == code)
    }

    /// Every measured value with the codings that it stands under: its own, then its components'.
    pub fn amounts(&self) -> impl Iterator<Item = (&[Code], &Amount)> {
        let own = self.value.iter().map(|value| (self.codings.as_slice(), value));
        own.chain(self.components.iter().map(|(codings, value)| (codings.as_slice(), value)))
    }
}

fn component(component: &Value) -> Option<(Vec<Code>, Amount)> {
    let amount = amount(component.get("valueQuantity")?)?;
    Some((said(codings(component.get("code")), Some(&amount)), amount))
}

fn answer(item: &Value) -> Option<(Vec<Code>, Vec<Code>)> {
    Some((codings(item.get("code")), codings(Some(item.get("valueCodeableConcept")?))))
}

/// Rules, searches and pages know readings by LOINC.
pub(super) fn said(mut codings: Vec<Code>, value: Option<&Amount>) -> Vec<Code> {
    codings.extend(mdc::implied(&codings, value.and_then(|amount| amount.unit.as_deref())));
    codings
}

/// The codings of a CodeableConcept.
pub fn codings(concept: Option<&Value>) -> Vec<Code> {
    list(concept.and_then(|c| c.get("coding")))
        .filter_map(|coding| {
            Some((str_of(coding, "system").unwrap_or_default().to_owned(), str_of(coding, "code")?.to_owned()))
        })
        .collect()
}

/// A Quantity; none without a value.
pub fn amount(quantity: &Value) -> Option<Amount> {
    let number = quantity.get("value")?.as_number()?;
    let unit = str_of(quantity, "code").or_else(|| str_of(quantity, "unit"));
    Some(Amount {
        value: number.as_f64().filter(|v| v.is_finite())?,
        text: number.to_string(),
        system: str_of(quantity, "system").map(str::to_owned),
        unit: unit.map(str::to_owned),
    })
}

fn effective(observation: &Value) -> Option<(i64, i64)> {
    let point = str_of(observation, "effectiveDateTime").or_else(|| str_of(observation, "effectiveInstant"));
    if let Some(text) = point {
        return time::range(text).map(|r| (r.start, r.end));
    }
    period(observation.get("effectivePeriod")?)
}

/// A Period as [start, end); an open end reaches as far as times go.
pub fn period(period: &Value) -> Option<(i64, i64)> {
    let start = str_of(period, "start").and_then(time::range).map(|r| r.start);
    let end = str_of(period, "end").and_then(time::range).map(|r| r.end);
    if start.is_none() && end.is_none() {
        return None;
    }
    Some((start.unwrap_or(time::BEFORE_ALL), end.unwrap_or(time::AFTER_ALL)))
}

fn local_reference(reference: Option<&Value>) -> Option<String> {
    let text = reference?.get("reference")?.as_str()?;
    reference::local(text).map(|_| reference::unversioned(text).to_owned())
}

fn is_test(observation: &Value) -> bool {
    list(observation.get("meta").and_then(|m| m.get("tag"))).any(|tag| str_of(tag, "code") == Some("HTEST"))
}

pub fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

pub fn str_of<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.get(member).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_blood_pressure_apart() {
        let text = r#"{"resourceType":"Observation","status":"final","subject":{"reference":"Patient/p1/_history/2"},
            "category":[{"coding":[{"system":"c","code":"vital-signs"}]}],
            "code":{"coding":[{"system":"http://loinc.org","code":"85354-9"}]},
            "effectivePeriod":{"start":"2026-01-01T00:00:00Z"},
            "component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},
                          "valueQuantity":{"value":120.50,"system":"http://unitsofmeasure.org","code":"mm[Hg]"}},
                         {"code":{"text":"x"}}]}"#;
        let reading = Reading::of(&serde_json::from_str(text).unwrap());
        assert_eq!(reading.subject.as_deref(), Some("Patient/p1"));
        assert!(reading.has_code("http://loinc.org", "85354-9") && reading.status.counts() && !reading.test);
        let amounts: Vec<_> = reading.amounts().map(|(c, a)| (c[0].1.as_str(), a.text.as_str())).collect();
        assert_eq!(amounts, [("8480-6", "120.50")]);
        assert_eq!(reading.effective.map(|e| e.1), Some(time::AFTER_ALL));
    }
}
