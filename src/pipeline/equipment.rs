//! Monitors say with every message what they are made of, and it hardly ever changes: what was settled once, and stood as
//! it was said, is not looked up again until a device changes. No reading and nothing of a patient in here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::said::Said;
use crate::binding::Found;
use crate::error::Error;

/// More than the monitors of a large hospital, with some kinds of messages each; then it starts afresh.
const MAX_KEPT: usize = 20_000;

type Key = [u8; 32];

/// What is kept of the devices of messages, by a hash of all that is said of them.
#[derive(Clone, Default)]
pub(super) struct Equipment(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    /// The store's count of changes to what is registered when these were found.
    generation: u64,
    found: HashMap<Key, Arc<Found>>,
}

/// What makes the same devices said in the same way.
pub(super) fn key(devices: &[Said]) -> Result<Key, Error> {
    let mut hash = Sha256::new();
    for said in devices {
        hash.update(serde_json::to_vec(&said.content).map_err(Error::internal)?);
        let parts = said.identity.key.iter().chain(std::iter::once(&said.name));
        for part in parts {
            hash.update("\u{1f}");
            hash.update(part);
        }
        hash.update("\u{1e}");
    }
    Ok(hash.finalize().into())
}

impl Equipment {
    pub(super) fn get(&self, generation: u64, key: &Key) -> Option<Arc<Found>> {
        self.kept(generation).found.get(key).cloned()
    }

    pub(super) fn put(&self, generation: u64, key: Key, found: Found) {
        let mut kept = self.kept(generation);
        if kept.found.len() >= MAX_KEPT {
            kept.found.clear();
        }
        kept.found.insert(key, Arc::new(found));
    }

    fn kept(&self, generation: u64) -> std::sync::MutexGuard<'_, Kept> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.generation != generation {
            *kept = Kept { generation, found: HashMap::new() };
        }
        kept
    }
}
