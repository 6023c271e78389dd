//! Body Composition Measurement (2A9C).

use super::blood_pressure::{NO_USER, user};
use super::octets::{Octets, Read, Stamp};
use super::weight::{FAILED, height, height_code, mass, tenths, weight_code};
use crate::ingest::device::part::{Part, coded, quantity, text};
use crate::normalize::draft::Measured;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composition {
    pub imperial: bool,
    /// In 0.1 %.
    pub fat: u16,
    pub stamp: Option<Stamp>,
    pub user: Option<u8>,
    /// In kJ.
    pub metabolism: Option<u16>,
    /// In 0.1 %.
    pub muscle_share: Option<u16>,
    /// Masses in 0.005 kg or 0.01 lb.
    pub muscle: Option<u16>,
    pub fat_free: Option<u16>,
    pub soft_lean: Option<u16>,
    pub water: Option<u16>,
    /// In 0.1 Ω.
    pub impedance: Option<u16>,
    pub weight: Option<u16>,
    /// In 0.001 m or 0.1 in.
    pub height: Option<u16>,
    /// One of several packets of one measurement.
    pub several: bool,
}

pub fn decode(payload: &[u8]) -> Read<Composition> {
    let mut octets = Octets::new(payload);
    let flags = octets.wide_flags(0b0001_1111_1111_1111)?;
    let read = Composition {
        imperial: flags.has(0),
        fat: octets.u16("body fat")?,
        stamp: flags.then(1, || octets.stamp())?,
        user: flags.then(2, || octets.u8("user"))?.filter(|user| *user != NO_USER),
        metabolism: flags.then(3, || octets.u16("basal metabolism"))?,
        muscle_share: flags.then(4, || octets.u16("muscle percentage"))?,
        muscle: flags.then(5, || octets.u16("muscle mass"))?,
        fat_free: flags.then(6, || octets.u16("fat free mass"))?,
        soft_lean: flags.then(7, || octets.u16("soft lean mass"))?,
        water: flags.then(8, || octets.u16("body water mass"))?,
        impedance: flags.then(9, || octets.u16("impedance"))?,
        weight: flags.then(10, || octets.u16("weight"))?,
        height: flags.then(11, || octets.u16("height"))?,
        several: flags.has(12),
    };
    octets.end()?;
    Ok(read)
}

impl Composition {
    pub(super) fn parts(&self) -> Vec<Part> {
        let share = |raw: u16| if raw == FAILED { Measured::Absent("error") } else { quantity(tenths(raw), "%") };
        let fat = Part::new("fat", coded("41982-0", "188748", "MDC_BODY_FAT"), share(self.fat));
        let mut parts = vec![fat];
        let masses = [
            ("weight", weight_code(), self.weight),
            ("muscle", coded("73964-9", "", ""), self.muscle),
            ("fat-free", coded("", "188756", "MDC_MASS_BODY_FAT_FREE"), self.fat_free),
            ("soft-lean", coded("", "188760", "MDC_MASS_BODY_SOFT_LEAN"), self.soft_lean),
            ("water", coded("", "188764", "MDC_BODY_WATER"), self.water),
        ];
        for (name, code, raw) in masses {
            parts.extend(raw.map(|raw| Part::new(name, code, mass(raw, self.imperial))));
        }
        let muscle = coded("73965-6", "", "");
        parts.extend(self.muscle_share.map(|raw| Part::new("muscle-share", muscle, share(raw))));
        parts.extend(self.height.map(|raw| Part::new("height", height_code(), height(raw, self.imperial))));
        let metabolism = text("Basal metabolism of a day");
        parts.extend(self.metabolism.map(|raw| Part::new("metabolism", metabolism, quantity(raw.to_string(), "kJ"))));
        let impedance = text("Body impedance");
        parts.extend(self.impedance.map(|raw| Part::new("impedance", impedance, quantity(tenths(raw), "Ohm"))));
        for part in &mut parts {
            part.notes.extend(self.user.map(user));
            part.notes.extend(self.several.then(|| "One of several packets of a measurement".to_owned()));
        }
        parts
    }
}
