//! A limit, and the limits of one side. Values are compared as f64. A limit is a short decimal, a reading may have
//! gone through a conversion (96.8 °F is 35.99…°C or 36 °C, depending on the order of the operations), so each
//! comparison allows a billionth of the limit: a value that close to a limit *is* the limit. No device resolves
//! that finely.

use super::level::{Level, Side};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparator {
    Below,
    AtOrBelow,
    Above,
    AtOrAbove,
}

impl Comparator {
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Below, "<", "below"),
        (Self::AtOrBelow, "<=", "at or below"),
        (Self::Above, ">", "above"),
        (Self::AtOrAbove, ">=", "at or above"),
    ];

    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, text, _)| *text == code).map(|(comparator, ..)| *comparator)
    }

    pub fn code(self) -> &'static str {
        Self::ALL.iter().find(|(comparator, ..)| *comparator == self).map_or("", |(_, code, _)| *code)
    }

    /// How a sentence says it.
    pub fn words(self) -> &'static str {
        Self::ALL.iter().find(|(comparator, ..)| *comparator == self).map_or("", |(.., words)| *words)
    }

    pub fn side(self) -> Side {
        match self {
            Self::Below | Self::AtOrBelow => Side::Low,
            Self::Above | Self::AtOrAbove => Side::High,
        }
    }

    pub fn holds(self, value: f64, limit: f64) -> bool {
        let slack = slack(limit);
        match self {
            Self::Below => value < limit - slack,
            Self::AtOrBelow => value <= limit + slack,
            Self::Above => value > limit + slack,
            Self::AtOrAbove => value >= limit - slack,
        }
    }
}

/// What a comparison with this limit forgives (see the head of this file).
pub(super) fn slack(limit: f64) -> f64 {
    1e-9 * limit.abs().max(1.0)
}

/// One limit: broken by a value, and no longer broken by one that is clear of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    pub comparator: Comparator,
    pub value: f64,
    /// The limit moved towards normal by the hysteresis: only beyond it is a broken limit left.
    pub clear: f64,
}

impl Limit {
    pub fn new(comparator: Comparator, value: f64, hysteresis: f64) -> Self {
        let clear = match comparator.side() {
            Side::Low => value + hysteresis,
            Side::High => value - hysteresis,
        };
        Self { comparator, value, clear }
    }

    fn broken(&self, value: f64) -> bool {
        self.comparator.holds(value, self.value)
    }

    fn not_clear(&self, value: f64) -> bool {
        self.comparator.holds(value, self.clear)
    }
}

/// The limits of one side, at most one a level.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits([Option<Limit>; Level::RAISED.len()]);

impl Limits {
    pub fn get(&self, level: Level) -> Option<Limit> {
        self.0.get(level.place()?).copied().flatten()
    }

    /// Sets the limit of a level; gives back the one that stood there.
    pub fn set(&mut self, level: Level, limit: Limit) -> Option<Limit> {
        self.0.get_mut(level.place()?)?.replace(limit)
    }

    /// The level that this value alone reaches.
    pub fn reached(&self, value: f64) -> Level {
        self.highest(|limit| limit.broken(value))
    }

    /// The level that this value alone keeps up, once it was reached. Never below `reached`.
    pub fn kept(&self, value: f64) -> Level {
        self.highest(|limit| limit.not_clear(value))
    }

    fn highest(&self, holds: impl Fn(&Limit) -> bool) -> Level {
        let levels = Level::RAISED.into_iter().zip(&self.0).rev();
        levels.into_iter().find(|(_, limit)| limit.as_ref().is_some_and(&holds)).map_or(Level::None, |(level, _)| level)
    }

    /// Those that are set, the least urgent first.
    pub fn iter(&self) -> impl Iterator<Item = (Level, Limit)> {
        Level::RAISED.into_iter().zip(self.0).filter_map(|(level, limit)| Some((level, limit?)))
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

/// The limits of both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sides {
    pub low: Limits,
    pub high: Limits,
}

impl Sides {
    pub fn get(&self, side: Side) -> &Limits {
        match side {
            Side::Low => &self.low,
            Side::High => &self.high,
        }
    }

    pub fn get_mut(&mut self, side: Side) -> &mut Limits {
        match side {
            Side::Low => &mut self.low,
            Side::High => &mut self.high,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(hysteresis: f64) -> Limits {
        let mut limits = Limits::default();
        limits.set(Level::Warning, Limit::new(Comparator::AtOrAbove, 38.1, hysteresis));
        limits.set(Level::Critical, Limit::new(Comparator::Above, 39.1, hysteresis));
        limits
    }

    #[test]
    fn a_value_at_the_limit_is_judged_by_the_comparator() {
        for (value, level) in [
            (38.0, Level::None),
            (38.1, Level::Warning),
            (38.099_999_999_999_994, Level::Warning),
            (39.1, Level::Warning),
            (39.2, Level::Critical),
            (f64::NAN, Level::None),
            (f64::INFINITY, Level::Critical),
        ] {
            assert_eq!(limits(0.2).reached(value), level, "{value}");
        }
    }

    #[test]
    fn a_level_is_kept_until_the_value_is_clear() {
        for (value, level) in
            [(37.8, Level::None), (37.9, Level::Warning), (38.9, Level::Warning), (39.0, Level::Critical)]
        {
            assert_eq!(limits(0.2).kept(value), level, "{value}");
        }
    }
}
