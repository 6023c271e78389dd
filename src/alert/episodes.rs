//! The episodes that are open: one DetectedIssue each, held with the version that stands, so that the next
//! change of level makes its next version. Layer 5, beside the engine: it reads the store.

use std::collections::HashMap;

use serde_json::Value;

use super::issue::{self, Change, Episode, OpenEpisode};
use super::rule::{Cause, Level, Rule};
use super::seed::AUTHOR;
use super::window::{Kind, Transition};
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::reading::Reading;
use crate::store::{Content, Entry, Store};

/// What the rules concluded from one reading: the version of a DetectedIssue that is to be committed.
pub(super) struct Conclusion {
    pub id: String,
    pub resource: Value,
    /// The version that it follows; none for a new episode.
    pub expect: Option<i32>,
    /// When the reading was committed, µs UTC.
    pub cause_committed: i64,
    pub severity: &'static str,
    pub event: &'static str,
}

#[derive(Default)]
pub(super) struct Episodes {
    /// By patient, rule and what is wrong. Not by rule key: that follows the coding of the reading that raised it.
    open: HashMap<Key, Open>,
}

type Key = (String, String, Cause);

struct Open {
    episode: OpenEpisode,
    version: i32,
    resource: Value,
}

impl Episodes {
    /// All that are open in the store.
    pub(super) async fn open(store: &Store, access: &Access) -> Result<Self, Error> {
        let mut episodes = Self::default();
        let query = Query::new("DetectedIssue", &[("status", "preliminary")], MAX_COUNT)?;
        for issue in store.search_all(access, query).await? {
            episodes.hold(issue.value()?, issue.version);
        }
        Ok(episodes)
    }

    fn hold(&mut self, resource: Value, version: i32) {
        if let Some(episode) = issue::open_episode(&resource) {
            let key = (episode.patient.clone(), episode.rule_url.clone(), episode.cause);
            self.open.insert(key, Open { episode, version, resource });
        }
    }

    /// A version of a DetectedIssue came by on the log: somebody may have acknowledged or closed it.
    pub(super) fn observe(&mut self, entry: &Entry) {
        let held = self.open.iter().find(|(_, open)| open.episode.id == entry.id);
        let Some((key, version)) = held.map(|(key, open)| (key.clone(), open.version)) else { return };
        if entry.version <= version {
            return;
        }
        self.open.remove(&key);
        if let Content::Resource(resource) = &entry.content {
            self.hold((**resource).clone(), entry.version);
        }
    }

    /// What fires for this patient under this rule.
    pub(super) fn firing(&self, patient: &str, rule: &Rule) -> Vec<(Cause, Level)> {
        let own = self.open.iter().filter(|((p, url, _), _)| p == patient && *url == rule.url);
        own.map(|((.., cause), open)| (*cause, open.episode.level)).collect()
    }

    /// The version that a change of level makes. None when the episode was closed by somebody else.
    pub(super) async fn conclude(
        &mut self,
        store: &Store,
        entry: &Entry,
        reading: &Reading,
        rule: &Rule,
        code: &str,
        transition: &Transition,
    ) -> Result<Option<Conclusion>, Error> {
        let Some(patient) = reading.subject.as_deref() else { return Ok(None) };
        let observation = entry.versioned_reference();
        let peak = match transition.peak {
            Some(peak) => reference_at(store, peak.seq, entry).await?,
            None => None,
        };
        let change = Change { rule, transition, observation: &observation, peak: peak.as_deref() };
        let key = (patient.to_owned(), rule.url.clone(), transition.cause);
        let (resource, expect) = match (self.open.get(&key), transition.kind) {
            (Some(open), _) => (issue::changed(&open.resource, &change), Some(open.version)),
            // Closed by somebody, and worse since: that is a new episode.
            (None, Kind::Raise | Kind::Escalate) => {
                let onset = reference_at(store, transition.onset.seq, entry).await?;
                let episode = Episode {
                    change,
                    onset: onset.as_deref().unwrap_or(&observation),
                    code,
                    patient,
                    author: AUTHOR,
                    device: reading.device.as_deref(),
                    encounter: reading.encounter.as_deref(),
                };
                (issue::raised(&episode), None)
            }
            (None, _) => return Ok(None),
        };
        let Some(id) = resource.get("id").and_then(Value::as_str).map(str::to_owned) else { return Ok(None) };
        // What follows in this batch follows on this version; should it not be committed, all of it is forgotten.
        self.open.remove(&key);
        self.hold(resource.clone(), expect.map_or(1, |version| version + 1));
        let severity = severity(&resource);
        let event = transition.kind.code();
        Ok(Some(Conclusion { id, resource, expect, cause_committed: entry.updated, severity, event }))
    }
}

fn severity(resource: &Value) -> &'static str {
    match resource.get("severity").and_then(Value::as_str) {
        Some("high") => "high",
        Some("moderate") => "moderate",
        _ => "low",
    }
}

/// The Observation version that was committed at a place in the log.
async fn reference_at(store: &Store, seq: i64, entry: &Entry) -> Result<Option<String>, Error> {
    if seq == entry.seq {
        return Ok(Some(entry.versioned_reference()));
    }
    let found = store.log_after(seq - 1, 1).await?;
    Ok(found.first().filter(|e| e.seq == seq).map(|e| e.versioned_reference()))
}
