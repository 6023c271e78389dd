//! Blood Pressure Measurement (2A35) and Intermediate Cuff Pressure (2A36), which have the same layout. What the cuff
//! shows while it is pumped up is no blood pressure of the patient's and has a code of its own.

use super::number::Number;
use super::octets::{Octets, Read, Stamp, set};
use crate::ingest::device::part::{Part, coded};
use crate::normalize::codes::{DIASTOLIC, MEAN, PANEL, SYSTOLIC};
use crate::normalize::draft::Measured;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BloodPressure {
    pub kilopascal: bool,
    pub systolic: Number,
    pub diastolic: Number,
    pub mean: Number,
    pub stamp: Option<Stamp>,
    pub pulse: Option<Number>,
    pub user: Option<u8>,
    pub status: Option<u16>,
}

const STATUS: [(u8, &str); 4] = [
    (0, "the body moved during the measurement"),
    (1, "the cuff was too loose"),
    (2, "the pulse was irregular"),
    (5, "the position was wrong"),
];

/// No user is 255.
pub(super) const NO_USER: u8 = 0xFF;

pub fn decode(payload: &[u8]) -> Read<BloodPressure> {
    let mut octets = Octets::new(payload);
    let flags = octets.flags(0b0001_1111)?;
    let read = BloodPressure {
        kilopascal: flags.has(0),
        systolic: octets.sfloat("systolic pressure")?,
        diastolic: octets.sfloat("diastolic pressure")?,
        mean: octets.sfloat("mean pressure")?,
        stamp: flags.then(1, || octets.stamp())?,
        pulse: flags.then(2, || octets.sfloat("pulse rate"))?,
        user: flags.then(3, || octets.u8("user"))?.filter(|user| *user != NO_USER),
        status: flags.then(4, || octets.u16("measurement status"))?,
    };
    octets.end()?;
    Ok(read)
}

impl BloodPressure {
    pub(super) fn unit(&self) -> &'static str {
        if self.kilopascal { "kPa" } else { "mm[Hg]" }
    }

    pub(super) fn parts(&self) -> Vec<Part> {
        let unit = self.unit();
        let code = coded(PANEL, "150020", "MDC_PRESS_BLD_NONINV");
        let mut panel = Part::new("pressure", code, Measured::Panel);
        panel.components = vec![
            (coded(SYSTOLIC, "150021", "MDC_PRESS_BLD_NONINV_SYS"), self.systolic.measured(unit)),
            (coded(DIASTOLIC, "150022", "MDC_PRESS_BLD_NONINV_DIA"), self.diastolic.measured(unit)),
            (coded(MEAN, "150023", "MDC_PRESS_BLD_NONINV_MEAN"), self.mean.measured(unit)),
        ];
        self.with_pulse(panel)
    }

    /// Of the intermediate pressure only the first value has a meaning.
    pub(super) fn cuff_parts(&self) -> Vec<Part> {
        let mut cuff = Part::new("cuff", coded("", "150300", "MDC_PRESS_CUFF"), self.systolic.measured(self.unit()));
        cuff.status = "preliminary";
        self.with_pulse(cuff)
    }

    fn with_pulse(&self, mut pressure: Part) -> Vec<Part> {
        let status = self.status.unwrap_or_default();
        let said: Vec<&str> = set(status.into(), &STATUS).collect();
        let mut notes: Vec<String> = Vec::new();
        if !said.is_empty() {
            notes.push(format!("The device says: {}", said.join(", ")));
        }
        notes.extend(self.user.map(user));
        pressure.notes.clone_from(&notes);
        let pulse = self.pulse.map(|pulse| {
            let code = coded("8867-4", "149546", "MDC_PULS_RATE_NON_INV");
            let mut part = Part::new("pulse", code, pulse.measured("/min"));
            part.notes = notes;
            let limit = match status >> 3 & 0b11 {
                1 => Some("The pulse is above the upper limit of the device"),
                2 => Some("The pulse is below the lower limit of the device"),
                _ => None,
            };
            part.notes.extend(limit.map(str::to_owned));
            part
        });
        std::iter::once(pressure).chain(pulse).collect()
    }
}

/// The device's own number for one of those who use it.
pub(super) fn user(user: u8) -> String {
    format!("User {user} of the device")
}
