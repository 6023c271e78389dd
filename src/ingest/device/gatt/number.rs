//! SFLOAT and FLOAT of ISO/IEEE 11073-20601: a mantissa and an exponent of ten. The exponent is the precision of the
//! measurement, so the number is written as a decimal text and never becomes a binary one.

use crate::ingest::device::part::quantity;
use crate::normalize::draft::Measured;

/// A number, or what stands in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    Decimal {
        mantissa: i32,
        exponent: i32,
    },
    NotANumber,
    /// The device cannot say it at this resolution.
    NoResolution,
    PositiveInfinity,
    NegativeInfinity,
    /// A value that the standard keeps for later.
    Reserved,
}

impl Number {
    /// 4 bits of exponent, 12 of mantissa.
    pub fn sfloat(raw: u16) -> Self {
        let mantissa = signed(u32::from(raw & 0x0FFF), 12);
        match raw {
            0x07FF => Self::NotANumber,
            0x0800 => Self::NoResolution,
            0x07FE => Self::PositiveInfinity,
            0x0802 => Self::NegativeInfinity,
            0x0801 => Self::Reserved,
            _ => Self::Decimal { mantissa, exponent: signed(u32::from(raw >> 12), 4) },
        }
    }

    /// 8 bits of exponent, 24 of mantissa.
    pub fn float(raw: u32) -> Self {
        match raw {
            0x007F_FFFF => Self::NotANumber,
            0x0080_0000 => Self::NoResolution,
            0x007F_FFFE => Self::PositiveInfinity,
            0x0080_0002 => Self::NegativeInfinity,
            0x0080_0001 => Self::Reserved,
            _ => Self::Decimal { mantissa: signed(raw & 0x00FF_FFFF, 24), exponent: signed(raw >> 24, 8) },
        }
    }

    /// The number times a power of ten, which changes neither its digits nor its precision.
    #[must_use]
    pub fn shifted(self, powers: i32) -> Self {
        match self {
            Self::Decimal { mantissa, exponent } => Self::Decimal { mantissa, exponent: exponent + powers },
            special => special,
        }
    }

    /// As a decimal text: `2.00`, `20`; none when it is no number.
    pub fn text(self) -> Option<String> {
        let Self::Decimal { mantissa, exponent } = self else { return None };
        Some(decimal(mantissa.into(), exponent))
    }

    /// A code of data-absent-reason; none when it is a number.
    pub fn absent(self) -> Option<&'static str> {
        match self {
            Self::Decimal { .. } => None,
            Self::NotANumber => Some("not-a-number"),
            Self::NoResolution | Self::Reserved => Some("error"),
            Self::PositiveInfinity => Some("positive-infinity"),
            Self::NegativeInfinity => Some("negative-infinity"),
        }
    }

    pub(super) fn measured(self, unit: &str) -> Measured {
        match (self.text(), self.absent()) {
            (Some(text), _) => quantity(text, unit),
            (None, reason) => Measured::Absent(reason.unwrap_or("unknown")),
        }
    }
}

/// Two's complement in so many bits.
fn signed(raw: u32, bits: u32) -> i32 {
    let raw = i32::try_from(raw).unwrap_or_default();
    if raw < 1 << (bits - 1) { raw } else { raw - (1 << bits) }
}

/// `mantissa * 10^exponent`, written out with as many decimals as the exponent says.
pub(super) fn decimal(mantissa: i64, exponent: i32) -> String {
    let (sign, digits) = (if mantissa < 0 { "-" } else { "" }, mantissa.unsigned_abs().to_string());
    match usize::try_from(exponent.unsigned_abs()).unwrap_or_default() {
        _ if mantissa == 0 && exponent >= 0 => digits,
        zeros if exponent >= 0 => format!("{sign}{digits}{}", "0".repeat(zeros)),
        decimals => {
            let padded = format!("{digits:0>width$}", width = decimals + 1);
            let (whole, fraction) = padded.split_at_checked(padded.len() - decimals).unwrap_or_default();
            format!("{sign}{whole}.{fraction}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_is_the_precision() {
        for (raw, text) in
            [(0x0002, "2"), (0xF014, "2.0"), (0xE0C8, "2.00"), (0x1002, "20"), (0x8078, "0.00000120"), (0xFFFF, "-0.1")]
        {
            assert_eq!(Number::sfloat(raw).text().as_deref(), Some(text), "{raw:04X}");
        }
        for (raw, text) in [(0xFF00_0170, "36.8"), (0xFE00_0E74, "37.00"), (0x0100_0002, "20"), (0xFDFF_FFFF, "-0.001")]
        {
            assert_eq!(Number::float(raw).text().as_deref(), Some(text), "{raw:08X}");
        }
        assert_eq!(Number::sfloat(0xB078).shifted(5).text().as_deref(), Some("120"));
        assert_eq!(decimal(0, 3), "0");
        assert_eq!(decimal(0, -2), "0.00");
    }

    #[test]
    fn what_is_no_number_says_why() {
        for (short, long, reason) in [
            (0x07FF, 0x007F_FFFF, "not-a-number"),
            (0x0800, 0x0080_0000, "error"),
            (0x07FE, 0x007F_FFFE, "positive-infinity"),
            (0x0802, 0x0080_0002, "negative-infinity"),
            (0x0801, 0x0080_0001, "error"),
        ] {
            assert_eq!(Number::sfloat(short).absent(), Some(reason));
            assert_eq!(Number::float(long).absent(), Some(reason));
            assert_eq!(Number::float(long).shifted(3).text(), None);
        }
    }
}
