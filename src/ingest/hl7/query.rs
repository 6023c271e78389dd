//! Questions of monitors and engines after a patient (QRY^A19, QBP^Q22): who is meant, and who that is here, as segments
//! of the answer. Who asks sees what it may see.

use fhir_r4::Issue;
use serde_json::Value;

use super::Channel;
use super::message::{Message, Repetition, Separators};
use super::refer::place_system;
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::query::Query;
use crate::fhir::{reading, reference};
use crate::store::{Store, Stored};

/// Patients in one answer at most.
const MOST: usize = 50;

/// What is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// MSH-9
    pub kind: [&'static str; 3],
    /// The segments after MSA.
    pub lines: Vec<String>,
}

/// Conditions of a search for patients, and the segments that repeat the question.
struct Asked {
    kind: [&'static str; 3],
    conditions: Vec<(&'static str, String)>,
    tag: Option<(String, String)>,
    echo: String,
}

/// The answer to a message that asks for something; none to any other. The inner error is the sender's.
pub async fn reply(
    store: &Store,
    access: &Access,
    message: &Message,
    channel: &Channel,
) -> Result<Option<Result<Answer, Issue>>, Error> {
    let asked = match asked(message, channel) {
        None => return Ok(None),
        Some(Ok(asked)) => asked,
        Some(Err(issue)) => return Ok(Some(Err(issue))),
    };
    let pairs: Vec<(&str, &str)> = asked.conditions.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let Ok(query) = Query::new("Patient", &pairs, MOST) else {
        return Ok(Some(Err(Issue::error("value", "QPD[1].3", "this cannot be searched for"))));
    };
    let found = store.search(access, query).await?.hits;
    let separators = message.header().separators;
    let field = separators.field;
    let mut lines = Vec::new();
    if let Some((tag, name)) = &asked.tag {
        let state = if found.is_empty() { "NF" } else { "OK" };
        lines.push(["QAK", tag, state, name].join(&field.to_string()));
    }
    lines.push(asked.echo);
    for (at, hit) in found.iter().enumerate() {
        let writer = Writer { separators, channel };
        lines.push(writer.pid(at + 1, &hit.value()?));
        lines.extend(writer.pv1(at + 1, store, access, hit).await?);
    }
    Ok(Some(Ok(Answer { kind: asked.kind, lines })))
}

fn asked(message: &Message, channel: &Channel) -> Option<Result<Asked, Issue>> {
    match (message.header().kind.0.as_str(), message.header().kind.1.as_str()) {
        ("QRY", "A19") => Some(by_who(message, channel)),
        ("QBP", "Q22") => Some(by_parameters(message, channel)),
        _ => None,
    }
}

/// QRD-8: the number of the patient.
fn by_who(message: &Message, channel: &Channel) -> Result<Asked, Issue> {
    let none = || Issue::error("required", "QRD[1].8", "it is not said who is asked for");
    let qrd = message.segments().flatten().find(|segment| segment.name == "QRD").ok_or_else(none)?;
    let who = qrd.repetitions(8).next().ok_or_else(none)?;
    let id = who.text(1);
    if id.is_empty() {
        return Err(none());
    }
    let system = super::party::authority_at(who, 9, channel);
    let conditions = vec![("identifier", token(system.as_deref(), &id))];
    Ok(Asked { kind: ["ADR", "A19", "ADR_A19"], conditions, tag: None, echo: qrd.line.to_owned() })
}

/// QPD-3 and on: `@PID.3.1^123~@PID.5.1.1^Vega`.
fn by_parameters(message: &Message, channel: &Channel) -> Result<Asked, Issue> {
    let none = || Issue::error("required", "QPD[1].3", "it is not said who is asked for");
    let qpd = message.segments().flatten().find(|segment| segment.name == "QPD").ok_or_else(none)?;
    let (mut conditions, mut id, mut authority) = (Vec::new(), String::new(), String::new());
    for parameter in qpd.repetitions(3) {
        let (name, value) = (parameter.text(1), value_of(parameter));
        match name.as_str() {
            _ if value.is_empty() => {}
            "@PID.3.1" | "@PID.3" => id = value,
            "@PID.3.4" | "@PID.3.4.1" => authority = value,
            "@PID.5.1" | "@PID.5.1.1" => conditions.push(("family", escaped(&value))),
            "@PID.5.2" => conditions.push(("given", escaped(&value))),
            "@PID.7" | "@PID.7.1" => {
                let date = super::time::date_time(&value, channel.default_zone);
                let date = date.ok_or_else(|| Issue::error("value", "QPD[1].3", "this is no date"))?;
                conditions.push(("birthdate", date.split('T').next().unwrap_or_default().to_owned()));
            }
            "@PID.8" => {
                let target = channel.tables.target("gender", &value);
                let target = target.ok_or_else(|| Issue::error("value", "QPD[1].3", "this sex is not known"))?;
                conditions.push(("gender", target.code.clone()));
            }
            _ => return Err(Issue::error("not-supported", "QPD[1].3", "this cannot be asked for")),
        }
    }
    if !id.is_empty() {
        let known = |(name, _): &&(String, String)| name.eq_ignore_ascii_case(&authority);
        let system = channel.assigning_authorities.iter().find(known).map(|(_, system)| system.as_str());
        conditions.push(("identifier", token(system, &id)));
    }
    if conditions.is_empty() {
        return Err(none());
    }
    let raw = |field: usize| qpd.raw(field).to_owned();
    Ok(Asked { kind: ["RSP", "K22", "RSP_K21"], conditions, tag: Some((raw(2), raw(1))), echo: qpd.line.to_owned() })
}

fn value_of(parameter: Repetition<'_, '_>) -> String {
    parameter.text(2)
}

fn token(system: Option<&str>, id: &str) -> String {
    match system {
        Some(system) => format!("{}|{}", escaped(system), escaped(id)),
        None => escaped(id),
    }
}

/// A text as a value of a search.
fn escaped(text: &str) -> String {
    let special = |c: char| matches!(c, ',' | '$' | '|' | '\\');
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).filter(|c| *c != '\0').collect()
}

/// Writes segments in the separators of who asks.
struct Writer<'c> {
    separators: Separators,
    channel: &'c Channel,
}

impl Writer<'_> {
    fn text(&self, text: &str) -> String {
        let Separators { field, component, repetition, escape, subcomponent, .. } = self.separators;
        let mut made = String::new();
        for c in text.chars() {
            let letter = match c {
                _ if c == escape => 'E',
                _ if c == field => 'F',
                _ if c == component => 'S',
                _ if c == repetition => 'R',
                _ if c == subcomponent => 'T',
                _ if c.is_control() => {
                    made.push(' ');
                    continue;
                }
                _ => {
                    made.push(c);
                    continue;
                }
            };
            made.extend([escape, letter, escape]);
        }
        made
    }

    fn components(&self, parts: &[String]) -> String {
        let all: Vec<String> = parts.iter().map(|part| self.text(part)).collect();
        all.join(&self.separators.component.to_string()).trim_end_matches(self.separators.component).to_owned()
    }

    fn line(&self, name: &str, at: usize, fields: &[(usize, String)]) -> String {
        let last = fields.iter().map(|(field, _)| *field).max().unwrap_or(1);
        let mut all = vec![String::new(); last];
        for (place, text) in std::iter::once(&(1, at.to_string())).chain(fields) {
            if let Some(slot) = all.get_mut(place.saturating_sub(1)) {
                text.clone_into(slot);
            }
        }
        let separator = self.separators.field;
        format!("{name}{separator}{}", all.join(&separator.to_string()))
    }

    fn pid(&self, at: usize, patient: &Value) -> String {
        let text = |value: &Value, member: &str| reading::str_of(value, member).unwrap_or_default().to_owned();
        let ids = reading::list(patient.get("identifier")).filter(|id| id.get("value").is_some()).map(|id| {
            let system = text(id, "system");
            let known = self.channel.assigning_authorities.iter().find(|(_, own)| *own == system);
            self.components(&[
                text(id, "value"),
                String::new(),
                String::new(),
                known.map(|(name, _)| name.clone()).unwrap_or_default(),
            ])
        });
        let names = reading::list(patient.get("name")).map(|name| {
            let given: Vec<String> =
                reading::list(name.get("given")).filter_map(Value::as_str).map(str::to_owned).collect();
            let first = given.first().cloned().unwrap_or_default();
            self.components(&[text(name, "family"), first, given.into_iter().skip(1).collect::<Vec<_>>().join(" ")])
        });
        let repetition = self.separators.repetition.to_string();
        let sex = match text(patient, "gender").as_str() {
            "female" => "F",
            "male" => "M",
            "other" => "O",
            "unknown" => "U",
            _ => "",
        };
        let birth = text(patient, "birthDate").replace('-', "");
        let fields = [
            (3, ids.collect::<Vec<_>>().join(&repetition)),
            (5, names.collect::<Vec<_>>().join(&repetition)),
            (7, birth),
            (8, sex.to_owned()),
        ];
        self.line("PID", at, &fields)
    }

    /// Where the patient is, of the one visit that goes on.
    async fn pv1(&self, at: usize, store: &Store, access: &Access, patient: &Stored) -> Result<Option<String>, Error> {
        let subject = format!("Patient/{}", patient.id);
        let query = Query::new("Encounter", &[("patient", &subject), ("status", "in-progress")], 2)?;
        let found = match store.search(access, query).await {
            Ok(page) => page.hits,
            // Who may see people but no visits is told of people.
            Err(Error::Forbidden(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let [visit] = found.as_slice() else { return Ok(None) };
        let visit = visit.value()?;
        let class = match visit.pointer("/class/code").and_then(Value::as_str) {
            Some("IMP" | "ACUTE" | "NONAC") => "I",
            Some("EMER") => "E",
            Some("AMB") => "O",
            Some("PRENC") => "P",
            _ => "U",
        };
        let active = |place: &&Value| reading::str_of(place, "status").is_none_or(|status| status == "active");
        let here = reading::list(visit.get("location")).filter(active).last();
        let mut place = String::new();
        if let Some(local) = here.and_then(|it| it.pointer("/location/reference")?.as_str()).and_then(reference::local)
        {
            match store.find(access, "Location", local.id).await {
                Ok(location) => place = self.place(&location.value()?),
                Err(Error::NotFound { .. } | Error::Gone { .. } | Error::Forbidden(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(self.line("PV1", at, &[(2, class.to_owned()), (3, place)])))
    }

    fn place(&self, location: &Value) -> String {
        let system = place_system();
        let mut own = reading::list(location.get("identifier"));
        let named = own.find(|id| reading::str_of(id, "system") == Some(system.as_str()));
        match named.and_then(|id| reading::str_of(id, "value")) {
            Some(id) => self.components(&id.split('^').map(str::to_owned).collect::<Vec<_>>()),
            None => self.components(&[
                String::new(),
                String::new(),
                reading::str_of(location, "name").unwrap_or_default().to_owned(),
            ]),
        }
    }
}
