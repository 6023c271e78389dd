//! HL7 v2 out: where messages are sent, which, and how. Only what can be said of the settings alone is checked here;
//! files are read by who uses them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::notify::AtLeast;

/// A system that is sent HL7 v2 messages over MLLP.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Destination {
    /// Names it in metrics, and its place in the log: another name begins anew.
    pub name: String,
    /// `host:port`
    pub address: String,
    pub tls: Option<ClientTls>,
    /// What it is sent.
    pub send: Vec<Sent>,
    /// Readings with one of these codes, `system|code` or `code`; all where none is named.
    pub codes: Vec<String>,
    /// Patients in one of these places, `Location/…`; all where none is named.
    pub wards: Vec<String>,
    /// How severe an alert must be.
    pub at_least: AtLeast,
    /// Admissions that came by these channels are not sent on.
    pub except_channels: Vec<String>,
    /// Who this server is, and who is spoken to (MSH-3 to MSH-6).
    pub application: String,
    pub facility: String,
    pub receiving_application: String,
    pub receiving_facility: String,
    /// Names of assigning authorities (CX-4) and the identifier systems that they stand for.
    pub assigning_authorities: BTreeMap<String, String>,
    /// How long an answer may take.
    pub timeout_s: u64,
    /// How often a message is sent that is answered AE or CE.
    pub attempts: u32,
}

impl Default for Destination {
    fn default() -> Self {
        Self {
            name: String::new(),
            address: String::new(),
            tls: None,
            send: vec![],
            codes: vec![],
            wards: vec![],
            at_least: AtLeast::All,
            except_channels: vec![],
            application: "VIGIA".to_owned(),
            facility: String::new(),
            receiving_application: String::new(),
            receiving_facility: String::new(),
            assigning_authorities: BTreeMap::new(),
            timeout_s: 30,
            attempts: 5,
        }
    }
}

/// A kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sent {
    /// ORU^R01
    Observations,
    /// ORU^R40
    Alerts,
    /// ADT, as it came.
    Admissions,
}

/// TLS to a destination; PEM files.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientTls {
    /// The authority of its certificate; those of the system unless named.
    pub ca: Option<PathBuf>,
    /// Our own certificate and its key, where it asks for one.
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

impl Destination {
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        let plain = |text: &str| !text.trim().is_empty() && text.len() <= 60 && !text.chars().any(char::is_control);
        let port =
            self.address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        let tls = self.tls.clone().unwrap_or_default();
        let table = [
            (plain(&self.name), "name", "each destination needs a name of at most 60 letters"),
            (port, "address", "it is no host:port"),
            (!self.send.is_empty(), "send", "it says nothing; observations, alerts, admissions"),
            (tls.cert.is_some() == tls.key.is_some(), "tls.key", "certificate and key belong together"),
            (self.wards.iter().all(|ward| ward.starts_with("Location/")), "wards", "each is Location/ and an id"),
            (self.timeout_s > 0, "timeout_s", "at least 1 is needed"),
            (self.attempts > 0, "attempts", "at least 1 is needed"),
        ];
        table.into_iter().find(|(fine, ..)| !fine).map(|(_, key, why)| (key, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_named() {
        let fine = Destination {
            name: "his".to_owned(),
            address: "[::1]:2575".to_owned(),
            send: vec![Sent::Alerts],
            ..Destination::default()
        };
        assert_eq!(fine.problem(), None);
        let tls = ClientTls { cert: Some("c.pem".into()), ..ClientTls::default() };
        let table = [
            (Destination { name: " ".to_owned(), ..fine.clone() }, "name"),
            (Destination { address: "his".to_owned(), ..fine.clone() }, "address"),
            (Destination { address: ":2575".to_owned(), ..fine.clone() }, "address"),
            (Destination { send: vec![], ..fine.clone() }, "send"),
            (Destination { tls: Some(tls), ..fine.clone() }, "tls.key"),
            (Destination { wards: vec!["icu".to_owned()], ..fine.clone() }, "wards"),
            (Destination { timeout_s: 0, ..fine.clone() }, "timeout_s"),
            (Destination { attempts: 0, ..fine.clone() }, "attempts"),
        ];
        for (wrong, key) in table {
            assert_eq!(wrong.problem().map(|(key, _)| key), Some(key), "{wrong:?}");
        }
    }
}
