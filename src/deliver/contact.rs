//! When each device was last heard of, and how its battery was: kept from the log, written down every few seconds. After
//! a crash the last seconds before it are not known any more, which makes a device look silent for longer, never
//! shorter.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::fhir::reading::Reading;
use crate::normalize::codes::MDC;
use crate::store::{Contact, Content, Store};

/// Entries of the log that are read at once.
const BATCH: usize = 1000;
/// How often what is known is written down; also how often other nodes are listened to.
const WRITE: Duration = Duration::from_secs(5);
/// The code of a battery's charge in percent: `MDC_ATTR_VAL_BATT_CHARGE`.
const BATTERY: &str = "67996";

#[derive(Clone)]
pub struct Contacts {
    store: Store,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    all: HashMap<String, Contact>,
    /// Those that are not written down yet.
    fresh: HashSet<String>,
}

impl Contacts {
    pub fn new(store: Store) -> Self {
        Self { store, known: Arc::default() }
    }

    /// When a device (`Device/…`) was last heard of.
    pub fn of(&self, device: &str) -> Option<Contact> {
        self.known().all.get(device).cloned()
    }

    /// Follows the log until cancelled.
    pub async fn run(self, cancelled: CancellationToken) {
        let mut bell = self.store.bell();
        let mut seen = None;
        let mut write = tokio::time::interval(WRITE);
        loop {
            if let Err(error) = self.follow(&mut seen).await {
                tracing::error!(%error, "when devices were heard of is not known for now");
                tokio::time::sleep(WRITE).await;
            }
            tokio::select! {
                rung = bell.changed() => if rung.is_err() { return },
                _ = write.tick() => self.write_down().await,
                () = cancelled.cancelled() => return self.write_down().await,
            }
        }
    }

    async fn follow(&self, seen: &mut Option<i64>) -> Result<(), Error> {
        let mut after = if let Some(after) = *seen {
            after
        } else {
            let head = self.store.log_head().await?;
            let contacts = self.store.contacts().await?;
            self.known().all.extend(contacts.into_iter().map(|contact| (contact.device.clone(), contact)));
            *seen = Some(head);
            head
        };
        loop {
            let entries = self.store.log_after(after, BATCH).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            after = last.seq;
            let mut known = self.known();
            for entry in &entries {
                if let (Content::Reading(reading), 1) = (&entry.content, entry.version) {
                    known.heard(reading, entry.updated);
                }
            }
            *seen = Some(after);
        }
    }

    async fn write_down(&self) {
        let fresh: Vec<Contact> = {
            let mut known = self.known();
            let names = std::mem::take(&mut known.fresh);
            names.into_iter().filter_map(|name| known.all.get(&name).cloned()).collect()
        };
        if fresh.is_empty() {
            return;
        }
        let names: Vec<String> = fresh.iter().map(|contact| contact.device.clone()).collect();
        if let Err(error) = self.store.keep_contacts(fresh).await {
            tracing::warn!(%error, "when devices were heard of is not written down");
            self.known().fresh.extend(names);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn heard(&mut self, reading: &Reading, received: i64) {
        let Some(device) = &reading.device else { return };
        let measured = reading.effective.map_or(received, |(start, _)| start);
        let is_battery = reading.codings.iter().any(|(system, code)| system == MDC && code == BATTERY);
        let percent = reading.value.as_ref().filter(|_| is_battery).map(|amount| amount.value);
        // Nearly every reading is of a device that is known: its name is not copied again.
        let Some(contact) = self.all.get_mut(device) else {
            let first = Contact { device: device.clone(), measured, received, battery: percent };
            self.all.insert(device.clone(), first);
            self.fresh.insert(device.clone());
            return;
        };
        if measured >= contact.measured {
            contact.battery = percent.or(contact.battery);
        }
        contact.measured = contact.measured.max(measured);
        contact.received = contact.received.max(received);
        if !self.fresh.contains(device) {
            self.fresh.insert(device.clone());
        }
    }
}
