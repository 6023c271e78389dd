//! Heart Rate Measurement (2A37).

use super::number::decimal;
use super::octets::{Octets, Read};
use crate::ingest::device::part::{Part, coded, quantity};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartRate {
    pub rate: u16,
    /// Whether the sensor touches the skin, where it can tell.
    pub contact: Option<bool>,
    /// Since it was set to zero.
    pub energy_kj: Option<u16>,
    /// Intervals between beats, the oldest first, in 1/1024 s.
    pub rr: Vec<u16>,
}

pub fn decode(payload: &[u8]) -> Read<HeartRate> {
    let mut octets = Octets::new(payload);
    let flags = octets.flags(0b0001_1111)?;
    let rate = if flags.has(0) { octets.u16("heart rate")? } else { octets.u8("heart rate")?.into() };
    let energy_kj = flags.then(3, || octets.u16("energy expended"))?;
    let mut rr = Vec::new();
    if flags.has(4) {
        rr.push(octets.u16("R-R interval")?);
        while octets.left() > 0 {
            rr.push(octets.u16("R-R interval")?);
        }
    }
    octets.end()?;
    Ok(HeartRate { rate, contact: flags.has(2).then(|| flags.has(1)), energy_kj, rr })
}

impl HeartRate {
    pub(super) fn parts(&self) -> Vec<Part> {
        let code = coded("8867-4", "147842", "MDC_ECG_HEART_RATE");
        let mut rate = Part::new("rate", code, quantity(self.rate.to_string(), "/min"));
        if self.contact == Some(false) {
            rate.notes.push("The sensor did not touch the skin".to_owned());
        }
        let mut parts = vec![rate];
        if let Some(energy) = self.energy_kj {
            parts.push(Part::new("energy", coded("41981-2", "", ""), quantity(energy.to_string(), "kJ")));
        }
        for (at, interval) in self.rr.iter().enumerate() {
            let code = coded("8637-1", "147240", "MDC_ECG_TIME_PD_RR_GL");
            parts.push(Part::new(format!("rr{at}"), code, quantity(milliseconds(*interval), "ms")));
        }
        parts
    }
}

/// 1/1024 s is 0.9765625 ms, so every interval is a decimal without loss; zeros at its end say nothing.
fn milliseconds(interval: u16) -> String {
    let text = decimal(i64::from(interval) * 9_765_625, -7);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_exact_in_milliseconds() {
        for (interval, text) in [(1024, "1000"), (2048, "2000"), (1, "0.9765625"), (33, "32.2265625"), (0, "0")] {
            assert_eq!(milliseconds(interval), text);
        }
    }
}
