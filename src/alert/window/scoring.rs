//! A score formed from the latest readings of its signals, once for each instant at which one of them was measured.
//! Pure. Signs of oxygen are taken in and do not by themselves call for a new score.

use super::super::rule::{Level, Rule, STEADY};
use super::super::score::{self, Band, Inputs, Kind, Oxygen, OxygenSign, Parameter, Patient, Score};
use super::Sample;
use super::joint::Latest;

/// A score at an instant, with the places in the log of the readings that went into it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// µs UTC
    pub at: i64,
    pub score: Score,
    pub from: Vec<i64>,
}

/// What is remembered between instants.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Scoring {
    latest: Latest,
    oxygen: Oxygen,
    told: Option<(i64, Score)>,
    /// Scores that wait to be taken.
    pub(super) untold: Vec<Scored>,
}

impl Scoring {
    pub(super) fn take(&mut self, rule: &Rule, sample: &Sample) {
        let name = rule.signals.get(usize::from(sample.signal)).map_or("", |signal| signal.name.as_str());
        let sign = match Parameter::from_code(name) {
            Some(Parameter::OxygenFlow) => OxygenSign::Flow(sample.value),
            Some(Parameter::InspiredOxygen) => OxygenSign::Inspired(sample.value),
            Some(Parameter::OxygenDevice) => OxygenSign::Device(sample.value > 0.0),
            _ => return self.latest.take(sample),
        };
        self.oxygen.take(sample.at, sign);
        self.latest.keep(sample);
    }

    pub(super) fn open(&self) -> Option<i64> {
        self.latest.open()
    }

    pub(super) fn close(&mut self) {
        self.latest.close();
    }

    pub(super) fn closed(&self) -> Option<i64> {
        self.latest.closed()
    }

    /// The newest reading of the instant.
    pub(super) fn newest(&self) -> Option<Sample> {
        self.latest.newest()
    }

    /// The score of this instant; none when it is not made for this patient, or when there is nothing new to tell of
    /// one that is incomplete. Its level is left as it is unless it is complete.
    pub(super) fn form(&mut self, rule: &Rule, kind: Kind, patient: &Patient, at: i64) -> Option<Score> {
        if !kind.suits(patient.age_days) {
            return None;
        }
        let (inputs, from) = self.inputs(rule, kind, at);
        let score = score::score(kind, &inputs, patient);
        // By the clock, so that it makes no difference from when on this window has seen it.
        let again = |then: i64| then.div_euclid(STEADY) == at.div_euclid(STEADY);
        let steady = self.told.is_some_and(|(then, told)| told.says_the_same(&score) && again(then));
        // A patient of whom little is ever charted is not told of again and again.
        let known = score.parts.iter().filter(|part| part.value.is_some()).count();
        let waiting = score.total.is_none()
            && (known * 2 < score.parts.len() || self.told.is_some_and(|(_, told)| told.says_the_same(&score)));
        if !steady && !waiting {
            self.told = Some((at, score));
            self.untold.push(Scored { at, score, from });
        }
        Some(score)
    }

    fn inputs(&self, rule: &Rule, kind: Kind, at: i64) -> (Inputs, Vec<i64>) {
        let (mut inputs, mut from) = (Inputs::default(), Vec::new());
        let mut aware: Option<(i64, Parameter)> = None;
        for (place, signal) in rule.signals.iter().enumerate() {
            let (Some(parameter), Some(sample)) =
                (Parameter::from_code(&signal.name), self.latest.fresh(rule, place, at))
            else {
                continue;
            };
            from.push(sample.seq);
            // Of consciousness and coma score the newer counts, or an old "alert" would hide a new coma.
            if matches!(parameter, Parameter::Consciousness | Parameter::Gcs) {
                if aware.is_some_and(|(then, _)| then > sample.at) {
                    continue;
                }
                if let Some((_, older)) = aware.filter(|(then, _)| *then < sample.at) {
                    inputs.set(older, None);
                }
                aware = Some((sample.at, parameter));
            }
            inputs.set(parameter, Some(sample.value));
        }
        for sign in [Parameter::OxygenFlow, Parameter::InspiredOxygen, Parameter::OxygenDevice] {
            inputs.set(sign, None);
        }
        if kind.inputs().iter().any(|needed| needed.parameter == Parameter::Oxygen) {
            inputs.set(Parameter::Oxygen, Some(self.oxygen.at(at)));
        }
        from.sort_unstable();
        from.dedup();
        (inputs, from)
    }
}

/// The level that an alert tells: as a level, or as the band of a score that it stands for.
pub fn level_told(code: &str) -> Option<Level> {
    let of =
        |kind: Kind| kind.bands().into_iter().find(|band| band.code == code).map(|band| level_of(kind, Some(band)));
    Level::from_code(code).or_else(|| Kind::ALL.into_iter().find_map(of)).filter(|level| *level > Level::None)
}

/// The level of a band: those of NEWS2 are the three that there are; of a score that only says yes or no, a warning.
pub fn level_of(kind: Kind, band: Option<Band>) -> Level {
    match (band.map_or(0, |band| band.rank), kind) {
        (0, _) => Level::None,
        (1, Kind::News2) => Level::Advisory,
        (2, Kind::News2) => Level::Warning,
        (_, Kind::News2) => Level::Critical,
        _ => Level::Warning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_reads_back_as_it_is_told() {
        for level in Level::RAISED {
            assert_eq!(level_told(level.code()), Some(level));
        }
        for kind in Kind::ALL {
            for band in kind.bands() {
                let level = Some(level_of(kind, Some(band))).filter(|level| *level > Level::None);
                assert_eq!(level_told(band.code), level, "{kind:?} {}", band.code);
            }
        }
        assert_eq!(level_told("technical"), None);
    }
}
