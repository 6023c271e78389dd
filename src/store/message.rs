//! HL7 messages as they came: each byte for byte, with who sent it, how it was answered and which versions it made,
//! written in the transaction of those versions. So a message that was answered is here, one that was answered well
//! has been stored whole, and one that comes again is known. What a message means has no place here.

mod kept;
mod waiting;

use std::sync::Arc;

use diesel::prelude::*;
use sha2::{Digest, Sha256};

pub use kept::{Kept, Opened, Wanted};
pub use waiting::Waiting;

use super::conn::{Conn, each};
use super::guard::CONDITION_CHANGED;
use super::lane::{Batched, Job};
use super::schema::message;
use super::{Commit, Priority, Store, Written, authorise, batch, body, database, oddity};
use crate::audit::Stamp;
use crate::auth::access::Access;
use crate::error::Error;
use fhir_r4::{Issue, Severity};
use tokio::sync::oneshot;

/// How a message was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    /// Something of it is wrong, or could not be stored now.
    Error,
    /// Not for this server.
    Rejected,
}

impl Verdict {
    const ALL: [Self; 3] = [Self::Accepted, Self::Error, Self::Rejected];

    /// The code of an answer in original mode.
    pub fn code(self) -> &'static str {
        match self {
            Self::Accepted => "AA",
            Self::Error => "AE",
            Self::Rejected => "AR",
        }
    }

    /// `A`, `E` or `R`: what the codes of both modes end with.
    pub fn letter(self) -> char {
        match self {
            Self::Accepted => 'A',
            Self::Error => 'E',
            Self::Rejected => 'R',
        }
    }

    /// On a message that is taken and has these problems.
    pub fn of(issues: &[Issue]) -> Self {
        if issues.iter().any(|issue| issue.severity == Severity::Error) { Self::Error } else { Self::Accepted }
    }

    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.code() == code)
    }
}

/// How a message is answered, why, and which versions it made.
#[derive(Clone, Debug)]
pub struct Judged {
    pub verdict: Verdict,
    pub issues: Vec<Issue>,
    /// `Observation/a/_history/1`
    pub made: Vec<String>,
}

/// What is said of a message once it is known what became of its groups; it may be asked more than once.
pub type Judge = Arc<dyn Fn(&[Result<Vec<Written>, Error>]) -> Judged + Send + Sync>;

/// By what a message is known that was accepted before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// Its control id: the same one on other content is a mistake.
    ControlId,
    /// Its content as well: its sender uses control ids again.
    Content,
    /// It is looked at as if it were new.
    Nothing,
}

/// A message that is to be stored.
#[derive(Clone)]
pub struct Message {
    pub channel: String,
    pub peer: String,
    /// MSH-9: `ORU^R01`; empty when it cannot be read.
    pub kind: String,
    /// MSH-3 and MSH-4.
    pub sender: String,
    /// MSH-10; empty when it cannot be read: then it is never known.
    pub control: String,
    pub bytes: Vec<u8>,
    /// The message that this one is sent again for, by a person who has decided that it is to be taken.
    pub replays: Option<i64>,
    /// The bed of the patient, as far as one is named; kept as long as somebody has to look at the message.
    pub place: Option<String>,
    pub known_by: KnownBy,
    pub judge: Judge,
}

/// What became of a message.
#[derive(Clone, Debug)]
pub enum Posted {
    Stored {
        id: i64,
        judged: Judged,
    },
    /// The same message was accepted before: nothing was done, and the answer is the same.
    Known {
        id: i64,
        judged: Judged,
    },
}

/// A message on its way through the lane.
pub(super) struct Posting {
    message: Message,
    hash: Vec<u8>,
    body: Vec<u8>,
    received: i64,
}

impl Posting {
    fn new(message: Message, received: i64) -> Self {
        let hash = Sha256::digest(&message.bytes).to_vec();
        let body = body::compress(message.bytes.clone());
        Self { message, hash, body, received }
    }
}

/// What stands against taking a message's groups.
pub(super) enum Before {
    Nothing {
        /// Whether the same may have been sent before, and waits for somebody to look at it.
        is_open: bool,
    },
    Known(Posted),
    /// Another message of this sender had the same control id.
    Taken,
}

/// Whether a message of this sender and control id was accepted before. The log's head is locked.
pub(super) fn before(conn: &mut Conn, posting: &Posting) -> Result<Before, Error> {
    let Message { sender, control, replays, known_by, .. } = &posting.message;
    if control.is_empty() || replays.is_some() || *known_by == KnownBy::Nothing {
        return Ok(Before::Nothing { is_open: !control.is_empty() });
    }
    let mut named = message::table
        .filter(message::sender.eq(sender).and(message::control.eq(control)))
        .filter(message::verdict.eq(Verdict::Accepted.code()).or(message::settled.eq(false)))
        .select((message::id, message::hash, message::verdict, message::issues, message::made))
        .order(message::id.desc())
        .into_boxed();
    if *known_by == KnownBy::Content {
        named = named.filter(message::hash.eq(&posting.hash));
    }
    let found: Vec<Earlier> = named.load(conn).map_err(database)?;
    let (accepted, open): (Vec<_>, Vec<_>) =
        found.iter().partition(|earlier| earlier.verdict == Verdict::Accepted.code());
    Ok(match accepted.iter().find(|earlier| earlier.hash == posting.hash) {
        Some(earlier) => Before::Known(earlier.posted()?),
        None if accepted.is_empty() => {
            Before::Nothing { is_open: open.iter().any(|earlier| earlier.hash == posting.hash) }
        }
        None => Before::Taken,
    })
}

/// A message of the same sender and control id.
#[derive(Queryable)]
struct Earlier {
    id: i64,
    hash: Vec<u8>,
    verdict: String,
    issues: String,
    made: String,
}

impl Earlier {
    fn posted(&self) -> Result<Posted, Error> {
        let judged = Judged {
            verdict: Verdict::Accepted,
            issues: oddity::decode(&self.issues)?,
            made: self.made.split_whitespace().map(str::to_owned).collect(),
        };
        Ok(Posted::Known { id: self.id, judged })
    }
}

#[derive(Insertable)]
#[diesel(table_name = message, treat_none_as_default_value = false)]
struct Row<'a> {
    received: i64,
    channel: &'a str,
    peer: &'a str,
    kind: &'a str,
    sender: &'a str,
    control: &'a str,
    hash: &'a [u8],
    verdict: &'a str,
    issues: String,
    made: String,
    settled: bool,
    replays: Option<i64>,
    body: &'a [u8],
    place: Option<String>,
}

/// Stores a message with what is said of it. One that is accepted settles what was sent before it for the same, when
/// that `is_open`.
pub(super) fn store(
    conn: &mut Conn,
    posting: &Posting,
    is_open: bool,
    groups: &[Result<Vec<Written>, Error>],
) -> Result<Posted, Error> {
    let judged = (posting.message.judge)(groups);
    let Message { channel, peer, kind, sender, control, replays, place, .. } = &posting.message;
    let settled = judged.verdict == Verdict::Accepted;
    if settled && (is_open || replays.is_some()) {
        settle(conn, posting)?;
    }
    let row = Row {
        received: posting.received,
        channel,
        peer,
        kind,
        sender,
        control,
        hash: &posting.hash,
        verdict: judged.verdict.code(),
        issues: oddity::encode(&judged.issues).unwrap_or_else(|| "[]".to_owned()),
        made: judged.made.join(" "),
        settled,
        replays: *replays,
        body: &posting.body,
        place: place.clone().filter(|_| !settled),
    };
    let insert = diesel::insert_into(message::table).values(&row);
    let id = each!(conn, c => insert.returning(message::id).get_result(c)).map_err(database)?;
    Ok(Posted::Stored { id, judged })
}

/// The sender has sent it once more, or a person has, and now it was taken.
fn settle(conn: &mut Conn, posting: &Posting) -> Result<(), Error> {
    let Message { sender, control, replays, .. } = &posting.message;
    let open = message::table.filter(message::settled.eq(false));
    if let Some(replays) = replays {
        let first = open.filter(message::id.eq(replays));
        diesel::update(first).set(message::settled.eq(true)).execute(conn).map_err(database)?;
    }
    if !control.is_empty() {
        let same = open.filter(message::sender.eq(sender).and(message::control.eq(control)));
        let same = same.filter(message::hash.eq(&posting.hash));
        diesel::update(same).set(message::settled.eq(true)).execute(conn).map_err(database)?;
    }
    Ok(())
}

impl Store {
    /// Commits each group by itself, and the message with what is said of it, in one transaction. Returns after
    /// COMMIT. An error is the server's, or that of a group when the message is to be made again: nothing was stored
    /// then, nor the message.
    pub async fn post(
        &self,
        access: &Access,
        commits: Vec<Commit>,
        message: Message,
    ) -> Result<(Posted, Vec<Result<Vec<Written>, Error>>), Error> {
        let mut groups = Vec::with_capacity(commits.len());
        for commit in commits {
            authorise(access, &commit)?;
            groups.push(self.prepared(access, commit)?);
        }
        let rows = groups.iter().map(|g| g.changes.len().max(1)).sum::<usize>() + 1;
        let posting = Some(Box::new(Posting::new(message, self.inner.clock.now())));
        let (reply, answer) = oneshot::channel();
        self.enqueue(
            rows,
            Priority::Interactive,
            Job::Commit(Batched { groups, posting, stamp: Stamp::of(access), reply }),
        )?;
        let answer = answer.await.map_err(|_| Error::Unavailable("The server is shutting down."))?;
        let broken = |error: &Error| error.view().status >= 500;
        match (answer.posted, answer.groups) {
            (None, groups) if groups.iter().filter_map(|group| group.as_ref().err()).any(batch::is_stale) => {
                Err(Error::Conflict(CONDITION_CHANGED))
            }
            (Some(posted), groups) if !groups.iter().filter_map(|group| group.as_ref().err()).any(broken) => {
                Ok((posted, groups))
            }
            (Some(_), groups) => {
                Err(groups.into_iter().filter_map(Result::err).find(broken).unwrap_or_else(unanswered))
            }
            (None, groups) => Err(groups.into_iter().find_map(Result::err).unwrap_or_else(unanswered)),
        }
    }
}

fn unanswered() -> Error {
    Error::internal("a message without an answer")
}
