//! Glucose Measurement Context (2A34): what belongs to a glucose measurement, joined to it by the sequence number.

use super::number::{Number, decimal};
use super::octets::{Octets, Read, wrong};
use crate::ingest::device::part::{Part, coded, quantity};
use crate::normalize::draft::{Coding, Measured};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    pub sequence: u16,
    /// What was eaten, in kg.
    pub carbohydrate: Option<(u8, Number)>,
    pub meal: Option<u8>,
    pub tester: Option<u8>,
    pub health: Option<u8>,
    /// Seconds and percent.
    pub exercise: Option<(u16, u8)>,
    /// In kg, or in litres.
    pub medication: Option<(u8, Number, bool)>,
    pub hba1c: Option<Number>,
}

/// The names that a field's numbers have, from 1 on: codes of MDC with their reference ids.
type Names = &'static [(&'static str, &'static str)];

const CARBOHYDRATE: Names = &[
    ("8417768", "MDC_CTXT_GLU_CARB_BREAKFAST"),
    ("8417772", "MDC_CTXT_GLU_CARB_LUNCH"),
    ("8417776", "MDC_CTXT_GLU_CARB_DINNER"),
    ("8417780", "MDC_CTXT_GLU_CARB_SNACK"),
    ("8417784", "MDC_CTXT_GLU_CARB_DRINK"),
    ("8417788", "MDC_CTXT_GLU_CARB_SUPPER"),
    ("8417792", "MDC_CTXT_GLU_CARB_BRUNCH"),
];
const MEDICATION: Names = &[
    ("8417800", "MDC_CTXT_MEDICATION_RAPIDACTING"),
    ("8417804", "MDC_CTXT_MEDICATION_SHORTACTING"),
    ("8417808", "MDC_CTXT_MEDICATION_INTERMEDIATEACTING"),
    ("8417812", "MDC_CTXT_MEDICATION_LONGACTING"),
    ("8417816", "MDC_CTXT_MEDICATION_PREMIX"),
];
const HEALTH: Names = &[
    ("8417824", "MDC_CTXT_GLU_HEALTH_MINOR"),
    ("8417828", "MDC_CTXT_GLU_HEALTH_MAJOR"),
    ("8417832", "MDC_CTXT_GLU_HEALTH_MENSES"),
    ("8417836", "MDC_CTXT_GLU_HEALTH_STRESS"),
    ("8417840", "MDC_CTXT_GLU_HEALTH_NONE"),
];
const MEAL: Names = &[
    ("8417868", "MDC_CTXT_GLU_MEAL_PREPRANDIAL"),
    ("8417872", "MDC_CTXT_GLU_MEAL_POSTPRANDIAL"),
    ("8417876", "MDC_CTXT_GLU_MEAL_FASTING"),
    ("8417880", "MDC_CTXT_GLU_MEAL_CASUAL"),
    ("8417908", "MDC_CTXT_GLU_MEAL_BEDTIME"),
];
const TESTER: Names = &[
    ("8417888", "MDC_CTXT_GLU_TESTER_SELF"),
    ("8417892", "MDC_CTXT_GLU_TESTER_HCP"),
    ("8417896", "MDC_CTXT_GLU_TESTER_LAB"),
];

/// No value in four bits, and an exercise longer than can be told.
const NOT_AVAILABLE: u8 = 15;
const OVERRUN: u16 = u16::MAX;

pub fn decode(payload: &[u8]) -> Read<Context> {
    let mut octets = Octets::new(payload);
    let flags = octets.flags(0xFF)?;
    let sequence = octets.u16("sequence number")?;
    flags.then(7, || octets.flags(0))?;
    let carbohydrate = flags.then(0, || Ok((octets.u8("carbohydrate kind")?, octets.sfloat("carbohydrate")?)))?;
    let meal = flags.then(1, || octets.u8("meal"))?;
    let both = flags.then(2, || octets.u8("tester and health"))?;
    let exercise = flags.then(3, || Ok((octets.u16("exercise duration")?, octets.u8("exercise intensity")?)))?;
    let medication = flags.then(4, || Ok((octets.u8("medication kind")?, octets.sfloat("medication")?)))?;
    let hba1c = flags.then(6, || octets.sfloat("HbA1c"))?;
    octets.end()?;
    let available = |number: u8| (number != NOT_AVAILABLE).then_some(number);
    let read = Context {
        sequence,
        carbohydrate,
        meal,
        tester: both.and_then(|both| available(both & 0x0F)),
        health: both.and_then(|both| available(both >> 4)),
        exercise,
        medication: medication.map(|(kind, amount)| (kind, amount, flags.has(5))),
        hba1c,
    };
    let numbers = [
        (read.carbohydrate.map(|(kind, _)| kind), CARBOHYDRATE, "carbohydrate"),
        (read.meal, MEAL, "meal"),
        (read.tester, TESTER, "tester"),
        (read.health, HEALTH, "health"),
        (read.medication.map(|(kind, ..)| kind), MEDICATION, "medication"),
    ];
    match numbers.into_iter().find(|(number, names, _)| number.is_some_and(|number| name(number, names).is_none())) {
        Some((.., what)) => wrong("value", format!("the number for the {what} is a reserved one")),
        None => Ok(read),
    }
}

fn name(number: u8, names: Names) -> Option<Vec<Coding>> {
    let (code, name) = names.get(usize::from(number).checked_sub(1)?)?;
    Some(coded("", code, name))
}

impl Context {
    pub(super) fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        let kinds = |code: &str, id: &str, kind: u8, names: Names| {
            coded("", code, id).into_iter().chain(name(kind, names).unwrap_or_default()).collect()
        };
        if let Some((kind, mass)) = self.carbohydrate {
            let code = kinds("8417764", "MDC_CTXT_GLU_CARB", kind, CARBOHYDRATE);
            parts.push(Part::new("carbohydrate", code, mass.shifted(3).measured("g")));
        }
        if let Some((kind, amount, volume)) = self.medication {
            let code = kinds("8417796", "MDC_CTXT_MEDICATION", kind, MEDICATION);
            let (powers, unit) = if volume { (3, "mL") } else { (6, "mg") };
            parts.push(Part::new("medication", code, amount.shifted(powers).measured(unit)));
        }
        if let Some((seconds, percent)) = self.exercise {
            let code = coded("", "8417760", "MDC_CTXT_GLU_EXERCISE");
            let mut exercise = Part::new("exercise", code, quantity(decimal(percent.into(), 0), "%"));
            exercise.notes.push(match seconds {
                OVERRUN => format!("For {OVERRUN} s or more"),
                seconds => format!("For {seconds} s"),
            });
            parts.push(exercise);
        }
        parts.extend(
            self.hba1c
                .map(|share| Part::new("hba1c", coded("4548-4", "160220", "MDC_CONC_HBA1C"), share.measured("%"))),
        );
        let answers = [
            ("meal", "8417864", "MDC_CTXT_GLU_MEAL", self.meal, MEAL),
            ("health", "8417820", "MDC_CTXT_GLU_HEALTH", self.health, HEALTH),
            ("tester", "8417884", "MDC_CTXT_GLU_TESTER", self.tester, TESTER),
        ];
        for (part, code, id, number, names) in answers {
            let answer = number.and_then(|number| name(number, names));
            parts.extend(answer.map(|answer| Part::new(part, coded("", code, id), Measured::Coded(answer))));
        }
        for part in &mut parts {
            part.notes.push(format!("Belongs to glucose measurement {}", self.sequence));
        }
        parts
    }
}
