//! Waveforms on their way to whoever watches one patient, before they are stored. Nobody waits for a watcher: who is too
//! slow misses samples. Only what comes in at this node is told here; what is stored is the same on all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::broadcast;

/// Frames that a slow watcher may be behind.
const BEHIND: usize = 64;

/// The patients who are watched, by reference (`Patient/…`).
#[derive(Clone, Default)]
pub struct Strips(Arc<Mutex<HashMap<String, broadcast::Sender<Bytes>>>>);

impl Strips {
    /// Watches a patient from now on: server-sent events.
    pub fn watch(&self, patient: &str) -> broadcast::Receiver<Bytes> {
        let mut watched = self.watched();
        // Those whom nobody watches any more make room.
        watched.retain(|_, events| events.receiver_count() > 0);
        watched.entry(patient.to_owned()).or_insert_with(|| broadcast::Sender::new(BEHIND)).subscribe()
    }

    /// Tells of samples; they are made ready only for a patient who is watched.
    pub fn tell(&self, patient: &str, samples: impl FnOnce() -> Value) {
        let Some(events) = self.watched().get(patient).cloned() else { return };
        if events.receiver_count() > 0 {
            // The last watcher may be gone by now.
            let _ = events.send(format!("event: wave\ndata: {}\n\n", samples()).into());
        }
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<String, broadcast::Sender<Bytes>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
