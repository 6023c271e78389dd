//! A message's segments to the resources that they are about, by the map of each: what opens a resource, what belongs
//! to the one that is open, what refers to what. Every segment is used or told as left.

use std::collections::BTreeMap;

use fhir_r4::{Issue, Severity};
use serde_json::{Value, json};

use super::datatype::Reader;
use super::message::{Message, Segment};
use super::refer::Named;
use super::segment::{Left, apply, holds, part, put};
use super::table::{Event, Map, Part, Start};
use super::{Channel, policy, time, visit};
use super::{alarm, document, provenance};
use crate::pipeline::{Identity, Said};

const REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

/// Resources of one message that are put together.
pub(super) struct Assembly<'c> {
    channel: &'c Channel,
    event: &'c Event,
    maps: Vec<&'c Map>,
    trigger: String,
    /// Nothing of it may alert.
    test: bool,
    named: Named<'c>,
    open: Vec<Open<'c>>,
    /// How many segments of each name have gone by.
    counts: BTreeMap<String, usize>,
    /// What is left of the segments of each name, and how often.
    left: BTreeMap<String, BTreeMap<String, usize>>,
    issues: Vec<Issue>,
    /// When it happened: EVN-6, EVN-2, MSH-7.
    at: Option<String>,
    /// The id of the patient whom it is about, whatever it says.
    about: Option<String>,
}

/// A resource that segments go into.
struct Open<'c> {
    map: &'c Map,
    name: String,
    place: String,
    content: Value,
    segments: Vec<String>,
    key: Vec<String>,
    /// What is open of each type when it is opened.
    latest: BTreeMap<&'static str, String>,
}

impl<'c> Assembly<'c> {
    pub(super) fn new(message: &Message, channel: &'c Channel, event: &'c Event) -> Self {
        let header = message.header();
        let maps = event.maps.iter().filter_map(|name| channel.tables.map(name)).collect();
        let test = header.is_test();
        Self {
            channel,
            event,
            maps,
            test,
            trigger: header.kind.1.clone(),
            named: Named::new(channel),
            open: vec![],
            counts: BTreeMap::new(),
            left: BTreeMap::new(),
            issues: vec![],
            at: time::date_time(&header.time, channel.default_zone),
            about: None,
        }
    }

    /// It is about this patient (`Patient/…`). `named`: there is a segment that says of whom.
    pub(super) fn about(&mut self, patient: &str, named: bool) {
        self.about = patient.strip_prefix("Patient/").map(str::to_owned);
        if let (false, Some(map)) = (named, self.maps.iter().find(|map| map.resource == "Patient").copied()) {
            self.opened(map, "PID[1]");
        }
    }

    /// Puts a segment where it belongs. False: it belongs nowhere.
    pub(super) fn take(&mut self, segment: &Segment<'_>) -> bool {
        let count = self.counts.entry(segment.name.to_owned()).or_default();
        *count += 1;
        let place = format!("{}[{count}]", segment.name);
        if segment.name == "EVN" {
            let happened = [6, 2].into_iter().filter(|field| segment.has(*field));
            let mut times =
                happened.filter_map(|field| time::date_time(&segment.text(field, 1), self.channel.default_zone));
            self.at = times.next().or(self.at.take());
        }
        let fits = |map: &&&'c Map| map.segment == segment.name && map.when.iter().all(|when| holds(when, segment));
        let found =
            self.maps.iter().filter(fits).find(|map| map.start != Start::Add || self.last(map.resource).is_some());
        match found.copied() {
            Some(map) => self.apply(map, segment, &place),
            None => return self.heard(segment),
        }
        true
    }

    /// Whether the segment is read elsewhere; the fields that are not are told.
    fn heard(&mut self, segment: &Segment<'_>) -> bool {
        let Some(fields) = self.event.heard.get(segment.name) else { return false };
        let Some(fields) = fields else { return true };
        for field in (1..=segment.len()).filter(|field| !fields.contains(field) && segment.has(*field)) {
            let parts = self.left.entry(segment.name.to_owned()).or_default();
            *parts.entry(field.to_string()).or_default() += 1;
        }
        true
    }

    /// A segment that belongs to a resource, or is none of anything's business.
    pub(super) fn unmapped(&mut self, name: &str) {
        *self.left.entry(name.to_owned()).or_default().entry(String::new()).or_default() += 1;
    }

    /// Fields of a segment that is read elsewhere, but not these.
    pub(super) fn untaken(&mut self, name: &str, fields: impl Iterator<Item = usize>) {
        for field in fields {
            *self.left.entry(name.to_owned()).or_default().entry(field.to_string()).or_default() += 1;
        }
    }

    fn last(&self, resource: &str) -> Option<usize> {
        self.open.iter().rposition(|open| open.map.resource == resource)
    }

    fn apply(&mut self, map: &'c Map, segment: &Segment<'_>, place: &str) {
        let before = self.last(map.resource).filter(|at| match map.start {
            Start::Each => false,
            Start::Add => true,
            Start::Join => self.open.get(*at).is_some_and(|open| !open.segments.iter().any(|own| own == segment.name)),
        });
        let at = match before {
            Some(at) => at,
            None => self.opened(map, place),
        };
        let Some(open) = self.open.get_mut(at) else { return };
        open.segments.push(segment.name.to_owned());
        if map.start != Start::Add {
            open.key.extend(map.key.iter().map(|source| part(*source, segment)));
            for (member, value) in &map.base {
                if let Value::Object(members) = &mut open.content {
                    members.entry(member.clone()).or_insert_with(|| value.clone());
                }
            }
        }
        let reader = Reader { tables: &self.channel.tables, channel: self.channel };
        let mut left = apply(map, segment, reader, &mut self.named, &mut open.content);
        match map.part {
            Some(Part::Document) => left.refused.extend(document::part(segment, &mut open.content)),
            Some(Part::Component) => alarm::part(segment, &mut open.content),
            None => {}
        }
        self.told(segment.name, place, left);
    }

    fn opened(&mut self, map: &'c Map, place: &str) -> usize {
        let mut latest = BTreeMap::new();
        for open in &self.open {
            latest.insert(open.map.resource, open.name.clone());
        }
        let mut content = json!({"resourceType": map.resource});
        if let (true, "Observation", Value::Object(members)) = (self.test, map.resource, &mut content) {
            members.insert("meta".into(), json!({"tag": [{"system": REASON, "code": "HTEST"}]}));
        }
        self.open.push(Open {
            map,
            name: format!("said:{place}>{}", map.resource),
            place: place.to_owned(),
            content,
            segments: vec![],
            key: vec![],
            latest,
        });
        self.open.len() - 1
    }

    fn told(&mut self, name: &str, place: &str, left: Left) {
        let all = self.left.entry(name.to_owned()).or_default();
        for part in left.parts {
            *all.entry(part).or_default() += 1;
        }
        for (field, why) in left.refused {
            self.issues.push(Issue::warning("value", format!("{place}.{field}"), format!("not mapped: {why}")));
        }
    }

    /// A reading that stands in the order that is open.
    pub(super) fn reading(&mut self, place: &str) {
        let Some(open) = self.open.iter_mut().rev().find(|open| open.map.results.is_some()) else { return };
        let (Some(member), Value::Object(members)) = (&open.map.results, &mut open.content) else { return };
        let list = members.entry(member.clone()).or_insert_with(|| Value::Array(vec![]));
        if let Value::Array(list) = list {
            list.push(json!({"reference": format!("said:{place}")}));
        }
    }

    /// A segment that a message about one visit holds twice: whose the rest is nobody can say.
    pub(super) fn doubled(&self) -> Option<&'static str> {
        let twice = |name: &&&str| self.counts.get(**name).is_some_and(|count| *count > 1);
        ["PID", "PV1"].iter().find(twice).copied().filter(|_| !self.event.visit.is_empty())
    }

    /// Whether the resources say whose the message is.
    pub(super) fn has_patient(&self) -> bool {
        self.open.iter().any(|open| open.map.resource == "Patient" && open.map.merge != "known")
    }

    /// The resources with what each refers to, those that others need first. `parts`: what their devices are made of.
    pub(super) fn finish(mut self, message: &Message, parts: Vec<Said>) -> (Vec<Said>, Vec<Issue>) {
        self.merged();
        let mut said = Vec::new();
        let (patients, others): (Vec<Open>, Vec<Open>) =
            std::mem::take(&mut self.open).into_iter().partition(|open| open.map.resource == "Patient");
        // Who is only known is asked for where something refers to it.
        let asked = others.iter().any(|open| open.map.refs.iter().any(|it| it.resource == "Patient"));
        let patients = patients.into_iter().filter(|open| asked || open.map.merge != "known");
        said.extend(patients.map(|open| self.said(open)));
        let others: Vec<Said> = others.into_iter().map(|open| self.said(open)).collect();
        said.append(&mut self.named.said);
        said.extend(others);
        said.extend(parts);
        if !said.is_empty() {
            said.push(provenance::of(message, self.channel, self.at.as_deref()));
        }
        let mut issues = self.issues;
        issues.extend(
            self.left.into_iter().filter(|(_, parts)| !parts.is_empty()).map(|(name, parts)| leftover(&name, &parts)),
        );
        (said, issues)
    }

    /// The patients of a merge point to each other.
    fn merged(&mut self) {
        let link = |name: &str, kind: &str| json!([{"other": {"reference": name}, "type": kind}]);
        let mut survivor: Option<usize> = None;
        let parted: Vec<String> =
            self.open.iter().filter(|open| open.map.merge == "unlink").map(|open| open.name.clone()).collect();
        for at in 0..self.open.len() {
            let Some(open) = self.open.get(at) else { return };
            let name = open.name.clone();
            match open.map.merge.as_str() {
                "survivor" => survivor = Some(at),
                "replaced" => {
                    let Some(stays) = survivor.and_then(|at| self.open.get_mut(at)) else { continue };
                    let other = stays.name.clone();
                    add(&mut stays.content, "link", link(&name, "replaces"));
                    if let Some(open) = self.open.get_mut(at) {
                        add(&mut open.content, "link", link(&other, "replaced-by"));
                    }
                }
                "unlink" => {
                    let others = parted.iter().filter(|other| **other != name);
                    let links: Vec<Value> = others.map(|other| json!({"other": {"reference": other}})).collect();
                    if let Some(open) = self.open.get_mut(at) {
                        add(&mut open.content, "link", links.into());
                    }
                }
                _ => {}
            }
        }
    }

    fn said(&self, open: Open<'_>) -> Said {
        let Open { map, name, place, mut content, key, latest, .. } = open;
        for reference in &map.refs {
            if let Some(other) = latest.get(reference.resource) {
                put(&mut content, &reference.path.0, json!({"reference": other}), &reference.with);
            }
        }
        if let (Some(status), Value::Object(members)) = (self.event.status.get(&self.trigger), &mut content)
            && (status != "booked" || !members.contains_key("status"))
            && map.resource == "Appointment"
        {
            members.insert("status".into(), status.as_str().into());
        }
        let patient = latest.get("Patient").filter(|_| map.resource != "Patient").cloned();
        let tokens = if map.search { tokens(&content) } else { vec![] };
        let event = self.event.visit.get(&self.trigger).filter(|_| map.merge == "visit");
        let named = |text: &String| latest.get(text.as_str()).cloned().unwrap_or_else(|| text.clone());
        let mut current: Vec<(String, String)> =
            map.current.iter().map(|(param, value)| (param.clone(), named(value))).collect();
        let merge = event.map_or_else(|| policy::of(&map.merge), |event| visit::of(event));
        let mut key = key;
        if event.is_some() && key.iter().all(String::is_empty) {
            // A visit without a number is the one that goes on, else one of its own.
            key.extend(self.at.clone());
        }
        if event.is_some_and(|event| event == "undischarge") {
            current.retain(|(name, _)| name != "status");
            current
                .extend([("status", "finished"), ("_sort", "-date")].map(|(name, value)| (name.into(), value.into())));
        }
        let known = self.about.clone().filter(|_| map.resource == "Patient");
        let tokens = if known.is_some() { vec![] } else { tokens };
        current.extend(known.map(|id| ("_id".to_owned(), id)));
        // Who is merged or parted is meant itself, not whoever it was merged with before.
        let follow = !matches!(map.merge.as_str(), "replaced" | "unlink");
        Said {
            name,
            place,
            kind: map.resource,
            identity: Identity {
                patient: patient.clone(),
                key: key.into_iter().chain(patient).collect(),
                current: if tokens.is_empty() { current } else { vec![] },
                tokens,
                follow,
            },
            content,
            merge,
            at: self.at.clone(),
            optional: map.optional,
        }
    }
}

fn add(content: &mut Value, member: &str, more: Value) {
    let (Value::Object(members), Value::Array(more)) = (content, more) else { return };
    match members.entry(member).or_insert_with(|| Value::Array(vec![])) {
        Value::Array(list) => list.extend(more),
        other => *other = more.into(),
    }
}

/// What a resource is searched by: its identifiers with a system, or the first one that has none.
fn tokens(content: &Value) -> Vec<(Option<String>, String)> {
    let token = |it: &Value| {
        let value = it.get("value")?.as_str()?.to_owned();
        Some((it.get("system").and_then(Value::as_str).map(str::to_owned), value))
    };
    let all: Vec<_> = content.get("identifier").and_then(Value::as_array).into_iter().flatten().collect();
    let social = |it: &&&Value| it.pointer("/type/coding/0/code").is_none_or(|code| code != "SS");
    let mut found: Vec<(Option<String>, String)> = all.iter().filter(social).filter_map(|it| token(it)).collect();
    if found.iter().any(|(system, _)| system.is_some()) {
        found.retain(|(system, _)| system.is_some());
    } else {
        found.truncate(1);
    }
    found
}

/// What no table takes of the segments of one name. The message is kept as it came, so nothing of it is lost.
fn leftover(name: &str, parts: &BTreeMap<String, usize>) -> Issue {
    let times = |count: usize| if count > 1 { format!(" ({count} times)") } else { String::new() };
    let all = || parts.iter().map(|(part, count)| format!("{name}-{part}{}", times(*count)));
    let text = parts.get("").map_or_else(
        || format!("not mapped, only kept: {}", all().collect::<Vec<_>>().join(", ")),
        |count| format!("not mapped, only kept: the whole segment{}", times(*count)),
    );
    Issue {
        severity: Severity::Information,
        code: "informational",
        expression: format!("{name}[1]"),
        diagnostics: text,
    }
}
