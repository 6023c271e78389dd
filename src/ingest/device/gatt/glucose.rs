//! Glucose Measurement (2A18): a record of a meter's memory, told from the others by its sequence number.

use super::number::Number;
use super::octets::{Octets, Read, Stamp, set, wrong};
use crate::fhir::time::SECOND;
use crate::ingest::device::part::{Part, coded};
use crate::normalize::draft::Measured;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glucose {
    pub sequence: u16,
    pub base: Stamp,
    /// What the user changed the clock by since.
    pub offset_min: Option<i16>,
    pub sample: Option<Sample>,
    pub status: Option<u16>,
    pub context_follows: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// In mol/L, or in kg/L.
    pub concentration: Number,
    pub molar: bool,
    pub fluid: u8,
    pub site: u8,
}

/// Of each kind of sample from 1 on: LOINC by mass and by amount, MDC and its reference id.
const FLUIDS: [[&str; 4]; 10] = [
    ["41653-7", "14743-9", "160184", "MDC_CONC_GLU_CAPILLARY_WHOLEBLOOD"],
    ["2345-7", "14749-6", "160188", "MDC_CONC_GLU_CAPILLARY_PLASMA"],
    ["2339-0", "15074-8", "160192", "MDC_CONC_GLU_VENOUS_WHOLEBLOOD"],
    ["2345-7", "14749-6", "160196", "MDC_CONC_GLU_VENOUS_PLASMA"],
    ["2339-0", "15074-8", "160200", "MDC_CONC_GLU_ARTERIAL_WHOLEBLOOD"],
    ["2345-7", "14749-6", "160204", "MDC_CONC_GLU_ARTERIAL_PLASMA"],
    ["2339-0", "15074-8", "160020", "MDC_CONC_GLU_GEN"],
    ["2345-7", "14749-6", "160020", "MDC_CONC_GLU_GEN"],
    ["99504-3", "105272-9", "160212", "MDC_CONC_GLU_ISF"],
    ["", "", "160208", "MDC_CONC_GLU_CONTROL"],
];
/// The last of them: a liquid that the meter is tried with, nobody's blood.
const CONTROL: u8 = 10;

const SITES: [(u8, &str); 4] = [(1, "finger"), (2, "alternate site"), (3, "earlobe"), (4, "control solution")];

const TOO_HIGH: u8 = 5;
const TOO_LOW: u8 = 6;
const TIME_FAULT: u8 = 11;
const STATUS: [(u8, &str); 12] = [
    (0, "battery low"),
    (1, "sensor malfunction"),
    (2, "too little of the sample"),
    (3, "strip inserted wrongly"),
    (4, "wrong strip"),
    (TOO_HIGH, "higher than it can measure"),
    (TOO_LOW, "lower than it can measure"),
    (7, "too warm to measure"),
    (8, "too cold to measure"),
    (9, "strip pulled too early"),
    (10, "general fault"),
    (TIME_FAULT, "clock fault"),
];

pub fn decode(payload: &[u8]) -> Read<Glucose> {
    let mut octets = Octets::new(payload);
    let flags = octets.flags(0b0001_1111)?;
    let read = Glucose {
        sequence: octets.u16("sequence number")?,
        base: octets.stamp()?,
        offset_min: flags.then(0, || octets.i16("time offset"))?,
        sample: flags.then(1, || sample(&mut octets, flags.has(2)))?,
        status: flags.then(3, || octets.u16("sensor status"))?,
        context_follows: flags.has(4),
    };
    octets.end()?;
    Ok(read)
}

fn sample(octets: &mut Octets<'_>, molar: bool) -> Read<Sample> {
    let concentration = octets.sfloat("glucose concentration")?;
    let both = octets.u8("type and location")?;
    let (fluid, site) = (both & 0x0F, both >> 4);
    if !(1..=CONTROL).contains(&fluid) {
        return wrong("value", "the type of the sample is a reserved one");
    }
    Ok(Sample { concentration, molar, fluid, site })
}

impl Glucose {
    /// µs since 1970 by the device's clock; none when that is not to be trusted.
    pub(super) fn local(&self) -> Option<i64> {
        let fault = self.status.is_some_and(|status| status >> TIME_FAULT & 1 == 1);
        let offset = i64::from(self.offset_min.unwrap_or_default()) * 60 * SECOND;
        self.base.local().filter(|_| !fault).map(|base| base + offset)
    }

    pub(super) fn parts(&self) -> Vec<Part> {
        let status = self.status.unwrap_or_default();
        let said: Vec<&str> = set(status.into(), &STATUS).collect();
        let said = (!said.is_empty()).then(|| format!("The device says: {}", said.join(", ")));
        let Some(sample) = self.sample else {
            // A record of a measurement that came to nothing.
            let code = coded("2339-0", "160020", "MDC_CONC_GLU_GEN");
            let mut part = Part::new("glucose", code, Measured::Absent("error"));
            part.notes.extend(said);
            return vec![part];
        };
        let row = FLUIDS.get(usize::from(sample.fluid).saturating_sub(1)).copied().unwrap_or_default();
        let [mass, amount, mdc, name] = row;
        let (loinc, unit, powers) = if sample.molar { (amount, "mmol/L", 3) } else { (mass, "mg/dL", 5) };
        let mut value = sample.concentration.shifted(powers).measured(unit);
        if let Measured::Quantity { comparator, .. } = &mut value {
            *comparator = match (status >> TOO_HIGH & 1, status >> TOO_LOW & 1) {
                (1, 0) => Some(">"),
                (0, 1) => Some("<"),
                _ => None,
            };
        }
        let mut part = Part::new("glucose", coded(loinc, mdc, name), value);
        part.test = sample.fluid == CONTROL || sample.site == 4;
        let site = SITES.iter().find(|(site, _)| *site == sample.site);
        part.notes.extend(site.map(|(_, name)| format!("Sample from: {name}")));
        part.notes.extend(said);
        vec![part]
    }
}
