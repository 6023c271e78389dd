//! Clocks of devices that were wrong. Readings whose time cannot be wait until somebody says how far the clock was ahead;
//! of every time that was moved a Provenance says so, and the reading keeps what the clock told. How a sender's clock is
//! measured is the door's business.

use serde_json::{Value, json};

use super::Pipeline;
use super::held::{BATCH, NOBODY, start};
use super::intent::change;
use crate::auth::access::{Access, Action};
use crate::binding::Found;
use crate::clock::new_id;
use crate::error::Error;
use crate::fhir::{OURS, time};
use crate::normalize::draft::Draft;
use crate::normalize::{Bound, TOLD, is_ahead};
use crate::store::{Commit, HeldReading, Priority, Repeat, Verb};

/// Its time lies in the future.
pub(super) const FUTURE: &str = "future";

const OPERATION: &str = "http://terminology.hl7.org/CodeSystem/v3-DataOperation";
const PARTICIPANT: &str = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";
/// A clock is not off by more, µs (two centuries): it would be no time any more.
const MOST: i64 = 200 * 366 * 86_400 * time::SECOND;

/// What became of readings whose clock was set right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetRight {
    /// Stored, with the time that they were taken at.
    pub taken: usize,
    /// The device was at nobody then: they are as they were.
    pub unbound: usize,
    /// The time lies in the future still: they are as they were.
    pub ahead: usize,
}

impl Pipeline {
    /// The clock of a device was ahead by so much (µs): what waits for that is moved back and taken.
    pub async fn set_right(&self, access: &Access, device: &str, ahead: i64) -> Result<SetRight, Error> {
        access.check(Action::Create, "Provenance")?;
        if !access.check(Action::Create, "Observation")?.covers(None) {
            return Err(Error::Forbidden("What waits is about nobody in particular.".to_owned()));
        }
        if !(1..=MOST).contains(&ahead) {
            return Err(Error::invalid("value", "ahead_s", "a number of seconds above 0, of no more than 200 years"));
        }
        let now = self.store.clock().now();
        let (mut done, mut after) = (SetRight::default(), (i64::MIN, String::new()));
        loop {
            let waiting = self.store.held_of(access, device, FUTURE, after, BATCH).await?;
            let Some(last) = waiting.last() else { return Ok(done) };
            after = (last.starts, last.reading.clone());
            let (mut found, mut ready) = (Found::default(), Vec::new());
            for held in waiting {
                let mut observation: Value = serde_json::from_slice(&held.body).map_err(Error::internal)?;
                let starts = held.starts.saturating_sub(ahead);
                if is_ahead(starts, now) {
                    done.ahead += 1;
                    continue;
                }
                let named = observation.pointer("/subject/reference").and_then(Value::as_str).map(str::to_owned);
                let patient = match named.filter(|named| named != NOBODY) {
                    Some(named) => Some(named),
                    None => self.binding.holder(device, starts, &mut found).await?,
                };
                let Some(patient) = patient else {
                    done.unbound += 1;
                    continue;
                };
                move_back(&mut observation, ahead);
                ready.push((HeldReading { body: observation.to_string().into_bytes(), starts, ..held }, patient));
            }
            done.taken += self.take(access, ready, Some(access)).await?;
        }
    }

    /// Says of stored readings (`Observation/…`) that their times were moved; `by`: who said by how much, where it was not
    /// measured. The readings are stored by now and keep what the clock told, so trouble here is no reason to say otherwise.
    pub(super) async fn say_corrected(&self, readings: Vec<String>, by: Option<&Access>) {
        for some in readings.chunks(usize::try_from(BATCH).unwrap_or(usize::MAX)) {
            if let Err(error) = self.provenance(some, by).await {
                tracing::error!(%error, "that times were moved is told by the readings alone");
            }
        }
    }

    async fn provenance(&self, readings: &[String], by: Option<&Access>) -> Result<(), Error> {
        let said = provenance(readings, by, self.store.clock().now());
        let checked = self.profiles.check(said).await.map_err(Error::Invalid)?;
        let changes = vec![change(Verb::Create(Repeat::SameContent), checked, new_id())];
        let commit = Commit { changes, ..Commit::default() };
        self.store.commit_one(&Access::system("clock"), Priority::Interactive, commit).await.map(|_| ())
    }
}

/// Whose it is, is known when its time is: a device does not choose.
pub(super) fn unsaid(caller: &Access, bound: Bound) -> Bound {
    if caller.device().is_none() { bound } else { Bound { patient: NOBODY.to_owned(), ..bound } }
}

/// The latest that a draft tells, or when it came, µs UTC.
pub(super) fn latest(draft: &Draft, received: i64) -> i64 {
    let told = [&draft.effective, &draft.effective_end];
    told.iter().map(|told| start(told.as_deref(), received)).fold(received, i64::max)
}

/// Whether a reading that waits tells of a clock that was wrong.
pub(super) fn is_moved(observation: &[u8]) -> bool {
    observation.windows(TOLD.len()).any(|part| part == TOLD.as_bytes())
}

/// Moves the times of an Observation back by so much (µs), and keeps when it started by the device's clock.
fn move_back(observation: &mut Value, ahead: i64) {
    let moved = |told: &Value| {
        let at = told.as_str().and_then(time::range)?.start;
        Some(Value::from(time::instant(at.saturating_sub(ahead))))
    };
    let by_its_clock = |told: Value| json!([{"url": TOLD, "valueDateTime": told}]);
    let Some(members) = observation.as_object_mut() else { return };
    if let Some(Value::Object(period)) = members.get_mut("effectivePeriod") {
        let told = period.get("start").cloned();
        for end in ["start", "end"] {
            if let Some(at) = period.get(end).and_then(moved) {
                period.insert(end.to_owned(), at);
            }
        }
        if let Some(told) = told {
            period.insert("extension".to_owned(), by_its_clock(told));
        }
    } else if let Some(told) = members.get("effectiveDateTime").cloned()
        && let Some(at) = moved(&told)
    {
        members.insert("effectiveDateTime".to_owned(), at);
        members.insert("_effectiveDateTime".to_owned(), json!({"extension": by_its_clock(told)}));
    }
}

/// `now`: µs UTC.
fn provenance(readings: &[String], by: Option<&Access>, now: i64) -> Value {
    let agent =
        |role: &str, who: Value| json!({"type": {"coding": [{"system": PARTICIPANT, "code": role}]}, "who": who});
    let mut agents = vec![agent("assembler", json!({"display": "Vigía"}))];
    if let Some(by) = by {
        let who = json!({"system": format!("{OURS}/principal"), "value": by.principal().to_string()});
        agents.push(agent("enterer", json!({"identifier": who})));
    }
    let how = if by.is_some() { "said" } else { "measured" };
    json!({
        "resourceType": "Provenance",
        "target": readings.iter().map(|reading| json!({"reference": reading})).collect::<Vec<_>>(),
        "recorded": time::instant(now),
        "activity": {
            "coding": [{"system": OPERATION, "code": "UPDATE", "display": "revise"}],
            "text": format!("Times moved by how far the device's clock was off, as it was {how}; what it told is kept with each reading"),
        },
        "agent": agents,
    })
}
