//! Where readers put what they find: batches are filled and handed on, and a reader waits while enough is on its way.

use anyhow::Result;
use thiserror::Error;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use super::entry::{BATCH, BATCH_BYTES, Batch, Door, Entry, What};

/// Nobody wants to read on.
#[derive(Debug, Error)]
#[error("stopped")]
pub(super) struct Stopped;

pub(super) struct Sink<'a> {
    to: &'a Sender<Batch>,
    stop: &'a CancellationToken,
    file: usize,
    filling: Option<Batch>,
    bytes: usize,
}

impl<'a> Sink<'a> {
    pub(super) fn new(to: &'a Sender<Batch>, stop: &'a CancellationToken, file: usize) -> Self {
        Self { to, stop, file, filling: None, bytes: 0 }
    }

    pub(super) fn put(&mut self, door: &Door, entry: Entry) -> Result<()> {
        if self.filling.as_ref().is_some_and(|batch| batch.door != *door) {
            self.flush()?;
        }
        self.bytes += match &entry.what {
            What::Row(row) => row.len(),
            _ => entry.original.len(),
        };
        let fresh = || Batch { file: self.file, door: door.clone(), entries: Vec::with_capacity(BATCH) };
        let batch = self.filling.get_or_insert_with(fresh);
        batch.entries.push(entry);
        if batch.entries.len() >= BATCH || self.bytes >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.bytes = 0;
        if self.stop.is_cancelled() {
            return Err(Stopped.into());
        }
        match self.filling.take() {
            Some(batch) => self.to.blocking_send(batch).map_err(|_| Stopped.into()),
            None => Ok(()),
        }
    }
}
