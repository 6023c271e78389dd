//! Local time of a patient, as far as patterns need it: which day and which quarter of an hour an instant is in. Either
//! a fixed distance from UTC, or a zone by its name, with its summer time; the zones are compiled in, nothing is read
//! from the machine. In a named zone two days of the year have 23 and 25 hours.

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

use crate::fhir::time::{self, SECOND};

const MINUTE: i64 = 60 * SECOND;
const QUARTER: i64 = 15 * MINUTE;
const DAY: i64 = 24 * 60 * MINUTE;
/// No place on earth is further from UTC.
const FURTHEST: i64 = 14 * 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Zone {
    /// So many minutes from UTC.
    Fixed(i64),
    Named(Tz),
}

impl Zone {
    pub const UTC: Self = Self::Fixed(0);

    /// `Europe/Madrid`.
    pub fn named(text: &str) -> Option<Self> {
        text.parse().ok().map(Self::Named)
    }

    /// `Z`, `+02:00`, `-05:30`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "Z" {
            return Some(Self::UTC);
        }
        let (sign, rest) = match text.split_at_checked(1)? {
            // In an address a plus that nobody escaped is a space.
            ("+" | " ", rest) => (1, rest),
            ("-", rest) => (-1, rest),
            _ => return None,
        };
        let (hours, minutes) = rest.split_once(':')?;
        let two = |text: &str| {
            let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse::<i64>().ok()).flatten()
        };
        let minutes = two(hours)? * 60 + two(minutes).filter(|m| *m < 60)?;
        (minutes <= FURTHEST).then_some(Self::Fixed(sign * minutes))
    }

    /// The distance as FHIR writes it, or the name.
    pub fn text(self) -> String {
        match self {
            Self::Named(zone) => zone.name().to_owned(),
            Self::Fixed(minutes) => {
                let sign = if minutes < 0 { '-' } else { '+' };
                format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
            }
        }
    }

    /// What clocks show at an instant (µs UTC), as if it were UTC.
    pub fn local(self, us: i64) -> i64 {
        us.saturating_add(self.distance(us))
    }

    /// The local day of an instant (µs UTC), counted from 1970-01-01.
    pub fn day(self, us: i64) -> i64 {
        self.local(us).div_euclid(DAY)
    }

    /// The quarter of an hour of the local day, from 0 to 95, as clocks show it.
    pub fn quarter(self, us: i64) -> u8 {
        let within = self.local(us).rem_euclid(DAY) / QUARTER;
        u8::try_from(within).unwrap_or(0)
    }

    /// The instant (µs UTC) at which clocks show what would be this instant in UTC; the first when they show it twice,
    /// and when they never do, the one at which they jump over it.
    pub fn utc(self, local: i64) -> i64 {
        let shown = DateTime::from_timestamp_micros(local).map(|at| at.naive_utc());
        match (self, shown) {
            (Self::Named(zone), Some(shown)) => match zone.from_local_datetime(&shown).earliest() {
                Some(at) => at.timestamp_micros(),
                None => local.saturating_sub(self.distance(local.saturating_sub(DAY))),
            },
            _ => local.saturating_sub(self.distance(local)),
        }
    }

    /// How far clocks are from UTC at an instant, µs.
    fn distance(self, us: i64) -> i64 {
        match self {
            Self::Fixed(minutes) => minutes * MINUTE,
            Self::Named(zone) => DateTime::from_timestamp_micros(us).map_or(0, |at| {
                i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()) * SECOND
            }),
        }
    }

    /// When a local day begins, µs UTC.
    pub fn midnight(self, day: i64) -> i64 {
        self.utc(day.saturating_mul(DAY))
    }

    /// The date of a local day, `2026-03-01`.
    pub fn date(day: i64) -> String {
        let mut text = time::instant(day.saturating_mul(DAY));
        text.truncate(10);
        text
    }
}
