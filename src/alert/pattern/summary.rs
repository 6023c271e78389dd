//! The figures of a period, read from the digests of its days.

use super::digest::{Digest, Moments, QUARTERS, Share};
use super::signal::Bands;
use super::{Change, Dipping, Habits, Night, Trend, changes, dipping, habits, trend};

/// The percentiles of a profile, as reports of continuous glucose monitoring draw it.
const PERCENTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// Values by time of day.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileSlot {
    /// Quarters of the local day, `from..to`.
    pub from: u8,
    pub to: u8,
    pub count: usize,
    /// The 5th, 25th, 50th, 75th and 95th percentile.
    pub percentiles: [f64; 5],
}

#[derive(Clone, Debug, PartialEq)]
pub struct DayLine {
    pub day: i64,
    pub moments: Moments,
    pub median: f64,
    /// Share of the known time in range; none without limits or known time.
    pub in_range: Option<f64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub moments: Moments,
    pub median: Option<f64>,
    /// Percentiles are at most so far off; zero is exact.
    pub error: f64,
    pub profile: Vec<ProfileSlot>,
    pub bands: [Share; 5],
    pub known_us: i64,
    pub dipping: Option<Dipping>,
    pub days: Vec<DayLine>,
    pub trend: Option<Trend>,
    pub changes: Vec<Change>,
    pub habits: Habits,
    pub first: Option<i64>,
    pub last: Option<(i64, f64)>,
    pub longest_gap: Option<(i64, i64)>,
}

impl Summary {
    /// Of days in their order; profile slots are `slot` quarters long; habits are judged by the days of `judged`.
    pub fn of(days: &[(i64, &Digest)], bands: &Bands, slot: u8, night: Night, judged: std::ops::Range<i64>) -> Self {
        let mut all = Digest::default();
        for (_, day) in days {
            all.merge(day, bands);
        }
        let lines: Vec<DayLine> = days.iter().filter_map(|(day, digest)| line(*day, digest, bands)).collect();
        let medians: Vec<(i64, f64)> = lines.iter().map(|line| (line.day, line.median)).collect();
        let measured: Vec<(i64, usize, u128)> = days
            .iter()
            .filter(|(_, d)| d.moments.count > 0)
            .map(|(day, d)| (*day, d.moments.count, d.mask()))
            .collect();
        let values = all.values();
        Self {
            moments: all.moments,
            median: values.quantile(0.5),
            error: values.error(),
            profile: profile(&all, slot),
            bands: all.bands,
            known_us: all.known_us(),
            dipping: dipping(&all, night),
            days: lines,
            trend: trend(&medians),
            changes: changes(&medians),
            habits: habits(&measured, judged),
            first: all.first,
            last: all.last,
            longest_gap: all.longest_gap,
        }
    }

    /// The spread in percent of the mean.
    pub fn cv_percent(&self) -> Option<f64> {
        self.moments.sd().map(|sd| sd / self.moments.mean.abs() * 100.0).filter(|cv| cv.is_finite())
    }
}

/// The glucose management indicator in percent, of a mean in mg/dL or mmol/L (Bergenstal 2018).
pub fn gmi(mean: f64, unit: &str) -> Option<f64> {
    /// mg/dL of one mmol/L: glucose weighs 180.156 g/mol.
    const MOLAR: f64 = 18.0156;
    let mg_dl = match unit {
        "mg/dL" => mean,
        "mmol/L" => mean * MOLAR,
        _ => return None,
    };
    Some(3.31 + 0.02392 * mg_dl)
}

fn line(day: i64, digest: &Digest, bands: &Bands) -> Option<DayLine> {
    let known = digest.known_us();
    let in_range = (known > 0 && bands.has_limits()).then(|| ratio(digest.bands[2].time_us, known));
    Some(DayLine { day, moments: digest.moments, median: digest.values().quantile(0.5)?, in_range })
}

/// One time as a share of another; both are less than some years.
pub(super) fn ratio(part: i64, whole: i64) -> f64 {
    let milliseconds = |us: i64| {
        let (seconds, rest) = (us.div_euclid(1_000_000), us.rem_euclid(1_000_000) / 1000);
        let exact = |n: i64| i32::try_from(n).map_or(f64::from(i32::MAX), f64::from);
        exact(seconds) * 1000.0 + exact(rest)
    };
    if whole > 0 { milliseconds(part) / milliseconds(whole) } else { 0.0 }
}

fn profile(all: &Digest, slot: u8) -> Vec<ProfileSlot> {
    let slot = slot.clamp(1, QUARTERS);
    let starts = (0..QUARTERS).step_by(usize::from(slot));
    let of = |from: u8| {
        let to = from.saturating_add(slot).min(QUARTERS);
        let values = all.between(from, to);
        let mut percentiles = [0.0; 5];
        for (own, p) in percentiles.iter_mut().zip(PERCENTILES) {
            *own = values.quantile(p)?;
        }
        Some(ProfileSlot { from, to, count: values.count(), percentiles })
    };
    starts.filter_map(of).collect()
}
