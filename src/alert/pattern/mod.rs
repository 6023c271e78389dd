//! Patterns: what days of readings of one measurement say beyond single alarms. A day becomes a `Digest`, a period is
//! the merge of its days, and the figures (`summary`, `trend`, `habit`, `dipping`) are read from those. Pure: samples come
//! in the order of time, already in one unit; no store, no clock, and nobody is alerted from here: today against the
//! patient's own days before is a gauge of a rule (`window::baseline`).

mod digest;
mod dipping;
mod habit;
mod signal;
mod sketch;
mod summary;
#[cfg(test)]
mod tests;
mod trend;
mod zone;

pub use digest::{Digest, Moments, QUARTERS};
pub use dipping::{Dip, Dipping, Night, dipping};
pub use habit::{Habits, Window, habits};
pub use signal::{Bands, Signal};
pub use sketch::Sketch;
pub use summary::{DayLine, ProfileSlot, Summary, gmi};
pub use trend::{Change, Trend, changes, trend};
pub use zone::Zone;

/// Days that one summary may cover: what keeps every figure's cost bounded.
pub const MOST_DAYS: usize = 366;

/// A count as a number; counts here stay far below 2^32.
fn float(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::from(u32::MAX), f64::from)
}

/// The value at a place between the ranks of sorted values, by linear interpolation; the ends beyond them.
fn at_rank(sorted: &[f64], rank: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let rank = rank.clamp(0.0, float(last));
    let (mut low, mut high) = (0, last);
    while low < high {
        let middle = usize::midpoint(low, high) + 1;
        if float(middle) <= rank { low = middle } else { high = middle - 1 }
    }
    let (below, above) = (*sorted.get(low)?, *sorted.get((low + 1).min(last))?);
    Some(below + (above - below) * (rank - float(low)))
}

/// The middle of the values.
fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    at_rank(values, float(values.len().checked_sub(1)?) / 2.0)
}
