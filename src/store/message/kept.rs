//! Looking at the messages that are kept: a list of them, one of them whole, and letting old ones go.

use diesel::prelude::*;
use fhir_r4::Issue;

use super::Verdict;
use crate::auth::access::Access;
use crate::error::Error;
use crate::store::conn::Conn;
use crate::store::schema::message;
use crate::store::{Store, body, database, oddity};

/// Messages of one page at most.
const MOST: i64 = 1000;
/// So many are let go in one transaction.
const SWEEP: i64 = 500;
const ONLY_ADMINISTRATORS: &str = "Only an administrator may look at messages: they are about all patients.";

/// Which messages; those of a person's choice, newest first.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Those that somebody has to look at, or those that nobody has to.
    pub settled: Option<bool>,
    pub channel: Option<String>,
    pub kind: Option<String>,
    pub sender: Option<String>,
    pub control: Option<String>,
    pub verdict: Option<Verdict>,
    pub place: Option<String>,
    /// Received from the first up to, and without, the second, µs UTC.
    pub received: (Option<i64>, Option<i64>),
    /// Older than this message.
    pub before: Option<i64>,
    pub count: i64,
}

/// A message without its bytes.
#[derive(Clone, Debug)]
pub struct Kept {
    pub id: i64,
    /// µs UTC
    pub received: i64,
    pub channel: String,
    pub peer: String,
    pub kind: String,
    pub sender: String,
    pub control: String,
    pub verdict: String,
    pub issues: Vec<Issue>,
    pub made: Vec<String>,
    pub settled: bool,
    pub replays: Option<i64>,
    pub place: Option<String>,
}

/// A message with its bytes.
#[derive(Clone, Debug)]
pub struct Opened {
    pub kept: Kept,
    pub bytes: Vec<u8>,
}

type Line = (i64, i64, String, String, String, String, String, String, String, String, bool, Option<i64>);

const LINE: (
    message::id,
    message::received,
    message::channel,
    message::peer,
    message::kind,
    message::sender,
    message::control,
    message::verdict,
    message::issues,
    message::made,
    message::settled,
    message::replays,
) = (
    message::id,
    message::received,
    message::channel,
    message::peer,
    message::kind,
    message::sender,
    message::control,
    message::verdict,
    message::issues,
    message::made,
    message::settled,
    message::replays,
);

fn kept(line: Line, place: Option<String>) -> Result<Kept, Error> {
    let (id, received, channel, peer, kind, sender, control, verdict, issues, made, settled, replays) = line;
    let (issues, made) = (oddity::decode(&issues)?, made.split_whitespace().map(str::to_owned).collect());
    Ok(Kept { id, received, channel, peer, kind, sender, control, verdict, issues, made, settled, replays, place })
}

fn authorise(access: &Access) -> Result<(), Error> {
    if access.is_administrator() { Ok(()) } else { Err(Error::Forbidden(ONLY_ADMINISTRATORS.to_owned())) }
}

impl Store {
    /// One page of messages, newest first.
    pub async fn messages(&self, access: &Access, wanted: Wanted) -> Result<Vec<Kept>, Error> {
        authorise(access)?;
        self.read(move |conn, _| list(conn, &wanted)).await
    }

    /// One message whole.
    pub async fn message(&self, access: &Access, id: i64) -> Result<Opened, Error> {
        authorise(access)?;
        self.point_read(move |conn, _| {
            let own = message::table.filter(message::id.eq(id)).select((LINE, message::place, message::body));
            let found: Option<(Line, Option<String>, Vec<u8>)> = own.first(conn).optional().map_err(database)?;
            let (line, place, packed) = found.ok_or(Error::UnknownEndpoint)?;
            Ok(Opened { kept: kept(line, place)?, bytes: body::decompress(&packed)? })
        })
        .await
    }

    /// How many somebody has to look at.
    pub async fn open_messages(&self) -> Result<i64, Error> {
        self.read(|conn, _| {
            message::table.filter(message::settled.eq(false)).count().get_result(conn).map_err(database)
        })
        .await
    }

    /// Nobody has to look at this message any more. False: nobody had to.
    pub async fn settle_message(&self, access: &Access, id: i64) -> Result<bool, Error> {
        authorise(access)?;
        self.write_aside(move |conn| {
            let own = message::table.filter(message::id.eq(id).and(message::settled.eq(false)));
            let done = diesel::update(own).set(message::settled.eq(true)).execute(conn);
            done.map(|done| done == 1).map_err(database)
        })
        .await
    }

    /// Lets go some of the messages that were received before an instant (µs UTC) and that nobody has to look at.
    /// How many; as long as there are any, there may be more.
    pub async fn forget_messages(&self, before: i64) -> Result<usize, Error> {
        self.write_aside(move |conn| {
            let old = message::table.filter(message::received.lt(before).and(message::settled.eq(true)));
            let ids: Vec<i64> =
                old.select(message::id).order(message::received).limit(SWEEP).load(conn).map_err(database)?;
            diesel::delete(message::table.filter(message::id.eq_any(ids))).execute(conn).map_err(database)
        })
        .await
    }
}

fn list(conn: &mut Conn, wanted: &Wanted) -> Result<Vec<Kept>, Error> {
    let mut query = message::table.select((LINE, message::place)).order(message::id.desc()).into_boxed();
    if let Some(settled) = wanted.settled {
        query = query.filter(message::settled.eq(settled));
    }
    if let Some(channel) = &wanted.channel {
        query = query.filter(message::channel.eq(channel));
    }
    if let Some(kind) = &wanted.kind {
        query = query.filter(message::kind.eq(kind));
    }
    if let Some(sender) = &wanted.sender {
        query = query.filter(message::sender.eq(sender));
    }
    if let Some(control) = &wanted.control {
        query = query.filter(message::control.eq(control));
    }
    if let Some(verdict) = wanted.verdict {
        query = query.filter(message::verdict.eq(verdict.code()));
    }
    if let Some(place) = &wanted.place {
        query = query.filter(message::place.eq(place));
    }
    if let Some(from) = wanted.received.0 {
        query = query.filter(message::received.ge(from));
    }
    if let Some(to) = wanted.received.1 {
        query = query.filter(message::received.lt(to));
    }
    if let Some(before) = wanted.before {
        query = query.filter(message::id.lt(before));
    }
    let lines: Vec<(Line, Option<String>)> = query.limit(wanted.count.clamp(1, MOST)).load(conn).map_err(database)?;
    lines.into_iter().map(|(line, place)| kept(line, place)).collect()
}
