use proptest::prelude::*;

use super::super::backtest::judged;
use super::super::context::Context;
use super::super::rule::{Damping, Rule, Side, Timing, compile, default_plans};
use super::super::window::{Sample, Terms, Window};
use super::*;

const CAUSE: Cause = Cause::Threshold(Side::High);

/// `r` raise, `e` escalate, `d` deescalate, `x` resolve, each with its instant.
fn parse(text: &str) -> Vec<(i64, Kind)> {
    let kind = |letter: char| match letter {
        'r' => Kind::Raise,
        'e' => Kind::Escalate,
        'd' => Kind::Deescalate,
        _ => Kind::Resolve,
    };
    let change = |word: &str| (word.get(1..).unwrap().parse().unwrap(), kind(word.chars().next().unwrap()));
    text.split_whitespace().map(change).collect()
}

fn told(text: &str) -> Told {
    let steps = parse(text).into_iter().map(|(at, kind)| Step { at, kind, level: Level::Warning }).collect();
    Told { version: 1, resource: Value::Null, cause: CAUSE, steps, ended: None }
}

fn changes(text: &str) -> Vec<Transition> {
    let change = |(at, kind): (i64, Kind)| {
        let sample = Sample { at, value: 0.0, seq: at, signal: 0, readable: true };
        let (from, to) = match kind {
            Kind::Raise => (Level::None, Level::Warning),
            Kind::Resolve => (Level::Warning, Level::None),
            _ => (Level::Warning, Level::Warning),
        };
        Transition { cause: CAUSE, at, from, to, kind, sample, limit: None, onset: sample, peak: None }
    };
    parse(text).into_iter().map(change).collect()
}

#[test]
fn only_what_changed_is_told_anew() {
    // Told before, the instant, concluded from there on, what is to be done.
    let cases: [(&[&str], i64, &str, &[&str]); 9] = [
        (&[], 0, "", &[]),
        (&[], 0, "r5 x9", &["raise r5 x9"]),
        (&["r5 x9"], 0, "r5 x9", &[]),
        (&["r5 x9"], 0, "", &["retract 0"]),
        (&["r5 x9"], 7, "x9", &[]),
        (&["r5 x9"], 7, "x8", &["revise 0 x8"]),
        (&["r5 x9"], 7, "", &["revise 0 "]),
        (&["r5 x9", "r20"], 3, "r4 x9 r30", &["revise 0 r4 x9", "revise 1 r30"]),
        (&["r5 x9", "r20 x25"], 3, "r5 x25", &["retract 1", "revise 0 r5 x25"]),
    ];
    for (before, from, now, expected) in cases {
        let told: Vec<Told> = before.iter().map(|text| told(text)).collect();
        let word = |t: &Transition| {
            let letter = match t.kind {
                Kind::Raise => 'r',
                Kind::Escalate => 'e',
                Kind::Deescalate => 'd',
                Kind::Resolve => 'x',
            };
            format!("{letter}{}", t.at)
        };
        let words = |changes: &[Transition]| changes.iter().map(word).collect::<Vec<_>>().join(" ");
        let found: Vec<String> = amendments(&told, from, &changes(now), 0)
            .iter()
            .map(|amendment| match amendment {
                Amendment::Retract(at) => format!("retract {at}"),
                Amendment::Revise(at, changes) => format!("revise {at} {}", words(changes)),
                Amendment::Raise(changes) => format!("raise {}", words(changes)),
            })
            .collect();
        assert_eq!(found, expected, "{before:?} from {from}: {now}");
    }
}

#[test]
fn what_fired_at_an_instant_is_what_was_raised_and_not_yet_over() {
    let all = [told("r5 e7 x9"), told("r20")];
    for (from, open) in [(5, 0), (6, 1), (9, 1), (10, 0), (21, 1)] {
        assert_eq!(firing_at(&all, from).len(), open, "{from}");
    }
}

#[test]
fn what_comes_back_soon_is_the_same_episode() {
    let found = amendments(&[], 0, &changes("r5 x9 r12 x13 r30"), 5);
    assert_eq!(found, [Amendment::Raise(changes("r5 x9 r12 x13")), Amendment::Raise(changes("r30"))]);
}

fn steps(changes: &[Transition]) -> Vec<Step> {
    changes.iter().map(|t| Step { at: t.at, kind: t.kind, level: t.level() }).collect()
}

/// The engine without store and resources: what was told after readings came in this order.
struct Ledger<'r> {
    terms: Terms<'r>,
    window: Window,
    known: Vec<Sample>,
    told: Vec<Told>,
}

impl<'r> Ledger<'r> {
    fn new(terms: Terms<'r>) -> Self {
        Self { terms, window: Window::default(), known: vec![], told: vec![] }
    }

    fn arrives(&mut self, sample: Sample) {
        self.known.push(sample);
        self.known.sort_by_key(|known| (known.at, known.seq));
        if self.window.is_past(sample.at) {
            self.correct(sample.at);
            return;
        }
        for change in self.window.step(&self.terms, &sample) {
            self.tell(change);
        }
    }

    /// A reading is taken back.
    fn retract(&mut self, seq: i64) {
        let Some(at) = self.known.iter().position(|known| known.seq == seq) else { return };
        let gone = self.known.remove(at);
        self.correct(gone.at);
    }

    fn tell(&mut self, change: Transition) {
        let step = steps(&[change])[0];
        let open = |told: &&mut Told| told.cause == change.cause && told.open_at(i64::MAX).is_some();
        match self.told.iter_mut().find(open) {
            Some(told) if change.kind != Kind::Raise => told.steps.push(step),
            _ => self.told.push(Told {
                version: 1,
                resource: Value::Null,
                cause: change.cause,
                steps: vec![step],
                ended: None,
            }),
        }
    }

    fn correct(&mut self, from: i64) {
        let now = self.window.now().unwrap_or(from);
        let (before, since): (Vec<Sample>, Vec<Sample>) = self.known.iter().partition(|known| known.at < from);
        let (count, back) = self.terms.rule.look_back();
        let plausible = |known: &Sample| self.terms.rule.signals[0].is_plausible(known.value);
        let far = before.iter().enumerate().rev().filter(|(_, s)| s.at < from - back && plausible(s)).nth(count - 1);
        let before = &before[far.map_or(0, |(at, _)| at)..];
        self.window = Window::resume(&self.terms, &firing_at(&self.told, from), before);
        let mut changes: Vec<Transition> =
            since.iter().flat_map(|sample| self.window.step(&self.terms, sample)).collect();
        changes.extend(self.window.advance(&self.terms, now));
        let mut gone = Vec::new();
        for amendment in amendments(&self.told, from, &changes, 0) {
            match amendment {
                Amendment::Retract(at) => gone.push(at),
                Amendment::Revise(at, changes) => {
                    let told = &mut self.told[at];
                    told.steps.truncate(told.before(from).len());
                    told.steps.extend(steps(&changes));
                }
                Amendment::Raise(changes) => {
                    let cause = changes[0].cause;
                    self.told.push(Told {
                        version: 1,
                        resource: Value::Null,
                        cause,
                        steps: steps(&changes),
                        ended: None,
                    });
                }
            }
        }
        gone.sort_unstable();
        gone.into_iter().rev().for_each(|at| _ = self.told.remove(at));
    }

    /// Time passes until nothing is pending.
    fn end(mut self) -> Vec<String> {
        let last = self.known.last().map_or(0, |known| known.at) + 3_600_000_000;
        for change in self.window.advance(&self.terms, last) {
            self.tell(change);
        }
        sorted(self.told.iter().map(|told| words(told.cause, &told.steps)))
    }
}

fn words(cause: Cause, steps: &[Step]) -> String {
    let steps = steps.iter().map(|s| format!("{}@{}:{}", s.kind.code(), s.at, s.level.code()));
    format!("{cause:?} {}", steps.collect::<Vec<_>>().join(" "))
}

fn sorted(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = words.collect();
    all.sort_unstable();
    all
}

fn heart_rate(n: u8, m: u8, hold: i64, clear_hold: i64) -> Rule {
    let plan = default_plans().into_iter().find(|plan| plan["id"] == "limits-8867-4").unwrap();
    let timing = Timing { damping: Damping { n, m }, hold, clear_hold, ..Timing::PLAIN };
    Rule { timing, ..compile(&plan).unwrap() }
}

const SECOND: i64 = 1_000_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the order in which readings arrive, the same episodes are told in the end, and a back-test says them.
    #[test]
    fn arrival_does_not_matter(
        values in prop::collection::vec(prop_oneof![4 => 60.0..160.0_f64, 1 => Just(0.0)], 1..30),
        order in prop::collection::vec(any::<u32>(), 30),
        n in 1_u8..4,
        more in 0_u8..2,
        hold in prop_oneof![Just(0), Just(15 * SECOND), Just(90 * SECOND)],
        clear_hold in prop_oneof![Just(0), Just(45 * SECOND)],
    ) {
        let (rule, context) = (heart_rate(n, n + more, hold, clear_hold), Context::default());
        let terms = Terms { rule: &rule, context: &context };
        let samples: Vec<Sample> = (0_i64..)
            .zip(&values)
            .map(|(i, value)| Sample { at: i * 30 * SECOND, value: *value, seq: i, signal: 0, readable: true })
            .collect();
        let mut in_order = Ledger::new(terms);
        for sample in &samples {
            in_order.arrives(*sample);
        }
        let end = samples.last().map_or(0, |last| last.at) + 3_600_000_000;
        let (tried, _) = judged(&terms, samples.iter().copied(), end);
        let tried = sorted(tried.iter().map(|changes| words(changes[0].cause, &steps(changes))));
        let mut shuffled: Vec<(u32, Sample)> = order.iter().copied().zip(samples).collect();
        shuffled.sort_by_key(|(key, sample)| (*key, sample.seq));
        let mut late = Ledger::new(terms);
        for (_, sample) in shuffled {
            late.arrives(sample);
        }
        let late = late.end();
        prop_assert_eq!(&late, &in_order.end());
        prop_assert_eq!(late, tried);
    }

    /// A reading that is taken back leaves no trace.
    #[test]
    fn a_retracted_reading_never_was(
        values in prop::collection::vec(60.0..160.0_f64, 1..20),
        gone in 0_usize..20,
        n in 1_u8..4,
        hold in prop_oneof![Just(0), Just(45 * SECOND)],
    ) {
        let (rule, context) = (heart_rate(n, n, hold, 0), Context::default());
        let terms = Terms { rule: &rule, context: &context };
        let sample = |(i, value): (i64, &f64)| {
            Sample { at: i * 30 * SECOND, value: *value, seq: i, signal: 0, readable: true }
        };
        let samples: Vec<Sample> = (0_i64..).zip(&values).map(sample).collect();
        let gone = i64::try_from(gone % values.len()).unwrap();
        let (mut without, mut with) = (Ledger::new(terms), Ledger::new(terms));
        for sample in samples {
            with.arrives(sample);
            if sample.seq != gone {
                without.arrives(sample);
            }
        }
        with.retract(gone);
        prop_assert_eq!(with.end(), without.end());
    }
}
