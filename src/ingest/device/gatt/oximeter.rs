//! PLX Spot-Check Measurement (2A5E) and PLX Continuous Measurement (2A5F).

use super::number::Number;
use super::octets::{Octets, Read, Stamp, set};
use crate::ingest::device::part::{Part, coded};
use crate::normalize::draft::{Coding, Measured};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oximeter {
    pub normal: Pair,
    /// With a short and with a long average; continuous only.
    pub fast: Option<Pair>,
    pub slow: Option<Pair>,
    pub stamp: Option<Stamp>,
    pub status: Option<u16>,
    pub sensor: Option<u32>,
    pub amplitude: Option<Number>,
    /// The device says that its clock was never set.
    pub clock_unset: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    pub saturation: Number,
    pub pulse: Number,
}

const EARLY: u8 = 6;
const DEMONSTRATION: u8 = 10;
const TESTING: u8 = 11;
const INVALID: u8 = 15;

const STATUS: [(u8, &str); 5] = [
    (9, "from its memory"),
    (12, "calibration ongoing"),
    (13, "measurement unavailable"),
    (14, "questionable measurement"),
    (INVALID, "invalid measurement"),
];
const SENSOR: [(u8, &str); 15] = [
    (1, "equipment malfunction"),
    (2, "irregular signal processing"),
    (3, "inadequate signal"),
    (4, "poor signal"),
    (5, "low perfusion"),
    (6, "erratic signal"),
    (7, "no pulse in the signal"),
    (8, "questionable pulse"),
    (9, "signal analysis ongoing"),
    (10, "interference at the sensor"),
    (11, "sensor not on the patient"),
    (12, "unknown sensor"),
    (13, "sensor displaced"),
    (14, "sensor malfunction"),
    (15, "sensor disconnected"),
];

impl Pair {
    fn read(octets: &mut Octets<'_>) -> Read<Self> {
        Ok(Self { saturation: octets.sfloat("saturation")?, pulse: octets.sfloat("pulse rate")? })
    }
}

pub fn decode_spot(payload: &[u8]) -> Read<Oximeter> {
    let mut octets = Octets::new(payload);
    let flags = octets.flags(0b0001_1111)?;
    let read = Oximeter {
        normal: Pair::read(&mut octets)?,
        fast: None,
        slow: None,
        stamp: flags.then(0, || octets.stamp())?,
        status: flags.then(1, || octets.u16("measurement status"))?,
        sensor: flags.then(2, || octets.u24("device and sensor status"))?,
        amplitude: flags.then(3, || octets.sfloat("pulse amplitude index"))?,
        clock_unset: flags.has(4),
    };
    octets.end()?;
    Ok(read)
}

pub fn decode_continuous(payload: &[u8]) -> Read<Oximeter> {
    let mut octets = Octets::new(payload);
    let flags = octets.flags(0b0001_1111)?;
    let read = Oximeter {
        normal: Pair::read(&mut octets)?,
        fast: flags.then(0, || Pair::read(&mut octets))?,
        slow: flags.then(1, || Pair::read(&mut octets))?,
        stamp: None,
        status: flags.then(2, || octets.u16("measurement status"))?,
        sensor: flags.then(3, || octets.u24("device and sensor status"))?,
        amplitude: flags.then(4, || octets.sfloat("pulse amplitude index"))?,
        clock_unset: false,
    };
    octets.end()?;
    Ok(read)
}

impl Oximeter {
    pub(super) fn parts(&self) -> Vec<Part> {
        let saturation = Part {
            components: self.averages(|pair| pair.saturation, "%"),
            ..self.part("saturation", coded("59408-5", "150456", "MDC_PULS_OXIM_SAT_O2"), self.normal.saturation, "%")
        };
        let pulse = Part {
            components: self.averages(|pair| pair.pulse, "/min"),
            ..self.part("pulse", coded("8867-4", "149530", "MDC_PULS_OXIM_PULS_RATE"), self.normal.pulse, "/min")
        };
        let amplitude = self.amplitude.map(|amplitude| {
            self.part("amplitude", coded("73798-1", "150448", "MDC_PULS_OXIM_PERF_REL"), amplitude, "%")
        });
        [saturation, pulse].into_iter().chain(amplitude).collect()
    }

    fn part(&self, name: &str, code: Vec<Coding>, number: Number, unit: &str) -> Part {
        let said = |bit: u8| self.status.is_some_and(|status| status >> bit & 1 == 1);
        let mut part = Part::new(name, code, number.measured(unit));
        let status = set(self.status.unwrap_or_default().into(), &STATUS);
        let said_of_it: Vec<&str> = status.chain(set(self.sensor.unwrap_or_default(), &SENSOR)).collect();
        if !said_of_it.is_empty() {
            part.notes.push(format!("The device says: {}", said_of_it.join(", ")));
        }
        if let (true, Some(text)) = (said(INVALID), number.text()) {
            // Kept to be seen, not as a value to be judged.
            part.value = Measured::Absent("error");
            part.notes.push(format!("Sent as {text} {unit}"));
        }
        part.status = if said(EARLY) { "preliminary" } else { "final" };
        part.test = said(DEMONSTRATION) || said(TESTING);
        part
    }

    /// The fast and the slow value stand beside the normal one under the codes of their averages, so that nobody takes
    /// them for it.
    fn averages(&self, of: impl Fn(Pair) -> Number, unit: &str) -> Vec<(Vec<Coding>, Measured)> {
        let all = [(self.fast, "150580", "MDC_MODALITY_FAST"), (self.slow, "150584", "MDC_MODALITY_SLOW")];
        all.into_iter()
            .filter_map(|(pair, code, name)| Some((coded("", code, name), of(pair?).measured(unit))))
            .collect()
    }
}
