//! When a payload was measured. A device's clock has no zone and is often wrong, so its time is taken only with what
//! ties it to the time of the one who received the payload.
//!
//! - With `deviceClock` (what the device's clock said at `receivedAt`) the device's time is moved by the difference. A
//!   difference within two minutes of a zone is the zone's: a clock that runs off by seconds would make another reading
//!   of the same record each time that it is read out of the device.
//! - Without it, records of a memory (glucose) are taken by the device's time in the zone of `receivedAt`; what is sent
//!   as it is measured was measured when it was received.
//! - A clock that does not know the date says nothing.

use super::octets::Stamp;
use crate::fhir::time::{self, SECOND};

const MINUTE: i64 = 60 * SECOND;
/// Zones lie apart by multiples of this.
const ZONES: i64 = 15 * MINUTE;
const RIGHT: i64 = 2 * MINUTE;
/// A device may be so much ahead of who receives.
const AHEAD: i64 = 5 * MINUTE;

/// When a payload came, as far as its sender says.
#[derive(Clone, Debug, Default)]
pub(super) struct Received {
    /// As it was sent.
    pub(super) text: Option<String>,
    /// µs since 1970: what was sent, else now.
    pub(super) at: i64,
    /// Of the zone that it was sent in, µs.
    pub(super) offset: i64,
    /// What the device's clock said then, µs since 1970 in its own zone.
    pub(super) device_clock: Option<i64>,
}

/// When it was measured (FHIR dateTime; none: when it comes), and what is to be said of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) time: Option<String>,
    pub(super) note: Option<String>,
}

/// A time of a day without its zone, and the zone's offset in µs.
pub(super) fn zoned(text: &str) -> Option<(i64, i64)> {
    let local = local(text)?;
    let utc = time::range(text)?.start;
    (text.len() > bare(text).len()).then_some((utc, local - utc))
}

/// A time of a day, whatever its zone: µs since 1970 as if it were UTC.
pub(super) fn local(text: &str) -> Option<i64> {
    let bare = bare(text);
    let seconds = bare.split_once('T')?.1.matches(':').count() == 2;
    time::range(text).and(time::range(bare)).filter(|_| seconds).map(|range| range.start)
}

fn bare(text: &str) -> &str {
    let Some((day, clock)) = text.split_once('T') else { return text };
    let end = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
    text.get(..day.len() + 1 + end).unwrap_or(text)
}

impl Received {
    /// `stamp`: what the device says, with its time where it can be one. `remembered`: out of a memory.
    pub(super) fn measured(&self, stamp: Option<(Stamp, Option<i64>)>, remembered: bool) -> Measured {
        let when_received = |note: Option<String>| Measured { time: self.text.clone(), note };
        let Some((stamp, local)) = stamp else { return when_received(None) };
        let said = || Some(format!("By the clock of the device: {stamp}"));
        let shift = match self.device_clock {
            Some(clock) => Some(self.shift(clock)),
            None => remembered.then_some((-self.offset, false)),
        };
        let (Some(local), Some((shift, wrong))) = (local, shift) else { return when_received(said()) };
        let at = local.saturating_add(shift);
        if at > self.at.saturating_add(AHEAD) {
            return when_received(said());
        }
        let time = Some(time::instant(at.min(self.at)));
        Measured { time, note: if wrong { said() } else { None } }
    }

    /// How far the device's time is from UTC, and whether that is more than a zone.
    fn shift(&self, clock: i64) -> (i64, bool) {
        let exact = self.at.saturating_sub(clock);
        let zone = (exact.saturating_add(ZONES / 2)).div_euclid(ZONES) * ZONES;
        if (exact - zone).abs() <= RIGHT && zone.abs() <= 14 * 60 * MINUTE {
            return (zone, false);
        }
        ((exact.saturating_add(MINUTE / 2)).div_euclid(MINUTE) * MINUTE, true)
    }

    /// So many minutes before it came.
    pub(super) fn before(&self, minutes: u16) -> String {
        time::instant(self.at - i64::from(minutes) * MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(at: &str, clock: Option<&str>) -> Received {
        let (utc, offset) = zoned(at).unwrap();
        let device_clock = clock.map(|clock| local(clock).unwrap());
        Received { text: Some(at.to_owned()), at: utc, offset, device_clock }
    }

    #[test]
    fn a_clock_is_corrected_by_what_it_said_when_it_was_read() {
        let stamp = Stamp { year: 2026, month: 3, day: 1, hour: 8, minute: 30, second: 5 };
        let table = [
            // receivedAt, deviceClock, remembered, time, is the device's own time told
            ("2026-03-01T09:00:00Z", Some("2026-03-01T10:00:00"), false, "2026-03-01T07:30:05.000Z", false),
            ("2026-03-01T09:00:00Z", Some("2026-03-01T10:01:30"), false, "2026-03-01T07:30:05.000Z", false),
            ("2026-03-01T10:00:00+01:00", Some("2026-03-01T10:00:00+05:00"), true, "2026-03-01T07:30:05.000Z", false),
            ("2026-03-01T09:00:00Z", Some("2026-03-01T10:05:10"), false, "2026-03-01T07:25:05.000Z", true),
            ("2026-03-01T09:00:00Z", Some("2026-03-01T08:30:00"), true, "2026-03-01T09:00:00.000Z", false),
            ("2026-03-01T09:00:00Z", None, false, "2026-03-01T09:00:00Z", true),
            ("2026-03-01T09:00:00Z", None, true, "2026-03-01T08:30:05.000Z", false),
            ("2026-03-01T10:00:00+01:00", None, true, "2026-03-01T07:30:05.000Z", false),
            ("2026-02-01T10:00:00Z", None, true, "2026-02-01T10:00:00Z", true),
        ];
        for (at, clock, remembered, time, told) in table {
            let measured = received(at, clock).measured(Some((stamp, stamp.local())), remembered);
            assert_eq!(measured.time.as_deref(), Some(time), "{at} {clock:?} {remembered}");
            assert_eq!(measured.note.is_some(), told, "{at} {clock:?} {remembered}");
        }
    }

    #[test]
    fn a_clock_that_knows_no_date_says_nothing() {
        for (year, month) in [(0, 4), (1970, 1), (2024, 0), (2024, 13)] {
            let stamp = Stamp { year, month, day: 17, hour: 20, minute: 41, second: 59 };
            let at = received("2026-03-01T09:00:00Z", Some("2026-03-01T09:00:00"));
            let measured = at.measured(Some((stamp, stamp.local())), true);
            assert_eq!(measured.time.as_deref(), Some("2026-03-01T09:00:00Z"));
            assert!(measured.note.is_some_and(|note| note.contains("-17T20:41:59")));
        }
        assert_eq!(Received::default().measured(None, false), Measured { time: None, note: None });
    }
}
