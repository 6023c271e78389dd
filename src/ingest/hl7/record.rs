//! Admissions, moves, discharges and changed records (ADT) to [`Record`]s: segments by the rows of [`Tables`], events by
//! what they mean for the stay. What is not mapped is named, and kept with the message.

mod build;
mod datatype;
mod table;

use fhir_r4::{Issue, Severity};
use serde_json::{Map, Value, json};

use self::build::Part;
pub use self::table::Tables;
use super::message::{Message, Refusal, Repetition, Segment};
use super::{Channel, party, time};
use crate::fhir::OURS;
use crate::normalize::record::{self, Deed, Record, Visit};

/// A record and what is to be told of its message.
#[derive(Clone, Debug)]
pub struct Read {
    pub record: Record,
    pub issues: Vec<Issue>,
    pub used: usize,
    pub unused: usize,
}

/// What an event means for the stay; none: it is about the person alone.
const EVENTS: [(&str, Option<Deed>); 15] = [
    ("A01", Some(Deed::Begin)),
    ("A02", Some(Deed::Update)),
    ("A03", Some(Deed::End)),
    ("A04", Some(Deed::Begin)),
    ("A05", Some(Deed::Plan)),
    ("A06", Some(Deed::Begin)),
    ("A07", Some(Deed::Begin)),
    ("A08", Some(Deed::Update)),
    ("A11", Some(Deed::Cancel)),
    ("A12", Some(Deed::Update)),
    ("A13", Some(Deed::Reopen)),
    ("A28", None),
    ("A31", None),
    ("A34", None),
    ("A40", None),
];

/// Segments that say when, by whom and what for, and make nothing by themselves.
const HEARD: [&str; 3] = ["MSH", "EVN", "MRG"];

/// Segments of which there is one at most.
const ONCE: [&str; 3] = ["PID", "PV1", "MRG"];

/// PV1 fields that name somebody, and the part that they take.
const STAFF: [(usize, &str); 4] = [(7, "ATND"), (8, "REF"), (9, "CON"), (17, "ADM")];

/// Is this a message that [`read`] takes?
pub fn is_taken(kind: &str, event: &str) -> bool {
    kind == "ADT" && EVENTS.iter().any(|(known, _)| *known == event)
}

pub fn read(message: &Message, channel: &Channel) -> Result<Read, Refusal> {
    let event = message.header().kind.1.clone();
    let deed = EVENTS.iter().find(|(known, _)| *known == event).and_then(|(_, deed)| *deed);
    let mut reader = Reader {
        channel,
        record: Record::default(),
        visit: record::Part::default(),
        occurred: None,
        place: vec![],
        staff: vec![],
        issues: vec![],
        counts: Map::new(),
        used: 0,
        unused: 0,
    };
    for segment in message.segments() {
        reader.take(&segment?);
    }
    let Reader { mut record, visit, occurred, place, staff, issues, counts, used, unused, .. } = reader;
    // Of two persons nothing may be made one.
    if let Some(name) = ONCE.iter().find(|name| counts.get(**name).is_some_and(|count| count.as_u64() != Some(1))) {
        let issue = Issue::error("not-supported", format!("{name}[2]"), "a message is about one person and one stay");
        return Err(message.refuse(false, issue));
    }
    if !record.patient.elements.contains_key("identifier") {
        return Err(message.refuse(false, record::unnamed("PID[1].3")));
    }
    if counts.contains_key("PV1")
        && let Some(deed) = deed
    {
        record.visit = Some(Visit { part: visit, deed, at: occurred, place, staff });
    }
    Ok(Read { record, issues, used, unused })
}

struct Reader<'c> {
    channel: &'c Channel,
    record: Record,
    visit: record::Part,
    occurred: Option<String>,
    place: Vec<Value>,
    staff: Vec<(&'static str, Value)>,
    issues: Vec<Issue>,
    /// How many segments of each name there were.
    counts: Map<String, Value>,
    used: usize,
    unused: usize,
}

impl Reader<'_> {
    fn take(&mut self, segment: &Segment<'_>) {
        let count = self.counts.get(segment.name).and_then(Value::as_u64).unwrap_or(0) + 1;
        self.counts.insert(segment.name.to_owned(), count.into());
        let place = format!("{}[{count}]", segment.name);
        let kind = self.channel.tables.segment(segment.name).map(|known| known.resource.clone());
        if kind.is_none() && !HEARD.contains(&segment.name) {
            self.unused += 1;
            return self.issues.push(Issue {
                severity: Severity::Information,
                code: "not-supported",
                expression: place,
                diagnostics: "this segment is kept with the message, and nothing is made of it".to_owned(),
            });
        }
        self.used += 1;
        let part = build::part(segment, &self.channel.tables, self.channel, &place);
        match segment.name {
            "EVN" => self.occurred = self.time(segment, 6).or_else(|| self.time(segment, 2)),
            "MRG" => self.replaced(segment),
            "PV1" => self.stay(segment),
            _ => {}
        }
        match kind.as_deref() {
            Some("Patient") => add(&mut self.record.patient, part, &mut self.issues),
            Some("Encounter") => add(&mut self.visit, part, &mut self.issues),
            Some(kind) => self.other(kind, part, &place),
            None => {}
        }
    }

    fn time(&self, segment: &Segment<'_>, field: usize) -> Option<String> {
        time::date_time(&segment.text(field, 1), self.channel.default_zone).filter(|at| !at.is_empty())
    }

    /// MRG-1: the identifiers of the record that goes.
    fn replaced(&mut self, mrg: &Segment<'_>) {
        let all = mrg.repetitions(1).filter_map(|cx| datatype::identifier(cx, self.channel));
        self.record.replaced = all.collect();
    }

    fn stay(&mut self, pv1: &Segment<'_>) {
        self.place = pv1.repetitions(3).next().map(places).unwrap_or_default();
        for (field, role) in STAFF {
            let own = pv1.repetitions(field).filter_map(|xcn| practitioner(xcn, self.channel));
            self.staff.extend(own.map(|person| (role, person)));
        }
    }

    /// A resource of its own; one that says nothing is none.
    fn other(&mut self, kind: &str, part: Part, place: &str) {
        self.issues.extend(part.issues);
        let needed = match kind {
            "RelatedPerson" => "name",
            "AllergyIntolerance" | "Condition" => "code",
            "Coverage" => "payor",
            _ => return,
        };
        if !part.elements.contains_key(needed) {
            let mut issue =
                Issue::error("required", place.to_owned(), format!("without {needed} nothing is made of it"));
            issue.severity = Severity::Warning;
            return self.issues.push(issue);
        }
        let mut resource = part.elements;
        resource.insert("resourceType".to_owned(), kind.into());
        match kind {
            "Coverage" => _ = resource.insert("status".to_owned(), "active".into()),
            "AllergyIntolerance" => {
                resource.insert("clinicalStatus".to_owned(), status("allergyintolerance-clinical", "active"));
                resource
                    .insert("verificationStatus".to_owned(), status("allergyintolerance-verification", "unconfirmed"));
            }
            "Condition" => _ = resource.insert("clinicalStatus".to_owned(), status("condition-clinical", "active")),
            _ => {}
        }
        self.record.others.push(Value::Object(resource));
    }
}

fn status(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": format!("http://terminology.hl7.org/CodeSystem/{system}"), "code": code}]})
}

fn add(part: &mut record::Part, own: Part, issues: &mut Vec<Issue>) {
    for (name, value) in own.elements {
        match (part.elements.get_mut(&name), value) {
            (Some(Value::Array(known)), Value::Array(more)) => known.extend(more),
            (Some(_), _) => {}
            (None, value) => _ = part.elements.insert(name, value),
        }
    }
    part.cleared.extend(own.cleared);
    issues.extend(own.issues);
}

/// Ward, room and bed of a PL, each inside the one before it, all inside the facility.
fn places(pl: Repetition<'_, '_>) -> Vec<Value> {
    const LEVELS: [(usize, &str, &str); 3] = [(1, "wa", "Ward"), (2, "ro", "Room"), (3, "bd", "Bed")];
    let facility = pl.text(4);
    let mut path = vec![facility];
    let mut all = Vec::new();
    for (component, code, word) in LEVELS {
        let name = pl.text(component);
        path.push(name.clone());
        if name.is_empty() {
            continue;
        }
        let kind = json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/location-physical-type", "code": code, "display": word}]});
        all.push(json!({
            "resourceType": "Location",
            "identifier": [{"system": format!("{OURS}/sid/hl7v2-location"), "value": path.join("/")}],
            "status": "active",
            "name": name,
            "mode": "instance",
            "physicalType": kind
        }));
    }
    all
}

/// XCN: id, family, given, middle, suffix, prefix; authority in 9, kind of id in 13.
fn practitioner(xcn: Repetition<'_, '_>, channel: &Channel) -> Option<Value> {
    let (id, family) = (xcn.text(1), xcn.text(2));
    if id.is_empty() && family.is_empty() {
        return None;
    }
    let mut person = json!({"resourceType": "Practitioner"});
    let members = person.as_object_mut()?;
    if !id.is_empty() {
        let mut identifier = json!({"value": id});
        if let (Some(system), Some(identifier)) = (party::authority_at(xcn, 9, channel), identifier.as_object_mut()) {
            identifier.insert("system".to_owned(), system.into());
        }
        members.insert("identifier".to_owned(), json!([identifier]));
    }
    let texts = |at: &[usize]| -> Vec<Value> {
        at.iter().map(|at| xcn.text(*at)).filter(|text| !text.is_empty()).map(Value::from).collect()
    };
    let mut name = Map::new();
    if !family.is_empty() {
        name.insert("family".to_owned(), family.into());
    }
    for (element, own) in [("given", texts(&[3, 4])), ("suffix", texts(&[5])), ("prefix", texts(&[6]))] {
        if !own.is_empty() {
            name.insert(element.to_owned(), own.into());
        }
    }
    if !name.is_empty() {
        members.insert("name".to_owned(), json!([name]));
    }
    Some(person)
}
