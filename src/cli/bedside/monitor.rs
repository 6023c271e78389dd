//! Simulated bedside monitors: what patients would show, step by step, from a seed alone. Pure: no clock, no
//! sockets, no FHIR. The same seed gives the same ward.
//!
//! Pulse, breathing and pressure follow a common restlessness, each with a noise of its own, and the hour of the day. How
//! patients fare is one of two: in turn one falls ill as in a sepsis, is treated and recovers, and the next one begins; or
//! each has a scenario of its own.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::course::{Scenario, Strain, sepsis};
use super::reading::Measure;

/// Between two steps.
pub(in crate::cli) const STEP_S: u32 = 2;
/// From one patient's fall to the next one's, in seconds.
const EPISODE_S: u32 = 150;
/// One patient of so many is ill at a time; their groups begin so many seconds after one another.
const GROUP: usize = 20;
const GROUP_LATER_S: u32 = 37;
/// Pressure and temperature once a minute; the pressure of an ill patient more often.
const MINUTE: u32 = 60 / STEP_S;
const ILL_PRESSURE: u32 = 20 / STEP_S;

/// All monitors of a ward.
pub(in crate::cli) struct Simulator {
    random: StdRng,
    patients: Vec<Patient>,
    fate: Fate,
    step: u32,
}

enum Fate {
    /// Who falls ill after whom.
    InTurn(Vec<usize>),
    /// What becomes of each.
    Own(Vec<Scenario>),
}

impl Simulator {
    pub(in crate::cli) fn new(seed: u64, patients: usize) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let patients: Vec<Patient> = (0..patients).map(|_| Patient::new(&mut random)).collect();
        let mut order: Vec<usize> = (0..patients.len()).collect();
        order.shuffle(&mut random);
        Self { random, patients, fate: Fate::InTurn(order), step: 0 }
    }

    /// One patient for each scenario.
    pub(in crate::cli) fn of(seed: u64, scenarios: &[Scenario]) -> Self {
        Self { fate: Fate::Own(scenarios.to_vec()), ..Self::new(seed, scenarios.len()) }
    }

    /// What each monitor measures so many minutes after the beginning, at this hour of the day (0 to 24).
    pub(in crate::cli) fn at(&mut self, minutes: f64, hour: f64) -> Vec<Vec<Measure>> {
        let Fate::Own(scenarios) = &self.fate else { return self.step() };
        let (first, slow) = (self.step == 0, self.step.is_multiple_of(MINUTE));
        self.step = self.step.wrapping_add(1);
        let patients = self.patients.iter_mut().zip(scenarios);
        patients
            .map(|(patient, scenario)| {
                let strain = scenario.strain(minutes);
                patient.endure(Strain { warmth: 0.0, ..day(strain, hour) }, strain.warmth, &mut self.random);
                let mut all = patient.measured(first || slow, first || slow);
                if first || slow {
                    all.push(patient.awake());
                }
                if *scenario == Scenario::Hypoglycaemia {
                    all.push(Measure::number("2339-0", format!("{:.0}", 104.0 + patient.strain.glucose), "mg/dL"));
                }
                all
            })
            .collect()
    }

    /// What each monitor measures now; a step later the patients have lived on.
    pub(in crate::cli) fn step(&mut self) -> Vec<Vec<Measure>> {
        let seconds = self.step * STEP_S;
        let ill = match &self.fate {
            Fate::InTurn(order) => ill(order, seconds),
            Fate::Own(_) => vec![],
        };
        let mut measured = Vec::with_capacity(self.patients.len());
        for (at, patient) in self.patients.iter_mut().enumerate() {
            let severity = ill.iter().find(|(who, _)| *who == at).map_or(0.0, |(_, severity)| *severity);
            patient.endure(sepsis(severity), 1.9 * severity, &mut self.random);
            let own = self.step.wrapping_add(u32::try_from(at).unwrap_or_default());
            let due = |every: u32| self.step == 0 || own.is_multiple_of(every);
            measured.push(patient.measured(due(if severity > 0.3 { ILL_PRESSURE } else { MINUTE }), due(MINUTE)));
        }
        self.step = self.step.wrapping_add(1);
        measured
    }
}

/// Who is ill, and how much (0 to 1).
fn ill(order: &[usize], seconds: u32) -> Vec<(usize, f64)> {
    let mut all = Vec::new();
    let mut later = 0;
    for group in order.chunks(GROUP) {
        if let Some(since) = seconds.checked_sub(later) {
            let turn = usize::try_from(since / EPISODE_S).unwrap_or_default() % group.len();
            all.extend(group.get(turn).map(|who| (*who, severity(since % EPISODE_S))));
        }
        later += GROUP_LATER_S;
    }
    all
}

/// The course of an illness: falls within 20 s, lasts for a minute, recovers.
fn severity(seconds: u32) -> f64 {
    match seconds {
        0..4 => 0.0,
        4..24 => f64::from(seconds - 4) / 20.0,
        24..90 => 1.0,
        90..130 => f64::from(130 - seconds) / 40.0,
        _ => 0.0,
    }
}

struct Patient {
    heart_rate: f64,
    breathing: f64,
    oxygen: f64,
    temperature: f64,
    systolic: f64,
    diastolic: f64,
    /// Around 0, as all that wanders.
    restlessness: f64,
    noise: [f64; 5],
    strain: Strain,
    fever: f64,
}

impl Patient {
    fn new(random: &mut StdRng) -> Self {
        Self {
            heart_rate: random.random_range(62.0..88.0),
            breathing: random.random_range(14.0..16.5),
            oxygen: random.random_range(96.0..98.0),
            temperature: random.random_range(36.5..37.2),
            systolic: random.random_range(118.0..136.0),
            diastolic: random.random_range(68.0..80.0),
            restlessness: 0.0,
            noise: [0.0; 5],
            strain: Strain::default(),
            fever: 0.0,
        }
    }

    /// Fever follows the warmth that it goes to.
    fn endure(&mut self, strain: Strain, warmth: f64, random: &mut StdRng) {
        self.strain = strain;
        self.restlessness = wander(self.restlessness, 0.98, random);
        for noise in &mut self.noise {
            *noise = wander(*noise, 0.9, random);
        }
        self.fever += (warmth - self.fever) * 0.03;
    }

    fn measured(&self, pressure: bool, temperature: bool) -> Vec<Measure> {
        let (strain, restless) = (self.strain, self.restlessness);
        let [heart, breath, oxygen, warmth, vessel] = self.noise;
        let heart_rate = self.heart_rate + 3.0 * restless + 1.5 * heart * (1.0 + strain.irregular) + strain.heart;
        let breathing = (self.breathing + 0.7 * restless + 0.5 * breath + strain.breathing).max(0.0);
        let saturation = (self.oxygen + 0.5 * oxygen + strain.oxygen).clamp(40.0, 100.0);
        let mut all = vec![
            Measure::number("8867-4", format!("{heart_rate:.0}"), "/min"),
            Measure::number("9279-1", format!("{breathing:.0}"), "/min"),
            Measure::number("59408-5", format!("{saturation:.0}"), "%"),
        ];
        if temperature {
            let degrees = self.temperature + 0.08 * warmth + self.fever;
            all.push(Measure::number("8310-5", format!("{degrees:.1}"), "Cel"));
        }
        if pressure {
            let systolic = (self.systolic + 3.0 * restless + 2.5 * vessel + strain.systolic).round();
            let diastolic = (self.diastolic + 2.0 * restless + 1.5 * vessel + strain.diastolic).round();
            let mean = format!("{:.0}", diastolic + (systolic - diastolic) / 3.0);
            let (systolic, diastolic) = (format!("{systolic:.0}"), format!("{diastolic:.0}"));
            all.push(Measure::Pressure { systolic, diastolic, mean: Some(mean) });
        }
        all
    }
}

impl Patient {
    /// The Glasgow coma score.
    fn awake(&self) -> Measure {
        let score = 15.0 - 9.0 * self.strain.drowsy;
        Measure::number("9269-2", format!("{score:.0}"), "{score}")
    }
}

/// Pulse and pressure are lowest in the small hours.
fn day(strain: Strain, hour: f64) -> Strain {
    let wave = ((hour - 16.0) / 24.0 * std::f64::consts::TAU).cos();
    Strain { heart: strain.heart + 3.0 * wave, systolic: strain.systolic + 4.0 * wave, ..strain }
}

/// A step of a random walk that stays around 0 with a spread of 1; the nearer `memory` to 1, the slower.
fn wander(now: f64, memory: f64, random: &mut StdRng) -> f64 {
    let push: f64 = (0..3).map(|_| random.random_range(-1.0..1.0)).sum();
    memory * now + (1.0 - memory * memory).sqrt() * push
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64, patients: usize, steps: usize) -> Vec<Vec<Vec<Measure>>> {
        let mut ward = Simulator::new(seed, patients);
        (0..steps).map(|_| ward.step()).collect()
    }

    fn values(steps: &[Vec<Vec<Measure>>], patient: usize, loinc: &str) -> Vec<f64> {
        let of = |m: &Measure| match m {
            Measure::Number { code, value, .. } if code == loinc => value.parse().ok(),
            Measure::Pressure { systolic, .. } if loinc == "8480-6" => systolic.parse().ok(),
            _ => None,
        };
        steps.iter().filter_map(|step| step.get(patient)).flatten().filter_map(of).collect()
    }

    #[test]
    fn a_seed_is_a_ward() {
        assert_eq!(run(7, 12, 100), run(7, 12, 100));
        assert_ne!(run(7, 12, 10), run(8, 12, 10));
        assert!(run(1, 0, 3).iter().all(Vec::is_empty));
    }

    #[test]
    fn somebody_falls_ill_within_half_a_minute_and_recovers() {
        for seed in 0..20 {
            let steps = run(seed, 12, 75);
            let alarming = |steps: &[Vec<Vec<Measure>>], patient: usize| {
                values(steps, patient, "8867-4").iter().filter(|v| **v >= 111.0).count() >= 2
                    && values(steps, patient, "59408-5").iter().filter(|v| **v <= 91.0).count() >= 2
                    && values(steps, patient, "9279-1").iter().filter(|v| **v >= 25.0).count() >= 2
            };
            let ill: Vec<usize> = (0..12).filter(|p| alarming(&steps[..16], *p)).collect();
            assert_eq!(ill.len(), 1, "seed {seed}");
            assert!(values(&steps[..30], ill[0], "8480-6").iter().any(|v| *v <= 100.0), "seed {seed}");
            assert!(!alarming(&steps[66..], ill[0]), "seed {seed}");
        }
    }

    #[test]
    fn the_others_stay_within_their_limits() {
        for seed in 0..20 {
            let steps = run(seed, 12, 75);
            let Fate::InTurn(order) = Simulator::new(seed, 12).fate else { panic!() };
            let ill = ill(&order, 50)[0].0;
            for patient in (0..12).filter(|p| *p != ill) {
                for (loinc, low, high) in [
                    ("8867-4", 50.0, 111.0),
                    ("9279-1", 11.0, 21.0),
                    ("59408-5", 93.0, 101.0),
                    ("8310-5", 36.0, 38.1),
                    ("8480-6", 100.0, 180.0),
                ] {
                    let seen = values(&steps, patient, loinc);
                    assert!(!seen.is_empty() && seen.iter().all(|v| *v > low && *v < high), "{loinc} {seen:?}");
                }
            }
        }
    }

    #[test]
    fn pressure_and_temperature_come_at_once_and_then_every_minute() {
        let steps = run(3, 12, 60);
        assert!(steps[0].iter().all(|measures| measures.len() == 5));
        let temperatures = |p| values(&steps, p, "8310-5").len();
        assert!((0..12).all(|p| (2..=4).contains(&temperatures(p))));
    }

    #[test]
    fn a_large_ward_has_several_ill_at_once() {
        let order: Vec<usize> = (0..60).collect();
        assert_eq!(ill(&order, 0).len(), 1);
        assert_eq!(ill(&order, 100).len(), 3);
        assert_eq!(ill(&order, 150 * 20).first(), Some(&(0, 0.0)), "the turn is over and begins again");
    }
}
