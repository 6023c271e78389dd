//! Who is told of alerts outside this server, how, and when not.

use super::secret::hidden;
use secrecy::SecretString;
use serde::{Deserialize, Serialize, Serializer};

/// Who is told of alerts, and how. Nobody unless recipients are named.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notify {
    /// What is told to one recipient of one patient within this time goes out as one message; what is critical never
    /// waits. `VIGIA__NOTIFY__GROUP_WAIT_S`
    pub group_wait_s: u32,
    /// A recipient's system must answer within this time. `VIGIA__NOTIFY__TIMEOUT_S`
    pub timeout_s: u32,
    /// What could not be delivered is tried again for so long, as long as the alert stands. `VIGIA__NOTIFY__GIVE_UP_S`
    pub give_up_s: u32,
    pub smtp: Smtp,
    pub recipient: Vec<Recipient>,
}

impl Default for Notify {
    fn default() -> Self {
        Self { group_wait_s: 30, timeout_s: 10, give_up_s: 86_400, smtp: Smtp::default(), recipient: vec![] }
    }
}

/// The server that takes e-mail.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Smtp {
    /// `VIGIA__NOTIFY__SMTP__HOST`
    pub host: Option<String>,
    /// 587 for starttls, 465 for tls, 25 for none unless said. `VIGIA__NOTIFY__SMTP__PORT`
    pub port: Option<u16>,
    pub tls: SmtpTls,
    pub user: Option<String>,
    /// `VIGIA__NOTIFY__SMTP__PASSWORD`
    #[serde(serialize_with = "hidden")]
    pub password: Option<SecretString>,
    /// The address that messages come from.
    pub from: String,
}

impl Default for Smtp {
    fn default() -> Self {
        let from = "vigia@localhost".to_owned();
        Self { host: None, port: None, tls: SmtpTls::default(), user: None, password: None, from }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// TLS begins inside the conversation, and must.
    #[default]
    Starttls,
    Tls,
    /// In clear: only to a mail server on this machine.
    None,
}

/// Somebody who is told.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipient {
    /// Names it in the record of what was sent.
    pub name: String,
    /// What escalation steps call: roles, wards (`Location/…`) that it belongs to, persons (`Practitioner/…`) it reaches.
    pub roles: Vec<String>,
    pub wards: Vec<String>,
    pub persons: Vec<String>,
    /// Told when an alert begins, and not only when an escalation calls it.
    pub first: bool,
    /// Told of the beginning of alerts from this level on.
    pub at_least: AtLeast,
    /// Told too when it is over what it was told of.
    pub resolved: bool,
    /// Stands in when an escalation reaches nobody else.
    pub fallback: bool,
    pub content: Content,
    /// The address of a system that takes JSON.
    #[serde(serialize_with = "without_query")]
    pub webhook: Option<String>,
    /// `whsec_` and base64: signs what is sent there.
    #[serde(serialize_with = "hidden")]
    pub secret: Option<SecretString>,
    pub email: Option<String>,
    pub quiet: Vec<Quiet>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AtLeast {
    /// Technical alerts and hints too.
    All,
    #[default]
    Warning,
    Critical,
}

/// How much leaves the house.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// That there is an alert, how urgent, on which ward, and where to read it.
    #[default]
    Reference,
    /// The DetectedIssue itself.
    Full,
}

/// Hours in which a recipient is told less.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quiet {
    /// As clocks in the zone show them: `22:00` to `06:00` is a night.
    pub from: String,
    pub to: String,
    /// `Europe/Madrid`, `+01:00`; UTC where nothing is said.
    pub zone: String,
    /// `mon` to `sun`, of the day on which the hours begin; every day where nothing is said.
    pub days: Vec<String>,
    /// What is less urgent is not told: `critical` lets critical alerts through.
    pub below: AtLeast,
}

/// A query may hold a key.
#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn without_query<S: Serializer>(url: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let shown = url.as_ref().map(|url| match url.split_once('?') {
        Some((address, _)) => format!("{address}?********"),
        None => url.clone(),
    });
    shown.serialize(serializer)
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Quiet {
    /// Minutes after midnight.
    pub fn minutes(&self) -> Option<(u16, u16)> {
        Some((minute(&self.from)?, minute(&self.to)?))
    }

    /// Does it begin on this day of the week (0 is Monday)?
    pub fn begins_on(&self, day: usize) -> bool {
        self.days.is_empty() || DAYS.get(day).is_some_and(|name| self.days.iter().any(|day| day == name))
    }
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

impl Notify {
    /// What types cannot say: the key, and what is wrong with its value.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        const KEY: &str = "notify.recipient";
        let wrong = |why| Err((KEY, why));
        let mut names = std::collections::BTreeSet::new();
        for recipient in &self.recipient {
            if recipient.name.trim().is_empty() || !names.insert(&recipient.name) {
                return wrong("each needs a name of its own");
            }
            match (&recipient.webhook, &recipient.email) {
                (Some(url), None) if url.starts_with("https://") || url.starts_with("http://") => {
                    if recipient.secret.is_none() {
                        return wrong("a webhook needs the secret that signs what is sent there");
                    }
                }
                (None, Some(address)) if address.contains('@') => {
                    if self.smtp.host.is_none() {
                        return Err(("notify.smtp", "e-mail needs the host of a mail server"));
                    }
                }
                _ => return wrong("each needs a webhook (http or https) or an email address, and not both"),
            }
            let hours = |quiet: &Quiet| quiet.minutes().is_some_and(|(from, to)| from != to);
            if !recipient.quiet.iter().all(hours) {
                return wrong("quiet hours need from and to, as 22:00 and 06:00");
            }
            let days = |quiet: &Quiet| quiet.days.iter().all(|day| DAYS.contains(&day.as_str()));
            if !recipient.quiet.iter().all(days) {
                return wrong("days are mon, tue, wed, thu, fri, sat, sun");
            }
        }
        if self.timeout_s == 0 {
            return Err(("notify.timeout_s", "at least 1 is needed"));
        }
        Ok(())
    }
}
