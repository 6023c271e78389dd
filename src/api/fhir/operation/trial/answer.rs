//! What a trial comes to, as Parameters: the figures, for each rule too, the comparison, and episodes as the
//! `DetectedIssues` that would have been raised.

use serde_json::{Value, json};

use super::super::input::Input;
use crate::alert::backtest::{Concluded, Counts, Report};
use crate::alert::score;
use crate::alert::window::Sample;
use crate::error::Error;

/// Episodes that are shown unless more are asked for, and at most.
const SHOWN: usize = 20;
const MOST: usize = 1_000;

/// Episodes and scores as resources, up to a number.
pub(super) struct Told {
    most: usize,
    episodes: Vec<Value>,
    scores: Vec<Value>,
}

/// How many episodes are to be shown.
pub(super) fn most(input: &Input) -> Result<usize, Error> {
    Ok(input.number("episodes", 0)?.unwrap_or(SHOWN).min(MOST))
}

impl Told {
    pub(super) fn new(most: usize) -> Self {
        Self { most, episodes: vec![], scores: vec![] }
    }

    /// Those of one patient that were raised, and the scores that were formed, in a period.
    pub(super) fn take(
        &mut self,
        concluded: &Concluded,
        (start, end): (i64, i64),
        reference: impl Fn(&Sample) -> Option<String>,
    ) {
        let named = |sample: &Sample| reference(sample).unwrap_or_else(|| "Observation/unknown".to_owned());
        let room = self.most.saturating_sub(self.episodes.len());
        self.episodes
            .extend(concluded.episodes.iter().take(room).filter_map(|episode| episode.told(score::DEVICE, named)));
        let room = self.most.saturating_sub(self.scores.len());
        let own = concluded.scores.iter().filter(|(_, scored)| (start..end).contains(&scored.at)).take(room);
        for (at, (_, scored)) in own.enumerate() {
            let id = format!("trial-{at}");
            self.scores.push(score::observation(&scored.score, &concluded.patient, scored.at, &[], &id, None));
        }
    }
}

/// `scored`: the scores are told too.
pub(super) fn parameters(report: &Report, told: Told, scored: bool) -> Value {
    let mut all = vec![
        json!({"name": "patients", "valueInteger": report.patients}),
        json!({"name": "patientDays", "valueInteger": report.patient_days}),
        json!({"name": "readings", "valueInteger": report.readings}),
        json!({"name": "total", "part": counts(report, &report.all)}),
    ];
    for (id, own) in &report.rules {
        let mut part = vec![json!({"name": "id", "valueString": id})];
        part.extend(counts(report, own));
        all.push(json!({"name": "rule", "part": part}));
    }
    if let Some(compared) = &report.compared {
        all.push(json!({"name": "compared", "part": [
            {"name": "both", "valueInteger": compared.both},
            {"name": "onlyHere", "valueInteger": compared.only_here},
            {"name": "onlyThere", "valueInteger": compared.only_there}
        ]}));
    }
    all.extend(told.episodes.into_iter().map(|alert| json!({"name": "episode", "resource": alert})));
    if scored {
        all.extend(told.scores.into_iter().map(|score| json!({"name": "score", "resource": score})));
    }
    json!({"resourceType": "Parameters", "parameter": all})
}

fn counts(report: &Report, counts: &Counts) -> Vec<Value> {
    let mut part = vec![json!({"name": "raises", "valueInteger": counts.total()})];
    if let Some(number) =
        report.per_day(counts.total()).and_then(|n| serde_json::Number::from_f64((n * 1e4).round() / 1e4))
    {
        part.push(json!({"name": "perPatientDay", "valueDecimal": number}));
    }
    part.push(json!({"name": "patients", "valueInteger": counts.patients.len()}));
    part.push(json!({"name": "alarmedSeconds", "valueInteger": i32::try_from(counts.alarmed / 1_000_000).unwrap_or(i32::MAX)}));
    let levels = counts.raises.iter().map(|(level, count)| json!({"name": level, "valueInteger": count}));
    part.push(json!({"name": "byLevel", "part": levels.collect::<Vec<_>>()}));
    part.push(json!({"name": "shadow", "valueBoolean": counts.shadow}));
    part
}
