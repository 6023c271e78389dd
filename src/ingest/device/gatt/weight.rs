//! Weight Measurement (2A9D).

use super::blood_pressure::{NO_USER, user};
use super::number::decimal;
use super::octets::{Octets, Read, Stamp};
use crate::ingest::device::part::{Part, coded, quantity};
use crate::normalize::draft::{Coding, Measured};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weight {
    pub imperial: bool,
    /// In 0.005 kg or 0.01 lb.
    pub weight: u16,
    pub stamp: Option<Stamp>,
    pub user: Option<u8>,
    /// In 0.1 kg/m², with the height in 0.001 m or 0.1 in.
    pub bmi_height: Option<(u16, u16)>,
}

/// The scale could not tell.
pub(super) const FAILED: u16 = 0xFFFF;

pub fn decode(payload: &[u8]) -> Read<Weight> {
    let mut octets = Octets::new(payload);
    let flags = octets.flags(0b0000_1111)?;
    let read = Weight {
        imperial: flags.has(0),
        weight: octets.u16("weight")?,
        stamp: flags.then(1, || octets.stamp())?,
        user: flags.then(2, || octets.u8("user"))?.filter(|user| *user != NO_USER),
        bmi_height: flags.then(3, || Ok((octets.u16("body mass index")?, octets.u16("height")?)))?,
    };
    octets.end()?;
    Ok(read)
}

impl Weight {
    pub(super) fn parts(&self) -> Vec<Part> {
        let mut parts = vec![Part::new("weight", weight_code(), mass(self.weight, self.imperial))];
        if let Some((bmi, tall)) = self.bmi_height {
            let code = coded("39156-5", "188752", "MDC_RATIO_MASS_BODY_LEN_SQ");
            parts.push(Part::new("bmi", code, quantity(tenths(bmi), "kg/m2")));
            parts.push(Part::new("height", height_code(), height(tall, self.imperial)));
        }
        for part in &mut parts {
            part.notes.extend(self.user.map(user));
        }
        parts
    }
}

pub(super) fn weight_code() -> Vec<Coding> {
    coded("29463-7", "188736", "MDC_MASS_BODY_ACTUAL")
}

pub(super) fn height_code() -> Vec<Coding> {
    coded("8302-2", "188740", "MDC_LEN_BODY_ACTUAL")
}

/// A mass as scales count it.
pub(super) fn mass(raw: u16, imperial: bool) -> Measured {
    match raw {
        FAILED => Measured::Absent("error"),
        raw => quantity(mass_text(raw, imperial), if imperial { "[lb_av]" } else { "kg" }),
    }
}

pub(super) fn mass_text(raw: u16, imperial: bool) -> String {
    if imperial { decimal(raw.into(), -2) } else { decimal(i64::from(raw) * 5, -3) }
}

pub(super) fn height(raw: u16, imperial: bool) -> Measured {
    quantity(height_text(raw, imperial), if imperial { "[in_i]" } else { "m" })
}

pub(super) fn height_text(raw: u16, imperial: bool) -> String {
    decimal(raw.into(), if imperial { -1 } else { -3 })
}

pub(super) fn tenths(raw: u16) -> String {
    decimal(raw.into(), -1)
}
