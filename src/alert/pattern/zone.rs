//! Local time of a patient, as far as patterns need it: which day and which quarter of an hour an instant is in. A fixed
//! distance from UTC, so that every day has 24 hours, and nothing is read from the machine.

use crate::fhir::time::{self, SECOND};

const MINUTE: i64 = 60 * SECOND;
const QUARTER: i64 = 15 * MINUTE;
const DAY: i64 = 24 * 60 * MINUTE;
/// No place on earth is further from UTC.
const FURTHEST: i64 = 14 * 60;

/// A distance from UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Zone {
    minutes: i64,
}

impl Zone {
    pub const UTC: Self = Self { minutes: 0 };

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
        (minutes <= FURTHEST).then_some(Self { minutes: sign * minutes })
    }

    /// As FHIR writes it.
    pub fn text(self) -> String {
        let sign = if self.minutes < 0 { '-' } else { '+' };
        format!("{sign}{:02}:{:02}", self.minutes.abs() / 60, self.minutes.abs() % 60)
    }

    /// The local day of an instant (µs UTC), counted from 1970-01-01.
    pub fn day(self, us: i64) -> i64 {
        us.saturating_add(self.minutes * MINUTE).div_euclid(DAY)
    }

    /// The quarter of an hour of the local day, from 0 to 95.
    pub fn quarter(self, us: i64) -> u8 {
        let within = us.saturating_add(self.minutes * MINUTE).rem_euclid(DAY) / QUARTER;
        u8::try_from(within).unwrap_or(0)
    }

    /// The instant (µs UTC) at which clocks show what would be this instant in UTC.
    pub fn utc(self, local: i64) -> i64 {
        local.saturating_sub(self.minutes * MINUTE)
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
