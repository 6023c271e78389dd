//! Definitions that somebody loaded on top of the embedded ones: profiles, value sets, code systems,
//! and how strictly each profile is taken. Compiled once, then only read; whoever changes something
//! compiles a new set. What a resource has to do with them is the business of `check`.

mod compile;
mod profile;
mod snapshot;
mod terminology;

use std::collections::HashMap;

use serde_json::Value;

pub(crate) use profile::{Discriminator, Element, Fixed, Profile, Rules, Sort};

use crate::{Issue, tables::TABLES};
use terminology::Terminology;

/// What becomes of a resource that breaks a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    #[default]
    Reject,
    /// It is taken, and its problems become warnings.
    Warn,
}

/// How strictly profiles are taken.
#[derive(Clone, Debug)]
pub struct Policies {
    /// Of profiles that are not named below.
    pub profiles: Policy,
    /// Of profiles that a resource claims and nobody loaded.
    pub unknown: Policy,
    /// By canonical URL without version.
    pub named: HashMap<String, Policy>,
}

impl Default for Policies {
    fn default() -> Self {
        Self { profiles: Policy::Reject, unknown: Policy::Warn, named: HashMap::new() }
    }
}

/// All that was loaded.
#[derive(Default)]
pub struct Definitions {
    pub(crate) policies: Policies,
    /// Several versions of one URL, the newest last.
    profiles: HashMap<String, Vec<Profile>>,
    terminology: Terminology,
}

impl Definitions {
    /// Compiles resources: `StructureDefinition`, `ValueSet`, `CodeSystem`; others are passed over. What cannot be
    /// used is left out and told, with the canonical URL as its place.
    pub fn compile<'a>(resources: impl IntoIterator<Item = &'a Value>, policies: Policies) -> (Self, Vec<Issue>) {
        let mut all = Self { policies, ..Self::default() };
        let mut problems = Vec::new();
        let resources: Vec<&Value> = resources.into_iter().collect();
        for resource in resources.iter().copied() {
            match resource.get("resourceType").and_then(Value::as_str) {
                Some("StructureDefinition") => match compile::compile(resource, &resources) {
                    Ok(Some(profile)) => all.add(profile),
                    Ok(None) => {}
                    Err(what) => {
                        let url = resource.get("url").and_then(Value::as_str).unwrap_or("StructureDefinition");
                        problems.push(Issue::warning("not-supported", url, what.why()));
                    }
                },
                Some("ValueSet" | "CodeSystem") => all.terminology.add(resource),
                _ => {}
            }
        }
        all.terminology.expand();
        (all, problems)
    }

    /// What keeps a resource from being compiled, beside the profiles that it may be based on: an error where its
    /// differential cannot be applied, else a warning.
    pub fn problem<'a>(resource: &'a Value, beside: impl IntoIterator<Item = &'a Value>) -> Option<Issue> {
        let is_structure = resource.get("resourceType").and_then(Value::as_str) == Some("StructureDefinition");
        if !is_structure {
            return None;
        }
        let beside: Vec<&Value> = beside.into_iter().collect();
        compile::compile(resource, &beside).err().map(snapshot::Fault::issue)
    }

    fn add(&mut self, profile: Profile) {
        let versions = self.profiles.entry(profile.url.clone()).or_default();
        versions.retain(|other| other.version != profile.version);
        versions.push(profile);
        versions.sort_by_key(|profile| numbers(&profile.version));
    }

    /// A profile by its canonical: of the version that it names, or the newest.
    pub(crate) fn profile(&self, canonical: &str) -> Option<&Profile> {
        let (url, version) = canonical.split_once('|').map_or((canonical, None), |(url, v)| (url, Some(v)));
        let versions = self.profiles.get(url)?;
        match version {
            Some(version) => versions.iter().find(|p| p.version == version),
            None => versions.last(),
        }
    }

    /// Whether a canonical names something that resources can be held to.
    pub fn knows(&self, canonical: &str) -> bool {
        let url = canonical.split('|').next().unwrap_or_default();
        let base = url.strip_prefix("http://hl7.org/fhir/StructureDefinition/");
        self.profile(canonical).is_some()
            || TABLES.profiles.iter().any(|p| p.url == url)
            || base.is_some_and(|name| TABLES.by_path.contains_key(name))
    }

    /// The canonical URLs of what was loaded, with versions, in order.
    pub fn profiles(&self) -> Vec<String> {
        let mut all: Vec<String> = self.profiles.values().flatten().map(Profile::canonical).collect();
        all.sort();
        all
    }

    pub(crate) fn policy(&self, profile: &Profile) -> Policy {
        self.policies.named.get(&profile.url).copied().unwrap_or(self.policies.profiles)
    }

    /// Whether a code is in a value set; nothing where that is not known. Without a system any will do.
    pub(crate) fn is_member(&self, set: &str, system: Option<&str>, code: &str) -> Option<bool> {
        self.terminology.is_member(set, system, code)
    }
}

/// `6.1.0-ballot` as 6, 1, 0.
fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '-']).map_while(|part| part.parse().ok()).collect()
}
