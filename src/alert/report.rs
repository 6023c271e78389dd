//! The burden of alarms: what a ward's alerts of a period come to in numbers. Pure: alerts and patient-days in, figures
//! out; who may see them and where they come from is not decided here.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::issue;
use super::rule::Level;
use super::window::Kind;
use crate::fhir::reading::{list, str_of};
use crate::fhir::{OURS, time};

const SECOND: f64 = 1e6;
/// How what is in no ward is called.
pub const NOWHERE: &str = "none";

/// Whether an alarm counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Counted,
    /// Entered in error.
    Retracted,
    /// Its rule is on trial.
    Shadow,
}

/// One alarm as the report counts it.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    pub patient: String,
    /// Canonical url, without the version.
    pub rule: String,
    pub level: String,
    pub priority: String,
    pub technical: bool,
    /// When it was raised, µs UTC.
    pub raised: i64,
    /// When it was over.
    pub over: Option<i64>,
    /// When somebody first answered it.
    pub answered: Option<i64>,
    pub standing: Standing,
    /// Known too late to sound: nobody could answer it in time.
    pub late: bool,
}

impl Alarm {
    /// None for what no rule of ours raised.
    pub fn of(resource: &Value) -> Option<Self> {
        let extension = |name: &str| {
            let url = format!("{OURS}/StructureDefinition/{name}");
            list(resource.get("extension")).find(move |extension| str_of(extension, "url") == Some(&url))
        };
        let code = |name: &str| extension(name).and_then(|e| str_of(e, "valueCode")).unwrap_or_default().to_owned();
        let instant = |value: Option<&Value>| value.and_then(Value::as_str).and_then(time::range).map(|at| at.start);
        let steps = issue::steps(resource);
        let onset = instant(resource.pointer("/identifiedPeriod/start"));
        let first = steps.iter().find(|step| step.kind == Kind::Raise && step.level != Level::None);
        let acts = list(resource.get("mitigation")).filter_map(|act| instant(act.get("date")));
        let seen = extension("alert-acknowledged")
            .and_then(|seen| list(seen.get("extension")).find(|part| str_of(part, "url") == Some("at")))
            .and_then(|at| instant(at.get("valueInstant")));
        issue::cause(resource)?;
        Some(Self {
            patient: resource.pointer("/patient/reference")?.as_str()?.to_owned(),
            rule: str_of(resource, "reference")?.split('|').next()?.to_owned(),
            level: code("alert-level"),
            priority: code("alert-priority"),
            technical: code("alert-type") == "technical",
            raised: first.map(|step| step.at).or(onset)?,
            over: instant(resource.pointer("/identifiedPeriod/end")),
            answered: acts.chain(seen).min(),
            standing: match str_of(resource, "status") {
                Some("entered-in-error") => Standing::Retracted,
                _ if extension("alert-shadow").is_some() => Standing::Shadow,
                _ => Standing::Counted,
            },
            late: extension("alert-late").is_some(),
        })
    }

    /// Raised and over by itself within this time (µs).
    fn is_nuisance(&self, within: i64) -> bool {
        self.answered.is_none() && self.over.is_some_and(|over| over - self.raised <= within)
    }
}

/// What a number of alarms comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    pub alarms: usize,
    /// How many of them are about the measurement.
    pub technical: usize,
    pub patient_days: usize,
    /// Physiological ones that were over by themselves at once.
    pub nuisance: usize,
    /// The same of technical ones.
    pub technical_nuisance: usize,
    pub never_answered: usize,
    pub late: usize,
    /// Seconds from the raise to the first answer, the shortest first.
    pub answers: Vec<f64>,
}

impl Figures {
    fn add(&mut self, alarm: &Alarm, within: i64) {
        self.alarms += 1;
        self.technical += usize::from(alarm.technical);
        match (alarm.is_nuisance(within), alarm.technical) {
            (true, false) => self.nuisance += 1,
            (true, true) => self.technical_nuisance += 1,
            (false, _) => {}
        }
        if alarm.late {
            self.late += 1;
            return;
        }
        match alarm.answered {
            Some(at) => self.answers.push(number(at - alarm.raised).max(0.0) / SECOND),
            None => self.never_answered += 1,
        }
    }

    pub fn per_patient_day(&self) -> Option<f64> {
        share(self.alarms, self.patient_days)
    }

    /// Of the physiological ones.
    pub fn nuisance_share(&self) -> Option<f64> {
        share(self.nuisance, self.alarms - self.technical)
    }

    /// Of the technical ones.
    pub fn technical_nuisance_share(&self) -> Option<f64> {
        share(self.technical_nuisance, self.technical)
    }

    /// Nearest rank: of 100 %, so many wait no longer than that.
    pub fn answered_within(&self, percent: usize) -> Option<f64> {
        let rank = (self.answers.len() * percent).div_ceil(100);
        self.answers.get(rank.saturating_sub(1)).copied()
    }
}

/// What is counted, and against what.
pub struct Counted {
    /// Alarms with the ward where the patient was then.
    pub alarms: Vec<(Alarm, String)>,
    /// Days with a reading, with the ward where the patient was then.
    pub days: Vec<(String, String)>,
    /// What is over in so short a time (µs) and unanswered is a nuisance.
    pub nuisance: i64,
}

/// A rule or a patient with its part of all alarms.
#[derive(Clone, Debug, PartialEq)]
pub struct Offender {
    pub name: String,
    pub alarms: usize,
    pub share: f64,
}

#[derive(Clone, Debug, Default)]
pub struct Report {
    pub total: Figures,
    pub by_rule: BTreeMap<String, Figures>,
    pub by_ward: BTreeMap<String, Figures>,
    pub by_rule_and_ward: BTreeMap<(String, String), Figures>,
    pub by_level: BTreeMap<String, Figures>,
    pub by_priority: BTreeMap<String, Figures>,
    pub by_type: BTreeMap<String, Figures>,
    /// Counted nowhere else.
    pub retracted: usize,
    pub shadow: usize,
    /// Those with the most alarms first.
    pub rules: Vec<Offender>,
    pub patients: Vec<Offender>,
    /// How many patients one in ten is, and their part of all alarms.
    pub tenth: (usize, Option<f64>),
}

impl Report {
    pub fn of(counted: &Counted) -> Self {
        let mut report = Self::default();
        let (mut rules, mut patients): (HashMap<&str, usize>, HashMap<&str, usize>) = Default::default();
        for (alarm, ward) in &counted.alarms {
            match alarm.standing {
                Standing::Retracted => report.retracted += 1,
                Standing::Shadow => report.shadow += 1,
                Standing::Counted => {
                    report.add(alarm, ward, counted.nuisance);
                    *rules.entry(&alarm.rule).or_default() += 1;
                    *patients.entry(&alarm.patient).or_default() += 1;
                }
            }
        }
        let mut attended: Vec<&str> = counted.days.iter().map(|(patient, _)| patient.as_str()).collect();
        attended.extend(patients.keys());
        attended.sort_unstable();
        attended.dedup();
        report.count_days(&counted.days);
        report.rules = offenders(rules, report.total.alarms);
        report.patients = offenders(patients, report.total.alarms);
        let tenth = attended.len().div_ceil(10);
        let most = report.patients.iter().take(tenth).map(|patient| patient.alarms).sum();
        report.tenth = (tenth, share(most, report.total.alarms));
        report.each(|figures| figures.answers.sort_by(f64::total_cmp));
        report
    }

    fn add(&mut self, alarm: &Alarm, ward: &str, within: i64) {
        let kind = if alarm.technical { "technical" } else { "physiological" };
        let (rule, ward) = (alarm.rule.clone(), ward.to_owned());
        for figures in [
            &mut self.total,
            self.by_rule_and_ward.entry((rule.clone(), ward.clone())).or_default(),
            self.by_rule.entry(rule).or_default(),
            self.by_ward.entry(ward).or_default(),
            self.by_level.entry(alarm.level.clone()).or_default(),
            self.by_priority.entry(alarm.priority.clone()).or_default(),
            self.by_type.entry(kind.to_owned()).or_default(),
        ] {
            figures.add(alarm, within);
        }
    }

    /// A ward has its own days; everything else has all.
    fn count_days(&mut self, days: &[(String, String)]) {
        let mut of_ward: HashMap<&str, usize> = HashMap::new();
        for (_, ward) in days {
            *of_ward.entry(ward).or_default() += 1;
            self.by_ward.entry(ward.clone()).or_default();
        }
        self.each(|figures| figures.patient_days = days.len());
        let own = |ward: &str| of_ward.get(ward).copied().unwrap_or(0);
        self.by_ward.iter_mut().for_each(|(ward, figures)| figures.patient_days = own(ward));
        self.by_rule_and_ward.iter_mut().for_each(|((_, ward), figures)| figures.patient_days = own(ward));
    }

    fn each(&mut self, change: impl Fn(&mut Figures)) {
        let maps = [&mut self.by_rule, &mut self.by_ward, &mut self.by_level, &mut self.by_priority, &mut self.by_type];
        maps.into_iter().flat_map(BTreeMap::values_mut).for_each(&change);
        self.by_rule_and_ward.values_mut().for_each(&change);
        change(&mut self.total);
    }
}

fn offenders(counts: HashMap<&str, usize>, all: usize) -> Vec<Offender> {
    let offender =
        |(name, alarms): (&str, usize)| Some(Offender { name: name.to_owned(), alarms, share: share(alarms, all)? });
    let mut found: Vec<Offender> = counts.into_iter().filter_map(offender).collect();
    found.sort_by(|a, b| b.alarms.cmp(&a.alarms).then_with(|| a.name.cmp(&b.name)));
    found
}

fn share(part: usize, whole: usize) -> Option<f64> {
    let number = |count: usize| u32::try_from(count).ok().map(f64::from);
    (whole > 0).then_some(number(part)? / number(whole)?)
}

/// Exact up to 2^53; longer than the time that there was.
fn number(us: i64) -> f64 {
    let seconds = i32::try_from(us.div_euclid(1_000_000)).map_or(f64::from(i32::MAX), f64::from);
    let rest = i32::try_from(us.rem_euclid(1_000_000)).map_or(0.0, f64::from);
    seconds * SECOND + rest
}

#[cfg(test)]
mod tests;
