//! `vigia simulate`: invented patients whose monitors send to a server that runs, by its doors. For demonstrations, for load,
//! and to see what rules do.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::bedside::course::Scenario;
use super::bedside::doors::{Doors, Form, Parcel};
use super::bedside::http::Http;
use super::bedside::monitor::Simulator;
use super::bedside::progress;
use super::bedside::reading::{Measure, Reading};
use super::bedside::ward::{self, Bed, Person};
use super::serve::on_signal;
use super::{output, own_token, secret_file};
use crate::clock::Clock;
use crate::config::Config;

/// What the ward and its readings need.
const SCOPES: &str = "system/Patient.crus system/Device.crus system/Encounter.crus system/Location.crus system/Organization.crus \
                      system/Observation.crs system/DetectedIssue.rs";
const MINUTE: i64 = 60_000_000;
/// Between two moments of a history that is sent at the beginning, µs.
const HISTORY: i64 = MINUTE;
/// A sensor is off for so many moments, and what comes late comes so many later.
const OFF: usize = 15;
const LATER: usize = 10;

/// Invented patients in a ward, with monitors that send what they measure:
///
///   vigia simulate --patients 8 --scenario 1:sepsis --scenario 1:opioid --speed 30
///   vigia simulate --patients 500 --interval-ms 1000 --door device --for 600
///
/// They are found again by their identifiers: a second run goes on with the same people.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct Options {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The file with a bearer token, on its first line; `-` is standard input. Without it the signing key of the settings
    /// is used.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=5000))]
    patients: u16,
    /// So many patients with a scenario, `2:sepsis`; all others are stable. May be given several times.
    #[arg(long, value_name = "N:NAME", value_parser = share)]
    scenario: Vec<(u16, Scenario)>,
    /// The same seed makes the same course of all patients.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Between two moments that are measured.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    interval_ms: u64,
    /// How many times faster than in life the scenarios run.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    speed: u32,
    /// Hours of the past that are sent first, one moment a minute, of patients who are stable.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=720))]
    history: u32,
    /// By which door; mixed: the beds by turns.
    #[arg(long, value_enum, default_value_t = Door::Mixed)]
    door: Door,
    /// Where HL7 v2 is taken (MLLP); without it nothing is sent by HL7.
    #[arg(long, value_name = "ADDRESS")]
    mllp: Option<SocketAddr>,
    /// Of a hundred moments of a patient so many are spoilt: a spike, a sensor that is off, the same sent twice, sent late.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    artefacts: u8,
    /// End after so many seconds instead of at Ctrl-C.
    #[arg(long = "for", value_name = "SECONDS")]
    duration: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Door {
    Device,
    Fhir,
    Hl7,
    Mixed,
}

fn share(text: &str) -> Result<(u16, Scenario), String> {
    let (count, name) = text.split_once(':').unwrap_or(("1", text));
    let count = count.parse().map_err(|_| "a number, a colon and a scenario are needed: 2:sepsis")?;
    Ok((count, Scenario::from_str(name, true).map_err(|_| format!("there is no scenario {name}"))?))
}

pub(super) async fn run(load: impl Fn() -> Result<Config>, options: Options) -> Result<()> {
    let token = match &options.token_file {
        Some(file) => secret_file::first_line(file, "--token-file")?,
        None => own_token::mint(&load()?, "simulate", SCOPES, own_token::DAY).context("--token-file")?,
    };
    let scenarios = scenarios(&options)?;
    let forms = forms(&options)?;
    let (clock, stop) = (Clock::default(), CancellationToken::new());
    on_signal(stop.clone())?;
    let http = Http::new(options.url.trim_end_matches('/').to_owned(), token)?;
    let since = clock.now();
    let people: Vec<Person> = (0..usize::from(options.patients)).map(Person::invented).collect();
    let bar = progress::bar(people.len(), "setting up the ward {wide_bar} {pos}/{len} patients");
    let admitted_since = since - i64::from(options.history) * 60 * MINUTE;
    let admitted = stop.run_until_cancelled(ward::admit(&http, people, admitted_since, &bar)).await;
    bar.finish_and_clear();
    let Some(beds) = admitted.transpose()? else { return Ok(()) };
    let beds: Vec<Arc<Bed>> = beds.into_iter().map(Arc::new).collect();
    let doors = Doors::open(&http, &forms, &clock);
    let over = async {
        let end = async {
            match options.duration {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        stop.run_until_cancelled(end).await;
        stop.cancel();
    };
    let monitors = async {
        past(&options, &beds, &doors, since, &stop).await;
        present(&options, &scenarios, &beds, &doors, &clock, &stop).await;
    };
    tokio::join!(monitors, over, progress::tell(&http, since, &stop));
    doors.close().await;
    let alerts = progress::alerts(&http, since).await;
    output::line(format!("{}\n{}", progress::summary(&http, alerts), http.tally.waits()));
    let refused = http.tally.refused.load(Ordering::Relaxed);
    ensure!(refused == 0, "{refused} readings were not taken");
    Ok(())
}

/// What becomes of each patient: those with a scenario first.
fn scenarios(options: &Options) -> Result<Vec<Scenario>> {
    let mut all: Vec<Scenario> = Vec::new();
    for (count, scenario) in &options.scenario {
        all.extend(std::iter::repeat_n(*scenario, usize::from(*count)));
    }
    ensure!(all.len() <= usize::from(options.patients), "--scenario names more patients than --patients");
    all.resize(usize::from(options.patients), Scenario::Stable);
    Ok(all)
}

fn forms(options: &Options) -> Result<Vec<Form>> {
    Ok(match options.door {
        Door::Device => vec![Form::Device],
        Door::Fhir => vec![Form::Fhir],
        Door::Hl7 => vec![Form::Hl7(options.mllp.context("--door hl7 needs --mllp")?)],
        Door::Mixed => [Form::Device, Form::Fhir].into_iter().chain(options.mllp.map(Form::Hl7)).collect(),
    })
}

/// What was before the beginning, as it would have been measured.
async fn past(options: &Options, beds: &[Arc<Bed>], doors: &Doors, since: i64, stop: &CancellationToken) {
    let moments = i64::from(options.history) * 60;
    let mut ward = Simulator::of(options.seed, &vec![Scenario::Stable; beds.len()]);
    for moment in 0..moments {
        let at = since - (moments - moment) * HISTORY;
        let steps = ward.at(0.0, hour(at)).into_iter().map(|what| readings(what, at));
        let parcels = beds.iter().cloned().zip(steps).enumerate();
        if stop.run_until_cancelled(doors.send(parcels)).await.is_none() {
            return;
        }
    }
}

async fn present(
    options: &Options,
    scenarios: &[Scenario],
    beds: &[Arc<Bed>],
    doors: &Doors,
    clock: &Clock,
    stop: &CancellationToken,
) {
    let begun = clock.now();
    let mut ward = Simulator::of(options.seed, scenarios);
    let mut spoilers: Vec<Spoiler> = (0..beds.len()).map(|at| Spoiler::new(options.seed, at)).collect();
    let mut tick = interval(Duration::from_millis(options.interval_ms));
    // A machine that slept, or a server that is too slow, has missed readings; they are not made up.
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while progress::next(&mut tick, stop).await {
        let at = clock.now();
        let minutes = f64::from(i32::try_from((at - begun) / 1000).unwrap_or(i32::MAX)) / 60_000.0;
        let steps = ward.at(minutes * f64::from(options.speed), hour(at)).into_iter().map(|what| readings(what, at));
        let spoilt = steps.zip(&mut spoilers).map(|(step, spoiler)| spoiler.spoil(step, options.artefacts));
        let mut parcels: Vec<(usize, Parcel)> = Vec::new();
        for (bed, (own, all)) in beds.iter().zip(spoilt).enumerate() {
            parcels.extend(all.into_iter().map(|readings| (bed, (own.clone(), readings))));
        }
        if stop.run_until_cancelled(doors.send(parcels)).await.is_none() {
            return;
        }
    }
}

fn readings(measures: Vec<Measure>, at: i64) -> Vec<Reading> {
    measures.into_iter().map(|what| Reading { at, status: "final", what }).collect()
}

/// The hour of the day, 0 to 24.
fn hour(at: i64) -> f64 {
    let seconds = at.div_euclid(1_000_000).rem_euclid(86_400);
    f64::from(i32::try_from(seconds).unwrap_or_default()) / 3600.0
}

/// What goes wrong between a patient and the server.
struct Spoiler {
    random: StdRng,
    off: usize,
    late: VecDeque<(usize, Vec<Reading>)>,
}

impl Spoiler {
    fn new(seed: u64, patient: usize) -> Self {
        let own = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::try_from(patient).unwrap_or_default());
        Self { random: StdRng::seed_from_u64(own), off: 0, late: VecDeque::new() }
    }

    /// What is sent at a moment: nothing, once, or twice, and what was kept back.
    fn spoil(&mut self, mut step: Vec<Reading>, percent: u8) -> Vec<Vec<Reading>> {
        let mut sent = Vec::new();
        self.late.iter_mut().for_each(|(moments, _)| *moments = moments.saturating_sub(1));
        while self.late.front().is_some_and(|(moments, _)| *moments == 0) {
            sent.extend(self.late.pop_front().map(|(_, readings)| readings));
        }
        if self.off > 0 {
            self.off -= 1;
            return sent;
        }
        if self.random.random_range(0..100_u8) < percent {
            match self.random.random_range(0..4_u8) {
                0 => spike(&mut step),
                1 => {
                    self.off = OFF;
                    return sent;
                }
                2 => sent.push(step.clone()),
                _ => {
                    self.late.push_back((LATER, step));
                    return sent;
                }
            }
        }
        sent.push(step);
        sent
    }
}

/// A patient who moves: the pulse is counted twice.
fn spike(step: &mut [Reading]) {
    for reading in step {
        if let Measure::Number { code, value, .. } = &mut reading.what
            && code == "8867-4"
            && let Ok(number) = value.parse::<f64>()
        {
            *value = format!("{:.0}", number * 2.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(scenario: Scenario, minutes: u32) -> Vec<(String, f64)> {
        let mut ward = Simulator::of(7, &[scenario]);
        let mut seen = Vec::new();
        for step in 0..minutes * 30 {
            for measure in ward.at(f64::from(step) / 30.0, 12.0).remove(0) {
                match measure {
                    Measure::Number { code, value, .. } => seen.push((code, value.parse().unwrap())),
                    Measure::Pressure { systolic, .. } => seen.push(("8480-6".to_owned(), systolic.parse().unwrap())),
                    Measure::Text { .. } => {}
                }
            }
        }
        ["8867-4", "9279-1", "59408-5", "8480-6", "8310-5", "9269-2", "2339-0"]
            .into_iter()
            .filter_map(|code| seen.iter().rev().find(|(own, _)| own == code).cloned())
            .collect()
    }

    #[test]
    fn scenarios_end_where_their_names_say() {
        for (scenario, code, from, to) in [
            (Scenario::Stable, "8867-4", 50.0, 105.0),
            (Scenario::Sepsis, "8867-4", 106.0, 160.0),
            (Scenario::Sepsis, "8310-5", 38.0, 40.0),
            (Scenario::Sepsis, "8480-6", 60.0, 100.0),
            (Scenario::Haemorrhage, "8480-6", 45.0, 90.0),
            (Scenario::RespiratoryFailure, "59408-5", 75.0, 88.0),
            (Scenario::Opioid, "9279-1", 2.0, 9.0),
            (Scenario::Opioid, "9269-2", 5.0, 9.0),
            (Scenario::Arrhythmia, "8867-4", 110.0, 190.0),
            (Scenario::Hypoglycaemia, "2339-0", 30.0, 50.0),
            (Scenario::Recovery, "8867-4", 50.0, 105.0),
        ] {
            let seen = last(scenario, 100);
            let (_, value) = seen.iter().find(|(own, _)| own == code).unwrap();
            assert!((from..to).contains(value), "{scenario:?} {seen:?}");
        }
    }

    #[test]
    fn what_is_kept_back_is_sent_in_the_end() {
        let step = |n: u32| readings(vec![Measure::number("8867-4", n.to_string(), "/min")], i64::from(n));
        let mut clean = Spoiler::new(1, 1);
        assert!((0..100).all(|n| clean.spoil(step(n), 0) == [step(n)]));
        let mut spoiler = Spoiler::new(1, 1);
        let sent: Vec<usize> = (0..2000).map(|n| spoiler.spoil(step(n), 30).len()).collect();
        assert!(sent.contains(&0) && sent.contains(&2), "{sent:?}");
        assert!(spoiler.late.len() <= LATER);
    }

    #[test]
    fn shares_are_read() {
        assert_eq!(share("2:sepsis").unwrap(), (2, Scenario::Sepsis));
        assert_eq!(share("respiratory-failure").unwrap(), (1, Scenario::RespiratoryFailure));
        assert!(share("2:flu").is_err() && share("x:sepsis").is_err());
    }
}
