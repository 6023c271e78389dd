//! Messages that wait for somebody to say whose they are: how many at each place. Nothing of what they say is told, for
//! those who attach them need not be administrators.

use diesel::dsl::{count_star, max, min};
use diesel::prelude::*;

use crate::auth::access::{Access, Action};
use crate::error::Error;
use crate::store::schema::message;
use crate::store::{Store, database};

/// Places of one answer at most.
const MOST: i64 = 1000;
const NOT_FOR_ALL: &str = "Only who may change the readings of every patient may say whose readings are.";

/// What waits at one place.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub place: String,
    pub messages: i64,
    /// When the first and the last of them came, µs UTC.
    pub first: i64,
    pub last: i64,
}

type Line = (Option<String>, i64, Option<i64>, Option<i64>);

impl Store {
    /// Whether the caller may say whose readings are that wait.
    pub fn may_attach(&self, access: &Access) -> Result<(), Error> {
        let all = |action, kind| access.check(action, kind).is_ok_and(|permit| permit.covers(None));
        let may =
            all(Action::Read, "Patient") && all(Action::Create, "Observation") && all(Action::Update, "Observation");
        if may { Ok(()) } else { Err(Error::Forbidden(NOT_FOR_ALL.to_owned())) }
    }

    /// The places where something waits.
    pub async fn waiting(&self, access: &Access) -> Result<Vec<Waiting>, Error> {
        self.may_attach(access)?;
        self.read(|conn, _| {
            let open = message::table.filter(message::place.is_not_null().and(message::settled.eq(false)));
            let lines: Vec<Line> = open
                .filter(message::replays.is_null())
                .group_by(message::place)
                .select((message::place, count_star(), min(message::received), max(message::received)))
                .order(message::place)
                .limit(MOST)
                .load(conn)
                .map_err(database)?;
            let waiting = |(place, messages, first, last): Line| {
                Some(Waiting { place: place?, messages, first: first?, last: last? })
            };
            Ok(lines.into_iter().filter_map(waiting).collect())
        })
        .await
    }
}
