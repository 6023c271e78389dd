//! What two shipped rules must say of a series of readings, worked out by plain loops over all readings at once. It
//! knows nothing of `src/alert`: limits are written down again, numbers are whole tenths, and there is no state that
//! could outlive a restart. What it says itself is held against a table by hand.

use std::fmt::Write;

/// A measurement with its limits, all in tenths of the unit.
pub(crate) struct Signal {
    pub(crate) code: &'static str,
    pub(crate) unit: &'static str,
    /// Warning, critical: at or below.
    low: [i64; 2],
    /// Warning, critical: at or above.
    high: [i64; 2],
    /// How far inside a limit a reading must be to have left it.
    apart: i64,
}

pub(crate) const HEART: usize = 0;
pub(crate) const FEVER: usize = 1;
pub(crate) const SIGNALS: [Signal; 2] = [
    Signal { code: "8867-4", unit: "/min", low: [500, 400], high: [1110, 1310], apart: 30 },
    Signal { code: "8310-5", unit: "Cel", low: [360, 350], high: [381, 391], apart: 2 },
];

/// One reading of a series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// Its place in time: one step after another.
    pub(crate) at: i64,
    pub(crate) signal: usize,
    pub(crate) tenths: i64,
}

impl Reading {
    /// The number as it is sent: `38.5`, `115`.
    pub(crate) fn value(&self) -> String {
        let (whole, tenth) = (self.tenths / 10, self.tenths % 10);
        if tenth == 0 { whole.to_string() } else { format!("{whole}.{tenth}") }
    }
}

/// Every episode of a patient, as `8867-4:high since 1 raise warning@2=116 resolve warning@7=80`; sorted. The readings
/// are in the order of their times.
pub(crate) fn episodes(readings: &[Reading]) -> Vec<String> {
    let mut all = Vec::new();
    for (number, signal) in SIGNALS.iter().enumerate() {
        let own: Vec<&Reading> = readings.iter().filter(|reading| reading.signal == number).collect();
        all.extend(of_side(&own, &format!("{}:high", signal.code), signal.high, signal.apart, 1));
        all.extend(of_side(&own, &format!("{}:low", signal.code), signal.low, signal.apart, -1));
    }
    all.sort();
    all
}

/// `outwards`: 1 where higher is worse, -1 where lower is.
fn of_side(readings: &[&Reading], name: &str, limits: [i64; 2], apart: i64, outwards: i64) -> Vec<String> {
    let names = ["none", "warning", "critical"];
    let (mut told, mut story, mut level) = (Vec::new(), String::new(), 0);
    for place in 1..readings.len() {
        let (before, now) = (readings[place - 1], readings[place]);
        let beyond = |reading: &Reading, limit: i64| reading.tenths * outwards >= limit * outwards;
        let mut new = 0;
        for (candidate, limit) in (1..).zip(limits) {
            // Two in a row reach a level; one of the last two is enough to stay, and stays until it is clear.
            let reached = beyond(before, limit) && beyond(now, limit);
            let left = limit - apart * outwards;
            let kept = candidate <= level && (beyond(before, left) || beyond(now, left));
            if reached || kept {
                new = candidate;
            }
        }
        let (kind, about) = match (level, new) {
            _ if new == level => continue,
            (0, _) => ("raise", new),
            (_, 0) => ("resolve", level),
            _ if new > level => ("escalate", new),
            _ => ("deescalate", new),
        };
        if kind == "raise" {
            story = format!("{name} since {}", before.at);
        }
        write!(story, " {kind} {}@{}={}", names[about], now.at, now.value()).unwrap();
        if kind == "resolve" {
            told.push(std::mem::take(&mut story));
        }
        level = new;
    }
    told.extend(Some(story).filter(|story| !story.is_empty()));
    told
}
