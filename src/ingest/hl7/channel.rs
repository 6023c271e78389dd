//! A channel as messages meet it: how one sender, or a group of the same kind, speaks and is spoken to. Made of the
//! settings, and of the files that they name; nothing is read later.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::charset::Charset;
use super::header::Header;
use super::table::Tables;
use super::time::Zone;
use crate::config::{self, hl7::Acks, hl7::ByBed};

/// How one sender (or a group of the same kind) speaks, and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Channel {
    pub name: String,
    /// The zone of times that have none.
    pub default_zone: Zone,
    /// The character set of messages that name none.
    pub charset: Charset,
    /// The longest frame in bytes.
    pub max_frame: usize,
    /// Who may send: MSH-3 and, where it matters, MSH-4; everybody when there is nobody.
    pub senders: Vec<(String, Option<String>)>,
    pub acks: Acks,
    /// Who this server is in its answers (MSH-3 and MSH-4), as plain names.
    pub application: String,
    pub facility: String,
    /// Names of assigning authorities (CX-4) and the identifier systems that they stand for.
    pub assigning_authorities: Vec<(String, String)>,
    /// A control id that was used before is no mistake here.
    pub control_id_repeats: bool,
    pub attach_by_bed: ByBed,
    /// What fields and codes become: ours, with what the site maps by itself.
    pub tables: Arc<Tables>,
    /// What is not stored by then is answered as not stored.
    pub patience: Duration,
}

impl Default for Channel {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            default_zone: Zone::UTC,
            charset: Charset::UTF_8,
            max_frame: 1 << 20,
            senders: Vec::new(),
            acks: Acks::Auto,
            application: "VIGIA".to_owned(),
            facility: String::new(),
            assigning_authorities: Vec::new(),
            control_id_repeats: false,
            attach_by_bed: ByBed::default(),
            tables: Tables::ours(),
            patience: Duration::from_secs(30),
        }
    }
}

/// The channels of the settings, in their order; one without settings where there are none.
pub fn channels(settings: &config::Hl7) -> Result<Vec<Channel>> {
    if settings.channel.is_empty() {
        return Ok(vec![Channel::default()]);
    }
    let numbered = settings.channel.iter().enumerate();
    numbered.map(|(at, channel)| Channel::of(channel).with_context(|| format!("hl7.channel[{at}]"))).collect()
}

impl Channel {
    /// The error names the key, seen from the channel.
    pub fn of(settings: &config::hl7::Channel) -> Result<Self> {
        let charset = settings.charset.as_deref().unwrap_or_default();
        let site = settings
            .mapping
            .as_ref()
            .map(|path| std::fs::read_to_string(path).with_context(|| format!("mapping: {}", path.display())));
        let tables = match site.transpose()? {
            Some(text) => Arc::new(Tables::ours().with_overrides(&text).map_err(|why| anyhow!("mapping: {why}"))?),
            None => Tables::ours(),
        };
        Ok(Self {
            name: settings.name.clone(),
            default_zone: settings.zone.parse().map_err(|why| anyhow!("zone: {why}"))?,
            charset: Charset::named(charset).map_err(|_| anyhow!("charset: {charset} is not known here"))?,
            max_frame: settings.max_frame_bytes,
            senders: settings.senders.iter().map(|sender| parted(sender)).collect(),
            acks: settings.acks,
            application: settings.application.clone(),
            facility: settings.facility.clone(),
            assigning_authorities: settings.assigning_authorities.clone().into_iter().collect(),
            control_id_repeats: settings.control_id_repeats,
            attach_by_bed: settings.attach_by_bed,
            tables,
            patience: Duration::from_secs(settings.answer_timeout_s),
        })
    }

    /// May this sender send here?
    pub fn admits(&self, header: &Header) -> bool {
        let first = |field: &str| field.split(header.separators.component).next().unwrap_or_default().trim().to_owned();
        let (application, facility) = (first(&header.sending_application), first(&header.sending_facility));
        let same = |(own, place): &(String, Option<String>)| {
            *own == application && place.as_ref().is_none_or(|place| *place == facility)
        };
        self.senders.is_empty() || self.senders.iter().any(same)
    }
}

fn parted(sender: &str) -> (String, Option<String>) {
    match sender.split_once('|') {
        Some((application, facility)) => (application.trim().to_owned(), Some(facility.trim().to_owned())),
        None => (sender.trim().to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_send() {
        let header = Header::parse("MSH|^~\\&|MON^1^ISO|ICU^2", Charset::UTF_8).unwrap();
        let table: [(&[&str], bool); 6] = [
            (&[], true),
            (&["MON"], true),
            (&["MON|ICU"], true),
            (&["OTHER", " MON | ICU "], true),
            (&["MON|ER"], false),
            (&["mon", "MON^1^ISO"], false),
        ];
        for (senders, admitted) in table {
            let senders = senders.iter().map(|sender| parted(sender)).collect();
            assert_eq!(Channel { senders, ..Channel::default() }.admits(&header), admitted);
        }
    }

    #[test]
    fn what_files_and_names_are_wrong_is_told() {
        let named = |charset: &str, mapping: Option<&str>| config::hl7::Channel {
            charset: Some(charset.to_owned()),
            mapping: mapping.map(Into::into),
            ..config::hl7::Channel::default()
        };
        let settings = |channel| config::Hl7 { channel: vec![channel], ..config::Hl7::default() };
        for (channel, word) in [
            (named("KLINGON", None), "hl7.channel[0]: charset: KLINGON"),
            (named("8859/1", Some("/nonexistent/map.toml")), "hl7.channel[0]: mapping: /nonexistent/map.toml"),
        ] {
            let error = format!("{:#}", channels(&settings(channel)).unwrap_err());
            assert!(error.contains(word), "{word} is not in: {error}");
        }
        assert_eq!(channels(&config::Hl7::default()).unwrap().len(), 1);
    }
}
