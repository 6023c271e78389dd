//! The octets of a characteristic, read from the front, little end first. Whatever does not fit is told with the octet
//! at which it does not.

use chrono::{NaiveDate, NaiveTime};

use super::number::Number;

/// Why a payload cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// An issue type of FHIR.
    pub code: &'static str,
    pub why: String,
}

pub(super) fn wrong<T>(code: &'static str, why: impl Into<String>) -> Read<T> {
    Err(Wrong { code, why: why.into() })
}

pub(super) type Read<T> = Result<T, Wrong>;

pub(super) struct Octets<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Octets<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload, length: payload.len() }
    }

    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    fn take<const N: usize>(&mut self, what: &str) -> Read<[u8; N]> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return wrong("structure", format!("cut short after {} octets, within the {what}", self.length));
        };
        self.rest = rest;
        Ok(*taken)
    }

    /// So many octets as they are.
    pub(super) fn bytes(&mut self, count: usize, what: &str) -> Read<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return wrong("structure", format!("cut short after {} octets, within the {what}", self.length));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// Flags of which only some bits have a meaning.
    pub(super) fn flags(&mut self, known: u8) -> Read<Flags> {
        let [flags] = self.take("flags")?;
        Flags::of(flags.into(), known.into())
    }

    pub(super) fn wide_flags(&mut self, known: u16) -> Read<Flags> {
        Flags::of(self.u16("flags")?, known)
    }

    pub(super) fn u8(&mut self, what: &str) -> Read<u8> {
        Ok(u8::from_le_bytes(self.take(what)?))
    }

    pub(super) fn u16(&mut self, what: &str) -> Read<u16> {
        Ok(u16::from_le_bytes(self.take(what)?))
    }

    pub(super) fn i16(&mut self, what: &str) -> Read<i16> {
        Ok(i16::from_le_bytes(self.take(what)?))
    }

    pub(super) fn u24(&mut self, what: &str) -> Read<u32> {
        let [a, b, c] = self.take(what)?;
        Ok(u32::from_le_bytes([a, b, c, 0]))
    }

    pub(super) fn sfloat(&mut self, what: &str) -> Read<Number> {
        Ok(Number::sfloat(self.u16(what)?))
    }

    pub(super) fn float(&mut self, what: &str) -> Read<Number> {
        Ok(Number::float(u32::from_le_bytes(self.take(what)?)))
    }

    pub(super) fn stamp(&mut self) -> Read<Stamp> {
        let [low, high, month, day, hour, minute, second] = self.take("time stamp")?;
        Ok(Stamp { year: u16::from_le_bytes([low, high]), month, day, hour, minute, second })
    }

    pub(super) fn end(&self) -> Read<()> {
        match self.rest.len() {
            0 => Ok(()),
            left => wrong("structure", format!("{left} octets more than its flags say")),
        }
    }
}

/// The flags of a characteristic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flags(u16);

impl Flags {
    fn of(flags: u16, known: u16) -> Read<Self> {
        match flags & !known {
            0 => Ok(Self(flags)),
            reserved => wrong("value", format!("reserved flags are set (0x{reserved:02X})")),
        }
    }

    pub(super) fn has(self, bit: u8) -> bool {
        self.0 >> bit & 1 == 1
    }

    /// What a flag announces.
    pub(super) fn then<T>(self, bit: u8, read: impl FnOnce() -> Read<T>) -> Read<Option<T>> {
        if self.has(bit) { read().map(Some) } else { Ok(None) }
    }
}

/// Names of the bits that are set.
pub(super) fn set<'n>(bits: u32, names: &'n [(u8, &'n str)]) -> impl Iterator<Item = &'n str> {
    names.iter().filter(move |(bit, _)| bits >> bit & 1 == 1).map(|(_, name)| *name)
}

/// The time by a device's own clock: in no zone, and unknown as far as it is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub year: u16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

impl Stamp {
    /// µs since 1970 by that clock; none when it does not know, or says what no clock that was set can say.
    pub fn local(&self) -> Option<i64> {
        let date = NaiveDate::from_ymd_opt(self.year.into(), self.month.into(), self.day.into())?;
        let time = NaiveTime::from_hms_opt(self.hour.into(), self.minute.into(), self.second.into())?;
        (self.year >= 2000).then(|| date.and_time(time).and_utc().timestamp_micros())
    }
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}
