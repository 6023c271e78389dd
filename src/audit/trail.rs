//! Which request a change belongs to, whoever writes it in the end. The door opens a trail around the whole request,
//! and whoever proves who calls notes that; so nothing has to be handed from room to room, and no handler can forget
//! it. Outside a request there is no trail.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::entry::{Act, Agent, Entry, MAX_PATIENTS, MAX_RESOURCES};
use crate::auth::access::Access;

tokio::task_local! {
    static TRAIL: Arc<Trail>;
}

/// Where a request comes from, and by which operation.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub from: Option<String>,
    pub request: Option<String>,
    pub operation: Option<String>,
}

struct Trail {
    origin: Origin,
    caller: Mutex<Option<Agent>>,
}

/// Does the work of a request.
pub async fn follow<T>(origin: Origin, work: impl Future<Output = T>) -> T {
    TRAIL.scope(Arc::new(Trail { origin, caller: Mutex::default() }), work).await
}

/// It is proved who calls.
pub fn arrived(access: &Access) {
    _ = TRAIL.try_with(|trail| {
        *trail.caller.lock().unwrap_or_else(PoisonError::into_inner) = Some(Agent::of(access));
    });
}

/// What one entry is about, as it is gathered.
#[derive(Debug, Default)]
pub struct Noted {
    pub patients: BTreeSet<String>,
    /// Patients that were too many to be named.
    pub more: usize,
    pub resources: Vec<String>,
    pub count: usize,
}

impl Noted {
    pub fn patient(&mut self, patient: String) {
        if self.patients.len() < MAX_PATIENTS {
            self.patients.insert(patient);
        } else if !self.patients.contains(&patient) {
            self.more += 1;
        }
    }

    pub fn resource(&mut self, resource: impl FnOnce() -> String) {
        self.count += 1;
        if self.resources.len() < MAX_RESOURCES {
            self.resources.push(resource());
        }
    }
}

/// Who writes, and from where: what the lane needs of a request to record it.
#[derive(Clone, Debug)]
pub struct Stamp {
    agent: Agent,
    origin: Origin,
}

impl Stamp {
    /// Of whoever writes now. Where a part of the server writes for a caller, it is the caller.
    pub fn of(access: &Access) -> Self {
        let agent = Agent::of(access);
        let found = TRAIL.try_with(|trail| {
            (trail.caller.lock().unwrap_or_else(PoisonError::into_inner).clone(), trail.origin.clone())
        });
        let (caller, origin) = found.unwrap_or_default();
        let agent = caller.filter(|_| agent.is_system()).unwrap_or(agent);
        Self { agent, origin }
    }

    /// An entry of this time (µs UTC) for what it does.
    pub fn entry(&self, at: i64, act: Act, what: impl Into<String>) -> Entry {
        let mut entry = Entry::new(at, self.agent.clone(), act, what);
        let Origin { from, request, operation } = self.origin.clone();
        (entry.from, entry.request, entry.operation) = (from, request, operation);
        entry
    }
}
