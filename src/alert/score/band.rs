//! What a total means: the band that the publication of a score puts it in. Bands of different scores share the
//! code system <https://vigia.dev/fhir/CodeSystem/alert-band>; their ranks only order those of one score.
//!
//! NEWS2: Royal College of Physicians 2017. MEWS: 5 or more (Subbe 2001). qSOFA and SIRS: 2 or more. MEOWS: one
//! red or two yellow. Shock index 0.9 and mean pressure 65 are customary limits, from memory. The vital signs of
//! Bedside PEWS alone have no published bands, so they have none here.

use super::{Kind, Part};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// 0 calls for nothing; more is more urgent.
    pub rank: u8,
    pub code: &'static str,
    pub title: &'static str,
}

const fn band(rank: u8, code: &'static str, title: &'static str) -> Band {
    Band { rank, code, title }
}

const LOW: Band = band(0, "low", "Low");
/// A single parameter of 3 points below an aggregate of 5.
const LOW_MEDIUM: Band = band(1, "low-medium", "Low-medium");
const MEDIUM: Band = band(2, "medium", "Medium");
const HIGH: Band = band(3, "high", "High");
const NO_TRIGGER: Band = band(0, "no-trigger", "No trigger");
const TRIGGER: Band = band(1, "trigger", "Trigger");
const NEGATIVE: Band = band(0, "negative", "Negative");
const POSITIVE: Band = band(1, "positive", "Positive");
const NORMAL: Band = band(0, "normal", "Normal");
const RAISED: Band = band(1, "raised", "Raised");
const REDUCED: Band = band(1, "reduced", "Reduced");

/// The bands of a score with the total that each begins at.
fn cuts(kind: Kind) -> &'static [(f64, Band)] {
    match kind {
        Kind::News2 => &[(0.0, LOW), (5.0, MEDIUM), (7.0, HIGH)],
        Kind::Mews => &[(0.0, NO_TRIGGER), (5.0, TRIGGER)],
        Kind::Qsofa | Kind::Sirs => &[(0.0, NEGATIVE), (2.0, POSITIVE)],
        Kind::Meows => &[(0.0, NO_TRIGGER), (2.0, TRIGGER)],
        Kind::ShockIndex => &[(0.0, NORMAL), (0.9, RAISED)],
        Kind::MeanPressure => &[(0.0, REDUCED), (65.0, NORMAL)],
        Kind::BedsidePews => &[],
    }
}

pub(super) fn of(kind: Kind, total: f64, parts: &[Part]) -> Option<Band> {
    let reached = cuts(kind).iter().rev().find(|(from, _)| total >= *from).map(|(_, band)| *band)?;
    let single = kind == Kind::News2 && parts.iter().any(|part| part.points.is_some_and(|points| points >= 3.0));
    Some(if single && reached.rank < LOW_MEDIUM.rank { LOW_MEDIUM } else { reached })
}

impl Kind {
    /// All bands that a total can fall into, the least urgent first.
    pub fn bands(self) -> Vec<Band> {
        let single = (self == Self::News2).then_some(LOW_MEDIUM);
        let mut bands: Vec<Band> = cuts(self).iter().map(|(_, band)| *band).chain(single).collect();
        bands.sort_by_key(|band| band.rank);
        bands
    }
}
