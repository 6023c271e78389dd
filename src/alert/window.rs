//! The state of one patient under one rule. Pure and driven by the times of the readings alone, so that live
//! evaluation, replay after a restart, re-evaluation of corrected history and back-tests cannot differ. Nothing is
//! stored here and nobody is notified.
//!
//! A reading goes through four steps: may it be true (else a technical alert, and it is left out); the number that
//! the rule derives from it (`gauge`, `joint`); the level of each side (`ladder`); a transition when that changed.
//! Time moves too: durations end and silence becomes too long without any reading (`advance`).

mod baseline;
mod gauge;
mod joint;
mod ladder;
mod scoring;

use self::gauge::Memory;
use self::joint::Latest;
use self::ladder::{Ladder, Move, Verdict};
pub use self::scoring::{Scored, level_of, level_told};
use super::context::Context;
use super::rule::{Cause, Condition, Gauge, Level, Limit, Rule, Side, Sides};

/// One reading as a rule sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When it was measured, µs UTC.
    pub at: i64,
    /// In the unit of the signal; in a transition the number that was judged, in the unit of the rule.
    pub value: f64,
    /// Place in the log of the version that it came from: how its Observation is found again.
    pub seq: i64,
    /// Which of the rule's signals it is.
    pub signal: u8,
    /// False: its unit is unknown, and its value says nothing.
    pub readable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Raise,
    Escalate,
    Deescalate,
    Resolve,
}

impl Kind {
    pub fn code(self) -> &'static str {
        match self {
            Self::Raise => "raise",
            Self::Escalate => "escalate",
            Self::Deescalate => "deescalate",
            Self::Resolve => "resolve",
        }
    }

    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Raise, Self::Escalate, Self::Deescalate, Self::Resolve].into_iter().find(|kind| kind.code() == code)
    }

    pub fn of(from: Level, to: Level) -> Self {
        match (from, to) {
            (Level::None, _) => Self::Raise,
            (_, Level::None) => Self::Resolve,
            (from, to) if to > from => Self::Escalate,
            _ => Self::Deescalate,
        }
    }
}

/// A change of level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transition {
    pub cause: Cause,
    /// When it changed, µs UTC: the time of `sample`, or when a duration was over.
    pub at: i64,
    pub from: Level,
    pub to: Level,
    pub kind: Kind,
    /// The reading that caused the change.
    pub sample: Sample,
    /// The limit of the new level; when resolved, the one that had been broken. None where there is no limit.
    pub limit: Option<Limit>,
    /// The reading with which it began: at a raise the first of those that broke a limit, else `sample`.
    pub onset: Sample,
    /// The number furthest out since the raise, as far as this window has seen it.
    pub peak: Option<Sample>,
}

impl Transition {
    /// The level that a log of events names: the new one, or the one that is over.
    pub fn level(&self) -> Level {
        if self.to == Level::None { self.from } else { self.to }
    }
}

/// What is firing, as the open alerts tell it after a restart.
pub type Firing = [(Cause, Level)];

/// On what terms a patient's readings are judged under a rule.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    pub rule: &'a Rule,
    pub context: &'a Context,
}

impl Terms<'_> {
    /// The limits that hold at this time.
    fn sides(&self, at: i64) -> Sides {
        match &self.rule.condition {
            Condition::Limits { limits, .. } => self.context.limits(self.rule, at).unwrap_or(*limits),
            _ => Sides::default(),
        }
    }
}

/// What an instant says of which several signals speak.
enum Said {
    Level(Level, Sample),
    /// The number that limits are held against.
    Value(Sample),
}

/// What cannot be true, or not be read.
const BAD: [Cause; 2] = [Cause::Implausible, Cause::Unit];

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    /// How far time has come; older readings come too late.
    now: Option<i64>,
    low: Ladder,
    /// The only one of conditions without sides.
    high: Ladder,
    memory: Option<Box<Memory>>,
    /// Which of [`BAD`] stands.
    bad: [bool; BAD.len()],
}

impl Window {
    /// The window as it was after these readings (in the order of time; those of the rule's look back suffice) when
    /// this was firing. Says nothing about changes: they were told when they happened.
    pub fn resume(terms: &Terms, firing: &Firing, recent: &[Sample]) -> Self {
        let mut window = Self::default();
        for (cause, level) in firing {
            let side = cause.side().unwrap_or(Side::High);
            if let Some(bad) = BAD.iter().position(|bad| bad == cause).and_then(|at| window.bad.get_mut(at)) {
                *bad = true;
            } else if self::cause(terms.rule, side) == *cause {
                // What an earlier version of the rule raised for another reason is not this one's.
                window.ladder(side).stand_at(*level);
            }
        }
        for sample in recent {
            if window.now.is_some_and(|now| sample.at < now) {
                continue;
            }
            window.recollect(terms, sample.at);
            window.now = Some(sample.at);
            if sample.readable && signal_allows(terms.rule, sample) {
                window.recall(terms, sample);
            } else {
                gauge::interrupt(&mut window.memory);
            }
        }
        window
    }

    /// The last instant was judged too. Without that nobody knows, and judging it again tells nothing new.
    #[must_use]
    pub fn settled(mut self, terms: &Terms) -> Self {
        // A day is over when its hours are, and not before.
        if !matches!(self.memory.as_deref(), Some(Memory::Usual(_))) {
            self.recollect(terms, i64::MAX);
        }
        self
    }

    /// Takes what this reading means into account without moving anything.
    fn recall(&mut self, terms: &Terms, sample: &Sample) {
        match &terms.rule.condition {
            condition if condition.is_joint() => self.join(terms.rule, sample),
            Condition::Limits { gauge, .. } => {
                if let Some(value) = gauge::derive(*gauge, &mut self.memory, sample) {
                    self.note(terms, &Sample { value, ..*sample });
                }
            }
            _ => self.memory = Some(Box::new(Memory::Heard(*sample))),
        }
    }

    fn note(&mut self, terms: &Terms, sample: &Sample) {
        let sides = terms.sides(sample.at);
        for side in Side::BOTH {
            self.ladder(side).note(&terms.rule.timing, side, verdict(&sides, side, sample.value), sample);
        }
    }

    /// How far out the day is whose hours are over.
    fn close_day(&mut self, rule: &Rule) -> Option<Sample> {
        match (&rule.condition, self.memory.as_deref_mut()) {
            (Condition::Limits { gauge: Gauge::Deviation(baseline), .. }, Some(Memory::Usual(usual))) => {
                usual.close(baseline)
            }
            _ => None,
        }
    }

    /// Takes what an instant means that is over before `to` into account without moving anything.
    fn recollect(&mut self, terms: &Terms, to: i64) {
        let Some(open) = self.open().filter(|open| *open < to) else { return };
        let timing = &terms.rule.timing;
        match self.said(terms, open) {
            Some(Said::Level(level, sample)) => {
                self.high.note(timing, Side::High, Verdict { reached: level, kept: level }, &sample);
            }
            Some(Said::Value(sample)) => self.note(terms, &sample),
            None => {}
        }
        self.take_scores();
    }

    /// Takes a reading of an instant that is not over.
    fn join(&mut self, rule: &Rule, sample: &Sample) {
        let scored = matches!(rule.condition, Condition::Score(_));
        let memory = self.memory.get_or_insert_with(|| {
            Box::new(if scored { Memory::Scoring(Box::default()) } else { Memory::Latest(Latest::default()) })
        });
        match memory.as_mut() {
            Memory::Latest(latest) => latest.take(sample),
            Memory::Scoring(scoring) => scoring.take(rule, sample),
            _ => {}
        }
    }

    /// The instant is judged, or needs no judging.
    fn settle(&mut self) {
        match self.memory.as_deref_mut() {
            Some(Memory::Latest(latest)) => latest.close(),
            Some(Memory::Scoring(scoring)) => scoring.close(),
            _ => {}
        }
    }

    /// The scores that were formed since they were taken last.
    pub fn take_scores(&mut self) -> Vec<Scored> {
        match self.memory.as_deref_mut() {
            Some(Memory::Scoring(scoring)) => std::mem::take(&mut scoring.untold),
            _ => vec![],
        }
    }

    /// How far time has come.
    pub fn now(&self) -> Option<i64> {
        self.now
    }

    /// Is it too late to judge a reading of this instant where it belongs? Of several signals it is when the instant
    /// was judged without it.
    pub fn is_past(&self, at: i64) -> bool {
        let judged = match self.memory.as_deref() {
            Some(Memory::Latest(latest)) => latest.closed(),
            Some(Memory::Scoring(scoring)) => scoring.closed(),
            _ => None,
        };
        self.now.is_some_and(|now| at < now) || judged == Some(at)
    }

    /// Every level that stands.
    pub fn firing(&self, rule: &Rule) -> Vec<(Cause, Level)> {
        let bad = BAD.into_iter().zip(self.bad).filter(|(_, stands)| *stands).map(|(cause, _)| (cause, Level::Warning));
        let sides = Side::BOTH.map(|side| (cause(rule, side), self.ladder_of(side).level()));
        bad.chain(sides.into_iter().filter(|(_, level)| *level > Level::None)).collect()
    }

    /// Judges one reading. Allocates only when something changes. Readings of the same instant are judged in the
    /// order in which they come; one that is older than the last is left out (`is_past`).
    pub fn step(&mut self, terms: &Terms, sample: &Sample) -> Vec<Transition> {
        if self.is_past(sample.at) {
            return vec![];
        }
        let mut changes = self.advance(terms, sample.at - 1);
        self.now = Some(sample.at);
        let plausible = signal_allows(terms.rule, sample);
        if terms.rule.tells_of_bad_readings() {
            self.tell_of_bad(&mut changes, sample, [sample.readable && !plausible, !sample.readable]);
        }
        if !sample.readable || !plausible {
            gauge::interrupt(&mut self.memory);
            return changes;
        }
        match &terms.rule.condition {
            condition if condition.is_joint() => self.join(terms.rule, sample),
            Condition::Limits { gauge, .. } => {
                if let Some(value) = gauge::derive(*gauge, &mut self.memory, sample) {
                    self.judge(terms, &Sample { value, ..*sample }, &mut changes);
                }
            }
            _ => {
                self.memory = Some(Box::new(Memory::Heard(*sample)));
                self.stand(terms, Level::None, sample, &mut changes);
            }
        }
        changes
    }

    /// Lets time pass up to and including `to`: what becomes due on the way changes levels at its own instant.
    pub fn advance(&mut self, terms: &Terms, to: i64) -> Vec<Transition> {
        let mut changes = Vec::new();
        while let Some(due) = self.deadline(terms.rule).filter(|due| *due <= to) {
            self.now = self.now.max(Some(due));
            let before = changes.len();
            self.instant(terms, due, &mut changes);
            self.silence(terms, due, &mut changes);
            for side in Side::BOTH {
                if self.ladder_of(side).deadline(&terms.rule.timing).is_some_and(|at| at <= due) {
                    let moved = self.ladder(side).ripen(&terms.rule.timing, side, due);
                    changes.extend(moved.map(|moved| transition(terms, side, moved)));
                }
            }
            if changes.len() == before && self.deadline(terms.rule) == Some(due) {
                break;
            }
        }
        if self.now.is_some_and(|now| now < to) {
            self.now = Some(to);
        }
        changes
    }

    /// The next instant at which something changes if no reading comes.
    pub fn deadline(&self, rule: &Rule) -> Option<i64> {
        let silent = match (&rule.condition, self.memory.as_deref()) {
            (Condition::Missing { after, .. }, Some(Memory::Heard(last))) if self.high.level() == Level::None => {
                Some(last.at + after)
            }
            _ => None,
        };
        let timing = &rule.timing;
        [self.open(), silent, self.low.deadline(timing), self.high.deadline(timing)].into_iter().flatten().min()
    }

    fn tell_of_bad(&mut self, changes: &mut Vec<Transition>, sample: &Sample, now: [bool; BAD.len()]) {
        for ((cause, stands), now) in BAD.into_iter().zip(&mut self.bad).zip(now) {
            if *stands != now {
                *stands = now;
                changes.push(technical(cause, sample, !now));
            }
        }
    }

    /// Judges what several signals said of an instant that is over, or one signal of a day.
    fn instant(&mut self, terms: &Terms, due: i64, changes: &mut Vec<Transition>) {
        if self.open().is_none_or(|open| open > due) {
            return;
        }
        let open = self.open().unwrap_or(due);
        match self.said(terms, open) {
            Some(Said::Level(level, sample)) => self.stand(terms, level, &sample, changes),
            Some(Said::Value(sample)) => self.judge(terms, &sample, changes),
            None => {}
        }
    }

    /// What several signals say of an instant; it is closed with that. None: too little is known.
    fn said(&mut self, terms: &Terms, open: i64) -> Option<Said> {
        if let Some(day) = self.close_day(terms.rule) {
            return Some(Said::Value(day));
        }
        self.settle();
        match (&terms.rule.condition, self.memory.as_deref_mut()?) {
            (Condition::Score(kind), Memory::Scoring(scoring)) => {
                let newest = scoring.newest()?;
                let score = scoring.form(terms.rule, *kind, &terms.context.scored(open), open)?;
                Some(Said::Level(level_of(*kind, score.band), Sample { at: open, value: score.total?, ..newest }))
            }
            (Condition::Compound { test, level }, Memory::Latest(latest)) => {
                let holds = latest.holds(terms.rule, test, open)?;
                Some(Said::Level(if holds { *level } else { Level::None }, latest.newest()?))
            }
            (_, Memory::Latest(latest)) => {
                let value = latest.difference(terms.rule, open)?;
                Some(Said::Value(Sample { value, at: open, ..latest.newest()? }))
            }
            _ => None,
        }
    }

    /// The instant that is not over; of a day when its hours are.
    pub fn open(&self) -> Option<i64> {
        match self.memory.as_deref() {
            Some(Memory::Latest(latest)) => latest.open(),
            Some(Memory::Scoring(scoring)) => scoring.open(),
            Some(Memory::Usual(usual)) => usual.open(),
            _ => None,
        }
    }

    fn silence(&mut self, terms: &Terms, due: i64, changes: &mut Vec<Transition>) {
        let Condition::Missing { after, level, .. } = terms.rule.condition else { return };
        let Some(Memory::Heard(last)) = self.memory.as_deref() else { return };
        if last.at + after <= due && self.high.level() == Level::None {
            let silent = Sample { at: due, value: gauge::seconds(after), ..*last };
            self.stand(terms, level, &silent, changes);
        }
    }

    /// The level of a condition without sides.
    fn stand(&mut self, terms: &Terms, level: Level, sample: &Sample, changes: &mut Vec<Transition>) {
        let verdict = Verdict { reached: level, kept: level };
        let moved = self.high.step(&terms.rule.timing, Side::High, verdict, sample);
        changes.extend(moved.map(|moved| transition(terms, Side::High, moved)));
    }

    fn judge(&mut self, terms: &Terms, sample: &Sample, changes: &mut Vec<Transition>) {
        let sides = terms.sides(sample.at);
        for side in Side::BOTH {
            let verdict = verdict(&sides, side, sample.value);
            let moved = self.ladder(side).step(&terms.rule.timing, side, verdict, sample);
            changes.extend(moved.map(|moved| transition(terms, side, moved)));
        }
    }

    fn ladder(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Low => &mut self.low,
            Side::High => &mut self.high,
        }
    }

    fn ladder_of(&self, side: Side) -> &Ladder {
        match side {
            Side::Low => &self.low,
            Side::High => &self.high,
        }
    }
}

fn signal_allows(rule: &Rule, sample: &Sample) -> bool {
    rule.signals.get(usize::from(sample.signal)).is_some_and(|signal| signal.is_plausible(sample.value))
}

fn verdict(sides: &Sides, side: Side, value: f64) -> Verdict {
    let limits = sides.get(side);
    Verdict { reached: limits.reached(value), kept: limits.kept(value) }
}

/// What is wrong when this side of the rule stands at a level.
fn cause(rule: &Rule, side: Side) -> Cause {
    match &rule.condition {
        Condition::Limits { gauge, .. } => gauge.cause(side),
        Condition::Missing { .. } => Cause::Missing,
        Condition::Score(_) => Cause::Score,
        Condition::Compound { .. } => Cause::Compound,
    }
}

fn transition(terms: &Terms, side: Side, moved: Move) -> Transition {
    let Move { at, from, to, sample, onset, peak } = moved;
    let limit = terms.sides(at).get(side).get(if to == Level::None { from } else { to });
    Transition { cause: cause(terms.rule, side), at, from, to, kind: Kind::of(from, to), sample, limit, onset, peak }
}

/// What is bad has no level of its own: it is there or not.
fn technical(cause: Cause, sample: &Sample, over: bool) -> Transition {
    let (from, to) = if over { (Level::Warning, Level::None) } else { (Level::None, Level::Warning) };
    let kind = Kind::of(from, to);
    Transition { cause, at: sample.at, from, to, kind, sample: *sample, limit: None, onset: *sample, peak: None }
}

#[cfg(test)]
mod tests;
