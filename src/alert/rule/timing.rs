//! When a level counts: how many readings must agree, and for how long.

/// How many of the last readings must agree before a level is reached: `n` of `m`, 1 ≤ n ≤ m ≤ [`Damping::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damping {
    pub n: u8,
    pub m: u8,
}

impl Damping {
    /// The longest look back; what needs more is a rule over time, not over counts.
    pub const MAX: u8 = 32;
    /// Every reading counts by itself.
    pub const SINGLE: Self = Self { n: 1, m: 1 };
}

/// All durations in µs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    pub damping: Damping,
    /// A level is reached only after it has held so long.
    pub hold: i64,
    /// A level is left only after it has been clear so long.
    pub clear_hold: i64,
    /// What comes back within this time is the same episode.
    pub regroup: i64,
    /// What several signals say of one instant is judged when a later reading comes, or when nothing more has come
    /// for so long.
    pub settle: i64,
    /// A reading that comes later than this is history: it corrects the record and sounds nowhere.
    pub late_after: i64,
}

impl Timing {
    /// A continuous signal may be a quarter of an hour late.
    pub const LATE_AFTER: i64 = 15 * 60 * 1_000_000;
    pub const SETTLE: i64 = 2_000_000;
    pub const PLAIN: Self = Self {
        damping: Damping::SINGLE,
        hold: 0,
        clear_hold: 0,
        regroup: 0,
        settle: Self::SETTLE,
        late_after: Self::LATE_AFTER,
    };
}
