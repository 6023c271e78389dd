//! How far blood pressure falls at night: the mean of the night's readings against that of the day's. Whether both
//! were measured often enough to be believed is said beside it (ESH 2013: 20 by day and 7 by night).

use super::digest::{Digest, QUARTERS};

const ENOUGH_BY_DAY: usize = 20;
const ENOUGH_BY_NIGHT: usize = 7;

/// The hours of the night in quarters of an hour of the local day; it may go over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Night {
    from: u8,
    to: u8,
}

impl Default for Night {
    fn default() -> Self {
        Self { from: 88, to: 24 }
    }
}

impl Night {
    /// `22-06` or `22:30-06:15`; on quarters of an hour.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        let night = Self { from: quarter(from)? % QUARTERS, to: quarter(to)? % QUARTERS };
        (night.from != night.to).then_some(night)
    }

    pub fn text(self) -> String {
        let time = |quarter: u8| format!("{:02}:{:02}", quarter / 4, quarter % 4 * 15);
        format!("{}-{}", time(self.from), time(self.to))
    }

    pub fn has(self, quarter: u8) -> bool {
        if self.from < self.to {
            (self.from..self.to).contains(&quarter)
        } else {
            quarter >= self.from || quarter < self.to
        }
    }
}

fn quarter(text: &str) -> Option<u8> {
    let (hour, minute) = text.split_once(':').unwrap_or((text, "00"));
    let number = |text: &str| {
        let digits = !text.is_empty() && text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u8>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let whole = hour < 24 && minute < 60 || hour == 24 && minute == 0;
    (whole && minute.is_multiple_of(15)).then(|| hour * 4 + minute / 15)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dip {
    /// Higher at night than by day.
    Reverse,
    /// Less than a tenth lower.
    NonDipper,
    Dipper,
    /// More than a fifth lower.
    Extreme,
}

impl Dip {
    pub fn of(fall_percent: f64) -> Self {
        match fall_percent {
            fall if fall < 0.0 => Self::Reverse,
            fall if fall < 10.0 => Self::NonDipper,
            fall if fall <= 20.0 => Self::Dipper,
            _ => Self::Extreme,
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Self::Reverse => "reverse-dipper",
            Self::NonDipper => "non-dipper",
            Self::Dipper => "dipper",
            Self::Extreme => "extreme-dipper",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dipping {
    pub day_mean: f64,
    pub day_count: usize,
    pub night_mean: f64,
    pub night_count: usize,
    /// How much lower the night is, in percent of the day.
    pub fall_percent: f64,
    pub class: Dip,
    /// There are enough readings by day and by night to believe it.
    pub enough: bool,
}

/// None without readings by day and by night.
pub fn dipping(period: &Digest, night: Night) -> Option<Dipping> {
    let mean = |by_night: bool| {
        let all = period.quarters.iter().filter(|(at, _)| night.has(**at) == by_night);
        let (count, sum) = all.fold((0, 0.0), |(n, sum), (_, sketch)| (n + sketch.count(), sum + sketch.sum()));
        (count > 0).then(|| (sum / super::float(count), count))
    };
    let ((day_mean, day_count), (night_mean, night_count)) = (mean(false)?, mean(true)?);
    let fall_percent = (day_mean - night_mean) / day_mean * 100.0;
    let enough = day_count >= ENOUGH_BY_DAY && night_count >= ENOUGH_BY_NIGHT;
    let class = Dip::of(fall_percent);
    fall_percent.is_finite().then_some(Dipping {
        day_mean,
        day_count,
        night_mean,
        night_count,
        fall_percent,
        class,
        enough,
    })
}
