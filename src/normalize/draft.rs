//! The draft of one reading: what every door hands in, whatever its format. A draft knows
//! nothing of FHIR's shape and nothing of the store; `normalize` turns it into an Observation.

/// One reading as its sender meant it, before codes and units are brought to the house's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Where it stood in the input, in its sender's terms: `[3]`, `line 7`, `OBX[2]`.
    pub place: String,
    /// None: whoever the device is at, at the time of the reading.
    pub subject: Option<Subject>,
    /// Local reference of the sending device (`Device/x`), when the sender named it.
    pub device: Option<Subject>,
    /// What of the device measured it, as others that come with it call it (`said:…`).
    pub metric: Option<String>,
    /// FHIR `Observation.status`.
    pub status: &'static str,
    /// All codings the sender gave, the preferred one first. Never empty.
    pub code: Vec<Coding>,
    pub value: Measured,
    /// Parts measured together (systolic and diastolic), each with a code of its own.
    pub components: Vec<(Vec<Coding>, Measured)>,
    /// What the sender thinks of it, and of its parts in their order (as many, or none).
    pub judged: Judged,
    pub parts_judged: Vec<Judged>,
    /// FHIR dateTime with a zone; none when the sender has no clock: then the time of receipt.
    pub effective: Option<String>,
    /// The end, when the reading covers a period.
    pub effective_end: Option<String>,
    /// When it was by the sender's own clock, where that was wrong: `effective` is corrected then.
    pub told: Option<String>,
    /// What makes it the same reading when it is sent again (sender, message id, place …).
    /// The Observation's id is made of it, so a repetition is found by the id index alone.
    pub key: String,
    /// The sender's own identifier of the reading, to be kept as `Observation.identifier`.
    pub identifier: Option<(Option<String>, String)>,
    /// Marked as demonstration or test data by its sender: stored, never alerted on.
    pub test: bool,
    pub note: Option<String>,
    /// It may be a later word on a reading that is here already: a correction, or a result that was preliminary.
    pub amends: bool,
}

/// What a sender thinks of a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// What is usual, as it was sent: `3.5-5.1`, in the unit of the value.
    pub range: Option<String>,
    /// Codes of <http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation>.
    pub interpretation: Vec<Coding>,
}

/// Whom (or what) a reading is about, as far as the sender knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A FHIR reference: `Patient/p1`.
    Reference(String),
    /// A business identifier: a medical record number and who assigned it.
    Identifier { system: Option<String>, value: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Coding {
    pub system: String,
    pub code: String,
    pub display: Option<String>,
}

/// A stretch of a waveform; decimals as they were sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// Between two samples, ms.
    pub period: String,
    /// A sample is `origin + factor · number`.
    pub origin: String,
    pub factor: String,
    pub unit: Option<Coding>,
    /// Whole numbers with a blank between them; `E`: not measured.
    pub data: String,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// `value` is the decimal exactly as sent: `72.50` stays `72.50`.
    Quantity {
        value: String,
        comparator: Option<&'static str>,
        unit: Option<Coding>,
    },
    Text(String),
    /// A FHIR dateTime or time.
    DateTime(String),
    Time(String),
    Coded(Vec<Coding>),
    Sampled(Box<Sampled>),
    /// No value, and why: a code of <http://terminology.hl7.org/CodeSystem/data-absent-reason>.
    Absent(&'static str),
    /// The components carry the values.
    Panel,
}
