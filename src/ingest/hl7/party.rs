//! Whom a message is about and what measured it: identifiers of patients (CX) and devices (EI, HD).

use super::Channel;
use super::message::{Repetition, Segment};
use crate::normalize::draft::Subject;

/// The identifier system of device addresses (EUI-64).
const EUI_64: &str = "urn:oid:1.2.840.10004.1.1.1.0.0.1.0.0.1.2680";

/// The patient of a PID segment: the first identifier of PID-3 that has an authority, else the first one, else
/// PID-2.
pub(super) fn patient(pid: &Segment<'_>, channel: &Channel) -> Option<Subject> {
    let mut all: Vec<(Option<String>, String)> = Vec::new();
    for field in [3, 2] {
        let usable = pid.repetitions(field).map(|cx| (authority(cx, channel), cx.text(1)));
        all.extend(usable.filter(|(_, id)| !id.is_empty()));
    }
    let best = all.iter().position(|(system, _)| system.is_some()).unwrap_or(0);
    all.into_iter().nth(best).map(|(system, value)| Subject::Identifier { system, value })
}

/// The identifier system of an assigning authority (component 4: namespace & universal id & its type).
pub(super) fn authority(cx: Repetition<'_, '_>, channel: &Channel) -> Option<String> {
    authority_at(cx, 4, channel)
}

/// The same of another component.
pub(super) fn authority_at(value: Repetition<'_, '_>, component: usize, channel: &Channel) -> Option<String> {
    system(&value.part(component, 1), &value.part(component, 2), &value.part(component, 3), channel)
}

/// The identifier system of an entity identifier (id ^ namespace ^ universal id ^ its type).
pub(super) fn namespace(ei: Repetition<'_, '_>, channel: &Channel) -> Option<String> {
    system(&ei.text(2), &ei.text(3), &ei.text(4), channel)
}

fn system(name: &str, id: &str, kind: &str, channel: &Channel) -> Option<String> {
    if let Some(system) = uri(id, kind) {
        return Some(system);
    }
    // Names that were given by environment variables have lost their capitals.
    let known = |name: &str| {
        channel.assigning_authorities.iter().find(|(known, _)| !name.is_empty() && known.eq_ignore_ascii_case(name))
    };
    known(name).or_else(|| known(id)).map(|(_, system)| system.clone())
}

/// A universal id as a URI.
pub(super) fn uri(id: &str, kind: &str) -> Option<String> {
    let is_oid = id.contains('.') && id.split('.').all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    match kind.to_ascii_uppercase().as_str() {
        "ISO" | "" if is_oid => Some(format!("urn:oid:{id}")),
        "UUID" | "GUID" if !id.is_empty() => Some(format!("urn:uuid:{}", id.to_ascii_lowercase())),
        "URI" | "URN" | "URL" if id.contains(':') => Some(id.to_owned()),
        _ => None,
    }
}

/// A device named by an entity identifier (id ^ namespace ^ universal id ^ type).
pub(super) fn device(ei: Repetition<'_, '_>) -> Option<Subject> {
    let (id, namespace, universal, kind) = (ei.text(1), ei.text(2), ei.text(3), ei.text(4));
    let is_eui = |text: &str| text.eq_ignore_ascii_case("EUI-64");
    let found = if is_eui(&kind) || is_eui(&namespace) {
        let value = if universal.is_empty() { id } else { universal };
        (Some(EUI_64.to_owned()), value)
    } else if id.starts_with("urn:") {
        (Some("urn:ietf:rfc:3986".to_owned()), id)
    } else {
        (uri(&universal, &kind), id)
    };
    subject(found)
}

/// The sender of a message (MSH-3: name ^ universal id ^ type) as the device.
pub(super) fn sender(msh: &Segment<'_>) -> Option<Subject> {
    let hd = msh.repetitions(3).next()?;
    let (name, id, kind) = (hd.text(1), hd.text(2), hd.text(3));
    if kind.eq_ignore_ascii_case("EUI-64") && !id.is_empty() {
        return subject((Some(EUI_64.to_owned()), id));
    }
    if id.eq_ignore_ascii_case("EUI-64") {
        return subject((Some(EUI_64.to_owned()), name));
    }
    subject((uri(&id, &kind), name))
}

fn subject((system, value): (Option<String>, String)) -> Option<Subject> {
    (!value.is_empty()).then_some(Subject::Identifier { system, value })
}
