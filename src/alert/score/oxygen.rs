//! Does a patient breathe oxygen? Nobody charts that as such: flow, inspired fraction and device tell it, each
//! now and then. This keeps the two times that decide, and nothing else; the order in which readings come does
//! not matter.
//!
//! A flow above 0, a fraction above 21 % and a device mean oxygen, for as long as `MAX_AGE`. Only the word that
//! there is no device ends it at once, also against a flow or fraction of the same instant: a flow of 0 may be a
//! meter that is switched off while the ventilator runs. Where nothing was ever charted, it is air.

/// What one reading says about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OxygenSign {
    /// L/min
    Flow(f64),
    /// Per cent.
    Inspired(f64),
    /// Is there a device that gives oxygen?
    Device(bool),
}

/// The state of one patient: 32 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oxygen {
    /// The last sign of oxygen, µs UTC.
    on: Option<i64>,
    /// The last time that the device was taken off.
    off: Option<i64>,
}

impl Oxygen {
    /// How long a sign of oxygen counts, µs.
    pub const MAX_AGE: i64 = 480 * 60 * 1_000_000;

    pub fn take(&mut self, at: i64, sign: OxygenSign) {
        match sign {
            OxygenSign::Flow(flow) if flow > 0.0 => self.on = self.on.max(Some(at)),
            OxygenSign::Inspired(fraction) if fraction > 21.0 => self.on = self.on.max(Some(at)),
            OxygenSign::Device(true) => self.on = self.on.max(Some(at)),
            OxygenSign::Device(false) => self.off = self.off.max(Some(at)),
            OxygenSign::Flow(_) | OxygenSign::Inspired(_) => {}
        }
    }

    /// The value of `Parameter::Oxygen` at this time.
    pub fn at(&self, now: i64) -> f64 {
        let fresh = |on: &i64| now.saturating_sub(*on) <= Self::MAX_AGE && self.off.is_none_or(|off| off < *on);
        if self.on.as_ref().is_some_and(fresh) { 1.0 } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case<'a> = (&'a [(i64, OxygenSign)], i64, f64);

    #[test]
    fn only_no_device_or_time_ends_it() {
        use OxygenSign::{Device, Flow, Inspired};
        const HOUR: i64 = 3_600_000_000;
        let table: [Case; 11] = [
            (&[], 0, 0.0),
            (&[(0, Flow(2.0))], 0, 1.0),
            (&[(0, Flow(2.0))], 8 * HOUR, 1.0),
            (&[(0, Flow(2.0))], 8 * HOUR + 1, 0.0),
            (&[(0, Flow(2.0)), (HOUR, Flow(0.0))], 2 * HOUR, 1.0),
            (&[(0, Inspired(21.0))], 0, 0.0),
            (&[(0, Inspired(f64::NAN))], 0, 0.0),
            (&[(0, Inspired(28.0)), (HOUR, Device(false))], HOUR, 0.0),
            (&[(HOUR, Device(false)), (HOUR, Inspired(28.0))], HOUR, 0.0),
            (&[(HOUR, Device(false)), (2 * HOUR, Device(true))], 2 * HOUR, 1.0),
            (&[(2 * HOUR, Device(true)), (HOUR, Device(false))], 2 * HOUR, 1.0),
        ];
        for (signs, now, expected) in table {
            let mut oxygen = Oxygen::default();
            for (at, sign) in signs {
                oxygen.take(*at, *sign);
            }
            assert_eq!(oxygen.at(now).to_string(), expected.to_string(), "{signs:?}");
        }
    }
}
