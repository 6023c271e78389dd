//! How much a device may send: a bucket that holds so many readings and fills again with time (token bucket). Pure but
//! for its own memory; the time is handed in.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// More than all devices of a hospital; then all buckets are full again.
const MAX_BUCKETS: usize = 100_000;
const SECOND: f64 = 1_000_000.0;

/// The buckets of all devices.
#[derive(Debug)]
pub struct Buckets {
    /// What flows in, readings a second; what one holds.
    rate: f64,
    size: f64,
    /// What is in each, and when that was so (µs).
    levels: Mutex<HashMap<String, (f64, i64)>>,
}

impl Buckets {
    pub fn new(rate: u32, size: u32) -> Self {
        Self { rate: f64::from(rate.max(1)), size: f64::from(size.max(1)), levels: Mutex::default() }
    }

    /// Takes readings out. When there are not enough: in how many seconds there will be. More than a bucket holds are
    /// taken from a full one, and owed.
    pub fn take(&self, device: &str, readings: usize, now: i64) -> Option<u32> {
        let wanted = f64::from(u32::try_from(readings).unwrap_or(u32::MAX));
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        if levels.len() >= MAX_BUCKETS && !levels.contains_key(device) {
            levels.clear();
        }
        let (level, since) = levels.get(device).copied().unwrap_or((self.size, now));
        let passed = f64::from(u32::try_from((now - since).max(0) / 1_000).unwrap_or(u32::MAX)) * 1_000.0 / SECOND;
        let level = (level + passed * self.rate).min(self.size);
        let missing = wanted.min(self.size) - level;
        if missing > 0.0 {
            levels.insert(device.to_owned(), (level, now));
            let seconds = (1_u32..=3_600).find(|seconds| f64::from(*seconds) * self.rate >= missing);
            return Some(seconds.unwrap_or(3_600));
        }
        levels.insert(device.to_owned(), (level - wanted, now));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fills_again() {
        let buckets = Buckets::new(10, 100);
        let at = |seconds: i64| seconds * 1_000_000;
        for (device, readings, time, expected) in [
            ("a", 60, 0, None),
            ("a", 60, 0, Some(2)),
            ("b", 60, 0, None),
            ("a", 60, 1, Some(1)),
            ("a", 60, 2, None),
            ("a", 1, 2, Some(1)),
            // A batch larger than the bucket is taken when it is full, and owed.
            ("c", 300, 0, None),
            ("c", 1, 0, Some(21)),
            ("c", 1, 20, Some(1)),
            ("c", 1, 21, None),
            // A clock that goes back fills nothing.
            ("a", 1, -100, Some(1)),
        ] {
            assert_eq!(buckets.take(device, readings, at(time)), expected, "{device} {readings} at {time}");
        }
    }
}
