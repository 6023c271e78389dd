//! Results of a patient whom nobody knew when they came: kept as they came, and taken once it is known whose they are.
//! By the patient's number, when an admission makes it known; by the bed that they name, when a stay says who lay there
//! at their time (`bed`) and the channel lets a bed say so; or by a person. Never against a number that is known.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::pin::Pin;

use fhir_r4::Issue;

use super::message;
use super::party;
use super::receive::{Origin, Received, Receiver};
use super::{Channel, Mapped, bed};
use crate::auth::access::{Access, Action};
use crate::config::hl7::ByBed;
use crate::error::Error;
use crate::fhir::params;
use crate::fhir::query::{Filter, Operand, Query};
use crate::fhir::time;
use crate::normalize::draft::Subject;
use crate::store::{Judged, Kept, Verdict, WantedMessages};

/// So many messages are looked through at an admission; what is older waits for a person.
const MOST: i64 = 200;
/// Stands for the patient where only the times of a message are asked for.
const SOMEBODY: &str = "Patient/somebody";

/// What a message makes known: patients by their numbers, and that somebody lies in a bed.
#[derive(Default)]
pub(super) struct News {
    numbers: BTreeSet<String>,
    beds: BTreeSet<String>,
}

impl News {
    pub(super) fn of(mapped: &Mapped) -> Self {
        let said = |kind: &'static str| mapped.said.iter().filter(move |said| mapped.together && said.kind == kind);
        let values = |kind| said(kind).flat_map(|said| said.identity.tokens.iter().map(|(_, value)| value.clone()));
        let stays = said("Encounter").next().is_some();
        let is_bed = |place: &String| place.split('^').nth(2).is_some_and(|bed| !bed.is_empty());
        let beds = values("Location").filter(|place| stays && is_bed(place)).collect();
        Self { numbers: values("Patient").collect(), beds }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.beds.is_empty()
    }
}

/// What a person says: whose the results are that came from a place.
pub struct Attach {
    pub place: String,
    /// `Patient/…`
    pub patient: String,
    /// Received from the first up to, and without, the second, µs UTC.
    pub received: (i64, Option<i64>),
    /// Who says so.
    pub by: String,
}

/// What came of it.
#[derive(Default)]
pub struct Attached {
    pub found: usize,
    pub taken: usize,
    /// There may be more.
    pub more: bool,
}

impl Receiver {
    /// Takes once more what waits for these patients and beds, oldest first. What is not taken goes on waiting.
    pub(super) fn release(self, news: News) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let access = Access::system("hl7 admissions");
            for bed in &news.beds {
                if let Err(error) = self.release_bed(&access, bed).await {
                    tracing::warn!(%error, "messages that wait for a bed could not be looked through");
                }
            }
            if let Err(error) = self.release_numbers(&access, &news.numbers).await {
                tracing::warn!(%error, "messages that wait for a patient could not be looked through");
            }
        })
    }

    async fn release_numbers(&self, access: &Access, numbers: &BTreeSet<String>) -> Result<(), Error> {
        for kept in self.open(access, WantedMessages::default()).await?.iter().filter(|kept| waits(kept)) {
            let Some(channel) = self.channel(kept) else { continue };
            let bytes = self.pipeline.store().message(access, kept.id).await?.bytes;
            if value(number(&bytes, channel)).is_some_and(|number| numbers.contains(&number)) {
                self.again(access, kept, bytes, channel, None, kept.peer.clone()).await;
            }
        }
        Ok(())
    }

    async fn release_bed(&self, access: &Access, place: &str) -> Result<(), Error> {
        let wanted = WantedMessages { place: Some(place.to_owned()), ..WantedMessages::default() };
        for kept in self.open(access, wanted).await?.iter().filter(|kept| waits(kept)) {
            let Some(channel) = self.channel(kept) else { continue };
            let bytes = self.pipeline.store().message(access, kept.id).await?.bytes;
            let Some(times) = times(&bytes, channel) else { continue };
            let Some(patient) = bed::occupant(self.pipeline.store(), access, place, &times).await? else { continue };
            self.attach_one(access, kept, bytes, channel, patient, kept.peer.clone()).await?;
        }
        Ok(())
    }

    /// Takes a message that has just been kept, and that names nobody who is known, as the one's who lies in its bed.
    /// Nothing when no bed says whose it is.
    pub(super) fn by_bed<'r>(
        &'r self,
        access: &'r Access,
        bytes: &'r [u8],
        place: &'r str,
        (id, judged): (i64, &'r Judged),
        origin: &'r Origin<'r>,
    ) -> Pin<Box<dyn Future<Output = Option<Received>> + Send + 'r>> {
        Box::pin(async move {
            let everybody = access.check(Action::Create, "Observation").is_ok_and(|permit| permit.covers(None));
            let is_first = origin.replays.is_none() && origin.patient.is_none();
            if !everybody || !is_first || judged.verdict != Verdict::Error || !of_nobody(&judged.issues) {
                return None;
            }
            let times = times(bytes, origin.channel)?;
            let found = bed::occupant(self.pipeline.store(), &Access::system("hl7 beds"), place, &times).await;
            let patient = found.inspect_err(|error| tracing::warn!(%error, "a bed could not be asked for")).ok()??;
            let Origin { channel, peer, .. } = origin;
            let origin = Origin { channel, peer: peer.clone(), replays: Some(id), patient: Some(patient) };
            // Its turn has come already.
            let turn = self.order.take(BTreeSet::new());
            Some(self.take_one(access, bytes, None, turn, &origin).await)
        })
    }

    /// Takes what came from a place as a patient's, oldest first, because a person says so. Whether that person may is
    /// asked before.
    pub async fn attach(&self, attach: Attach) -> Result<Attached, Error> {
        let access = Access::system("hl7 attach");
        let Attach { place, patient, received: (from, to), by } = attach;
        let wanted = WantedMessages { place: Some(place), received: (Some(from), to), ..WantedMessages::default() };
        let open = self.open(&access, wanted).await?;
        let more = i64::try_from(open.len()).is_ok_and(|found| found >= MOST);
        let mut attached = Attached { more, ..Attached::default() };
        for kept in open.iter().filter(|kept| kept.replays.is_none()) {
            let Some(channel) = self.channel(kept) else { continue };
            attached.found += 1;
            let bytes = self.pipeline.store().message(&access, kept.id).await?.bytes;
            let taken = self.attach_one(&access, kept, bytes, channel, patient.clone(), by.clone()).await?;
            attached.taken += usize::from(taken);
        }
        Ok(attached)
    }

    /// A message as the patient's; one whose number is known by now as that one's who bears it.
    async fn attach_one(
        &self,
        access: &Access,
        kept: &Kept,
        bytes: Vec<u8>,
        channel: &Channel,
        patient: String,
        peer: String,
    ) -> Result<bool, Error> {
        let named = self.is_known(access, number(&bytes, channel)).await?;
        Ok(self.again(access, kept, bytes, channel, (!named).then_some(patient), peer).await)
    }

    /// Whether it was taken.
    async fn again(
        &self,
        access: &Access,
        kept: &Kept,
        bytes: Vec<u8>,
        channel: &Channel,
        patient: Option<String>,
        peer: String,
    ) -> bool {
        let origin = Origin { channel, peer, replays: Some(kept.id), patient };
        let arrived = self.arrive(bytes.into(), None, channel);
        let worst = self.take(access, arrived, &origin).await.worst();
        worst.is_some_and(|worst| worst.id.is_some() && worst.judged.verdict == Verdict::Accepted)
    }

    /// Oldest first.
    async fn open(&self, access: &Access, wanted: WantedMessages) -> Result<Vec<Kept>, Error> {
        let verdict = Some(Verdict::Error);
        let wanted = WantedMessages { settled: Some(false), verdict, count: MOST, ..wanted };
        let mut open = self.pipeline.store().messages(access, wanted).await?;
        open.reverse();
        Ok(open)
    }

    fn channel(&self, kept: &Kept) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.name == kept.channel)
    }

    /// Whether anybody bears this number, and be it two.
    async fn is_known(&self, access: &Access, subject: Option<Subject>) -> Result<bool, Error> {
        let Some(Subject::Identifier { system, value }) = subject else { return Ok(false) };
        let Some(param) = params::find("Patient", "identifier").filter(|_| !value.contains('\0')) else {
            return Ok(false);
        };
        let operand = Operand::Token { system, code: Some(value) };
        let query = Query::of("Patient", vec![Filter::new(param, vec![operand])], 1);
        Ok(!self.pipeline.store().search(access, query).await?.hits.is_empty())
    }
}

/// Results that were refused because nobody knew whose they are, and that nobody has sent again. What came over HTTP
/// was sent with somebody's rights, who may not write for every patient: that waits for its sender, or for a person.
fn waits(kept: &Kept) -> bool {
    // Behind the address stands the name of the certificate.
    let address = kept.peer.split(' ').next().unwrap_or_default();
    kept.replays.is_none()
        && address.parse::<SocketAddr>().is_ok()
        && ["ORU^", "OUL^"].iter().any(|kind| kept.kind.starts_with(kind))
        && of_nobody(&kept.issues)
}

/// Nobody is named, or nobody who is known.
fn of_nobody(issues: &[Issue]) -> bool {
    let unnamed = |issue: &Issue| issue.code == "required" && issue.expression == "PID[1].3";
    issues.iter().any(|issue| issue.code == "not-found" || unnamed(issue))
}

/// The times of its readings, when a bed may say whose they are; none when one of them has no time.
fn times(bytes: &[u8], channel: &Channel) -> Option<Vec<time::Range>> {
    let mapped = super::read_of(bytes, channel, Some(SOMEBODY)).ok()?.mapped;
    let lets = match channel.attach_by_bed {
        ByBed::Never => false,
        ByBed::Unnumbered => !mapped.numbered,
        ByBed::Unknown => true,
    };
    let drafts = mapped.items.iter().flatten();
    drafts.map(|draft| time::range(draft.effective.as_deref()?)).collect::<Option<_>>().filter(|_| lets)
}

fn number(bytes: &[u8], channel: &Channel) -> Option<Subject> {
    let message = message::parse_as(bytes, channel.charset).ok()?;
    message.named(&["PID"]).find_map(|pid| party::patient(&pid, channel))
}

fn value(subject: Option<Subject>) -> Option<String> {
    match subject? {
        Subject::Identifier { value, .. } => Some(value),
        Subject::Reference(_) => None,
    }
}
