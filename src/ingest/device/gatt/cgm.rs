//! CGM Measurement (2AA7): one or more records of a continuous glucose sensor, each with its own length and perhaps a
//! checksum.

use super::number::Number;
use super::octets::{Octets, Read, set, wrong};
use crate::ingest::device::part::{Part, coded, text};
use crate::normalize::draft::Measured;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// In mg/dL.
    pub glucose: Number,
    /// Minutes since the session began.
    pub offset_min: u16,
    pub status: Option<u8>,
    pub calibration: Option<u8>,
    pub warning: Option<u8>,
    /// In mg/dL a minute.
    pub trend: Option<Number>,
    /// In percent.
    pub quality: Option<Number>,
    /// The checksum, which is right.
    pub crc: Option<u16>,
}

/// Octets of the length itself.
const SIZE: usize = 1;
const LOWER: u8 = 6;
const HIGHER: u8 = 7;

const STATUS: [(u8, &str); 6] = [
    (0, "session stopped"),
    (1, "battery low"),
    (2, "wrong sensor for this device"),
    (3, "sensor malfunction"),
    (4, "device's own alert"),
    (5, "general fault"),
];
const CALIBRATION: [(u8, &str); 6] = [
    (0, "clock to be set"),
    (1, "calibration not allowed"),
    (2, "calibration recommended"),
    (3, "calibration required"),
    (4, "too warm to measure"),
    (5, "too cold to measure"),
];
const WARNING: [(u8, &str); 8] = [
    (0, "below the patient's low level"),
    (1, "above the patient's high level"),
    (2, "below the level of hypoglycemia"),
    (3, "above the level of hyperglycemia"),
    (4, "falling too fast"),
    (5, "rising too fast"),
    (LOWER, "lower than it can measure"),
    (HIGHER, "higher than it can measure"),
];

pub fn decode(payload: &[u8]) -> Read<Vec<Record>> {
    let mut octets = Octets::new(payload);
    let mut records = Vec::new();
    while octets.left() > 0 || records.is_empty() {
        let size = octets.u8("length of a record")?;
        let Some(after) = usize::from(size).checked_sub(SIZE).filter(|after| *after > 0) else {
            return wrong("structure", "a record has no length");
        };
        records.push(record(size, octets.bytes(after, "record")?)?);
    }
    Ok(records)
}

/// A record without the octet of its length.
fn record(size: u8, after: &[u8]) -> Read<Record> {
    let mut octets = Octets::new(after);
    let flags = octets.flags(0b1110_0011)?;
    let mut record = Record {
        glucose: octets.sfloat("glucose concentration")?,
        offset_min: octets.u16("time offset")?,
        status: flags.then(7, || octets.u8("status"))?,
        calibration: flags.then(6, || octets.u8("calibration status"))?,
        warning: flags.then(5, || octets.u8("warning"))?,
        trend: flags.then(0, || octets.sfloat("trend"))?,
        quality: flags.then(1, || octets.sfloat("quality"))?,
        crc: None,
    };
    if octets.left() == 2 {
        let sent = octets.u16("checksum")?;
        let covered = after.split_last_chunk::<2>().map_or(after, |(before, _)| before);
        if crc(std::iter::once(size).chain(covered.iter().copied())) != sent {
            return wrong("value", "the checksum does not fit");
        }
        record.crc = Some(sent);
    }
    octets.end()?;
    Ok(record)
}

/// CRC-16/MCRF4XX.
fn crc(octets: impl Iterator<Item = u8>) -> u16 {
    octets.fold(0xFFFF, |crc, octet| {
        (0..8).fold(crc ^ u16::from(octet), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x8408 } else { crc >> 1 })
    })
}

impl Record {
    pub(super) fn part(&self, name: String) -> Part {
        let mut value = self.glucose.measured("mg/dL");
        let warned = |bit: u8| self.warning.is_some_and(|warning| warning >> bit & 1 == 1);
        if let Measured::Quantity { comparator, .. } = &mut value {
            *comparator = match (warned(LOWER), warned(HIGHER)) {
                (true, false) => Some("<"),
                (false, true) => Some(">"),
                _ => None,
            };
        }
        let mut part = Part::new(name, coded("99504-3", "160212", "MDC_CONC_GLU_ISF"), value);
        let more = [("Trend", self.trend, "mg/dL/min"), ("Quality", self.quality, "%")];
        for (name, number, unit) in more {
            part.components.extend(number.map(|number| (text(name), number.measured(unit))));
        }
        let octet = |octet: Option<u8>| u32::from(octet.unwrap_or_default());
        let said: Vec<&str> = set(octet(self.status), &STATUS)
            .chain(set(octet(self.calibration), &CALIBRATION))
            .chain(set(octet(self.warning), &WARNING))
            .collect();
        if !said.is_empty() {
            part.notes.push(format!("The device says: {}", said.join(", ")));
        }
        part
    }
}
