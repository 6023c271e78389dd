//! The level of one side, and what moves it. Pure.
//!
//! With n of m:
//! - **up** to the highest level that n of the last m readings reach;
//! - **down** to the highest level that one of the last n readings keeps up, measured by the limits moved towards
//!   normal by the hysteresis, but never below what the rule for going up still holds;
//! - fewer than n readings move nothing.
//!
//! With `hold`, up only after the reason for it has stood so long without a break; with `clear_hold`, down only
//! after the reason to stay has been gone so long. One of one without hysteresis and without durations is the plain
//! comparison of each reading.
//!
//! A quiet ladder is 48 bytes: of each reading it keeps three bits for what it reached and three for what it keeps.
//! The readings themselves are kept only while one of the last m is outside a limit.

use super::super::rule::{Damping, Level, Side, Timing};
use super::Sample;

const LEVELS: usize = Level::RAISED.len();
const NEVER: i64 = i64::MAX;

/// What one reading means for this side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Verdict {
    pub(super) reached: Level,
    pub(super) kept: Level,
}

/// A change of level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    pub(super) at: i64,
    pub(super) from: Level,
    pub(super) to: Level,
    /// The reading that moved it, or the last one before a duration was over.
    pub(super) sample: Sample,
    pub(super) onset: Sample,
    pub(super) peak: Option<Sample>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ladder {
    /// Bit i: the i-th last reading reached (kept) at least this level.
    reached: [u32; LEVELS],
    kept: [u32; LEVELS],
    level: Level,
    /// How many readings there were, up to 32.
    seen: u8,
    holds: Option<Box<Holds>>,
    story: Option<Box<Story>>,
}

/// Since when each level has had its reason to be reached, or none to be kept.
#[derive(Clone, Debug, PartialEq)]
struct Holds {
    up: [i64; LEVELS],
    off: [i64; LEVELS],
    last: Sample,
}

/// What an alert tells of the readings.
#[derive(Clone, Debug, Default, PartialEq)]
struct Story {
    /// Those of the last m that reached a level, each with how many came after it.
    broken: Vec<(u8, Sample)>,
    /// With what the present reason to go up began.
    onset: Option<Sample>,
    peak: Option<Sample>,
}

impl Ladder {
    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// As an open alert tells it after a restart.
    pub(super) fn stand_at(&mut self, level: Level) {
        self.level = level;
    }

    /// Takes a reading in and moves nothing.
    pub(super) fn note(&mut self, timing: &Timing, side: Side, verdict: Verdict, sample: &Sample) {
        let floor = Level::RAISED;
        for ((reached, kept), level) in self.reached.iter_mut().zip(&mut self.kept).zip(floor) {
            *reached = (*reached << 1) | u32::from(verdict.reached >= level);
            *kept = (*kept << 1) | u32::from(verdict.kept >= level);
        }
        self.seen = (self.seen + 1).min(Damping::MAX);
        self.tell(timing, side, verdict, sample);
        if timing.hold > 0 || timing.clear_hold > 0 {
            self.time(timing, sample);
        }
    }

    /// Takes a reading in. Durations that were over before it must have been told by `ripen`.
    pub(super) fn step(&mut self, timing: &Timing, side: Side, verdict: Verdict, sample: &Sample) -> Option<Move> {
        self.note(timing, side, verdict, sample);
        self.settle(timing, side, sample.at, *sample)
    }

    /// When a duration will be over, if no reading comes in between.
    pub(super) fn deadline(&self, timing: &Timing) -> Option<i64> {
        let holds = self.holds.as_deref()?;
        let times = Level::RAISED.into_iter().zip(holds.up.iter().zip(&holds.off)).map(|(level, (up, off))| {
            if level > self.level { up.saturating_add(timing.hold) } else { off.saturating_add(timing.clear_hold) }
        });
        times.min().filter(|at| *at < NEVER)
    }

    /// Moves for the duration that is over at this instant.
    pub(super) fn ripen(&mut self, timing: &Timing, side: Side, at: i64) -> Option<Move> {
        let last = self.holds.as_deref()?.last;
        self.settle(timing, side, at, last)
    }

    fn settle(&mut self, timing: &Timing, side: Side, now: i64, sample: Sample) -> Option<Move> {
        let (from, to) = (self.level, self.target(timing, now));
        if from == to {
            return None;
        }
        let story = self.story.as_deref();
        let peak = story.and_then(|story| story.peak);
        let raised = from == Level::None;
        let onset = if raised { story.and_then(|s| s.onset.or(s.broken.first().map(|(_, s)| *s))) } else { None };
        self.level = to;
        let worst =
            if raised { peak } else { peak.map(|p| if side.worse(sample.value, p.value) { sample } else { p }) };
        if let Some(story) = self.story.as_deref_mut() {
            story.peak = if to == Level::None { None } else { worst };
        }
        self.forget();
        Some(Move { at: now, from, to, sample, onset: onset.unwrap_or(sample), peak: worst })
    }

    fn target(&self, timing: &Timing, now: i64) -> Level {
        let over = |since: &i64, hold: i64| since.saturating_add(hold) <= now;
        let n = timing.damping.n;
        let up = Level::RAISED.into_iter().enumerate().rev().find(|(at, _)| match self.holds.as_deref() {
            Some(holds) => holds.up.get(*at).is_some_and(|since| over(since, timing.hold)),
            None => self.agrees(*at, timing),
        });
        let up = up.map_or(Level::None, |(_, level)| level);
        if up > self.level || self.seen < n {
            return up.max(self.level);
        }
        let stays = |at: usize| match self.holds.as_deref() {
            Some(holds) => !holds.off.get(at).is_some_and(|since| over(since, timing.clear_hold)),
            None => self.agrees(at, timing) || self.keeps(at, timing),
        };
        let levels = Level::RAISED.into_iter().enumerate().rev();
        let kept = levels.skip_while(|(_, level)| *level > self.level).find(|(at, _)| stays(*at));
        kept.map_or(Level::None, |(_, level)| level)
    }

    /// Do n of the last m readings reach this level?
    fn agrees(&self, at: usize, timing: &Timing) -> bool {
        let Damping { n, m } = timing.damping;
        self.reached.get(at).is_some_and(|bits| (bits & lowest(m)).count_ones() >= u32::from(n))
    }

    /// Does one of the last n readings keep this level up?
    fn keeps(&self, at: usize, timing: &Timing) -> bool {
        self.kept.get(at).is_some_and(|bits| bits & lowest(timing.damping.n) != 0)
    }

    /// Keeps what an alert will want to tell.
    fn tell(&mut self, timing: &Timing, side: Side, verdict: Verdict, sample: &Sample) {
        let broken = verdict.reached > Level::None;
        if self.story.is_none() && !broken {
            return;
        }
        let story = self.story.get_or_insert_default();
        for (age, _) in &mut story.broken {
            *age = age.saturating_add(1);
        }
        story.broken.retain(|(age, _)| *age < timing.damping.m);
        if broken {
            story.broken.push((0, *sample));
            if story.peak.is_none_or(|peak| side.worse(sample.value, peak.value)) {
                story.peak = Some(*sample);
            }
        } else if self.level == Level::None {
            // Not raised yet: what lies further back than m readings is no part of it.
            let worst = story.broken.iter().map(|(_, s)| *s);
            story.peak = worst.reduce(|a, b| if side.worse(b.value, a.value) { b } else { a });
        }
        self.forget();
    }

    /// Lets the story go once nothing is left to tell.
    fn forget(&mut self) {
        let over = |story: &Story| story.broken.is_empty() && story.peak.is_none() && story.onset.is_none();
        if self.level == Level::None && self.story.as_deref().is_some_and(over) {
            self.story = None;
        }
    }

    /// Starts and stops the clocks of the durations.
    fn time(&mut self, timing: &Timing, sample: &Sample) {
        let mut holds = self
            .holds
            .take()
            .unwrap_or_else(|| Box::new(Holds { up: [NEVER; LEVELS], off: [NEVER; LEVELS], last: *sample }));
        holds.last = *sample;
        let settled = self.seen >= timing.damping.n;
        for (at, (up, off)) in holds.up.iter_mut().zip(&mut holds.off).enumerate() {
            let agrees = self.agrees(at, timing);
            run(up, agrees, sample.at);
            run(off, settled && !agrees && !self.keeps(at, timing), sample.at);
        }
        let rising = holds.up.iter().any(|since| *since != NEVER);
        self.holds = Some(holds);
        if let Some(story) = self.story.as_deref_mut() {
            let first = story.broken.first().map(|(_, sample)| *sample);
            story.onset = if rising { story.onset.or(first) } else { None };
        }
        self.forget();
    }
}

fn run(since: &mut i64, runs: bool, at: i64) {
    *since = match (runs, *since) {
        (false, _) => NEVER,
        (true, NEVER) => at,
        (true, began) => began,
    };
}

/// The lowest `count` bits.
fn lowest(count: u8) -> u32 {
    u32::MAX.checked_shr(u32::from(Damping::MAX - count.clamp(1, Damping::MAX))).unwrap_or(u32::MAX)
}
