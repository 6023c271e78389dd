//! Digested days of those who are asked about, in memory: a summary of ninety days reads the rows of the days that
//! changed, and of no other. A cache: every answer is compared with the end of the log first, a day that was written
//! to is dropped and digested anew when somebody asks.

mod held;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::held::{Held, Touch, digested};
pub use self::held::{Key, UnitDay};
use crate::alert::pattern::Zone;
use crate::auth::access::{Access, Action};
use crate::error::Error;
use crate::fhir::reading::Reading;
use crate::store::{Content, Entry, Store, Wanted};

/// Entries of the log that are read at once.
const BATCH: usize = 1000;
/// Who is further behind than this begins anew.
const FAR_BEHIND: i64 = 4096;
/// Pause after a failure of the follower.
const PAUSE: Duration = Duration::from_secs(1);

/// Days in their order, each with what was measured, by unit.
pub type Digested = Vec<(i64, Arc<[UnitDay]>)>;

#[derive(Clone)]
pub struct Days {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    bell: watch::Receiver<i64>,
    held: Mutex<Held>,
}

impl Days {
    pub fn new(store: Store) -> Self {
        let bell = store.bell();
        Self { shared: Arc::new(Shared { store, bell, held: Mutex::default() }) }
    }

    /// The local days `from..to` of one code. What had to be read for it is taken from `left`; none when that is not
    /// enough.
    pub async fn ask(
        &self,
        access: &Access,
        subject: &str,
        code: &Wanted,
        zone: Zone,
        days: std::ops::Range<i64>,
        left: &mut usize,
    ) -> Result<Option<Digested>, Error> {
        if !access.check(Action::Search, "Observation")?.covers(Some(subject)) {
            return Ok(Some(vec![]));
        }
        self.catch_up().await?;
        let key = Key { code: code.clone(), zone };
        let (mut found, missing, seen) = {
            let mut held = self.held();
            let (found, missing) = held.find(subject, &key, days);
            (found, missing, held.seen())
        };
        if missing.is_empty() {
            return Ok(Some(found));
        }
        let stretches: Vec<(i64, i64)> =
            runs(&missing).into_iter().map(|(first, end)| (zone.midnight(first), zone.midnight(end))).collect();
        let (own, wanted) = (key.clone(), code.clone());
        let make = move |samples| digested(&own, &missing, samples);
        let Some(loaded) = self.shared.store.sampled(&house(), subject, wanted, stretches, *left, make).await? else {
            return Ok(None);
        };
        *left = left.saturating_sub(held::readings(&loaded));
        found.extend(loaded.iter().cloned());
        found.sort_by_key(|(day, _)| *day);
        self.keep(subject, &key, loaded, seen).await?;
        Ok(Some(found))
    }

    /// Keeps the days from the log until cancelled, so that questions find them warm.
    pub async fn run(self, cancelled: CancellationToken) {
        let mut bell = self.shared.store.bell();
        loop {
            tokio::select! {
                rung = bell.changed() => if rung.is_err() { return },
                () = cancelled.cancelled() => return,
            }
            if let Err(error) = self.catch_up().await {
                tracing::error!(%error, "digested days fall behind");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Days that were read when the log was at `seen` at least; what was written to meanwhile is not kept.
    async fn keep(&self, subject: &str, key: &Key, mut loaded: Digested, mut seen: i64) -> Result<(), Error> {
        loop {
            {
                let mut held = self.held();
                if seen >= held.seen() {
                    held.adopt(subject, key, loaded);
                    return Ok(());
                }
            }
            let entries = self.shared.store.log_after(seen, BATCH).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            seen = last.seq;
            for entry in &entries {
                match self.touch(entry).await? {
                    Touch::Nothing => {}
                    Touch::Everything => return Ok(()),
                    Touch::Readings(touched) => {
                        let own = touched.iter().filter(|(whose, _)| whose == subject);
                        let days: Vec<i64> = own.map(|(_, starts)| key.zone.day(*starts)).collect();
                        loaded.retain(|(day, _)| !days.contains(day));
                    }
                }
            }
        }
    }

    /// Takes in what was committed since.
    async fn catch_up(&self) -> Result<(), Error> {
        let head = self.head().await?;
        loop {
            let seen = {
                let mut held = self.held();
                if held.is_empty() || head - held.seen() > FAR_BEHIND {
                    held.begin(head);
                }
                held.seen()
            };
            if seen >= head {
                return Ok(());
            }
            let entries = self.shared.store.log_after(seen, BATCH).await?;
            if entries.is_empty() {
                return Ok(());
            }
            for entry in &entries {
                let touch = self.touch(entry).await?;
                // Somebody else may have taken it in meanwhile; to drop a day twice does no harm.
                self.held().take(entry.seq, &touch);
            }
        }
    }

    /// Whose days an entry changes: those of the reading, and of what it was before.
    async fn touch(&self, entry: &Entry) -> Result<Touch, Error> {
        if entry.resource_type != "Observation" {
            return Ok(Touch::Nothing);
        }
        let place = |reading: &Reading| Some((reading.subject.clone()?, reading.effective?.0));
        let mut touched = Vec::new();
        if let Content::Reading(reading) = &entry.content {
            touched.extend(place(reading));
        }
        if entry.version > 1 {
            match self.shared.store.find_version(&house(), "Observation", &entry.id, entry.version - 1).await {
                Ok(stored) => touched.extend(place(&Reading::of(&stored.value()?))),
                // It was deleted then, and stood nowhere.
                Err(Error::Gone { .. }) => {}
                Err(Error::NotFound { .. }) => return Ok(Touch::Everything),
                Err(error) => return Err(error),
            }
        }
        Ok(if touched.is_empty() { Touch::Nothing } else { Touch::Readings(touched) })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.shared.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of the log: everything that was acknowledged anywhere before now is up to there.
    async fn head(&self) -> Result<i64, Error> {
        let own = *self.shared.bell.borrow();
        // Before the first commit of this process only the table knows.
        if own > 0 && !self.shared.store.is_shared() { Ok(own) } else { self.shared.store.log_head().await }
    }
}

/// Neighbouring days as one stretch, of a week at most, since its rows are in memory together: first, and the one after
/// the last.
fn runs(days: &[i64]) -> Vec<(i64, i64)> {
    let neighbours = days.chunk_by(|a, b| a + 1 == *b);
    neighbours.flat_map(|run| run.chunks(7)).filter_map(|run| Some((*run.first()?, run.last()? + 1))).collect()
}

/// What fills memory sees everything; who asks is looked at before an answer is given.
fn house() -> Access {
    Access::system("days")
}
