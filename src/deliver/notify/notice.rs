//! What one recipient is to be told of one change of an alert, as a FHIR Communication: planned (preparation), on its
//! way as part of a message (in-progress), delivered (completed), not told because of quiet hours (not-done), or given
//! up (stopped). Its id follows from alert, version and recipient, so that nothing is planned twice. Extensions, below
//! `https://vigia.dev/fhir/StructureDefinition/`:
//!
//! | extension | value | meaning |
//! |---|---|---|
//! | `notify-occasion` | code | raised, worse, again, escalated, resolved |
//! | `notify-step` | unsignedInt | the step of the escalation |
//! | `notify-due` | instant | when it is sent, or tried again |
//! | `notify-attempts` | unsignedInt | how often it was tried in vain |
//! | `notify-message` | id | the message that it went out with: its first notice |
//! | `notify-error` | string | why it could not be delivered the last time; nothing about the patient |

use serde_json::{Value, json};

use super::plan::Occasion;
use crate::alert::issue::{extend, ours};
use crate::alert::score::DEVICE;
use crate::clock::derived_id;
use crate::config::notify::{AtLeast, Recipient};
use crate::fhir::{OURS, time};

const V3_MODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationMode";
/// Marks Communications of this room, so that they are found again.
pub(super) const CATEGORY: &str = "https://vigia.dev/fhir/CodeSystem/communication|alert-notification";

/// The version of an alert that somebody is told of.
pub(super) struct News<'n> {
    pub alert: &'n Value,
    pub id: &'n str,
    pub version: i32,
    pub occasion: Occasion,
    pub urgency: AtLeast,
}

/// A notice that is not done with.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub id: String,
    /// Of the Communication that stands.
    pub version: i32,
    pub recipient: String,
    pub alert: String,
    pub patient: String,
    pub occasion: Occasion,
    /// When it was planned and when it is due, µs UTC.
    pub planned: i64,
    pub due: i64,
    pub attempts: u32,
    /// The message that it went out with at the first attempt.
    pub message: Option<String>,
    pub resource: Value,
}

/// What becomes of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It goes out as part of this message.
    Leaves(String),
    Delivered,
    /// Tried in vain: again at an instant.
    Again(i64, String),
    /// Nobody will be told: why.
    Stopped(String),
}

/// A notice as it is planned. `quiet`: the recipient does not want to hear it now.
pub(super) fn planned(news: &News, recipient: &Recipient, quiet: bool, now: i64, due: i64) -> Value {
    let id = derived_id(&[news.id, &news.version.to_string(), &recipient.name], now_of(news.alert).unwrap_or(now));
    let patient = news.alert.pointer("/patient/reference").and_then(Value::as_str).unwrap_or_default();
    let (mode, display) = match recipient.email {
        Some(_) => ("EMAILWRIT", "email"),
        None => ("ELECTRONIC", "electronic data"),
    };
    let mut told = json!({
        "resourceType": "Communication",
        "id": id,
        "status": if quiet { "not-done" } else { "preparation" },
        "category": [{"coding": [{"system": format!("{OURS}/CodeSystem/communication"), "code": "alert-notification"}]}],
        "priority": match news.urgency { AtLeast::Critical => "stat", AtLeast::Warning => "urgent", AtLeast::All => "routine" },
        "medium": [{"coding": [{"system": V3_MODE, "code": mode, "display": display}]}],
        "subject": {"reference": patient},
        "about": [{"reference": format!("DetectedIssue/{}/_history/{}", news.id, news.version)}],
        "recipient": recipients(recipient),
        "sender": {"reference": DEVICE},
        "payload": [{"contentReference": {"reference": format!("DetectedIssue/{}", news.id)}}]
    });
    let Some(members) = told.as_object_mut() else { return told };
    if let Some(encounter) = ours(news.alert, "alert-encounter").and_then(|own| own.get("valueReference")) {
        members.insert("encounter".to_owned(), encounter.clone());
    }
    if quiet {
        members.insert("statusReason".to_owned(), json!({"text": "quiet hours of the recipient"}));
    }
    extend(members, "notify-occasion", "valueCode", news.occasion.code().into());
    if let Occasion::Escalated(step) = news.occasion {
        extend(members, "notify-step", "valueUnsignedInt", step.into());
    }
    extend(members, "notify-planned", "valueInstant", time::instant(now).into());
    extend(members, "notify-due", "valueInstant", time::instant(due).into());
    told
}

/// The onset of the episode: ids sort by it.
fn now_of(alert: &Value) -> Option<i64> {
    Some(time::range(alert.pointer("/identifiedPeriod/start")?.as_str()?)?.start)
}

/// Who it is by its name here, and the persons that it reaches.
fn recipients(recipient: &Recipient) -> Value {
    let named =
        json!({"identifier": {"system": "urn:vigia:recipient", "value": recipient.name}, "display": recipient.name});
    let known = |person: &&String| {
        ["Practitioner/", "PractitionerRole/", "Organization/", "CareTeam/"].iter().any(|kind| person.starts_with(kind))
    };
    let persons = recipient.persons.iter().filter(known).map(|person| json!({"reference": person}));
    std::iter::once(named).chain(persons).collect()
}

impl Notice {
    /// A Communication of ours that is not done with.
    pub(super) fn of(resource: Value, version: i32) -> Option<Self> {
        let waits = matches!(resource.get("status")?.as_str()?, "preparation" | "in-progress");
        let text = |pointer: &str| resource.pointer(pointer).and_then(Value::as_str);
        let number = |name: &str| ours(&resource, name).and_then(|own| own.get("valueUnsignedInt")?.as_u64());
        let small = |name: &str| u32::try_from(number(name).unwrap_or(0)).unwrap_or(u32::MAX);
        let instant = |name: &str| Some(time::range(ours(&resource, name)?.get("valueInstant")?.as_str()?)?.start);
        let about = text("/about/0/reference")?.strip_prefix("DetectedIssue/")?;
        let code = ours(&resource, "notify-occasion")?.get("valueCode")?.as_str()?;
        let notice = Self {
            id: text("/id")?.to_owned(),
            version,
            recipient: text("/recipient/0/identifier/value")?.to_owned(),
            alert: about.split('/').next()?.to_owned(),
            patient: text("/subject/reference")?.to_owned(),
            occasion: Occasion::of(code, small("notify-step"))?,
            planned: instant("notify-planned")?,
            due: instant("notify-due")?,
            attempts: small("notify-attempts"),
            message: ours(&resource, "notify-message").and_then(|own| own.get("valueId")?.as_str().map(str::to_owned)),
            resource,
        };
        waits.then_some(notice)
    }

    /// The Communication after an outcome.
    pub(super) fn after(&self, outcome: &Outcome, now: i64) -> Value {
        let mut next = self.resource.clone();
        let Some(members) = next.as_object_mut() else { return next };
        let mut status = |code: &str| _ = members.insert("status".to_owned(), code.into());
        match outcome {
            Outcome::Leaves(message) => {
                status("in-progress");
                extend(members, "notify-message", "valueId", message.as_str().into());
            }
            Outcome::Delivered => {
                status("completed");
                members.insert("sent".to_owned(), time::instant(now).into());
            }
            Outcome::Again(due, why) => {
                extend(members, "notify-attempts", "valueUnsignedInt", (self.attempts.saturating_add(1)).into());
                extend(members, "notify-due", "valueInstant", time::instant(*due).into());
                extend(members, "notify-error", "valueString", why.as_str().into());
            }
            Outcome::Stopped(why) => {
                status("stopped");
                members.insert("statusReason".to_owned(), json!({"text": why}));
            }
        }
        next
    }
}

/// When a notice is tried again after so many attempts in vain: 1 s, 2 s, 4 s … up to five minutes, each a little
/// sooner or later (`chance` from 0 to 255) so that many do not come back at once.
pub(super) fn backoff(attempts: u32, chance: u8) -> i64 {
    const MOST: i64 = 300_000_000;
    let pause = 1_000_000_i64.checked_shl(attempts.min(20)).unwrap_or(MOST).min(MOST);
    pause - pause / 5 + pause / 5 * 2 * i64::from(chance) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_comes_back_from_its_communication() {
        let alert = json!({"resourceType": "DetectedIssue", "id": "a1", "patient": {"reference": "Patient/p"},
            "identifiedPeriod": {"start": "2026-03-01T10:00:00Z"}});
        let news =
            News { alert: &alert, id: "a1", version: 3, occasion: Occasion::Escalated(2), urgency: AtLeast::Critical };
        let recipient =
            Recipient { name: "icu".into(), persons: vec!["Practitioner/x".into()], ..Recipient::default() };
        let told = planned(&news, &recipient, false, 5_000_000, 9_000_000);
        fhir_r4::check(told.clone()).unwrap();
        assert_eq!(
            told["id"],
            planned(&news, &recipient, false, 77, 78)["id"],
            "the same is the same whenever it is planned"
        );
        let notice = Notice::of(told, 1).unwrap();
        assert_eq!(
            (notice.alert.as_str(), notice.recipient.as_str(), notice.occasion, notice.planned, notice.due),
            ("a1", "icu", Occasion::Escalated(2), 5_000_000, 9_000_000)
        );
        let again = notice.after(&Outcome::Again(20_000_000, "HTTP 500".into()), 10_000_000);
        let again = Notice::of(again, 2).unwrap();
        assert_eq!((again.attempts, again.due), (1, 20_000_000));
        let leaves = Notice::of(again.after(&Outcome::Leaves("m".into()), 0), 3).unwrap();
        assert_eq!(leaves.message.as_deref(), Some("m"));
        for done in [Outcome::Delivered, Outcome::Stopped("over".into())] {
            let told = leaves.after(&done, 1_000_000);
            fhir_r4::check(told.clone()).unwrap();
            assert!(Notice::of(told, 4).is_none());
        }
        assert!(Notice::of(planned(&news, &recipient, true, 1, 1), 1).is_none(), "quiet");
    }

    #[test]
    fn pauses_grow_and_end_growing() {
        let seconds = |attempts, chance| backoff(attempts, chance) / 1_000_000;
        assert_eq!([0, 1, 3, 20, 4_000_000].map(|n| seconds(n, 128)), [1, 2, 8, 300, 300]);
        assert_eq!((seconds(8, 0), seconds(8, 255)), (204, 307));
    }
}
