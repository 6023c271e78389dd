//! Messages to their answers, whatever brought them: each read, taken in and stored with what came of it, answered. What
//! cannot be read is stored too, and every refusal is answered; a positive answer follows the commit.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use fhir_r4::Issue;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::batch::{self, Batch};
use super::order::{self, Order, Turn};
use super::query::{self, Answer};
use super::waiting::News;
use super::{Channel, Header, Mapped, Refusal, ack, message};
use crate::auth::access::Access;
use crate::error::Error;
use crate::pipeline::{Letter, Parcel, Pipeline};
use crate::store::{Judged, Posted, Verdict};
use crate::telemetry::Metrics;

/// So many bytes a name has at most.
const LONGEST: usize = 200;
const TOO_LATE: &str = "It could not be stored in time.";

/// What messages are taken in with.
#[derive(Clone)]
pub struct Receiver {
    pub pipeline: Pipeline,
    pub metrics: Metrics,
    pub order: Order,
    /// The ways in which messages come.
    pub channels: Arc<[Channel]>,
}

/// Where a message comes from.
pub struct Origin<'o> {
    pub channel: &'o Channel,
    pub peer: String,
    /// The message that this one is sent again for, by a person.
    pub replays: Option<i64>,
    /// Whom it is about, whatever it says: a person or its bed has said so.
    pub patient: Option<String>,
}

/// A frame, or what else brings messages, with its place among those of its patients.
pub struct Arrived {
    bytes: Bytes,
    batch: Option<Batch>,
    messages: Vec<(Range<usize>, Turn)>,
    /// Why it is not taken whatever it says.
    refused: Option<Refusal>,
}

/// What became of a message.
pub struct Received {
    /// As far as it could be read.
    pub header: Option<Header>,
    /// The message as it is kept; none when it could not be stored.
    pub id: Option<i64>,
    pub judged: Judged,
    /// What a question is answered with.
    answer: Option<Answer>,
}

impl Received {
    fn answers(&self, channel: &Channel, now: i64) -> Vec<Vec<u8>> {
        match (&self.header, &self.answer) {
            (Some(header), Some(answer)) => ack::respond(header, answer, channel, now),
            _ => ack::answer(self.header.as_ref(), self.judged.verdict, &self.judged.issues, channel, now),
        }
    }
}

/// What became of all that arrived together.
pub struct Reply {
    batch: Option<Batch>,
    received: Vec<Received>,
}

impl Reply {
    /// The answers that the sender has asked for; a batch has one.
    pub fn answers(&self, channel: &Channel, now: i64) -> Vec<Vec<u8>> {
        let each = self.received.iter().map(|received| received.answers(channel, now));
        match &self.batch {
            Some(batch) => batch.answer(each.collect(), channel, now).into_iter().collect(),
            None => each.flatten().collect(),
        }
    }

    /// The message that fared worst: not stored, refused, in error, accepted. None: an empty batch.
    pub fn worst(self) -> Option<Received> {
        let rank = |received: &Received| match (received.id, received.judged.verdict) {
            (None, _) => 0,
            (_, Verdict::Rejected) => 1,
            (_, Verdict::Error) => 2,
            (_, Verdict::Accepted) => 3,
        };
        self.received.into_iter().min_by_key(rank)
    }
}

impl Receiver {
    /// Takes the places of what has arrived in the order of its patients' messages: to be called as they come.
    pub fn arrive(&self, bytes: Bytes, refused: Option<Refusal>, channel: &Channel) -> Arrived {
        let turn = |range: Range<usize>| {
            let keys = order::keys(bytes.get(range.clone()).unwrap_or_default(), channel);
            (range, self.order.take(keys))
        };
        let whole = |refused| (None, vec![turn(0..bytes.len())], refused);
        let (batch, messages, refused) = match batch::split(&bytes).filter(|_| refused.is_none()) {
            None => whole(refused),
            Some(Err(refusal)) => whole(Some(refusal)),
            Some(Ok(batch)) => {
                let messages = batch.messages().map(turn).collect();
                (Some(batch), messages, None)
            }
        };
        Arrived { bytes, batch, messages, refused }
    }

    /// Takes in what has arrived, each message when its turn comes.
    pub async fn take(&self, access: &Access, arrived: Arrived, origin: &Origin<'_>) -> Reply {
        let Arrived { bytes, batch, messages, refused } = arrived;
        let started = Instant::now();
        let mut received = Vec::with_capacity(messages.len());
        for (range, turn) in messages {
            let message = bytes.get(range).unwrap_or_default();
            received.push(self.take_one(access, message, refused.clone(), turn, origin).await);
        }
        self.metrics.hl7_answer_seconds.observe(started.elapsed().as_secs_f64());
        Reply { batch, received }
    }

    pub(super) async fn take_one(
        &self,
        access: &Access,
        bytes: &[u8],
        refused: Option<Refusal>,
        turn: Turn,
        origin: &Origin<'_>,
    ) -> Received {
        let read = refused.map_or_else(|| super::read_of(bytes, origin.channel, origin.patient.as_deref()), Err);
        let news = read.as_ref().map(|read| News::of(&read.mapped)).unwrap_or_default();
        let mut place = None;
        let (header, letter, verdict, mut issues) = match read {
            Ok(super::Received { header, mut mapped }) => {
                place = kept_place(mapped.bed.take());
                let (letter, issues) = parted(mapped);
                (Some(header), letter, Verdict::Accepted, issues)
            }
            Err(refusal) => {
                let verdict = refusal.verdict();
                (refusal.header.map(|header| *header), Letter::default(), verdict, vec![refusal.issue])
            }
        };
        let mut answer = None;
        let stored = timeout(origin.channel.patience, async {
            turn.comes().await;
            let mut verdict = verdict;
            match self.asked(access, bytes, header.as_ref(), origin.channel).await {
                Some(Ok(found)) => answer = Some(found),
                Some(Err(refused)) => {
                    issues.extend(refused);
                    verdict = Verdict::Error;
                }
                None => {}
            }
            let parcel =
                Parcel { place: place.clone(), ..parcel(bytes, header.as_ref(), origin, verdict, issues.clone()) };
            self.pipeline.receive(access, "hl7", letter, parcel).await
        });
        let (id, judged) = match stored.await.unwrap_or(Err(Error::Unavailable(TOO_LATE))) {
            Ok(Posted::Stored { id, judged } | Posted::Known { id, judged }) => (Some(id), judged),
            Err(error) => (None, unstored(&error, verdict, issues)),
        };
        if let (Some(id), Some(place)) = (id, &place)
            && let Some(taken) = self.by_bed(access, bytes, place, (id, &judged), origin).await
        {
            return taken;
        }
        self.metrics.hl7_message(judged.verdict.code());
        if judged.verdict == Verdict::Accepted && !news.is_empty() {
            // Nobody waits for it: what is not taken now can be taken by hand.
            tokio::spawn(self.clone().release(news));
        }
        // What could not be stored is not answered well.
        let answer = answer.filter(|_| judged.verdict == Verdict::Accepted);
        Received { header, id, judged, answer }
    }

    /// What a question is answered with; none when the message asks for nothing.
    async fn asked(
        &self,
        access: &Access,
        bytes: &[u8],
        header: Option<&Header>,
        channel: &Channel,
    ) -> Option<Result<Answer, Vec<Issue>>> {
        if !matches!(header?.kind.0.as_str(), "QRY" | "QBP") {
            return None;
        }
        let message = message::parse_as(bytes, channel.charset).ok()?;
        match query::reply(self.pipeline.store(), access, &message, channel).await {
            Ok(None) => None,
            Ok(Some(reply)) => Some(reply.map_err(|issue| vec![issue])),
            Err(error) => Some(Err(error.issues())),
        }
    }
}

/// What is to be stored of a message, and what is wrong with it.
fn parted(mapped: Mapped) -> (Letter, Vec<Issue>) {
    let (mut drafts, mut issues) = (Vec::new(), Vec::new());
    for item in mapped.items {
        match item {
            Ok(draft) => drafts.push(draft),
            Err(rejected) => issues.extend(rejected.issues),
        }
    }
    issues.extend(mapped.notes);
    (Letter { drafts, said: mapped.said, together: mapped.together }, issues)
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
        place: None,
        repeats: origin.channel.control_id_repeats,
        verdict,
        issues,
    }
}

/// A bed that no column can hold is none.
fn kept_place(place: Option<String>) -> Option<String> {
    place.filter(|place| place.len() <= LONGEST && !place.contains('\0'))
}

/// What a column and its index can hold; what is longer is known by its hash.
fn kept(text: Option<String>) -> String {
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
