//! A message of readings: taken in as drafts are, and stored with what it led to in the same transaction. What is
//! said of it is the same whether or not it has been taken before.

use std::sync::Arc;
use std::time::Instant;

use fhir_r4::Issue;

use super::{Pipeline, Receipt};
use crate::auth::access::Access;
use crate::binding::Found;
use crate::error::Error;
use crate::normalize::draft::Draft;
use crate::store::{CONTROL_ID_TAKEN, Change, Commit, Judge, Judged, KnownBy, Message, Posted, Verdict, Written};

/// A message as it came, before anything of it was taken.
#[derive(Clone)]
pub struct Parcel {
    pub channel: String,
    pub peer: String,
    /// MSH-9, MSH-3 and MSH-4, MSH-10; empty as far as they could not be read.
    pub kind: String,
    pub sender: String,
    pub control: String,
    pub bytes: Vec<u8>,
    pub replays: Option<i64>,
    /// Its sender uses control ids again for other messages.
    pub repeats: bool,
    /// How it is answered when nothing more is found to be wrong.
    pub verdict: Verdict,
    /// What is wrong with it already.
    pub issues: Vec<Issue>,
}

impl Parcel {
    pub(super) fn message(self, judge: Judge) -> Message {
        let Self { channel, peer, kind, sender, control, bytes, replays, repeats, verdict, .. } = self;
        let known_by = match verdict {
            // What is refused by this channel may have been accepted by another.
            Verdict::Error | Verdict::Rejected => KnownBy::Nothing,
            Verdict::Accepted if repeats => KnownBy::Content,
            Verdict::Accepted => KnownBy::ControlId,
        };
        Message { channel, peer, kind, sender, control, bytes, replays, known_by, judge }
    }
}

/// What is to be said of one draft: refused already, or waiting for its commit.
struct Told {
    place: String,
    refused: Option<Vec<Issue>>,
}

impl Pipeline {
    /// Takes a message in. The error is the server's (full, shutting down, no database): nothing was stored then.
    pub async fn receive(
        &self,
        access: &Access,
        door: &'static str,
        drafts: Vec<Draft>,
        parcel: Parcel,
    ) -> Result<Posted, Error> {
        let started = Instant::now();
        let received = self.store.clock().now();
        let (mut told, mut commits) = (Vec::with_capacity(drafts.len()), Vec::with_capacity(drafts.len()));
        let mut found = Found::default();
        for draft in drafts {
            let change = self.observation(&draft, received, &mut found).await?;
            let refused = change.map(|change: Change| {
                commits.push(Commit { changes: vec![change], ..Commit::default() });
            });
            told.push(Told { place: draft.place, refused: refused.err() });
        }
        let told = Arc::new(told);
        let judge: Judge = {
            let (told, verdict, issues) = (told.clone(), parcel.verdict, parcel.issues.clone());
            Arc::new(move |groups| Some(judged(verdict, &issues, &told, groups)))
        };
        let (posted, groups) = self.store.post(access, commits, parcel.message(judge)).await?;
        self.metrics.ingest_to_commit_seconds.observe(started.elapsed().as_secs_f64());
        if let Posted::Stored { .. } = posted {
            self.count(door, &receipts(&told, groups));
        }
        Ok(posted)
    }
}

fn receipts(told: &[Told], groups: Vec<Result<Vec<Written>, Error>>) -> Vec<Receipt> {
    let mut groups = groups.into_iter();
    let outcome = |told: &Told| match &told.refused {
        Some(issues) => Err(issues.clone()),
        None => super::one(groups.next()).map_err(|error| error.issues()),
    };
    let outcomes: Vec<_> = told.iter().map(outcome).collect();
    told.iter().zip(outcomes).map(|(told, outcome)| Receipt { place: told.place.clone(), outcome }).collect()
}

/// What is said when another message of this sender had the same control id.
pub(super) fn taken(groups: &[Result<Vec<Written>, Error>]) -> Option<Judged> {
    let is_taken = |group: &Result<_, Error>| matches!(group, Err(Error::Conflict(CONTROL_ID_TAKEN)));
    groups.iter().any(is_taken).then(|| Judged {
        verdict: Verdict::Error,
        issues: vec![Issue::error("duplicate", "MSH[1].10", CONTROL_ID_TAKEN)],
        made: vec![],
    })
}

fn judged(verdict: Verdict, issues: &[Issue], told: &[Told], groups: &[Result<Vec<Written>, Error>]) -> Judged {
    if let Some(taken) = taken(groups) {
        return taken;
    }
    let (mut issues, mut made) = (issues.to_vec(), Vec::new());
    let mut groups = groups.iter();
    for told in told {
        match (&told.refused, if told.refused.is_none() { groups.next() } else { None }) {
            (Some(refused), _) => issues.extend(refused.iter().cloned().map(|issue| at(&told.place, issue))),
            (None, Some(Err(error))) => issues.extend(error.issues().into_iter().map(|issue| at(&told.place, issue))),
            (None, Some(Ok(written))) => {
                made.extend(written.iter().map(|w| format!("Observation/{}/_history/{}", w.id, w.version)));
            }
            (None, None) => {}
        }
    }
    let verdict = if verdict == Verdict::Accepted { Verdict::of(&issues) } else { verdict };
    Judged { verdict, issues, made }
}

/// Problems of the Observation that a result became are told at the result.
fn at(place: &str, issue: Issue) -> Issue {
    if issue.expression.starts_with("Observation") { Issue { expression: place.to_owned(), ..issue } } else { issue }
}
