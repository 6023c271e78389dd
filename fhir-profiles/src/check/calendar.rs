//! Dates and times as FHIR writes them: the pattern and the calendar.

/// `2026`, `2026-11` or `2026-11-22`.
pub(super) fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    match bytes.len() {
        4 => year(bytes).is_some(),
        7 => month(bytes).is_some(),
        10 => day(bytes).is_some(),
        _ => false,
    }
}

/// A date, or a day with time and zone.
pub(super) fn is_date_time(text: &str) -> bool {
    text.len() <= 10 && is_date(text) || is_instant(text)
}

/// A day with time, to the second or finer, and zone.
pub(super) fn is_instant(text: &str) -> bool {
    let Some((date, rest)) = text.as_bytes().split_at_checked(10) else { return false };
    let Some((b'T', rest)) = rest.split_first() else { return false };
    day(date).is_some() && clock(rest).is_some_and(is_zone)
}

/// A time of day without a zone.
pub(super) fn is_time(text: &str) -> bool {
    clock(text.as_bytes()).is_some_and(<[u8]>::is_empty)
}

/// Whether one dateTime is later than another whatever the two can mean: `2026` is later than no
/// day of 2026. A date has no zone, so beside a time it reaches half a day further on both sides.
pub(crate) fn is_after(later: &str, earlier: &str) -> bool {
    const ZONES: i64 = 14 * 3_600;
    match (span(later), span(earlier)) {
        (Some(a), Some(b)) => a.first - if a.has_zone == b.has_zone { 0 } else { ZONES } > b.last,
        _ => false,
    }
}

/// The first and the last second, since an arbitrary day, that a dateTime can mean.
struct Span {
    first: i64,
    last: i64,
    has_zone: bool,
}

fn span(text: &str) -> Option<Span> {
    const DAY: i64 = 86_400;
    if !is_date_time(text) {
        return None;
    }
    let bytes = text.as_bytes();
    let year = year(bytes)?;
    let (first_month, last_month) = month(bytes).map_or((1, 12), |(_, month)| (month, month));
    let (first_day, last_day) = number(bytes.get(8..10)).map_or((1, last_day(year, last_month)), |day| (day, day));
    let (first, last) = (days(year, first_month, first_day) * DAY, days(year, last_month, last_day) * DAY + DAY - 1);
    let Some((b'T', time)) = bytes.get(10..).and_then(<[u8]>::split_first) else {
        return Some(Span { first, last, has_zone: false });
    };
    let part = |bytes: Option<&[u8]>| number(bytes).map(i64::from);
    let seconds = part(time.get(0..2))? * 3_600 + part(time.get(3..5))? * 60 + part(time.get(6..8))?;
    let offset = match clock(time)? {
        [sign @ (b'+' | b'-'), zone @ ..] => {
            let size = part(zone.get(0..2))? * 3_600 + part(zone.get(3..5))? * 60;
            if *sign == b'+' { size } else { -size }
        }
        _ => 0,
    };
    let moment = first + seconds - offset;
    Some(Span { first: moment, last: moment, has_zone: true })
}

/// Days since the beginning of the calendar, counted in years that begin in March.
fn days(year: u32, month: u32, day: u32) -> i64 {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    i64::from(year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day)
}

fn number(bytes: Option<&[u8]>) -> Option<u32> {
    bytes?.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0')))
}

fn year(bytes: &[u8]) -> Option<u32> {
    number(bytes.get(..4)).filter(|year| *year > 0)
}

fn month(bytes: &[u8]) -> Option<(u32, u32)> {
    let month = number(bytes.get(5..7)).filter(|m| (1..=12).contains(m))?;
    (bytes.get(4) == Some(&b'-')).then_some((year(bytes)?, month))
}

fn day(bytes: &[u8]) -> Option<()> {
    let (year, month) = month(bytes)?;
    let day = number(bytes.get(8..10))?;
    (bytes.get(7) == Some(&b'-') && (1..=last_day(year, month)).contains(&day)).then_some(())
}

fn last_day(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `hh:mm:ss` with any fraction; answers what follows. A leap second is a time.
fn clock(bytes: &[u8]) -> Option<&[u8]> {
    let part = |from: usize, last: u32| number(bytes.get(from..from + 2)).filter(|n| *n <= last);
    part(0, 23)?;
    part(3, 59)?;
    part(6, 60)?;
    if bytes.get(2) != Some(&b':') || bytes.get(5) != Some(&b':') {
        return None;
    }
    let rest = bytes.get(8..)?;
    let Some((b'.', fraction)) = rest.split_first() else { return Some(rest) };
    let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 { None } else { fraction.get(digits..) }
}

/// `Z`, or an offset up to fourteen hours.
fn is_zone(bytes: &[u8]) -> bool {
    match bytes {
        [b'Z'] => true,
        [b'+' | b'-', _, _, b':', _, _] => {
            let (hours, minutes) = (number(bytes.get(1..3)), number(bytes.get(4..6)));
            matches!((hours, minutes), (Some(0..=13), Some(0..=59)) | (Some(14), Some(0)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (text, good) in [
            ("2026", true),
            ("0001", true),
            ("0000", false),
            ("2026-02", true),
            ("2026-13", false),
            ("2026-00", false),
            ("2024-02-29", true),
            ("2026-02-29", false),
            ("1900-02-29", false),
            ("2000-02-29", true),
            ("2026-04-31", false),
            ("2026-4-3", false),
            ("2026/04/03", false),
            ("yesterday", false),
            ("20260403", false),
            ("", false),
            ("２０２６", false),
        ] {
            assert_eq!(is_date(text), good, "{text}");
        }
    }

    #[test]
    fn date_times() {
        for (text, good) in [
            ("2026-11-22", true),
            ("2026-11-22T10:11:12Z", true),
            ("2026-11-22T10:11:12.123456789+05:30", true),
            ("2026-11-22T23:59:60Z", true),
            ("2026-11-22T10:11:12-14:00", true),
            ("2026-11-22T10:11:12+14:01", false),
            ("2026-11-22T10:11:12", false),
            ("2026-11-22T10:11Z", false),
            ("2026-11-22T24:00:00Z", false),
            ("2026-11-22T10:11:12.Z", false),
            ("2026-11-22t10:11:12Z", false),
            ("2026-11-31T10:11:12Z", false),
            ("2026-11-22 10:11:12Z", false),
            ("2026-11T10:11:12Z", false),
            ("2026-11-22T10:11:12Zé", false),
            ("yesterday", false),
        ] {
            assert_eq!(is_date_time(text), good, "{text}");
        }
        assert!(!is_instant("2026-11-22") && is_instant("2026-11-22T10:11:12.1Z"));
    }

    #[test]
    fn only_what_is_surely_later_is_later() {
        for (later, earlier, surely) in [
            ("2026-11-22T10:00:00Z", "2026-11-22T11:30:00+02:00", true),
            ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00.500Z", false),
            ("2026-03-01T00:00:00Z", "2026-02-28T23:59:59Z", true),
            ("2026-11-22T23:00:00-05:00", "2026-11-22", false),
            ("2026-11-24T23:00:00-05:00", "2026-11-22", true),
            ("2026-11-23", "2026-11-22", true),
            ("2026-12", "2026-11", true),
            ("2026-12", "2026", false),
            ("2027-02", "2026", true),
            ("tomorrow", "yesterday", false),
        ] {
            assert_eq!(is_after(later, earlier), surely, "{later} {earlier}");
        }
        assert_eq!(days(2024, 3, 1) - days(2024, 2, 28), 2);
        assert_eq!(days(2026, 1, 1) - days(2025, 1, 1), 365);
    }

    #[test]
    fn times() {
        for (text, good) in
            [("10:11:12", true), ("10:11:12.5", true), ("10:11", false), ("10:11:12Z", false), ("25:00:00", false)]
        {
            assert_eq!(is_time(text), good, "{text}");
        }
    }
}
