//! One transaction of the lane at work: what each change finds in the store, whether its group may be written,
//! and the rows that wait for the flush. Nothing is written for a group that is refused.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::prelude::*;

use super::audit::{self, Line};
use super::body::{self, Head};
use super::conn::Conn;
use super::dict::Dict;
use super::guard::{Budget, CONDITION_CHANGED};
use super::lane::{Answer, Batched, Group};
use super::log::Entry;
use super::message::{self, Before};
use super::prepare::{OBSERVATION, Prepared, Repeat, Verb, type_number};
use super::schema::observation;
use super::write::{self, Current, Pending, Step};
use super::{Outcome, Written, database, patient_of, reader};
use crate::error::Error;

/// Why a reader's step is refused.
pub const READER_LOST: &str = "Another node reads this part of the log now.";

/// Why a message is refused that is another one than its control id says.
pub const CONTROL_ID_TAKEN: &str = "Another message of this sender had the same control id (MSH-10).";

const OTHER_CONTENT: Error = Error::Conflict("The same reading was received before with other content.");

/// Whether somebody has changed what a group was made from.
pub(super) fn is_stale(error: &Error) -> bool {
    matches!(error, Error::Conflict(CONDITION_CHANGED) | Error::VersionConflict { .. })
}

/// What a transaction came to.
pub(super) struct Finished {
    /// The last number that was given.
    pub seq: i64,
    /// To be published after the commit.
    pub entries: Vec<Arc<Entry>>,
    /// To be put into the audit trail.
    pub recorded: Vec<Line>,
}

/// One transaction at work.
pub(super) struct Batch<'a> {
    conn: &'a mut Conn,
    dict: &'a Dict,
    seq: i64,
    now: i64,
    pending: Pending,
    entries: Vec<Arc<Entry>>,
    /// Ids of repeatable creates that are stored already, with version and body.
    stored: HashMap<(i16, Vec<u8>), Current>,
    /// Ids created in this batch, with the bodies they were created with.
    fresh: HashMap<(i16, Vec<u8>), (i64, Vec<u8>)>,
    /// Whose it was that is deleted, by `seq`.
    lost: HashMap<i64, String>,
    /// For the audit trail.
    recorded: Vec<Line>,
}

impl<'a> Batch<'a> {
    /// `seq`: the last number that was given. The log's head is locked.
    pub(super) fn new(conn: &'a mut Conn, dict: &'a Dict, seq: i64, now: i64) -> Self {
        let (pending, stored, fresh) = (Pending::default(), HashMap::new(), HashMap::new());
        let (lost, recorded) = (HashMap::new(), vec![]);
        Self { conn, dict, seq, now, pending, entries: vec![], stored, fresh, lost, recorded }
    }

    /// Writes what waits.
    pub(super) fn finish(mut self) -> Result<Finished, Error> {
        self.flush()?;
        Ok(Finished { seq: self.seq, entries: self.entries, recorded: self.recorded })
    }

    /// One query for all ids that may be stored already.
    pub(super) fn look_up_repeatable(&mut self, jobs: &[Batched]) -> Result<(), Error> {
        let mut keys: Vec<&[u8]> = Vec::new();
        let changes = jobs.iter().flat_map(|j| &j.groups).flat_map(|g| &g.changes);
        for change in changes.filter(|c| c.verb.is_repeatable()) {
            if change.resource_type == OBSERVATION {
                keys.push(&change.key);
            } else if let Some(current) = write::current(self.conn, change.resource_type, change.rtype, &change.key)? {
                self.stored.insert((change.rtype, change.key.clone()), current);
            }
        }
        let rtype = type_number(OBSERVATION)?;
        for chunk in keys.chunks(500) {
            let found: Vec<(Vec<u8>, Current)> = observation::table
                .filter(observation::id.eq_any(chunk.iter().map(|k| k.to_vec())))
                .select((
                    observation::id,
                    (
                        observation::seq,
                        observation::version,
                        observation::updated,
                        observation::deleted,
                        observation::body,
                    ),
                ))
                .load(self.conn)
                .map_err(database)?;
            self.stored.extend(found.into_iter().map(|(key, current)| ((rtype, key), current)));
        }
        Ok(())
    }

    /// What a caller asks for: its groups, each by itself, with the message that they came in.
    pub(super) fn job(&mut self, job: &Batched) -> Result<Answer, Error> {
        let before = job
            .posting
            .as_ref()
            .map_or(Ok(Before::Nothing { is_open: false }), |posting| message::before(self.conn, posting))?;
        let (groups, is_open) = match before {
            Before::Known(posted) => return Ok(Answer { groups: vec![], posted: Some(posted) }),
            Before::Taken => (vec![Err(Error::Conflict(CONTROL_ID_TAKEN))], false),
            Before::Nothing { is_open } => {
                let mut budget = Budget::new();
                let groups = job.groups.iter().map(|group| self.group(group, &mut budget));
                (groups.collect::<Result<_, Error>>()?, is_open)
            }
        };
        // What the message was made from has changed: it is made again, and stored then.
        let stale = groups.iter().any(|group| group.as_ref().is_err_and(is_stale));
        let posting = job.posting.as_ref().filter(|_| !stale);
        self.recorded.extend(audit::entries(&job.stamp, &job.groups, &groups, &self.lost, self.now)?);
        let posted = posting.map(|posting| message::store(self.conn, posting, is_open, &groups)).transpose()?;
        Ok(Answer { groups, posted })
    }

    /// All changes of a group, or what stands against it. The outer error is the transaction's.
    fn group(&mut self, group: &Group, budget: &mut Budget) -> Result<Result<Vec<Written>, Error>, Error> {
        let plain = group.guards.is_empty()
            && group.cursor.is_none()
            && group.changes.iter().all(|c| matches!(c.verb, Verb::Create(_)));
        if !plain {
            // What is read now must see what this batch has written so far.
            self.flush()?;
        }
        let steps = match self.check(group, budget)? {
            Ok(steps) => steps,
            Err(refused) => return Ok(Err(refused)),
        };
        if let Some(cursor) = &group.cursor
            && !reader::advance(self.conn, cursor)?
        {
            return Ok(Err(Error::Conflict(READER_LOST)));
        }
        let written = group.changes.iter().zip(steps).map(|(change, step)| self.apply(change, step));
        written.collect::<Result<_, Error>>().map(Ok)
    }

    /// What each change finds, without writing anything.
    fn check(&mut self, group: &Group, budget: &mut Budget) -> Result<Result<Vec<Step>, Error>, Error> {
        if !group.guards.is_empty()
            && let Err(refused) = budget.ask(self.conn, self.dict, &group.guards)?
        {
            return Ok(Err(refused));
        }
        let mut steps = Vec::with_capacity(group.changes.len());
        let mut seen = HashMap::new();
        for change in &group.changes {
            // Twice the same id in a group: a reading repeated, the version after the one before, else a
            // contradiction.
            let key = (change.rtype, change.key.as_slice());
            let before: Option<(&[u8], i32)> = seen.get(&key).copied();
            let repeated = change.verb.is_repeatable() && before.is_some_and(|(body, _)| change.repeats(body));
            let step = match before {
                // Only a reader of the log concludes several versions at once.
                Some((_, version)) if group.cursor.is_some() && change.verb.follows(version) => Step::Next(version),
                Some(_) if !repeated => {
                    return Ok(Err(Error::Conflict("One resource is changed twice in one transaction.")));
                }
                _ => match self.step(change)? {
                    Ok(step) => step,
                    Err(refused) => return Ok(Err(refused)),
                },
            };
            seen.insert(key, (change.body.as_slice(), step.version()));
            steps.push(step);
        }
        Ok(Ok(steps))
    }

    fn step(&mut self, change: &Prepared) -> Result<Result<Step, Error>, Error> {
        let key = (change.rtype, change.key.clone());
        if let Verb::Create(repeat) = change.verb {
            if repeat == Repeat::Never {
                return Ok(Ok(Step::First));
            }
            return Ok(match self.stored.get(&key) {
                None if self.fresh.get(&key).is_some_and(|(_, body)| !change.repeats(body)) => Err(OTHER_CONTENT),
                None => Ok(Step::First),
                // A later version or a deletion says that the reading was known and worked on since.
                Some(c) if c.deleted || c.version > 1 || change.repeats(&c.body) => Ok(Step::Known(c.clone())),
                Some(_) => Err(OTHER_CONTENT),
            });
        }
        let current = write::current(self.conn, change.resource_type, change.rtype, &change.key)?;
        Ok(write::next(change, current))
    }

    fn apply(&mut self, change: &Prepared, step: Step) -> Result<Written, Error> {
        let key = (change.rtype, change.key.clone());
        // The same repeatable id twice in one batch: the second is the first.
        if change.verb.is_repeatable()
            && let Some((seq, _)) = self.fresh.get(&key)
        {
            return Ok(Written {
                id: change.id.clone(),
                version: 1,
                updated: self.now,
                seq: *seq,
                outcome: Outcome::Known,
            });
        }
        let step = match step {
            Step::Next(version) => self.after(change, version)?,
            step => step,
        };
        let (version, outcome) = match step {
            Step::Known(current) => {
                return Ok(Written {
                    id: change.id.clone(),
                    version: current.version,
                    updated: current.updated,
                    seq: current.seq,
                    outcome: Outcome::Known,
                });
            }
            Step::Absent => return Ok(Written::absent(&change.id)),
            Step::First | Step::Next(_) => (1, Outcome::Created),
            Step::After(current) => {
                let version = current.version + 1;
                let revived = current.deleted;
                if matches!(change.verb, Verb::Delete { .. }) {
                    self.lost.extend(owner(change, &current)?.map(|patient| (self.seq + 1, patient)));
                }
                self.pending.supersede(change, current);
                (version, if revived { Outcome::Created } else { Outcome::Updated })
            }
        };
        self.seq += 1;
        self.pending.add(change, self.seq, version, self.now);
        if change.verb.is_repeatable() {
            self.fresh.insert(key, (self.seq, change.body.clone()));
        }
        self.entries.push(Arc::new(Entry {
            seq: self.seq,
            resource_type: change.resource_type,
            id: change.id.clone(),
            version,
            updated: self.now,
            content: change.content.clone(),
        }));
        Ok(Written { id: change.id.clone(), version, updated: self.now, seq: self.seq, outcome })
    }

    /// What this group itself has written of the resource is what stands now.
    fn after(&mut self, change: &Prepared, version: i32) -> Result<Step, Error> {
        self.flush()?;
        let current = write::current(self.conn, change.resource_type, change.rtype, &change.key)?;
        let current = current.filter(|current| current.version == version);
        current.map(Step::After).ok_or_else(|| Error::internal("a version of this transaction is not there"))
    }

    fn flush(&mut self) -> Result<(), Error> {
        std::mem::take(&mut self.pending).write(self.conn)
    }
}

/// Whose a version is that is about to be deleted.
fn owner(change: &Prepared, current: &Current) -> Result<Option<String>, Error> {
    if current.deleted {
        return Ok(None);
    }
    let Current { version, updated, .. } = *current;
    let head = Head { resource_type: change.resource_type, id: &change.id, version, updated };
    let resource = serde_json::from_slice(&body::render(&head, &current.body)?).map_err(Error::internal)?;
    Ok(patient_of(change.resource_type, &change.id, &resource))
}
