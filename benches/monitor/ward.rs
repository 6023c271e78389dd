//! Whoever is watched: patients with five vital signs each, measured now.

use std::fmt::Write;

use vigia::clock::Clock;
use vigia::fhir::time;

use crate::vitals::scatter;

/// Code, unit, usual value, how far it strays, and one that is beyond a limit.
const TABLE: [(&str, &str, u64, u64, u64); 5] = [
    ("8867-4", "/min", 68, 20, 140),
    ("59408-5", "%", 96, 4, 84),
    ("9279-1", "/min", 13, 6, 30),
    ("8480-6", "mm[Hg]", 115, 20, 235),
    ("8889-8", "/min", 68, 20, 140),
];
pub(crate) const SIGNS: u64 = 5;
/// So many readings long a patient is beyond a limit, or not.
const SPELL: u64 = 6;

#[derive(Clone, Copy)]
pub(crate) struct Ward {
    /// Of a thousand.
    pub(crate) alarms: u64,
    pub(crate) storm: bool,
}

/// So many patients as one transaction.
pub(crate) fn registry(first: u64, count: u64) -> String {
    let entry = |patient: u64| {
        format!(
            r#"{{"resource":{{"resourceType":"Patient","id":"p{patient}","active":true,"name":[{{"family":"Doe{patient}","given":["Jane"]}}],"gender":"female","birthDate":"1960-02-03"}},"request":{{"method":"PUT","url":"Patient/p{patient}"}}}}"#
        )
    };
    let entries: Vec<String> = (first..first + count).map(entry).collect();
    format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{}]}}"#, entries.join(","))
}

impl Ward {
    /// All signs of so many patients, measured now; `turn`: how often they were measured before.
    pub(crate) fn upload(self, first: u64, count: u64, turn: u64) -> String {
        let now = time::instant(Clock::default().now());
        let mut text = String::from("[");
        for patient in first..first + count {
            for (at, (code, unit, usual, stray, beyond)) in (0..).zip(TABLE) {
                let noise = scatter(patient * 1_000_003 + turn * SIGNS + at) % stray;
                // Each spell of alarm is one of one sign.
                let value = if self.alarm(patient, turn) == Some(at) { beyond } else { usual + noise };
                let comma = if text.len() == 1 { "" } else { "," };
                let _ = write!(
                    text,
                    r#"{comma}{{"patient":"Patient/p{patient}","code":"{code}","value":{value},"unit":"{unit}","time":"{now}"}}"#
                );
            }
        }
        text.push(']');
        text
    }

    /// The sign that is beyond a limit at this turn.
    fn alarm(self, patient: u64, turn: u64) -> Option<u64> {
        // Not all change at once, but in a storm.
        let spell = (turn + patient % SPELL) / SPELL;
        let chance = scatter(patient ^ (spell << 32));
        let alarms = chance % 1000 < self.alarms || (self.storm && turn / SPELL % 10 == 1);
        alarms.then_some((chance >> 32) % SIGNS)
    }
}
