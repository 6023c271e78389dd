//! What a message means: its results as drafts (segments in their groups: patient, order, result with its notes; each
//! OBX a draft or a refusal with its place), all else as resources by the tables (`assemble`). Every segment is
//! counted as used or not used; none disappears.

use std::collections::{BTreeSet, HashMap};

use fhir_r4::Issue;

use super::assemble::Assembly;
use super::containment::Containment;
use super::message::{Message, Refusal, Segment};
use super::table::Event;
use super::{Channel, coded, obx, party, refer, time};
use crate::ingest::device::{Item, Rejected};
use crate::normalize::draft::{Coding, Draft, Subject};
use crate::normalize::pair_blood_pressure;
use crate::pipeline::Said;

/// What a message came to.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// The readings, then the refused results.
    pub items: Vec<Item>,
    /// What it says of people, places, visits, orders.
    pub said: Vec<Said>,
    /// The readings belong to what is said.
    pub together: bool,
    /// What is not mapped, and what of it is not taken.
    pub notes: Vec<Issue>,
    /// The bed of the one patient that it is about, where one is named (PV1-3).
    pub bed: Option<String>,
    /// It names a number of a patient.
    pub numbered: bool,
    /// Segments that were heard, and those that mean nothing here; together all of the message.
    pub used: usize,
    pub unused: usize,
}

/// What a message says, by the tables of its channel.
pub fn read(message: &Message, channel: &Channel) -> Result<Mapped, Refusal> {
    read_of(message, channel, None)
}

/// The same of a message that is about this patient (`Patient/…`), whatever it says itself.
pub(super) fn read_of(message: &Message, channel: &Channel, patient: Option<&str>) -> Result<Mapped, Refusal> {
    let header = message.header();
    let (kind, event) = (header.kind.0.as_str(), header.kind.1.as_str());
    let Some(event) = channel.tables.event(kind, event) else {
        let why = "messages of this kind are not taken";
        return Err(message.refuse(true, Issue::error("not-supported", "MSH[1].9", why)));
    };
    if header.control_id.trim().is_empty() {
        return Err(message.refuse(false, Issue::error("required", "MSH[1].10", "the control id is missing")));
    }
    let (mut map, mut assembly) = (Map::new(message, channel), Assembly::new(message, channel, event));
    if let Some(patient) = patient {
        (map.subject, map.whose.attached) = (Some(Subject::Reference(patient.to_owned())), true);
        assembly.about(patient, message.named(&["PID"]).next().is_some());
    }
    let (mut used, mut unused) = (0, 0);
    for segment in message.segments() {
        let segment = segment?;
        let heard = map.take(&segment, event);
        if segment.name == "OBX" && heard {
            assembly.reading(&format!("OBX[{}]", map.results));
            assembly.untaken("OBX", obx::untaken(&segment));
            map.metric(&segment);
        }
        if assembly.take(&segment) || heard {
            used += 1;
        } else {
            unused += 1;
            assembly.unmapped(segment.name);
        }
    }
    let needs_patient = map.results > 0 || event.patient;
    let (bed, numbered) = (map.whose.bed(), map.whose.numbered);
    if needs_patient && map.subject.is_none() && !numbered {
        if bed.is_some() {
            let (items, said, notes) = (vec![Err(nobody())], vec![], vec![]);
            return Ok(Mapped { items, said, together: false, notes, bed, numbered, used, unused });
        }
        return Err(message.refuse(false, Issue::error("required", "PID[1].3", "there is no identifier of a patient")));
    }
    if let Some(name) = assembly.doubled() {
        let issue =
            Issue::error("structure", format!("{name}[2]"), "this kind of message is about one person and one stay");
        return Err(message.refuse(false, issue));
    }
    let together = assembly.has_patient();
    let (said, notes) = assembly.finish(message, map.parts.finish());
    let drafts = pair_blood_pressure(map.drafts);
    let items = drafts.into_iter().map(Ok).chain(map.rejected.into_iter().map(Err)).collect();
    Ok(Mapped { items, said, together, notes, bed, numbered, used, unused })
}

/// A message about a bed, in which somebody lies.
fn nobody() -> Rejected {
    let issue =
        Issue::error("required", "PID[1].3", "there is no identifier of a patient; it waits for one at its bed");
    Rejected { place: "PID[1]".to_owned(), issues: vec![issue] }
}

/// What is known while the segments go by.
struct Map<'c> {
    channel: &'c Channel,
    /// Sender and control id, the first part of every key.
    origin: String,
    test: bool,
    message_time: Option<String>,
    sender: Option<Subject>,
    subject: Option<Subject>,
    whose: Whose,
    /// OBR-7, or why it cannot be used.
    order_time: Option<Result<String, ()>>,
    /// OBR-4
    order_code: Vec<Coding>,
    /// The order has a status (OBR-25): its results may be said again with another.
    reported: bool,
    /// The device that OBX-18 named for each tree of OBX-4 (its first number).
    devices: HashMap<String, Subject>,
    results: usize,
    parts: Containment,
    /// Does the last result take the notes that follow?
    last: Option<Last>,
    drafts: Vec<Draft>,
    rejected: Vec<Rejected>,
}

/// What a message says of whose it is.
#[derive(Default)]
struct Whose {
    /// That was known before.
    attached: bool,
    /// There is a number of a patient.
    numbered: bool,
    people: usize,
    beds: BTreeSet<String>,
}

impl Whose {
    /// The one bed of the one patient.
    fn bed(&self) -> Option<String> {
        self.beds.first().filter(|_| self.people < 2 && self.beds.len() == 1).cloned()
    }
}

/// The draft that an NTE or PRT belongs to.
struct Last {
    draft: usize,
    named_device: bool,
}

impl<'c> Map<'c> {
    fn new(message: &Message, channel: &'c Channel) -> Self {
        let header = message.header();
        let origin = [&header.sending_application, &header.sending_facility, &header.control_id];
        Self {
            channel,
            origin: origin.map(String::as_str).join("\u{1f}"),
            test: header.is_test(),
            message_time: time::date_time(&header.time, channel.default_zone),
            sender: None,
            subject: None,
            whose: Whose::default(),
            order_time: None,
            order_code: Vec::new(),
            reported: false,
            devices: HashMap::new(),
            results: 0,
            parts: Containment::default(),
            last: None,
            drafts: Vec::new(),
            rejected: Vec::new(),
        }
    }

    /// Whether the segment says something of readings.
    fn take(&mut self, segment: &Segment<'_>, event: &Event) -> bool {
        let readings = event.readings;
        match segment.name {
            "MSH" => self.sender = party::sender(segment),
            "PID" => self.patient(segment),
            // The stays of admissions are read elsewhere.
            "PV1" if readings && event.visit.is_empty() => self.place(segment),
            "OBR" if readings => self.order(segment),
            "OBX" if readings => self.result(segment),
            "NTE" if readings => self.note(segment),
            "PRT" if readings => self.participant(segment),
            _ => return false,
        }
        true
    }

    fn patient(&mut self, pid: &Segment<'_>) {
        let named = party::patient(pid, self.channel);
        self.whose.people += 1;
        self.whose.numbered |= named.is_some();
        if !self.whose.attached {
            self.subject = named;
        }
        self.order_time = None;
        self.order_code.clear();
        self.devices.clear();
        self.last = None;
    }

    fn place(&mut self, pv1: &Segment<'_>) {
        let bed = pv1.repetitions(3).next().and_then(refer::bed);
        self.whose.beds.extend(bed);
    }

    fn order(&mut self, obr: &Segment<'_>) {
        let read = |text: String| time::date_time(&text, self.channel.default_zone).ok_or(());
        self.order_code = obr.repetitions(4).next().map(|code| coded::codings(code).codings).unwrap_or_default();
        self.reported = obr.has(25);
        self.order_time = obr.has(7).then(|| read(obr.text(7, 1)));
        self.last = None;
    }

    fn result(&mut self, segment: &Segment<'_>) {
        self.results += 1;
        self.last = None;
        let place = format!("OBX[{}]", self.results);
        let containment = segment.text(4, 1);
        let tree = containment.split_once('.').map(|(tree, _)| tree.to_owned());
        let own_device = segment.repetitions(18).find_map(party::device);
        if let (Some(tree), Some(device)) = (&tree, &own_device) {
            self.devices.entry(tree.clone()).or_insert_with(|| device.clone());
        }
        let reading = match obx::read(segment, &self.order_code, &place, self.channel.default_zone) {
            Ok(Some(reading)) => reading,
            Ok(None) => return,
            Err(issues) => return self.rejected.push(Rejected { place, issues }),
        };
        let refuse = |code, field: &str, why: &str| {
            vec![Issue::error(
                code,
                if field.contains('[') { field.to_owned() } else { format!("{place}.{field}") },
                why,
            )]
        };
        let Some(subject) = self.subject.clone() else {
            let issues = refuse("required", "PID[1].3", "there is no identifier of a patient");
            return self.rejected.push(Rejected { place, issues });
        };
        let effective = match (reading.effective, &self.order_time) {
            (Some(own), _) => Some(own),
            (None, Some(Ok(order))) => Some(order.clone()),
            (None, Some(Err(()))) => {
                let issues = refuse("value", "OBR[1].7", "this is no time, and the result has none of its own");
                return self.rejected.push(Rejected { place, issues });
            }
            (None, None) => self.message_time.clone(),
        };
        let named_device = own_device.is_some();
        let device = own_device.or_else(|| self.devices.get(tree.as_ref()?).cloned()).or_else(|| self.sender.clone());
        let notes: Vec<&str> = [reading.code.note, reading.note].into_iter().flatten().collect();
        self.last = Some(Last { draft: self.drafts.len(), named_device });
        self.drafts.push(Draft {
            // A sender that uses its control ids again says another time, at least.
            key: [&self.origin, &place, &whose(&subject), effective.as_deref().unwrap_or_default(), segment.line]
                .join("\u{1f}"),
            place,
            subject: Some(subject),
            device,
            metric: None,
            status: reading.status,
            code: reading.code.codings,
            value: reading.value,
            components: Vec::new(),
            judged: reading.judged,
            parts_judged: Vec::new(),
            effective,
            effective_end: None,
            told: None,
            identifier: None,
            test: self.test || reading.test,
            note: (!notes.is_empty()).then(|| notes.join("\n")),
            amends: self.reported || matches!(reading.status, "corrected" | "amended" | "entered-in-error"),
        });
    }

    /// What part of its device the last segment is about: the part itself, or what was measured by it.
    fn metric(&mut self, obx: &Segment<'_>) {
        let metric = self.parts.take(obx, &format!("OBX[{}]", self.results));
        if let Some(draft) = self.last.as_ref().and_then(|last| self.drafts.get_mut(last.draft)) {
            draft.metric = metric;
        }
    }

    /// A comment on the result before it; comments on orders and patients are not results.
    fn note(&mut self, nte: &Segment<'_>) {
        let text = nte.repetitions(3).map(|line| line.whole()).collect::<Vec<_>>().join("\n");
        let Some(draft) = self.last.as_ref().and_then(|last| self.drafts.get_mut(last.draft)) else { return };
        if text.trim().is_empty() {
            return;
        }
        draft.note = Some(match draft.note.take() {
            Some(before) => format!("{before}\n{}", text.trim()),
            None => text.trim().to_owned(),
        });
    }

    /// PRT-10 names the device of the result before it, as OBX-18 did before version 2.7.
    fn participant(&mut self, prt: &Segment<'_>) {
        let Some(device) = prt.repetitions(10).find_map(party::device) else { return };
        let Some(last) = self.last.as_ref().filter(|last| !last.named_device) else { return };
        if let Some(draft) = self.drafts.get_mut(last.draft) {
            draft.device = Some(device);
        }
    }
}

fn whose(subject: &Subject) -> String {
    match subject {
        Subject::Reference(text) => text.clone(),
        Subject::Identifier { system, value } => format!("{}|{value}", system.as_deref().unwrap_or_default()),
    }
}
