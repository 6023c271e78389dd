//! Value sets that can be listed in full, from what was loaded and from what is embedded. One that
//! takes from a system that is not here cannot be listed, and nothing is said of its codes.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::tables::TABLES;

/// Value sets that take from value sets.
const MAX_DEPTH: usize = 16;

/// Codes by system.
type Listing = HashMap<String, HashSet<String>>;

#[derive(Default)]
pub(super) struct Terminology {
    /// Definitions by URL, until they are listed.
    sets: HashMap<String, Value>,
    systems: HashMap<String, System>,
    listed: HashMap<String, Option<Listing>>,
}

/// The codes of a system, each with the one above it.
struct System {
    codes: HashMap<String, Option<String>>,
    is_whole: bool,
}

impl Terminology {
    pub(super) fn add(&mut self, resource: &Value) {
        let Some(url) = resource.get("url").and_then(Value::as_str) else { return };
        if resource.get("resourceType").and_then(Value::as_str) == Some("ValueSet") {
            self.sets.insert(url.to_owned(), resource.clone());
            return;
        }
        let is_whole = resource.get("content").and_then(Value::as_str) == Some("complete");
        let mut system = System { codes: HashMap::new(), is_whole };
        let mut open: Vec<(&Value, Option<&str>)> = list(resource, "concept").iter().map(|c| (c, None)).collect();
        while let Some((concept, above)) = open.pop() {
            let Some(code) = concept.get("code").and_then(Value::as_str) else { continue };
            system.codes.insert(code.to_owned(), above.map(str::to_owned));
            open.extend(list(concept, "concept").iter().map(|c| (c, Some(code))));
        }
        self.systems.insert(url.to_owned(), system);
    }

    /// Lists all that was added. The definitions are not needed after that.
    pub(super) fn expand(&mut self) {
        let urls: Vec<String> = self.sets.keys().cloned().collect();
        for url in urls {
            let listing = self.list(&url, 0);
            self.listed.insert(url, listing);
        }
        self.sets.clear();
        self.systems.clear();
    }

    fn list(&self, canonical: &str, depth: usize) -> Option<Listing> {
        let url = canonical.split('|').next()?;
        if let Some(known) = self.listed.get(url) {
            return known.clone();
        }
        let Some(set) = self.sets.get(url).filter(|_| depth < MAX_DEPTH) else { return embedded(url) };
        let Some(compose) = set.get("compose") else { return contained(set.get("expansion")?) };
        let mut all = Listing::new();
        for include in list(compose, "include") {
            for (system, codes) in self.part(include, depth)? {
                all.entry(system).or_default().extend(codes);
            }
        }
        for exclude in list(compose, "exclude") {
            for (system, codes) in self.part(exclude, depth)? {
                if let Some(own) = all.get_mut(&system) {
                    own.retain(|code| !codes.contains(code));
                }
            }
        }
        Some(all)
    }

    /// What one `include` takes: what is common to its system and all its value sets.
    fn part(&self, include: &Value, depth: usize) -> Option<Listing> {
        let mut common = match include.get("system").and_then(Value::as_str) {
            Some(system) => Some(Listing::from([(system.to_owned(), self.of_system(system, include)?)])),
            None => None,
        };
        for set in list(include, "valueSet") {
            let other = self.list(set.as_str()?, depth + 1)?;
            common = Some(match common {
                None => other,
                Some(mut own) => {
                    own.retain(|system, codes| match other.get(system) {
                        Some(theirs) => {
                            codes.retain(|code| theirs.contains(code));
                            true
                        }
                        None => false,
                    });
                    own
                }
            });
        }
        common
    }

    fn of_system(&self, system: &str, include: &Value) -> Option<HashSet<String>> {
        if include.get("concept").is_some() {
            let code = |concept: &Value| concept.get("code").and_then(Value::as_str).map(str::to_owned);
            return Some(list(include, "concept").iter().filter_map(code).collect());
        }
        let system = self.systems.get(system).filter(|s| s.is_whole)?;
        let mut codes: HashSet<String> = system.codes.keys().cloned().collect();
        for filter in list(include, "filter") {
            let text = |name: &str| filter.get(name).and_then(Value::as_str);
            let (value, op) = (text("value")?, text("op")?);
            if !matches!(text("property")?, "concept" | "code" | "parent") {
                return None;
            }
            match op {
                "is-a" => codes.retain(|code| code == value || system.is_below(code, value)),
                "descendent-of" => codes.retain(|code| system.is_below(code, value)),
                "is-not-a" => codes.retain(|code| code != value && !system.is_below(code, value)),
                "=" => codes.retain(|code| code == value),
                "in" => codes.retain(|code| value.split(',').any(|one| one.trim() == code)),
                _ => return None,
            }
        }
        Some(codes)
    }

    pub(super) fn is_member(&self, set: &str, system: Option<&str>, code: &str) -> Option<bool> {
        let url = set.split('|').next()?;
        if let Some(listing) = self.listed.get(url) {
            let listing = listing.as_ref()?;
            return Some(match system {
                Some(system) => listing.get(system).is_some_and(|codes| codes.contains(code)),
                None => listing.values().any(|codes| codes.contains(code)),
            });
        }
        let set = TABLES.value_sets.iter().find(|known| known.url == url)?;
        Some(system.map_or_else(|| set.has_code(code), |system| set.has(system, code)))
    }
}

impl System {
    fn is_below(&self, code: &str, top: &str) -> bool {
        let mut at = code;
        // A system that runs in a circle has no more steps than codes.
        for _ in 0..self.codes.len() {
            match self.codes.get(at) {
                Some(Some(above)) if above == top => return true,
                Some(Some(above)) => at = above,
                _ => return false,
            }
        }
        false
    }
}

fn embedded(url: &str) -> Option<Listing> {
    let set = TABLES.value_sets.iter().find(|known| known.url == url)?;
    let codes = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
    Some(set.systems.iter().map(|(system, own)| ((*system).to_owned(), codes(own))).collect())
}

/// An expansion that somebody made before.
fn contained(expansion: &Value) -> Option<Listing> {
    let mut all = Listing::new();
    let mut open: Vec<&Value> = list(expansion, "contains").iter().collect();
    while let Some(entry) = open.pop() {
        open.extend(list(entry, "contains"));
        if let (Some(system), Some(code)) = (entry.get("system"), entry.get("code")) {
            all.entry(system.as_str()?.to_owned()).or_default().insert(code.as_str()?.to_owned());
        }
    }
    (!all.is_empty()).then_some(all)
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
