//! Questions of monitors and engines after a patient (QRY^A19, QBP^Q22): who is meant, and who that is here, as segments
//! of the answer. Who asks sees what it may see.

use fhir_r4::Issue;

use super::Channel;
use super::message::{Message, Repetition};
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::query::Query;
use crate::hl7::write::Writer;
use crate::store::Store;

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
        let writer = Writer { separators, authorities: &channel.assigning_authorities };
        lines.push(writer.pid(at + 1, &hit.value()?));
        lines.extend(writer.pv1(at + 1, store, access, &format!("Patient/{}", hit.id)).await?);
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
