//! FHIR date, dateTime and instant with their precision: which stretch of time a text covers, and how an
//! instant is written. Times are i64 microseconds since 1970 UTC. Pure: asking what time it is now has no
//! place here.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Timelike};

/// What a date text covers, half open, in µs UTC: `2024` is the whole year, `…T10:00:00.5Z` a tenth of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub start: i64,
    pub end: i64,
}

pub const SECOND: i64 = 1_000_000;

/// An open start and an open end: before and after every time that can be written, and so far from the ends of
/// the integers that differences of times can be taken.
pub const BEFORE_ALL: i64 = i64::MIN / 4;
pub const AFTER_ALL: i64 = i64::MAX / 4;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// The first and the last microsecond that four digits of a year can say.
const FIRST: i64 = -62_135_596_800_000_000;
const LAST: i64 = 253_402_300_799_999_999;

/// Reads a FHIR date, dateTime or instant. Without a zone it is UTC; seconds may be missing, as searches write
/// it. None when it is not a time of the calendar.
pub fn range(text: &str) -> Option<Range> {
    let mut rest = Digits(text.as_bytes());
    let year = i32::try_from(rest.number(4)?).ok().filter(|y| *y >= 1)?;
    if rest.done() {
        return between(NaiveDate::from_ymd_opt(year, 1, 1)?, NaiveDate::from_ymd_opt(year + 1, 1, 1)?);
    }
    rest.eat(b'-')?;
    let month = rest.number(2)?;
    if rest.done() {
        let first = NaiveDate::from_ymd_opt(year, month, 1)?;
        return between(first, first.checked_add_months(Months::new(1))?);
    }
    rest.eat(b'-')?;
    let day = NaiveDate::from_ymd_opt(year, month, rest.number(2)?)?;
    if rest.done() {
        return between(day, day.checked_add_days(Days::new(1))?);
    }
    rest.eat(b'T')?;
    let clock = rest.clock()?;
    let shift = rest.zone()?;
    if !rest.done() {
        return None;
    }
    let start = midnight(day)?.checked_add(clock.start)?.checked_sub(shift)?;
    Some(Range { start, end: start.checked_add(clock.end - clock.start)? })
}

/// An instant as this server writes it: RFC 3339, UTC, milliseconds (what is finer is cut off).
pub fn instant(us: i64) -> String {
    let Some(at) = DateTime::from_timestamp_micros(us.clamp(FIRST, LAST)) else {
        return "1970-01-01T00:00:00.000Z".to_owned();
    };
    let (date, time) = (at.date_naive(), at.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.nanosecond() / 1_000_000
    )
}

/// The same for HTTP headers (RFC 9110, 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn http_date(us: i64) -> String {
    let at = DateTime::from_timestamp_micros(us.clamp(FIRST, LAST)).unwrap_or_default();
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn between(start: NaiveDate, end: NaiveDate) -> Option<Range> {
    Some(Range { start: midnight(start)?, end: midnight(end)? })
}

fn midnight(day: NaiveDate) -> Option<i64> {
    Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros())
}

/// What is left to read of the text.
struct Digits<'a>(&'a [u8]);

impl Digits<'_> {
    fn done(&self) -> bool {
        self.0.is_empty()
    }

    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        (*first == byte).then(|| self.0 = rest)
    }

    /// A number of exactly so many digits.
    fn number(&mut self, digits: usize) -> Option<u32> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        number.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0')))
    }

    /// Hours, minutes, perhaps seconds with a fraction, as µs of the day.
    fn clock(&mut self) -> Option<Range> {
        let hour = i64::from(self.number(2).filter(|h| *h < 24)?);
        self.eat(b':')?;
        let minute = i64::from(self.number(2).filter(|m| *m < 60)?);
        let start = hour * HOUR + minute * MINUTE;
        if self.peek() != Some(b':') {
            return Some(Range { start, end: start + MINUTE });
        }
        self.eat(b':')?;
        let second = i64::from(self.number(2).filter(|s| *s <= 60)?);
        let (fraction, step) = if self.peek() == Some(b'.') { self.fraction()? } else { (0, SECOND) };
        if second == 60 {
            // A leap second is no second of ours: it counts as the last millisecond before it.
            return Some(Range { start: start + MINUTE - SECOND / 1000, end: start + MINUTE });
        }
        let start = start + second * SECOND + fraction;
        Some(Range { start, end: start + step })
    }

    /// The fraction in µs and how long the last digit lasts; digits beyond the sixth are cut off.
    fn fraction(&mut self) -> Option<(i64, i64)> {
        self.eat(b'.')?;
        let (mut sum, mut step) = (0, SECOND);
        let mut any = false;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            self.eat(digit)?;
            any = true;
            if step > 1 {
                step /= 10;
                sum += i64::from(digit - b'0') * step;
            }
        }
        any.then_some((sum, step))
    }

    /// The distance of the zone from UTC in µs; none written is UTC.
    fn zone(&mut self) -> Option<i64> {
        let sign = match self.peek() {
            None => return Some(0),
            Some(b'Z') => return self.eat(b'Z').map(|()| 0),
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => return None,
        };
        self.eat(if sign == 1 { b'+' } else { b'-' })?;
        let hours = i64::from(self.number(2)?);
        self.eat(b':')?;
        let minutes = i64::from(self.number(2).filter(|m| *m < 60)?);
        let shift = hours * HOUR + minutes * MINUTE;
        (shift <= 14 * HOUR).then_some(sign * shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: i64 = 24 * HOUR;

    fn written(text: &str) -> Option<(String, i64)> {
        range(text).map(|r| (instant(r.start), r.end - r.start))
    }

    #[test]
    fn covers_what_the_text_says() {
        let table: [(&str, &str, i64); 16] = [
            ("2024", "2024-01-01T00:00:00.000Z", 366 * DAY),
            ("2024-02", "2024-02-01T00:00:00.000Z", 29 * DAY),
            ("2024-12", "2024-12-01T00:00:00.000Z", 31 * DAY),
            ("2024-02-29", "2024-02-29T00:00:00.000Z", DAY),
            ("9999-12-31", "9999-12-31T00:00:00.000Z", DAY),
            ("0001", "0001-01-01T00:00:00.000Z", 365 * DAY),
            ("2026-01-02T03:04", "2026-01-02T03:04:00.000Z", MINUTE),
            ("2026-01-02T03:04Z", "2026-01-02T03:04:00.000Z", MINUTE),
            ("2026-01-02T03:04:05", "2026-01-02T03:04:05.000Z", SECOND),
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z", SECOND),
            ("2026-01-02T10:00:00.5+02:00", "2026-01-02T08:00:00.500Z", SECOND / 10),
            ("2026-01-01T00:30:00-05:30", "2026-01-01T06:00:00.000Z", SECOND),
            ("2026-01-01T00:30:00+14:00", "2025-12-31T10:30:00.000Z", SECOND),
            ("2026-01-02T03:04:05.678901234Z", "2026-01-02T03:04:05.678Z", 1),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999Z", 1000),
            ("2016-12-31T23:59:60.5Z", "2016-12-31T23:59:59.999Z", 1000),
        ];
        for (text, start, length) in table {
            assert_eq!(written(text), Some((start.to_owned(), length)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        let texts = "|24|0000|202|20244|2024-|2024-13|2024-00|2024-2|2023-02-29|2024-04-31|2024-01-01T\
            |2024-01-01T24:00:00Z|2024-01-01T23:60:00Z|2024-01-01T23:59:61Z|2024-01-01T1:00:00Z\
            |2024-01-01T10|2024-01-01T10Z|2024-01-01T10:00:00.Z|2024-01-01T10:00:00+2:00\
            |2024-01-01T10:00:00+15:00|2024-01-01T10:00:00+02:60|2024-01-01T10:00:00+0200\
            |2024-01-01T10:00:00ZZ|2024-01-01 10:00:00|2024-01-01Z|yesterday|２０２４|-2024|+2024";
        for text in texts.split('|') {
            assert_eq!(range(text), None, "{text}");
        }
    }

    #[test]
    fn writes_any_number() {
        assert_eq!(instant(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(instant(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(instant(i64::MIN), "0001-01-01T00:00:00.000Z");
        assert_eq!(instant(i64::MAX), "9999-12-31T23:59:59.999Z");
    }

    proptest! {
        #[test]
        fn instants_come_back(us in FIRST..LAST) {
            let back = range(&instant(us)).unwrap();
            prop_assert_eq!(back.start, us - us.rem_euclid(1000));
            prop_assert_eq!(back.end - back.start, 1000);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}", near in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.+Z-]{0,20}") {
            for text in [text, near] {
                if let Some(r) = range(&text) {
                    prop_assert!(r.start < r.end);
                }
            }
        }
    }
}
