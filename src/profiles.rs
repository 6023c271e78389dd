//! The definitions that an administrator loaded, compiled and in force: read from the store at the start and
//! whenever one of them changes, and swapped as a whole, so that every check sees one state of them. Who checks
//! a resource before it is stored does it here. What a profile means is the business of the crate `fhir-r4`.

pub mod package;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use fhir_r4::{Checked, Definitions, Issue, Policies, Policy, Severity};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::alert;
use crate::auth::access::Access;
use crate::config;
use crate::error::Error;
use crate::fhir::custom;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::reference;
use crate::store::Store;

/// The types that are compiled.
const SEARCH_PARAMETER: &str = "SearchParameter";
const TYPES: [&str; 3] = ["StructureDefinition", "ValueSet", "CodeSystem"];
/// Members and items above which a check leaves the thread that answers requests.
const HEAVY: usize = 2_000;
/// Bases of bases that are looked for, and versions of each.
const MAX_BASES: usize = 32;
const MAX_VERSIONS: usize = 50;
/// How often a node looks for what others changed.
const IDLE: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct Profiles {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    policies: Policies,
    current: ArcSwap<Definitions>,
    /// Compiling happens once at a time, so that the last state is the one that stays.
    compiling: tokio::sync::Mutex<()>,
}

impl Profiles {
    /// Nothing is loaded yet but what is embedded.
    pub fn new(store: Store, config: &config::Validation) -> Self {
        let policies = policies(config);
        let none = Definitions::compile([], policies.clone()).0;
        let inner =
            Inner { store, policies, current: ArcSwap::from_pointee(none), compiling: tokio::sync::Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// What is in force now.
    pub fn current(&self) -> Arc<Definitions> {
        self.inner.current.load_full()
    }

    /// Whether resources of this type are definitions.
    pub fn is_definition(resource_type: &str) -> bool {
        TYPES.contains(&resource_type) || resource_type == SEARCH_PARAMETER
    }

    /// Reads and compiles everything again.
    pub async fn reload(&self) -> Result<(), Error> {
        let _one = self.inner.compiling.lock().await;
        self.inner.store.reload_params().await?;
        let access = Access::system("profiles");
        let mut all = Vec::new();
        for kind in TYPES {
            let query = Query::new(kind, &[], MAX_COUNT)?;
            for stored in self.inner.store.search_all(&access, query).await? {
                all.push(serde_json::from_slice::<Value>(&stored.json()?).map_err(Error::internal)?);
            }
        }
        let policies = self.inner.policies.clone();
        let compile = move || Definitions::compile(&all, policies);
        let (definitions, problems) = tokio::task::spawn_blocking(compile).await.map_err(Error::internal)?;
        for problem in &problems {
            tracing::warn!(url = problem.expression, why = problem.diagnostics, "a profile is not in force");
        }
        tracing::info!(profiles = definitions.profiles().len(), "definitions compiled");
        self.inner.current.store(Arc::new(definitions));
        Ok(())
    }

    /// Looks for what other nodes change, until cancelled. What this node changes is in force before it is answered.
    pub async fn follow(self, cancelled: CancellationToken) {
        let mut seen = None;
        while !cancelled.is_cancelled() {
            if let Err(error) = self.catch_up(&mut seen).await {
                tracing::error!(%error, "changed definitions cannot be read");
            }
            tokio::select! {
                () = tokio::time::sleep(IDLE) => {}
                () = cancelled.cancelled() => return,
            }
        }
    }

    async fn catch_up(&self, seen: &mut Option<i64>) -> Result<(), Error> {
        // Asked for before they are read: what comes in between is read once more. The first time, because
        // something may have come between the start and now.
        self.inner.store.reload_params().await?;
        self.inner.store.go_on_reindexing().await?;
        let last = self.inner.store.last_change(&TYPES).await?;
        if *seen != Some(last) {
            self.reload().await?;
            *seen = Some(last);
        }
        Ok(())
    }

    /// Checks a resource before it is stored: R4, and the profiles that it claims. One that takes long to check
    /// holds nobody else up. From here on a reference to a resource of this server is a relative one.
    pub async fn check(&self, mut resource: Value) -> Result<Checked, Vec<Issue>> {
        reference::make_local(&mut resource, self.inner.store.base());
        if resource.get("resourceType").is_some_and(|kind| kind == SEARCH_PARAMETER) {
            custom::read(&resource, &self.inner.store.params())?;
        }
        alert::door::check(&resource)?;
        let problem = self.unusable(&resource, &[]).await;
        let definitions = self.current();
        if !is_heavy(&resource) {
            return check(&definitions, resource, problem);
        }
        let work = tokio::task::spawn_blocking(move || check(&definitions, resource, problem));
        work.await.unwrap_or_else(|_| Err(vec![broken()]))
    }

    /// The same for one of many definitions that come together.
    pub async fn check_among(&self, resource: Value, all: &[Value]) -> Result<Checked, Vec<Issue>> {
        let problem = self.unusable(&resource, all).await;
        check(&self.current(), resource, problem)
    }

    /// A definition that cannot be applied, or only kept. Its bases come with it, or are stored.
    async fn unusable(&self, resource: &Value, all: &[Value]) -> Option<Issue> {
        if resource.get("resourceType").and_then(Value::as_str) != Some("StructureDefinition") {
            return None;
        }
        let mut bases = Vec::new();
        let mut last = resource.clone();
        for _ in 0..MAX_BASES {
            let made = last.get("snapshot").is_none();
            let Some(base) = last.get("baseDefinition").and_then(Value::as_str).filter(|_| made) else { break };
            let url = base.split('|').next().unwrap_or_default();
            let Some(found) = self.stored(url, all).await else { break };
            bases.extend(found.clone());
            let Some(next) = found.into_iter().next() else { break };
            last = next;
        }
        Definitions::problem(resource, &bases)
    }

    /// The versions of a definition.
    async fn stored(&self, url: &str, all: &[Value]) -> Option<Vec<Value>> {
        let own = |of: &&Value| of.get("url").and_then(Value::as_str) == Some(url);
        let mut found: Vec<Value> = all.iter().filter(own).cloned().collect();
        if found.is_empty() {
            let url = url.replace('\\', "\\\\").replace(',', "\\,").replace('$', "\\$").replace('|', "\\|");
            let query = Query::new("StructureDefinition", &[("url", &url)], MAX_VERSIONS).ok()?;
            let page = self.inner.store.search(&Access::system("profiles"), query).await.ok()?;
            found = page.hits.iter().filter_map(|stored| stored.value().ok()).collect();
        }
        Some(found)
    }

    /// Everything that can be said of a resource, held to these profiles too.
    pub async fn validate(&self, resource: Value, profiles: Vec<String>) -> Vec<Issue> {
        let (definitions, params) = (self.current(), self.inner.store.params());
        let problem = self.unusable(&resource, &[]).await;
        let work = tokio::task::spawn_blocking(move || {
            let profiles: Vec<&str> = profiles.iter().map(String::as_str).collect();
            let mut issues = definitions.validate(&resource, &profiles);
            issues.extend(problem);
            if resource.get("resourceType").is_some_and(|kind| kind == SEARCH_PARAMETER) {
                issues.extend(custom::read(&resource, &params).err().unwrap_or_default());
            }
            issues
        });
        work.await.unwrap_or_else(|_| vec![broken()])
    }
}

fn check(definitions: &Definitions, resource: Value, problem: Option<Issue>) -> Result<Checked, Vec<Issue>> {
    if let Some(problem) = problem.clone().filter(|problem| problem.severity == Severity::Error) {
        return Err(definitions.check(resource).err().unwrap_or_default().into_iter().chain([problem]).collect());
    }
    let checked = definitions.check(resource)?;
    Ok(match problem {
        Some(problem) => checked.with_warning(problem),
        None => checked,
    })
}

fn broken() -> Issue {
    Issue::error("exception", "", "the check of this resource failed")
}

/// Whether there is much to look at; looks at no more than it takes to say so.
fn is_heavy(resource: &Value) -> bool {
    let (mut open, mut seen) = (vec![resource], 0);
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                seen += members.len();
                if seen <= HEAVY {
                    open.extend(members.values());
                }
            }
            Value::Array(items) => {
                seen += items.len();
                if seen <= HEAVY {
                    open.extend(items);
                }
            }
            Value::String(text) => seen += text.len() / 64,
            _ => {}
        }
        if seen > HEAVY {
            return true;
        }
    }
    false
}

fn policies(config: &config::Validation) -> Policies {
    let policy = |policy: config::ProfilePolicy| match policy {
        config::ProfilePolicy::Reject => Policy::Reject,
        config::ProfilePolicy::AcceptWithWarning => Policy::Warn,
    };
    Policies {
        profiles: policy(config.profiles),
        unknown: policy(config.unknown_profiles),
        named: config.profile.iter().map(|(url, own)| (url.clone(), policy(*own))).collect(),
    }
}
