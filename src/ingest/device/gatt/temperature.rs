//! Temperature Measurement (2A1C), and Intermediate Temperature, which has the same layout.

use super::number::Number;
use super::octets::{Octets, Read, Stamp, wrong};
use crate::ingest::device::part::{Part, coded};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Temperature {
    pub fahrenheit: bool,
    pub temperature: Number,
    pub stamp: Option<Stamp>,
    /// Where it was measured: 1 to 9.
    pub site: Option<u8>,
}

/// LOINC, MDC and its reference id, for each site from 1 on; where LOINC has no code for the site, the general one.
const SITES: [(&str, &str, &str); 9] = [
    ("8328-7", "188452", "MDC_TEMP_AXILLA"),
    ("8310-5", "150364", "MDC_TEMP_BODY"),
    ("8310-5", "188428", "MDC_TEMP_EAR"),
    ("8310-5", "188432", "MDC_TEMP_FINGER"),
    ("8310-5", "188456", "MDC_TEMP_GIT"),
    ("8331-1", "188424", "MDC_TEMP_ORAL"),
    ("8332-9", "188420", "MDC_TEMP_RECT"),
    ("8310-5", "188448", "MDC_TEMP_TOE"),
    ("8333-7", "150392", "MDC_TEMP_TYMP"),
];

/// Without a site it is the body's.
const BODY: (&str, &str, &str) = ("8310-5", "150364", "MDC_TEMP_BODY");

pub fn decode(payload: &[u8]) -> Read<Temperature> {
    let mut octets = Octets::new(payload);
    let flags = octets.flags(0b0000_0111)?;
    let read = Temperature {
        fahrenheit: flags.has(0),
        temperature: octets.float("temperature")?,
        stamp: flags.then(1, || octets.stamp())?,
        site: flags.then(2, || octets.u8("temperature type"))?,
    };
    octets.end()?;
    match read.site {
        Some(0 | 10..) => wrong("value", "the temperature type is a reserved one"),
        _ => Ok(read),
    }
}

impl Temperature {
    pub(super) fn unit(&self) -> &'static str {
        if self.fahrenheit { "[degF]" } else { "Cel" }
    }

    pub(super) fn parts(&self) -> Vec<Part> {
        let site = self.site.and_then(|site| SITES.get(usize::from(site).checked_sub(1)?));
        let (loinc, mdc, name) = site.copied().unwrap_or(BODY);
        vec![Part::new("temperature", coded(loinc, mdc, name), self.temperature.measured(self.unit()))]
    }
}
