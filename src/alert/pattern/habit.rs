//! When a patient is usually measured, and what of it was missed. A usual time is a window of two hours in which there
//! is a reading on at least three of five days; the windows with most days come first, and none overlap. Judged are
//! whole days only, from the first reading on: a day that is not over has missed nothing yet.

use super::digest::QUARTERS;

const WIDTH: u8 = 8;
/// Days that a habit needs.
const FEW: usize = 3;
/// Missed days that are listed for each window, the newest; the count is of all.
const LISTED: usize = 31;

#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Quarters of the local day, `from..to`.
    pub from: u8,
    pub to: u8,
    /// Days with a reading in it.
    pub days: usize,
    pub missed: usize,
    /// Newest first.
    pub missed_days: Vec<i64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Habits {
    /// Days that were judged.
    pub days: usize,
    /// The median of the readings a day, of days that have some.
    pub usual_per_day: Option<f64>,
    pub days_without: usize,
    /// Newest first.
    pub days_without_list: Vec<i64>,
    /// In the order of the day.
    pub windows: Vec<Window>,
}

/// `measured`: days in their order, each with its number of readings and its quarters as bits; `days`: those that are
/// judged, from the first to before the last.
pub fn habits(measured: &[(i64, usize, u128)], days: std::ops::Range<i64>) -> Habits {
    let first = measured.first().map_or(days.end, |day| day.0).max(days.start);
    let judged = usize::try_from(days.end - first).unwrap_or(0).min(super::MOST_DAYS);
    let own: Vec<_> = measured.iter().filter(|day| (first..days.end).contains(&day.0)).collect();
    let mut counts: Vec<f64> = own.iter().map(|day| super::float(day.1)).collect();
    let none = missed(first..days.end, |day| own.iter().any(|own| own.0 == day));
    let mut habits = Habits {
        days: judged,
        usual_per_day: super::median(&mut counts),
        days_without: none.len(),
        days_without_list: none.into_iter().take(LISTED).collect(),
        windows: vec![],
    };
    let mut taken: u128 = 0;
    while let Some((from, hit)) = best(&own, taken).filter(|(_, hit)| hit * 5 >= judged * 3 && judged >= FEW) {
        let mask = bits(from);
        taken |= mask;
        let missed = missed(first..days.end, |day| own.iter().any(|own| own.0 == day && own.2 & mask != 0));
        let missed_days = missed.iter().copied().take(LISTED).collect();
        habits.windows.push(Window { from, to: from + WIDTH, days: hit, missed: missed.len(), missed_days });
    }
    habits.windows.sort_by_key(|window| window.from);
    habits
}

/// The free window with most days, and how many; of equals the one whose readings stand nearest to its middle.
fn best(days: &[&(i64, usize, u128)], taken: u128) -> Option<(u8, usize)> {
    let free = (0..=QUARTERS - WIDTH).filter(|from| bits(*from) & taken == 0);
    let hits = |from: u8| days.iter().filter(|day| day.2 & bits(from) != 0).count();
    let inner = |from: u8| days.iter().map(|day| (day.2 & inner_bits(from)).count_ones()).sum::<u32>();
    free.map(|from| (hits(from), inner(from), from))
        .max_by_key(|(hits, inner, from)| (*hits, *inner, QUARTERS - from))
        .filter(|(hits, ..)| *hits > 0)
        .map(|(hits, _, from)| (from, hits))
}

fn bits(from: u8) -> u128 {
    0xff_u128.checked_shl(u32::from(from)).unwrap_or(0)
}

/// The middle hour of a window.
fn inner_bits(from: u8) -> u128 {
    0x3c_u128.checked_shl(u32::from(from)).unwrap_or(0)
}

/// Days without, newest first.
fn missed(days: std::ops::Range<i64>, has: impl Fn(i64) -> bool) -> Vec<i64> {
    days.rev().take(super::MOST_DAYS).filter(|day| !has(*day)).collect()
}
