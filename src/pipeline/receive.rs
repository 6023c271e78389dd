//! A message of readings, or of what is said of people and places: taken in, and stored with what it led to in the same
//! transaction. What is said of it is the same whether or not it has been taken before.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use fhir_r4::{Issue, Severity};

use super::correction::Later;
use super::intent::Planned;
use super::said::{Said, Settled};
use super::{Pipeline, Receipt, Taken, equipment};
use crate::auth::access::{Access, Action};
use crate::binding::Found;
use crate::error::Error;
use crate::normalize::draft::Draft;
use crate::store::{
    CONDITION_CHANGED, CONTROL_ID_TAKEN, Change, Commit, Judge, Judged, KnownBy, Message, Posted, Verdict, Written,
};

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
    /// The bed that it names, of results.
    pub place: Option<String>,
    /// Its sender uses control ids again for other messages.
    pub repeats: bool,
    /// How it is answered when nothing more is found to be wrong.
    pub verdict: Verdict,
    /// What is wrong with it already.
    pub issues: Vec<Issue>,
}

impl Parcel {
    fn message(self, judge: Judge) -> Message {
        let Self { channel, peer, kind, sender, control, bytes, replays, place, repeats, verdict, .. } = self;
        let known_by = match verdict {
            // What is refused by this channel may have been accepted by another.
            Verdict::Error | Verdict::Rejected => KnownBy::Nothing,
            Verdict::Accepted if repeats => KnownBy::Content,
            Verdict::Accepted => KnownBy::ControlId,
        };
        Message { channel, peer, kind, sender, control, bytes, replays, place, known_by, judge }
    }
}

/// What a message says.
#[derive(Clone, Debug, Default)]
pub struct Letter {
    pub drafts: Vec<Draft>,
    pub said: Vec<Said>,
    /// The readings belong to what is said and are stored with it, or each stands for itself.
    pub together: bool,
}

/// What is to be said of one group: refused already, or waiting for its commit.
struct Told {
    place: String,
    /// The types of its changes.
    kinds: Vec<&'static str>,
    refused: Option<Vec<Issue>>,
    is_reading: bool,
}

/// A letter as groups of changes.
#[derive(Default)]
struct Sorted {
    told: Vec<Told>,
    commits: Vec<Commit>,
    /// What is odd about it, though it was taken.
    warnings: Vec<Issue>,
}

impl Sorted {
    fn refused(&mut self, place: String, issues: Vec<Issue>, is_reading: bool) {
        self.told.push(Told { place, kinds: vec![], refused: Some(issues), is_reading });
    }

    /// What is said, with the readings that belong to it.
    fn said(&mut self, Settled { intents, warnings, .. }: Settled, readings: Vec<Change>) {
        self.warnings.extend(warnings);
        let mut commit = Planned::of(intents).commit;
        commit.changes.extend(readings);
        if !commit.changes.is_empty() {
            self.commit("MSH[1]".to_owned(), commit, false);
        }
    }

    fn commit(&mut self, place: String, commit: Commit, is_reading: bool) {
        let kinds = commit.changes.iter().map(|change| change.resource_type).collect();
        self.told.push(Told { place, kinds, refused: None, is_reading });
        self.commits.push(commit);
    }
}

impl Pipeline {
    /// Takes a message in; planned anew as long as others change what it speaks of. The error is the server's (full,
    /// shutting down, no database): nothing was stored then.
    pub async fn receive(
        &self,
        access: &Access,
        door: &'static str,
        letter: Letter,
        parcel: Parcel,
    ) -> Result<Posted, Error> {
        if letter.said.is_empty() && !letter.drafts.iter().any(|draft| draft.amends) {
            return self.receive_once(access, door, letter, parcel).await;
        }
        for _ in 0..super::interaction::ATTEMPTS {
            match self.receive_once(access, door, letter.clone(), parcel.clone()).await {
                Err(Error::Conflict(CONDITION_CHANGED)) => {}
                done => return done,
            }
        }
        Err(Error::Unavailable("Others change what this message is about; try again."))
    }

    async fn receive_once(
        &self,
        access: &Access,
        door: &'static str,
        letter: Letter,
        mut parcel: Parcel,
    ) -> Result<Posted, Error> {
        let started = Instant::now();
        let mut forbidden = !may_say(access, &letter);
        let mut sorted = if forbidden { Sorted::default() } else { self.sorted(access, letter).await? };
        forbidden |= sorted.told.iter().any(|told| !told.is_reading)
            && sorted.commits.iter().any(|commit| self.store.may_commit(access, commit).is_err());
        if forbidden {
            // It is kept all the same.
            parcel.verdict = Verdict::Error;
            parcel.issues = vec![Issue::error("forbidden", "MSH[1].9", "the sender may not write what this is about")];
            sorted = Sorted::default();
        }
        let Sorted { told, commits, warnings } = sorted;
        parcel.issues.extend(warnings);
        let told = Arc::new(told);
        let judge: Judge = {
            let (told, verdict, issues) = (told.clone(), parcel.verdict, parcel.issues.clone());
            Arc::new(move |groups| judged(verdict, &issues, &told, groups))
        };
        let (posted, groups) = self.store.post(access, commits, parcel.message(judge)).await?;
        self.metrics.ingest_to_commit_seconds.observe(started.elapsed().as_secs_f64());
        if let Posted::Stored { .. } = posted {
            self.count(door, &receipts(&told, groups));
        }
        Ok(posted)
    }

    /// What is said of devices; nothing, when it stands like that.
    async fn equipped(
        &self,
        devices: Vec<Said>,
        received: i64,
        found: &mut Found,
    ) -> Result<Result<Settled, Vec<Issue>>, Error> {
        let (key, generation) = (equipment::key(&devices)?, self.store.registry_generation());
        if let Some(known) = self.equipment.get(generation, &key).filter(|_| !self.store.is_shared()) {
            found.extend(known.iter().map(|(name, who)| (name.clone(), who.clone())));
            return Ok(Ok(Settled::default()));
        }
        let mut own = Found::default();
        let settled = self.settle_said(devices, &HashMap::new(), received, &mut own).await?;
        found.extend(own.iter().map(|(name, who)| (name.clone(), who.clone())));
        if settled.as_ref().is_ok_and(|settled| settled.intents.is_empty() && settled.warnings.is_empty()) {
            self.equipment.put(generation, key, own);
        }
        Ok(settled)
    }

    /// Each reading a group and what is said another, or all of it one.
    async fn sorted(&self, access: &Access, letter: Letter) -> Result<Sorted, Error> {
        let received = self.store.clock().now();
        let Letter { drafts, said, together } = letter;
        let (mut sorted, mut found) = (Sorted::default(), Found::default());
        let mut settled = None;
        if together {
            match self.settle_said(said.clone(), &HashMap::new(), received, &mut found).await? {
                Ok(done) => settled = Some(done),
                Err(issues) => {
                    sorted.refused("MSH[1]".to_owned(), issues, false);
                    return Ok(sorted);
                }
            }
        }
        // A device that says who it is, is known before its readings are.
        let (devices, mut said): (Vec<Said>, Vec<Said>) =
            if together { (vec![], said) } else { said.into_iter().partition(|said| is_equipment(said.kind)) };
        if access.check(Action::Update, "Provenance").is_err() {
            said.retain(|said| said.kind != "Provenance");
        }
        // Who may only send readings registers no devices, and sends readings all the same.
        if !devices.is_empty() && access.check(Action::Update, "Device").is_ok() {
            match self.equipped(devices, received, &mut found).await? {
                Ok(done) => {
                    for one in &mut said {
                        one.also(&done.versions);
                    }
                    sorted.said(done, vec![]);
                }
                Err(issues) => sorted.refused("MSH[1]".to_owned(), issues, false),
            }
        }
        let mut readings = HashMap::new();
        let (mut changes, mut corrected) = (Vec::new(), HashSet::new());
        for draft in drafts {
            match self.observation(access, &draft, received, &mut found).await? {
                Ok(change) => {
                    let later = if draft.amends { Some(self.corrected(change.clone()).await?) } else { None };
                    let change = match later {
                        // Two results of one message are two readings, whatever they have in common.
                        Some(Later::Change(later)) if corrected.insert(later.id.clone()) => later,
                        None | Some(Later::Change(_)) => change,
                        Some(Later::Same(id)) => {
                            readings.insert(format!("said:{}", draft.place), format!("Observation/{id}"));
                            continue;
                        }
                        Some(Later::Older) => {
                            sorted.warnings.push(older(&draft.place));
                            continue;
                        }
                    };
                    readings.insert(format!("said:{}", draft.place), format!("Observation/{}", change.id));
                    if together {
                        changes.push(change);
                    } else {
                        sorted.commit(draft.place, Commit { changes: vec![change], ..Commit::default() }, true);
                    }
                }
                Err(issues) => sorted.refused(draft.place, issues, true),
            }
        }
        if settled.is_none() && !said.is_empty() && !together {
            match self.settle_said(said, &readings, received, &mut found).await? {
                Ok(done) => settled = Some(done),
                Err(issues) => sorted.refused("MSH[1]".to_owned(), issues, false),
            }
        }
        if let Some(settled) = settled {
            sorted.said(settled, changes);
        }
        Ok(sorted)
    }
}

fn is_equipment(kind: &str) -> bool {
    matches!(kind, "Device" | "DeviceMetric")
}

/// What is said of people is for those alone who may write everybody's: others learn nothing of them either.
fn may_say(access: &Access, letter: &Letter) -> bool {
    let may = |kind: &str| {
        let all = |action| access.check(action, kind).is_ok_and(|permit| permit.covers(None));
        all(Action::Create) && all(Action::Update)
    };
    !letter.together || letter.said.iter().all(|said| may(said.kind))
}

/// Kept with the message, and no fault of its sender.
fn older(place: &str) -> Issue {
    Issue {
        severity: Severity::Information,
        code: "informational",
        expression: place.to_owned(),
        diagnostics: "not taken: a later word on this reading is here already".to_owned(),
    }
}

fn receipts(told: &[Told], groups: Vec<Result<Vec<Written>, Error>>) -> Vec<Receipt> {
    let mut groups = groups.into_iter();
    let mut all = Vec::with_capacity(told.len());
    for told in told {
        let outcome = match &told.refused {
            Some(issues) => Err(issues.clone()),
            None => super::one(groups.next()).map(Taken::Written).map_err(|error| error.issues()),
        };
        if told.is_reading {
            all.push(Receipt { place: told.place.clone(), outcome });
        }
    }
    all
}

fn judged(verdict: Verdict, issues: &[Issue], told: &[Told], groups: &[Result<Vec<Written>, Error>]) -> Judged {
    if groups.iter().any(|group| matches!(group, Err(Error::Conflict(CONTROL_ID_TAKEN)))) {
        let issue = Issue::error("duplicate", "MSH[1].10", CONTROL_ID_TAKEN);
        return Judged { verdict: Verdict::Error, issues: vec![issue], made: vec![] };
    }
    let (mut all, mut made) = (Vec::new(), Vec::new());
    let mut groups = groups.iter();
    for told in told {
        match (&told.refused, if told.refused.is_none() { groups.next() } else { None }) {
            (Some(refused), _) => all.extend(refused.iter().cloned().map(|issue| at(&told.place, issue))),
            (None, Some(Err(error))) => all.extend(error.issues().into_iter().map(|issue| at(&told.place, issue))),
            (None, Some(Ok(written))) => {
                let written = told.kinds.iter().zip(written);
                made.extend(written.map(|(kind, w)| format!("{kind}/{}/_history/{}", w.id, w.version)));
            }
            (None, None) => {}
        }
    }
    // What is wrong comes before what is only to be known.
    let (notes, wrong): (Vec<Issue>, Vec<Issue>) =
        issues.iter().cloned().partition(|issue| issue.severity == Severity::Information);
    let issues: Vec<Issue> = wrong.into_iter().chain(all).chain(notes).collect();
    let verdict = if verdict == Verdict::Accepted { Verdict::of(&issues) } else { verdict };
    Judged { verdict, issues, made }
}

/// Problems of the Observation that a result became are told at the result.
fn at(place: &str, issue: Issue) -> Issue {
    if issue.expression.starts_with("Observation") { Issue { expression: place.to_owned(), ..issue } } else { issue }
}
