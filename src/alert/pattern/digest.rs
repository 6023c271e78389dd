//! What is kept of one day of readings, and of any run of days: digests of neighbouring stretches merge into that of
//! both. A new reading changes the digest of its day only.
//!
//! Time in range: a value counts from its reading to the next one, when that comes within the gap limit of the
//! measurement (after which a value is stale); what is longer is a gap, of which nothing is known and nothing counted.
//! The last reading therefore counts no time until another comes. Across midnight the time belongs to the merge.

use std::collections::BTreeMap;

use super::signal::Bands;
use super::sketch::Sketch;
use super::zone::Zone;

/// Quarters of an hour in a day.
pub const QUARTERS: u8 = 96;

/// Count, mean and spread, merged without loss (Chan et al. 1979).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    pub count: usize,
    pub mean: f64,
    /// The sum of the squared distances from the mean.
    squares: f64,
    pub lowest: f64,
    pub highest: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self { count: 0, mean: 0.0, squares: 0.0, lowest: f64::INFINITY, highest: f64::NEG_INFINITY }
    }
}

impl Moments {
    pub fn push(&mut self, value: f64) {
        self.merge(&Self { count: 1, mean: value, squares: 0.0, lowest: value, highest: value });
    }

    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let (own, others) = (super::float(self.count), super::float(other.count));
        let (all, apart) = (own + others, other.mean - self.mean);
        self.mean += apart * others / all;
        self.squares += other.squares + apart * apart * own * others / all;
        self.count += other.count;
        self.lowest = self.lowest.min(other.lowest);
        self.highest = self.highest.max(other.highest);
    }

    /// The standard deviation of a sample; one value has none.
    pub fn sd(&self) -> Option<f64> {
        let freedom = self.count.checked_sub(1).filter(|n| *n > 0)?;
        Some((self.squares / super::float(freedom)).sqrt())
    }
}

/// What fell into one band of the measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub readings: usize,
    pub time_us: i64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Digest {
    pub moments: Moments,
    /// Quarters of the local day that have readings.
    pub quarters: BTreeMap<u8, Sketch>,
    /// Very low, low, in range, high, very high.
    pub bands: [Share; 5],
    /// When the first reading was.
    pub first: Option<i64>,
    /// When the last reading was, and its value.
    pub last: Option<(i64, f64)>,
    /// The longest time between two readings: from, to.
    pub longest_gap: Option<(i64, i64)>,
}

impl Digest {
    /// Of samples in the order of time.
    pub fn of(samples: impl IntoIterator<Item = (i64, f64)>, zone: Zone, bands: &Bands) -> Self {
        let mut digest = Self::default();
        for (us, value) in samples {
            digest.push(us, value, zone, bands);
        }
        digest
    }

    /// Takes in the next reading. False, and nothing is done, when it is no number or older than the last one: then
    /// its day is digested anew.
    pub fn push(&mut self, us: i64, value: f64, zone: Zone, bands: &Bands) -> bool {
        if !value.is_finite() || self.last.is_some_and(|(last, _)| us < last) {
            return false;
        }
        self.follow(us, bands);
        self.moments.push(value);
        if let Some(share) = self.bands.get_mut(bands.of(value)) {
            share.readings += 1;
        }
        self.quarters.entry(zone.quarter(us)).or_default().push(value);
        self.first.get_or_insert(us);
        self.last = Some((us, value));
        true
    }

    /// Takes in what comes after.
    pub fn merge(&mut self, next: &Self, bands: &Bands) {
        let Some(first) = next.first else { return };
        self.follow(first, bands);
        self.moments.merge(&next.moments);
        for (own, other) in self.bands.iter_mut().zip(&next.bands) {
            own.readings += other.readings;
            own.time_us += other.time_us;
        }
        for (quarter, sketch) in &next.quarters {
            self.quarters.entry(*quarter).or_default().merge(sketch);
        }
        self.longest_gap = longer(self.longest_gap, next.longest_gap);
        self.first.get_or_insert(first);
        self.last = next.last;
    }

    /// All values of the quarters `from..to` of the day.
    pub fn between(&self, from: u8, to: u8) -> Sketch {
        let mut all = Sketch::default();
        for (_, sketch) in self.quarters.range(from..to.max(from)) {
            all.merge(sketch);
        }
        all
    }

    pub fn values(&self) -> Sketch {
        self.between(0, QUARTERS)
    }

    /// Time that is known to be in some band.
    pub fn known_us(&self) -> i64 {
        self.bands.iter().map(|share| share.time_us).sum()
    }

    /// Quarters with a reading, as bits.
    pub fn mask(&self) -> u128 {
        self.quarters.keys().fold(0, |mask, at| mask | 1_u128.checked_shl(u32::from(*at)).unwrap_or(0))
    }

    /// The next reading is at `us`: the time since the last one counts, or is a gap.
    fn follow(&mut self, us: i64, bands: &Bands) {
        let Some((last, value)) = self.last else { return };
        let apart = us.saturating_sub(last).max(0);
        if apart <= bands.gap_us
            && let Some(share) = self.bands.get_mut(bands.of(value))
        {
            share.time_us += apart;
        }
        self.longest_gap = longer(self.longest_gap, Some((last, us)));
    }
}

/// The longer one; of equals the earlier.
fn longer(a: Option<(i64, i64)>, b: Option<(i64, i64)>) -> Option<(i64, i64)> {
    let length = |gap: Option<(i64, i64)>| gap.map_or(-1, |(from, to)| to.saturating_sub(from));
    if length(b) > length(a) { b } else { a }
}
