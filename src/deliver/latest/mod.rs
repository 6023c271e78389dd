//! The newest readings of those who are asked about, in memory: rings of a few readings for each patient and
//! kind, loaded on the first question and kept from the log. A cache: every answer is compared with the end of
//! the log first, so who was told 201 sees the reading, and what memory cannot answer surely it does not answer.

mod rings;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::rings::{Found, Rings};
use crate::auth::access::{Access, Action};
use crate::error::Error;
use crate::fhir::lastn::Plain;
use crate::store::{Store, Stored};

/// Entries of the log that are read at once.
const BATCH: usize = 1000;
/// Who is further behind than this begins anew: reading the log would cost more than loading who is asked for.
const FAR_BEHIND: i64 = 4096;
/// A patient with more kinds of readings than this is for the store.
const KINDS: usize = 300;
/// Steps to an answer: loading, what is missing, and the same again while writes go on.
const ATTEMPTS: usize = 40;
/// Pause after a failure of the follower.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct Latest {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    bell: watch::Receiver<i64>,
    rings: Mutex<Rings>,
}

/// What became of loading a patient.
enum Loaded {
    /// Its readings are in memory, unless they changed meanwhile: the next look tells.
    Kept,
    /// It has no readings, so there is nothing to keep.
    Nothing,
    TooMuch,
}

impl Latest {
    pub fn new(store: Store) -> Self {
        let bell = store.bell();
        Self { shared: Arc::new(Shared { store, bell, rings: Mutex::default() }) }
    }

    /// The newest `max` of each group that the question means, newest first; none when the store must be asked.
    pub async fn ask(&self, access: &Access, question: &Plain, max: usize) -> Result<Option<Vec<Arc<Stored>>>, Error> {
        if !access.check(Action::Search, "Observation")?.covers(Some(&question.subject)) {
            return Ok(Some(vec![]));
        }
        for _ in 0..ATTEMPTS {
            self.catch_up().await?;
            let found = self.rings().answer(question, max);
            match found {
                Found::Ready(readings) => return Ok(Some(readings)),
                Found::NotHere => return Ok(None),
                Found::Unknown => match self.load(&question.subject).await? {
                    Loaded::Kept => {}
                    Loaded::Nothing => return Ok(Some(vec![])),
                    Loaded::TooMuch => return Ok(None),
                },
                Found::Categories(kind) => {
                    let (codings, text) = (kind.codings(), kind.text());
                    let told = self.shared.store.categories(&house(), &question.subject, codings, text).await?;
                    self.rings().learn(&question.subject, &kind, told);
                }
                Found::Bodies(seqs) => {
                    let readings = self.shared.store.readings_at(&house(), &question.subject, seqs).await?;
                    self.rings().fill(&question.subject, readings);
                }
            }
        }
        Ok(None)
    }

    /// Keeps the rings from the log until cancelled, so that questions find them warm.
    pub async fn run(self, cancelled: CancellationToken) {
        let mut bell = self.shared.store.bell();
        loop {
            tokio::select! {
                rung = bell.changed() => if rung.is_err() { return },
                () = cancelled.cancelled() => return,
            }
            if let Err(error) = self.catch_up().await {
                tracing::error!(%error, "latest readings fall behind");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn rings(&self) -> MutexGuard<'_, Rings> {
        self.shared.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of the log: everything that was acknowledged anywhere before now is up to there.
    async fn head(&self) -> Result<i64, Error> {
        let own = *self.shared.bell.borrow();
        // Before the first commit of this process only the table knows.
        if own > 0 && !self.shared.store.is_shared() { Ok(own) } else { self.shared.store.log_head().await }
    }

    /// Takes in what was committed since.
    async fn catch_up(&self) -> Result<(), Error> {
        let head = self.head().await?;
        loop {
            let seen = {
                let mut rings = self.rings();
                if rings.is_empty() || head - rings.seen() > FAR_BEHIND {
                    rings.begin(head);
                }
                rings.seen()
            };
            if seen >= head {
                return Ok(());
            }
            let entries = self.shared.store.log_after(seen, BATCH).await?;
            if entries.is_empty() {
                return Ok(());
            }
            let mut rings = self.rings();
            // Somebody else may have taken them in meanwhile; those are passed over.
            for entry in &entries {
                rings.take(entry);
            }
        }
    }

    /// Loads a patient. What was not there when it was read was not acknowledged when the question came.
    async fn load(&self, subject: &str) -> Result<Loaded, Error> {
        let mut from = self.rings().seen();
        let own = subject.to_owned();
        let make = move |series| Rings::of(&own, from, series);
        let Some(mut loaded) = self.shared.store.newest(&house(), subject, rings::DEPTH, KINDS, make).await? else {
            return Ok(Loaded::TooMuch);
        };
        if loaded.is_empty() {
            return Ok(Loaded::Nothing);
        }
        // What was committed since it was begun to be read may be in it or not.
        loop {
            {
                let mut rings = self.rings();
                if from >= rings.seen() {
                    rings.adopt(subject, loaded);
                    return Ok(Loaded::Kept);
                }
            }
            let entries = self.shared.store.log_after(from, BATCH).await?;
            let Some(last) = entries.last() else { return Ok(Loaded::Kept) };
            from = last.seq;
            for entry in &entries {
                loaded.take(entry);
            }
        }
    }
}

/// What fills memory sees everything; who asks is looked at before an answer is given.
fn house() -> Access {
    Access::system("latest")
}
