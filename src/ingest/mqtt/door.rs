//! Messages to readings to the pipeline: those that came together are stored together, and each is answered for by itself.

use fhir_r4::Issue;

use super::House;
use super::topic::{Topic, Whose};
use crate::auth::access::{Access, Action};
use crate::error::Error;
use crate::ingest::device::{self, Item, gatt, thingsboard};
use crate::normalize::draft::Subject;

/// One message as it was published.
pub(super) struct Message<'m> {
    pub(super) topic: &'m str,
    pub(super) payload: &'m [u8],
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// All of it is on disk, or was before.
    Stored,
    /// Part of it, or nothing: it will not be taken however often it comes.
    Refused(Why),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Nothing is taken at this topic.
    Topic,
    /// The sender may not write this.
    Forbidden,
    /// The payload, or a reading in it, cannot be read or cannot be true.
    Payload,
}

/// Stores what the messages hold. The error is the server's: nothing of them was stored then, and they may come again.
pub(super) async fn take(house: &House, access: &Access, messages: &[Message<'_>]) -> Result<Vec<Taken>, Error> {
    if access.check(Action::Create, "Observation").is_err() {
        return Ok(vec![Taken::Refused(Why::Forbidden); messages.len()]);
    }
    let (mut taken, mut drafts, mut owners) = (Vec::with_capacity(messages.len()), Vec::new(), Vec::new());
    let (sender, now) = (access.principal().to_string(), house.pipeline.store().clock().now());
    for (at, message) in messages.iter().enumerate() {
        let items = match read(message, access, &sender, now) {
            Ok(items) => items,
            Err(why) => {
                taken.push(Taken::Refused(why));
                continue;
            }
        };
        let refused = items.iter().any(Result::is_err);
        taken.push(if refused { Taken::Refused(Why::Payload) } else { Taken::Stored });
        for draft in items.into_iter().flatten() {
            owners.push(at);
            drafts.push(draft);
        }
    }
    house.gate.allow(access, drafts.len())?;
    if drafts.is_empty() {
        return Ok(taken);
    }
    let receipts = house.pipeline.accept(access, "mqtt", drafts, false).await?;
    for (owner, receipt) in owners.into_iter().zip(receipts) {
        let Err(issues) = &receipt.outcome else { continue };
        let why = if issues.iter().any(|issue| issue.code == "forbidden") { Why::Forbidden } else { Why::Payload };
        if let Some(slot) = taken.get_mut(owner) {
            *slot = Taken::Refused(why);
        }
    }
    Ok(taken)
}

/// The readings of one message.
fn read(message: &Message<'_>, access: &Access, sender: &str, now: i64) -> Result<Vec<Item>, Why> {
    let topic = Topic::of(message.topic).ok_or(Why::Topic)?;
    let unreadable = |_: Issue| Why::Payload;
    let mut items = match &topic {
        Topic::Telemetry => thingsboard::parse(message.payload, sender).map_err(unreadable)?,
        Topic::Gateway => thingsboard::parse_gateway(message.payload, sender).map_err(unreadable)?,
        Topic::Observations(_) => device::parse_json(message.payload, sender, now).map_err(unreadable)?,
        Topic::Gatt(whose, number) => {
            let device = device_of(*whose, access)?;
            let number = number.to_ascii_uppercase();
            gatt::single((&number, message.payload), (None, Some(Subject::Reference(device))), "payload", sender, now)
        }
    };
    match topic {
        Topic::Gateway => {}
        Topic::Observations(Whose::Me) if access.device().is_none() => {}
        Topic::Telemetry => device::own(&mut items, &device_of(Whose::Me, access)?),
        Topic::Observations(whose) | Topic::Gatt(whose, _) => device::own(&mut items, &device_of(whose, access)?),
    }
    Ok(items)
}

/// `Device/…`
fn device_of(whose: Whose<'_>, access: &Access) -> Result<String, Why> {
    match (whose, access.device()) {
        (Whose::Me, Some(own)) => Ok(own.to_owned()),
        (Whose::Me, None) => Err(Why::Topic),
        (Whose::Device(id), None) => Ok(format!("Device/{id}")),
        (Whose::Device(id), Some(own)) if own.strip_prefix("Device/") == Some(id) => Ok(own.to_owned()),
        (Whose::Device(_), Some(_)) => Err(Why::Forbidden),
    }
}
