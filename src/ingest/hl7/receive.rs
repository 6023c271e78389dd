//! One message to its answers, whatever brought it: read, taken in and stored with what came of it, answered. What
//! cannot be read is stored too, and every refusal is answered; a positive answer follows the commit.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fhir_r4::Issue;
use sha2::{Digest, Sha256};

use super::query::{self, Reply};
use super::waiting;
use super::{Channel, Header, Refusal, ack};
use crate::auth::access::Access;
use crate::error::Error;
use crate::ingest::device::Rejected;
use crate::normalize::draft::Draft;
use crate::pipeline::{Letter, Parcel, Pipeline};
use crate::store::{Judged, Posted, Verdict};
use crate::telemetry::Metrics;

/// What messages are taken in with.
#[derive(Clone)]
pub struct Receiver {
    pub pipeline: Pipeline,
    pub metrics: Metrics,
}

/// Where a message comes from.
pub struct Origin<'o> {
    pub channel: &'o Channel,
    pub peer: String,
    /// The message that this one is sent again for, by a person.
    pub replays: Option<i64>,
}

/// What became of a message.
pub struct Received {
    /// As far as it could be read.
    pub header: Option<Header>,
    /// The message as it is kept; none when it could not be stored.
    pub id: Option<i64>,
    pub judged: Judged,
    /// What a question is answered with.
    pub reply: Option<Reply>,
}

impl Received {
    /// The answers that the sender has asked for.
    pub fn answers(&self, channel: &Channel, now: i64) -> Vec<Vec<u8>> {
        match (&self.header, &self.reply) {
            (Some(header), Some(reply)) => ack::respond(header, reply, channel, now),
            _ => ack::answer(self.header.as_ref(), self.judged.verdict, &self.judged.issues, channel, now),
        }
    }
}

impl Receiver {
    /// Takes one message in. `refused`: why it is not taken whatever it says.
    pub async fn take(&self, access: &Access, bytes: &[u8], refused: Option<Refusal>, origin: &Origin<'_>) -> Received {
        let read = refused.map_or_else(|| super::read(bytes, origin.channel), Err);
        let (mut asked, mut reply) = (None, None);
        let mut numbers = BTreeSet::new();
        if let Ok(read) = &read {
            numbers = waiting::numbers(&read.mapped);
            asked = self.asked(access, bytes, &read.header, origin.channel).await;
        }
        let (header, letter, verdict, issues) = match read {
            Ok(super::Received { header, mapped }) => {
                let (drafts, mut issues) = parted(mapped.items);
                issues.extend(mapped.notes);
                let letter = Letter { drafts, said: mapped.said, together: mapped.together };
                let verdict = match asked {
                    Some(Ok(found)) => {
                        reply = Some(found);
                        Verdict::Accepted
                    }
                    Some(Err(refused)) => {
                        issues.extend(refused);
                        Verdict::Error
                    }
                    None => Verdict::Accepted,
                };
                (Some(header), letter, verdict, issues)
            }
            Err(refusal) => {
                let verdict = refusal.verdict();
                (refusal.header.map(|header| *header), Letter::default(), verdict, vec![refusal.issue])
            }
        };
        let parcel = parcel(bytes, header.as_ref(), origin, verdict, issues.clone());
        let (id, judged) = match self.pipeline.receive(access, "hl7", letter, parcel).await {
            Ok(Posted::Stored { id, judged } | Posted::Known { id, judged }) => (Some(id), judged),
            Err(error) => (None, unstored(&error, verdict, issues)),
        };
        self.metrics.hl7_message(judged.verdict.code());
        if judged.verdict == Verdict::Accepted && !numbers.is_empty() {
            // Nobody waits for it: what is not taken now can be taken by hand.
            tokio::spawn(self.clone().release(numbers, origin.channel.clone()));
        }
        // What could not be stored is not answered well.
        let reply = reply.filter(|_| judged.verdict == Verdict::Accepted);
        Received { header, id, judged, reply }
    }

    /// What a question is answered with; none when the message asks for nothing.
    async fn asked(
        &self,
        access: &Access,
        bytes: &[u8],
        header: &Header,
        channel: &Channel,
    ) -> Option<Result<Reply, Vec<Issue>>> {
        if !matches!(header.kind.0.as_str(), "QRY" | "QBP") {
            return None;
        }
        let message = super::message::parse(bytes).ok()?;
        match query::reply(self.pipeline.store(), access, &message, channel).await {
            Ok(None) => None,
            Ok(Some(reply)) => Some(reply.map_err(|issue| vec![issue])),
            Err(error) => Some(Err(error.issues())),
        }
    }
}

fn parted(items: Vec<Result<Draft, Rejected>>) -> (Vec<Draft>, Vec<Issue>) {
    let (mut drafts, mut issues) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Ok(draft) => drafts.push(draft),
            Err(rejected) => issues.extend(rejected.issues),
        }
    }
    (drafts, issues)
}

fn parcel(bytes: &[u8], header: Option<&Header>, origin: &Origin<'_>, verdict: Verdict, issues: Vec<Issue>) -> Parcel {
    let kind = header.map(|header| match &header.kind {
        (kind, event) if event.is_empty() => kind.clone(),
        (kind, event) => format!("{kind}^{event}"),
    });
    let sender = header.map(|h| format!("{}|{}", h.sending_application, h.sending_facility));
    Parcel {
        channel: origin.channel.name.clone(),
        peer: origin.peer.clone(),
        kind: kept(kind),
        sender: kept(sender),
        control: kept(header.map(|header| header.control_id.clone())),
        bytes: bytes.to_vec(),
        replays: origin.replays,
        verdict,
        issues,
    }
}

/// What a column and its index can hold; what is longer is known by its hash.
fn kept(text: Option<String>) -> String {
    const LONGEST: usize = 200;
    let text = text.unwrap_or_default();
    if text.len() <= LONGEST && !text.contains('\0') {
        return text;
    }
    URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()))
}

/// Nothing was stored: the sender shall send it again.
fn unstored(error: &Error, verdict: Verdict, mut issues: Vec<Issue>) -> Judged {
    tracing::error!(%error, "message not stored");
    issues.extend(error.issues());
    let verdict = if verdict == Verdict::Accepted { Verdict::Error } else { verdict };
    Judged { verdict, issues, made: vec![] }
}
