//! HL7 v2: the channels by which messages come (who may send, how they speak, how they are answered) and how long
//! messages are kept. Only what can be said of the settings alone is checked here; files are read by who uses them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::destination::Destination;

/// HL7 v2. Without a channel no port is opened, and messages over HTTP are taken as a channel without settings would.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hl7 {
    /// Messages that nobody has to look at are kept for so many days; 0 is for ever. `VIGIA__HL7__KEEP_DAYS`
    pub keep_days: u32,
    pub channel: Vec<Channel>,
    pub destination: Vec<Destination>,
}

impl Default for Hl7 {
    fn default() -> Self {
        Self { keep_days: 90, channel: vec![], destination: vec![] }
    }
}

/// How one sender, or a group of the same kind, speaks and is spoken to.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Channel {
    /// Names it in the record of messages, in metrics and to HTTP senders.
    pub name: String,
    /// Where MLLP is spoken; a channel without is for HTTP alone. MLLP itself knows no passwords: without TLS and
    /// `tls.client_ca` whoever reaches this address is believed.
    pub bind: Option<SocketAddr>,
    pub tls: Option<Tls>,
    /// Networks whose connections are accepted, `10.1.0.0/16`; all where none is named.
    pub networks: Vec<IpNet>,
    /// Who may send: MSH-3, or MSH-3 and MSH-4 with `|` between, first components; everybody where none is named.
    pub senders: Vec<String>,
    /// The character set of messages whose MSH-18 is empty, as MSH-18 would name it.
    pub charset: Option<String>,
    /// Zone of times sent without one: `+01:00` or `Z`.
    pub zone: String,
    pub acks: Acks,
    /// Who this server is in its answers (MSH-3, MSH-4).
    pub application: String,
    pub facility: String,
    /// FHIR identifier system of each assigning authority (CX-4). Compared without regard to case.
    pub assigning_authorities: BTreeMap<String, String>,
    /// Its senders use a control id (MSH-10) again for other messages. Elsewhere that is an error (AE).
    pub control_id_repeats: bool,
    /// Whether a patient's bed says whose results are that nobody could be found for.
    pub attach_by_bed: ByBed,
    /// A file of own mappings: Z segments, local codes.
    pub mapping: Option<PathBuf>,
    /// Largest frame.
    pub max_frame_bytes: usize,
    pub max_connections: usize,
    /// A connection that stays silent so long is closed.
    pub idle_timeout_s: u64,
    /// What is not stored within this time is answered as an error (AE, CE): the sender shall send it again.
    pub answer_timeout_s: u64,
}

impl Default for Channel {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            bind: None,
            tls: None,
            networks: vec![],
            senders: vec![],
            charset: None,
            zone: "Z".to_owned(),
            acks: Acks::default(),
            application: "VIGIA".to_owned(),
            facility: String::new(),
            assigning_authorities: BTreeMap::new(),
            control_id_repeats: false,
            attach_by_bed: ByBed::default(),
            mapping: None,
            max_frame_bytes: 1 << 20,
            max_connections: 256,
            idle_timeout_s: 600,
            answer_timeout_s: 30,
        }
    }
}

/// The certificates of a channel, PEM files.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The server's own certificate with those between it and its authority.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Senders need a certificate of one of these authorities.
    pub client_ca: Option<PathBuf>,
    /// And that for one of these names (DNS names or addresses among its alternative names); any where none is named.
    pub clients: Vec<String>,
}

/// Which results a stay in a bed takes, when it says who lay there at their time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ByBed {
    /// None: a person decides.
    Never,
    /// Those that name no number of a patient.
    #[default]
    Unnumbered,
    /// Those with a number that nobody bears, too.
    Unknown,
}

/// Which answers are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Acks {
    /// Those that MSH-15 and MSH-16 ask for; where both are empty, one in original mode.
    #[default]
    Auto,
    /// AA, AE or AR, whatever is asked for.
    Original,
    /// CA, CE or CR always; AA, AE or AR where MSH-16 asks for it.
    Enhanced,
}

impl Hl7 {
    /// What types cannot say: the key, and what is wrong with its value.
    pub(super) fn check(&self) -> Result<(), (String, &'static str)> {
        let mut names = BTreeSet::new();
        for (at, channel) in self.channel.iter().enumerate() {
            let wrong = |key: &str, why| Err((format!("hl7.channel[{at}].{key}"), why));
            if !names.insert(&channel.name) {
                return wrong("name", "another channel has this name");
            }
            if let Some((key, why)) = channel.problem() {
                return wrong(key, why);
            }
        }
        let mut names = BTreeSet::new();
        for (at, destination) in self.destination.iter().enumerate() {
            let twice = (!names.insert(&destination.name)).then_some(("name", "another destination has this name"));
            if let Some((key, why)) = destination.problem().or(twice) {
                return Err((format!("hl7.destination[{at}].{key}"), why));
            }
        }
        Ok(())
    }
}

impl Channel {
    fn problem(&self) -> Option<(&'static str, &'static str)> {
        let named = !self.name.trim().is_empty() && !self.name.chars().any(char::is_control);
        let tls = self.tls.clone().unwrap_or_default();
        let senders = |sender: &String| !sender.trim_matches('|').trim().is_empty() && sender.matches('|').count() < 2;
        let table = [
            (named, "name", "each channel needs a name"),
            (self.tls.is_none() || self.bind.is_some(), "tls", "without bind nobody connects"),
            (tls.clients.is_empty() || tls.client_ca.is_some(), "tls.clients", "names are only proven by client_ca"),
            (self.senders.iter().all(senders), "senders", "each is MSH-3, or MSH-3 and MSH-4 with | between"),
            (is_zone(&self.zone), "zone", "it is no zone such as +01:00 or Z"),
            (self.max_frame_bytes >= 1024, "max_frame_bytes", "at least 1024 are needed"),
            (self.max_connections > 0, "max_connections", "at least 1 is needed"),
            (self.idle_timeout_s > 0, "idle_timeout_s", "at least 1 is needed"),
            (self.answer_timeout_s > 0, "answer_timeout_s", "at least 1 is needed"),
        ];
        table.into_iter().find(|(fine, ..)| !fine).map(|(_, key, why)| (key, why))
    }
}

/// `Z`, or sign, hours to 14 and minutes to 59.
fn is_zone(zone: &str) -> bool {
    let number = |text: &str, limit: u8| {
        text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()) && text.parse().is_ok_and(|n: u8| n <= limit)
    };
    let offset = zone.strip_prefix(['+', '-']).and_then(|offset| offset.split_once(':'));
    zone == "Z" || offset.is_some_and(|(hours, minutes)| number(hours, 14) && number(minutes, 59))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones() {
        for zone in ["Z", "+00:00", "-05:30", "+14:00"] {
            assert!(is_zone(zone), "{zone}");
        }
        for zone in ["", "z", "+1:00", "+15:00", "+01:60", "01:00", "+01:00:00", "+é:00", "++1:00"] {
            assert!(!is_zone(zone), "{zone}");
        }
    }
}
