//! HL7 times (`YYYYMMDDHHMMSS.S±ZZZZ`) to FHIR dateTime, with full validation and the precision that was sent.
//! A time of a day without a zone is in the zone of its channel.

use std::str::FromStr;

use crate::fhir::time;

/// A fixed distance from UTC in minutes, for senders that write no zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zone(i32);

impl Zone {
    pub const UTC: Self = Self(0);

    fn new(sign: &str, hours: &str, minutes: &str) -> Option<Self> {
        let (hours, minutes) = (number(hours)?, number(minutes).filter(|m| *m < 60)?);
        let all = hours * 60 + minutes;
        (all <= 14 * 60).then_some(Self(if sign == "-" { -all } else { all }))
    }

    fn text(self) -> String {
        match self.0 {
            0 => "Z".to_owned(),
            all => format!("{}{:02}:{:02}", if all < 0 { '-' } else { '+' }, all.abs() / 60, all.abs() % 60),
        }
    }
}

impl FromStr for Zone {
    type Err = &'static str;

    /// Reads `Z`, `UTC`, `+01:00`, `-0330`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if matches!(text, "Z" | "UTC") {
            return Ok(Self::UTC);
        }
        let parts = text.split_at_checked(1).filter(|(sign, _)| matches!(*sign, "+" | "-"));
        let read = parts.and_then(|(sign, rest)| {
            let plain = rest.replacen(':', "", 1);
            let (hours, minutes) = plain.split_at_checked(2)?;
            Self::new(sign, hours, minutes)
        });
        read.ok_or("a zone is written as `Z` or like `+01:00`")
    }
}

/// The FHIR dateTime of an HL7 time; none when it is not a time of the calendar.
pub fn date_time(text: &str, zone: Zone) -> Option<String> {
    let text = text.trim();
    let (clock, zone) = match text.find(['+', '-']).and_then(|at| text.split_at_checked(at)) {
        Some((clock, zone)) => {
            let (sign, rest) = zone.split_at_checked(1)?;
            let (hours, minutes) = rest.split_at_checked(2).filter(|_| rest.len() == 4)?;
            (clock, Zone::new(sign, hours, minutes)?)
        }
        None => (text, zone),
    };
    let (digits, fraction) = match clock.split_once('.') {
        Some((digits, fraction)) => (digits, Some(fraction).filter(|f| !f.is_empty())),
        // Some monitors write the milliseconds without the dot.
        None if clock.len() == 17 => clock.split_at_checked(14).map(|(digits, ms)| (digits, Some(ms)))?,
        None => (clock, None),
    };
    let all_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(digits) || fraction.is_some_and(|f| !all_digits(f) || f.len() > 9 || digits.len() != 14) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to);
    let (year, month, day) = (part(0, 4)?, part(4, 6), part(6, 8));
    let made = match digits.len() {
        4 => year.to_owned(),
        6 => format!("{year}-{}", month?),
        8 => format!("{year}-{}-{}", month?, day?),
        10 | 12 | 14 => {
            let (hour, minute, second) = (part(8, 10)?, part(10, 12).unwrap_or("00"), part(12, 14).unwrap_or("00"));
            let fraction = fraction.map(|f| format!(".{f}")).unwrap_or_default();
            format!("{year}-{}-{}T{hour}:{minute}:{second}{fraction}{}", month?, day?, zone.text())
        }
        _ => return None,
    };
    time::range(&made).map(|_| made)
}

fn number(text: &str) -> Option<i32> {
    text.parse().ok().filter(|_| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_as_devices_write_them() {
        let table = [
            ("2026", Some("2026")),
            ("202601", Some("2026-01")),
            ("20260102", Some("2026-01-02")),
            ("2026010203", Some("2026-01-02T03:00:00+01:00")),
            ("202601020304", Some("2026-01-02T03:04:00+01:00")),
            ("20260102030405", Some("2026-01-02T03:04:05+01:00")),
            (" 20260102030405Z", None),
            ("20260102030405.6789-0330", Some("2026-01-02T03:04:05.6789-03:30")),
            ("20260102030405.0000+0000", Some("2026-01-02T03:04:05.0000Z")),
            ("20260102030405-0030", Some("2026-01-02T03:04:05-00:30")),
            ("20260102030405678", Some("2026-01-02T03:04:05.678+01:00")),
            ("20260102030405540+0800", Some("2026-01-02T03:04:05.540+08:00")),
            ("20260102030405.", Some("2026-01-02T03:04:05+01:00")),
            ("20160101", Some("2016-01-01")),
            ("20261302", None),
            ("20260229", None),
            ("2026010225", None),
            ("20260102030405+01", None),
            ("20260102030405+2500", None),
            ("20260102030405+0160", None),
            ("2026010203.5", None),
            ("00000000", None),
            ("202601020", None),
            ("now", None),
            ("", None),
            ("2026é102", None),
        ];
        let zone = "+01:00".parse().unwrap();
        for (text, want) in table {
            assert_eq!(date_time(text, zone).as_deref(), want, "{text}");
        }
        assert_eq!(date_time("20260102030405", Zone::UTC).as_deref(), Some("2026-01-02T03:04:05Z"));
    }

    #[test]
    fn zones() {
        for (text, want) in [
            ("Z", Some("Z")),
            ("+0000", Some("Z")),
            ("-03:30", Some("-03:30")),
            ("Europe/Madrid", None),
            ("+1", None),
            ("+é1", None),
        ] {
            assert_eq!(text.parse::<Zone>().ok().map(Zone::text).as_deref(), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9]{0,18}[.]?[0-9]{0,4}[+-]?[0-9]{0,5}|\\PC{0,20}") {
            if let Some(made) = date_time(&text, Zone::UTC) {
                prop_assert!(time::range(&made).is_some());
            }
        }
    }
}
