//! The time and ids: the only room that reads the system clock, so that tests can set it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Where "now" comes from. Cheap to clone; clones of a set clock move together.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// µs UTC; none runs with the system.
    set: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// A clock that stands still until it is moved: for tests and replays.
    pub fn fixed(us: i64) -> Self {
        Self { set: Some(Arc::new(AtomicI64::new(us))) }
    }

    pub fn advance(&self, us: i64) {
        if let Some(set) = &self.set {
            set.fetch_add(us, Ordering::Relaxed);
        }
    }

    /// µs since 1970, UTC.
    #[expect(clippy::disallowed_methods, reason = "this is the room that reads the clock")]
    pub fn now(&self) -> i64 {
        self.set.as_ref().map_or_else(|| chrono::Utc::now().timestamp_micros(), |set| set.load(Ordering::Relaxed))
    }

    /// Seconds since 1970, as tokens count.
    pub fn now_seconds(&self) -> i64 {
        self.now().div_euclid(1_000_000)
    }
}

/// A new logical id: `UUIDv7`, so that ids made together lie together in an index.
pub fn new_id() -> String {
    Uuid::now_v7().hyphenated().to_string()
}

/// An id that the same parts and instant (µs UTC) always have.
pub fn derived_id(parts: &[&str], at: i64) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let millis = u64::try_from(at / 1_000).unwrap_or(0).to_be_bytes();
    let mut bytes = [0_u8; 16];
    let source = millis.iter().skip(2).copied().chain(hash.finalize());
    bytes.iter_mut().zip(source).for_each(|(byte, from)| *byte = from);
    Uuid::new_v8(bytes).to_string()
}
