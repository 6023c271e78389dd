//! What rules cost: the time to judge one reading by twenty rules of its signal, and the bytes that are remembered of
//! one patient under one rule. `cargo bench --bench rules`. The engine's own code on readings in memory; no store, no
//! server. Bytes are those that the program asked for, by an allocator that counts them.

#![expect(clippy::print_stdout, reason = "a report for whoever runs it")]

mod twenty;

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, anyhow, ensure};
use cap::Cap;
use clap::Parser;
use serde_json::json;
use vigia::alert::context::Context;
use vigia::alert::judgeable::{self, Committed, Judgeable};
use vigia::alert::rule::{Condition, Rule, RuleSet, compile, default_plans};
use vigia::alert::window::{Sample, Terms, Window};
use vigia::fhir::reading::Reading;
use vigia::fhir::time;

#[global_allocator]
static HEAP: Cap<mimalloc::MiMalloc> = Cap::new(mimalloc::MiMalloc, usize::MAX);

/// 2026-01-01, µs.
const START: i64 = 1_767_225_600_000_000;
const SECOND: i64 = 1_000_000;

/// What rules cost.
#[derive(Debug, Parser)]
struct Options {
    /// Readings that are judged, one a second.
    #[arg(long, default_value_t = 100_000)]
    readings: usize,
    /// Patients whose windows are counted.
    #[arg(long, default_value_t = 200)]
    patients: usize,
    /// Seconds between two readings of a signal where bytes are counted.
    #[arg(long, default_value_t = 10)]
    every: i64,
    /// Given by `cargo bench`; means nothing.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let rules = twenty::rules()?;
    judging(&rules, options.readings)?;
    println!("\n| rule | bytes, all normal | bytes, alarm standing | signals |\n|---|---|---|---|");
    for rule in rules.rules() {
        state(rule, &options);
    }
    let shipped = RuleSet::new(default_plans().iter().filter_map(|plan| compile(plan).ok()));
    for rule in shipped.rules() {
        state(rule, &options);
    }
    Ok(())
}

/// Heart rates, one a second; one of a hundred is beyond the limits.
fn heart_rates(count: usize) -> Result<Vec<Reading>> {
    let one = |n: i64| {
        let value = if n % 100 == 99 { 140 } else { 65 + (n * 7919) % 23 };
        let resource = json!({"resourceType": "Observation", "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            "subject": {"reference": "Patient/p"}, "effectiveDateTime": time::instant(START + n * SECOND),
            "valueQuantity": {"value": value, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"}});
        // As the store has it: parsed from text.
        Ok(Reading::of(&serde_json::from_str(&resource.to_string())?))
    };
    (0..i64::try_from(count)?).map(one).collect()
}

/// From a reading of the log to what twenty windows make of it.
fn judging(rules: &RuleSet, count: usize) -> Result<()> {
    let readings = heart_rates(count)?;
    let context = Context::default();
    let mut windows: Vec<Window> = rules.rules().iter().map(|_| Window::default()).collect();
    let (mut times, mut changes, mut judged) = (Vec::with_capacity(count), 0, 0);
    for (seq, reading) in (1..).zip(&readings) {
        let began = Instant::now();
        let committed = Committed { reading, updated: START + seq * SECOND, seq };
        for Judgeable { rule, sample, .. } in judgeable::of(rules, committed, None) {
            let at = rules.rules().iter().position(|own| std::sync::Arc::ptr_eq(own, &rule));
            let window = at.and_then(|at| windows.get_mut(at)).ok_or_else(|| anyhow!("a rule of another set"))?;
            changes += black_box(window.step(&Terms { rule: &rule, context: &context }, &sample)).len();
            judged += 1;
        }
        times.push(began.elapsed());
    }
    ensure!(judged == count * windows.len(), "every rule judges every reading: {judged}");
    times.sort_unstable();
    let at = |share: usize| times.get((times.len() * share / 1000).min(times.len() - 1)).copied().unwrap_or_default();
    let total: std::time::Duration = times.iter().sum();
    let mean = total / u32::try_from(count.max(1))?;
    println!(
        "one reading by {} rules: mean {mean:?}, p50 {:?}, p99 {:?}, p99.9 {:?}; {changes} changes of level in {count} readings",
        windows.len(),
        at(500),
        at(990),
        at(999)
    );
    Ok(())
}

/// A number of this signal that nobody would be called for, and one that cannot stay.
fn values(rule: &Rule, signal: usize) -> (f64, f64) {
    let codes = rule.signals.get(signal).map_or(&[][..], |signal| &signal.codes);
    let usual = |code: &str| {
        let table = [
            ("8867-4", 75.0, 180.0),
            ("8889-8", 75.0, 180.0),
            ("9279-1", 16.0, 40.0),
            ("59408-5", 97.0, 80.0),
            ("8310-5", 37.0, 40.5),
            ("8480-6", 120.0, 230.0),
            ("8462-4", 75.0, 140.0),
            ("8478-0", 90.0, 40.0),
            ("9269-2", 15.0, 6.0),
        ];
        table.into_iter().find(|(own, ..)| *own == code).map(|(_, normal, beyond)| (normal, beyond))
    };
    if let Some(found) = codes.iter().find_map(|(_, code)| usual(code)) {
        return found;
    }
    let plausible = rule.signals.get(signal).and_then(|signal| signal.plausible);
    let (low, high) = plausible.map_or((0.0, 2.0), |range| (range.low, range.high));
    match &rule.condition {
        Condition::Limits { limits, .. } => {
            let edge = |side: &vigia::alert::rule::Limits| side.iter().next().map(|(_, limit)| limit.value);
            let (from, to) = (edge(&limits.low).unwrap_or(low), edge(&limits.high).unwrap_or(high));
            (f64::midpoint(from, to), if edge(&limits.high).is_some() { high } else { low })
        }
        _ => (f64::midpoint(low, high), high),
    }
}

/// Prints what a window of this rule takes, itself and what it points to.
fn state(rule: &Rule, options: &Options) {
    let context = Context::default();
    let terms = Terms { rule, context: &context };
    let feed = |window: &mut Window, round: i64, beyond: bool| {
        for (signal, number) in (0..rule.signals.len()).zip(0_u8..) {
            let (normal, out) = values(rule, signal);
            let value = if beyond { out } else { normal + if round % 2 == 0 { 0.0 } else { normal * 0.01 } };
            let (at, seq) = (START + round * options.every * SECOND, round + 1);
            drop(black_box(window.step(&terms, &Sample { at, value, seq, signal: number, readable: true })));
        }
        drop(black_box(window.take_scores()));
    };
    let before = HEAP.allocated();
    let mut windows: Vec<Window> = Vec::with_capacity(options.patients);
    windows.resize_with(options.patients, Window::default);
    let each = |heap: usize| (heap.saturating_sub(before)) / options.patients.max(1);
    (0..360).for_each(|round| windows.iter_mut().for_each(|window| feed(window, round, false)));
    let normal = each(HEAP.allocated());
    (360..420).for_each(|round| windows.iter_mut().for_each(|window| feed(window, round, true)));
    let alarm = each(HEAP.allocated());
    println!("| {} | {normal} | {alarm} | {} |", rule.id, rule.signals.len());
}
