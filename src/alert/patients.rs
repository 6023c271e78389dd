//! The windows of all patients, made when a reading first needs them: from the readings that were committed before
//! it and from what is firing. And the clock of those windows that change without a reading. Layer 5, beside the
//! engine: it reads the store.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use super::context::Context;
use super::reading::{self, Taken};
use super::rule::{Cause, Level, Rule, RuleSet};
use super::window::{Sample, Scored, Terms, Transition, Window};
use crate::auth::access::Access;
use crate::error::Error;
use crate::store::{Entry, Store};

/// Names a window: the patient, the rule, and the device where the rule listens to devices.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub patient: Arc<str>,
    pub rule: Arc<Rule>,
    pub device: Option<Arc<str>>,
}

impl Key {
    pub(super) fn of(taken: &Taken) -> Self {
        Self { patient: taken.patient().into(), rule: taken.rule.clone(), device: taken.device().map(Arc::from) }
    }

    /// Two that are the same have the same.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.patient == other.patient && Arc::ptr_eq(&self.rule, &other.rule) && self.device == other.device
    }
}

/// So long a window is held at least after its last reading, µs: making one anew costs some reading.
const KEPT: i64 = 24 * 3_600_000_000;

/// One window with what the engine must know of it.
pub(super) struct Slot {
    rule: Arc<Rule>,
    device: Option<Arc<str>>,
    pub window: Window,
    /// The code of the last reading, as a place among the rule's.
    pub code: u16,
    /// When the last reading was committed, µs UTC.
    heard: i64,
    /// The time for which it stands in the list of those that wait.
    waits: Option<i64>,
}

/// What is held of one patient.
#[derive(Default)]
struct Own {
    /// None until it was looked up.
    context: Option<Arc<Context>>,
    /// It has changed since.
    stale: bool,
    slots: Vec<Slot>,
}

#[derive(Default)]
pub(super) struct Patients {
    all: HashMap<Arc<str>, Own>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// Tells keys in the list apart.
    count: u64,
}

/// A window that changes at a time (of the server, µs UTC) if nothing comes.
struct Waiting {
    due: i64,
    number: u64,
    key: Key,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

/// What comes of letting a window take a reading.
pub(super) enum Judged {
    Changes(Vec<Transition>),
    /// It belongs further back than where the window stands.
    Past,
}

impl Patients {
    pub(super) fn get(&mut self, key: &Key) -> Option<&mut Slot> {
        let slots = &mut self.all.get_mut(&key.patient)?.slots;
        slots.iter_mut().find(|slot| Arc::ptr_eq(&slot.rule, &key.rule) && slot.device == key.device)
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        let slots = self.all.get(&key.patient).map(|own| own.slots.as_slice()).unwrap_or_default();
        slots.iter().any(|slot| Arc::ptr_eq(&slot.rule, &key.rule) && slot.device == key.device)
    }

    /// Lets windows of rules go that are no longer in force.
    pub(super) fn keep(&mut self, rules: &RuleSet) {
        let stands = |slot: &Slot| rules.rules().iter().any(|rule| Arc::ptr_eq(rule, &slot.rule));
        self.all.retain(|_, own| {
            own.slots.retain(stands);
            !own.slots.is_empty()
        });
    }

    /// Lets everything go that is held of a patient.
    pub(super) fn forget(&mut self, patient: &str) {
        self.all.remove(patient);
    }

    /// Lets windows go that no reading has come for in so long that one made anew is the same, and that wait for
    /// nothing. `now`: µs UTC, of the server.
    pub(super) fn evict(&mut self, now: i64) {
        let serves = |slot: &Slot| slot.waits.is_some() || slot.heard + slot.rule.look_back().1.max(KEPT) > now;
        self.all.retain(|_, own| {
            own.slots.retain(serves);
            !own.slots.is_empty()
        });
    }

    /// What matters of the patient, as far as it is known.
    pub(super) fn context(&self, patient: &str) -> Arc<Context> {
        self.all.get(patient).and_then(|own| own.context.clone()).unwrap_or_default()
    }

    /// Must what matters of the patient be looked up?
    pub(super) fn is_unknown(&self, patient: &str) -> bool {
        self.all.get(patient).is_none_or(|own| own.stale || own.context.is_none())
    }

    pub(super) fn know(&mut self, patient: &Arc<str>, context: Context) {
        let own = self.all.entry(patient.clone()).or_default();
        (own.context, own.stale) = (Some(Arc::new(context)), false);
    }

    /// Something that matters has changed: for one patient, or (a ward's limits) for all.
    pub(super) fn forget_context(&mut self, patient: Option<&str>) {
        match patient {
            Some(patient) => self.all.get_mut(patient).into_iter().for_each(|own| own.stale = true),
            None => self.all.values_mut().for_each(|own| own.stale = true),
        }
    }

    /// Puts a window in its place.
    pub(super) fn put(&mut self, key: &Key, window: Window, code: u16, heard: i64) {
        if let Some(slot) = self.get(key) {
            (slot.window, slot.code, slot.heard) = (window, code, heard.max(slot.heard));
        } else {
            let (rule, device) = (key.rule.clone(), key.device.clone());
            let slot = Slot { rule, device, window, code, heard, waits: None };
            self.all.entry(key.patient.clone()).or_default().slots.push(slot);
        }
        self.wait(key);
    }

    /// Lets a window that is there take a reading.
    pub(super) fn judge(&mut self, key: &Key, taken: &Taken) -> Judged {
        let context = self.context(&key.patient);
        let Some(slot) = self.get(key) else { return Judged::Changes(vec![]) };
        if slot.window.is_past(taken.sample.at) {
            return Judged::Past;
        }
        let changes = slot.window.step(&Terms { rule: &taken.rule, context: &context }, &taken.sample);
        (slot.code, slot.heard) = (taken.code, taken.entry.updated);
        self.wait(key);
        Judged::Changes(changes)
    }

    /// Scores that a window has formed.
    pub(super) fn take_scores(&mut self, key: &Key) -> Vec<Scored> {
        self.get(key).map(|slot| slot.window.take_scores()).unwrap_or_default()
    }

    /// Puts a window whose time will come on the list.
    fn wait(&mut self, key: &Key) {
        let Some(slot) = self.get(key) else { return };
        // One that is listed for an earlier time is looked at then.
        let Some(due) = slot.due().filter(|due| slot.waits.is_none_or(|listed| *due < listed)) else { return };
        slot.waits = Some(due);
        self.count += 1;
        let (number, key) = (self.count, key.clone());
        self.waiting.push(Reverse(Waiting { due, number, key }));
    }

    /// When the next window changes if nothing comes, by the server's clock.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.waiting.peek().map(|Reverse(waiting)| waiting.due)
    }

    /// The next window whose time has come, with its changes.
    pub(super) fn ripen(&mut self, now: i64) -> Option<(Key, Vec<Transition>)> {
        while self.next_due().is_some_and(|due| due <= now) {
            let Reverse(Waiting { key, due, .. }) = self.waiting.pop()?;
            let context = self.context(&key.patient);
            let Some(slot) = self.get(&key).filter(|slot| slot.waits == Some(due)) else { continue };
            slot.waits = None;
            let terms = Terms { rule: &key.rule, context: &context };
            // Readings have come since: it waits anew.
            let over = slot.due().is_some_and(|due| due <= now);
            let changes = match slot.window.deadline(&key.rule).filter(|_| over) {
                Some(at) => slot.window.advance(&terms, at),
                None => vec![],
            };
            self.wait(&key);
            if over {
                return Some((key, changes));
            }
        }
        None
    }
}

impl Slot {
    /// When its next change is due by the server's clock. Readings that come late make time run late: what is due
    /// so long after a reading was measured is due so long after it was committed.
    fn due(&self) -> Option<i64> {
        let deadline = self.window.deadline(&self.rule)?;
        let ahead = (deadline - self.window.now()?).max(0);
        let settle = if self.rule.condition.is_joint() { self.rule.timing.settle } else { 0 };
        Some(self.heard + ahead.max(settle))
    }
}

/// What the rules take of an entry, read whole where a rule asks for that.
pub(super) async fn taken(store: &Store, rules: &RuleSet, entry: &Arc<Entry>) -> Result<Vec<Taken>, Error> {
    if !reading::is_read_whole(rules, entry) {
        return Ok(reading::taken(rules, entry, None));
    }
    let access = Access::system("alert engine");
    let stored = store.find_version(&access, entry.resource_type, &entry.id, entry.version).await?;
    Ok(reading::taken(rules, entry, Some(&stored.value()?)))
}

/// The window as it stood after these readings; whether their last instant was judged is not known.
pub(super) fn resumed(terms: &Terms, firing: &[(Cause, Level)], taken: &[Taken]) -> Window {
    let samples: Vec<Sample> = taken.iter().map(|taken| taken.sample).collect();
    Window::resume(terms, firing, &samples)
}
