//! Interactions whose effect depends on what stands: conditions in place of ids, patches, `If-Match: *`. Each is
//! planned as things stand and committed only if they still stand so; else it is planned again. The door's words
//! and statuses stay at the door.

use fhir_r4::{Checked, Issue};
use serde_json::Value;

use super::Pipeline;
use super::intent::Intent;
use crate::auth::access::{Access, Action, Reach};
use crate::clock::new_id;
use crate::error::Error;
use crate::fhir::patch::Patch;
use crate::fhir::query::Query;
use crate::store::{CONDITION_CHANGED, Guard, NOTHING, Written};

/// How often an interaction is planned again when what it depends on changed on the way to the lane. Each round lets
/// one writer through, so this is how many may fight for one resource.
pub(super) const ATTEMPTS: usize = 32;

/// What `If-Match` demands, or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// `*`: some version must stand.
    Any,
    Version(i32),
    /// One of these must stand.
    OneOf(Vec<i32>),
    /// `If-None-Match: *`: none may stand.
    Nothing,
}

impl Match {
    /// Is this version meant?
    pub fn fits(&self, version: i32) -> bool {
        match self {
            Self::Any => true,
            Self::Version(own) => *own == version,
            Self::OneOf(all) => all.contains(&version),
            Self::Nothing => version == NOTHING,
        }
    }

    /// Whether what stands must be read to say which version is meant.
    pub fn depends(&self) -> bool {
        matches!(self, Self::Any | Self::OneOf(_))
    }
}

/// One interaction as it was asked for.
#[derive(Clone, Debug)]
pub struct Interaction {
    pub kind: &'static str,
    /// The id in the address, or what a created resource shall be called.
    pub id: Option<String>,
    /// The condition: in place of an id, or under which something is created.
    pub criterion: Option<Query>,
    pub if_match: Option<Match>,
    pub work: Work,
}

#[derive(Clone, Debug)]
pub enum Work {
    Create(Checked),
    Update(Checked),
    Patch(Patch),
    Delete,
}

/// What became of an interaction.
#[derive(Debug)]
pub struct Done {
    pub written: Written,
    /// What was sent to the store, when it was asked for and something was.
    pub content: Option<Value>,
    /// What is odd about it, though it was taken.
    pub warnings: Vec<Issue>,
}

impl Interaction {
    /// Whether what it comes to depends on what stands.
    pub fn depends(&self) -> bool {
        self.criterion.is_some()
            || self.if_match.as_ref().is_some_and(Match::depends)
            || matches!(self.work, Work::Patch(_))
    }

    pub fn action(&self) -> Action {
        match self.work {
            Work::Create(_) => Action::Create,
            Work::Update(_) | Work::Patch(_) => Action::Update,
            Work::Delete => Action::Delete,
        }
    }
}

impl Pipeline {
    /// Carries one interaction out; planned anew as long as others change what it depends on.
    pub async fn carry_out(&self, access: &Access, asked: Interaction, with_content: bool) -> Result<Done, Error> {
        if !asked.depends() {
            return self.try_once(access, asked, with_content).await;
        }
        for _ in 0..ATTEMPTS {
            match self.try_once(access, asked.clone(), with_content).await {
                Err(Error::Conflict(CONDITION_CHANGED)) => {}
                done => return done,
            }
        }
        Err(Error::Conflict(CONDITION_CHANGED))
    }

    async fn try_once(&self, access: &Access, asked: Interaction, with_content: bool) -> Result<Done, Error> {
        access.check(asked.action(), asked.kind)?;
        let guard = match &asked.criterion {
            Some(query) => Some(self.resolve(access, query).await?),
            None => None,
        };
        let intent = self.plan(access, asked, guard).await?;
        let content = if with_content { intent.content().cloned() } else { None };
        let warnings = intent.warnings().to_vec();
        Ok(Done { written: self.write(access, intent).await?, content, warnings })
    }

    /// What a condition finds now: one or none, to be held to when it comes to the commit.
    pub async fn resolve(&self, access: &Access, query: &Query) -> Result<Guard, Error> {
        // The guard looks at everything; who may see one patient only would learn of others by it.
        if *access.check(Action::Search, query.resource_type)?.reach() != Reach::All {
            return Err(Error::Forbidden("A condition needs the right to search all of this type.".to_owned()));
        }
        let mut query = Query { count: 2, cursor: None, total: false, ..query.clone() };
        self.store.settle(&mut query).await?;
        let seen = self.store.seen();
        let mut found = self.store.search(access, query.clone()).await?.hits;
        if found.len() > 1 {
            return Err(Error::MultipleMatches);
        }
        Ok(Guard { query, expects: found.pop().map(|hit| hit.id), seen })
    }

    /// What an interaction comes to as things stand. `guard`: what its criterion was resolved to.
    pub async fn plan(&self, access: &Access, asked: Interaction, guard: Option<Guard>) -> Result<Intent, Error> {
        let Interaction { kind, id, if_match, work, .. } = asked;
        match (work, guard) {
            (Work::Create(resource), guard) => Ok(create(resource, id, guard)),
            (Work::Update(resource), None) => self.update(access, resource, id.unwrap_or_default(), if_match).await,
            (Work::Update(resource), Some(guard)) => self.update_where(access, resource, id, guard, if_match).await,
            (Work::Delete, None) => self.delete(access, kind, id.unwrap_or_default(), if_match).await,
            (Work::Delete, Some(guard)) => match guard.expects.clone() {
                Some(id) => Ok(self.delete(access, kind, id, if_match).await?.under(Some(guard))),
                None if if_match.is_some() => Err(Error::version_conflict(kind, "(none)")),
                None => Ok(Intent::Absent { kind, guard }),
            },
            (Work::Patch(patch), guard) => {
                let found = guard.as_ref().map_or(id, |guard| guard.expects.clone());
                let id = found.ok_or(Error::NoMatch)?;
                Ok(self.patch(access, kind, id, &patch, if_match).await?.under(guard))
            }
        }
    }

    async fn update(
        &self,
        access: &Access,
        resource: Checked,
        id: String,
        if_match: Option<Match>,
    ) -> Result<Intent, Error> {
        match if_match {
            Some(Match::Version(version)) => Ok(Intent::Update { resource, id, expect: Some(version) }),
            Some(Match::Nothing) => Ok(Intent::Update { resource, id, expect: Some(NOTHING) }),
            Some(any) => {
                let read = self.standing(access, resource.resource_type(), &id, &any).await?;
                Ok(Intent::Revise { resource, id, read })
            }
            None => Ok(Intent::Update { resource, id, expect: None }),
        }
    }

    /// The table of R4's conditional update: what is found is updated; nothing found is a creation, under the
    /// caller's id where there is one and nothing stands there.
    async fn update_where(
        &self,
        access: &Access,
        resource: Checked,
        name: Option<String>,
        guard: Guard,
        if_match: Option<Match>,
    ) -> Result<Intent, Error> {
        let kind = resource.resource_type();
        let own = resource.value().get("id").and_then(Value::as_str).map(str::to_owned);
        let intent = match (guard.expects.clone(), own) {
            (Some(found), Some(own)) if own != found => {
                return Err(Error::invalid("value", format!("{kind}.id"), "the criterion finds another id than this"));
            }
            (Some(found), _) => self.update(access, resource, found, if_match).await?,
            (None, _) if if_match.is_some_and(|asked| asked != Match::Nothing) => {
                return Err(Error::version_conflict(kind, "(none)"));
            }
            (None, Some(own)) => {
                if self.stands(access, kind, &own).await? {
                    return Err(Error::Conflict("The id belongs to a resource that the criterion does not find."));
                }
                Intent::Revise { resource, id: own, read: NOTHING }
            }
            (None, None) => Intent::Create { resource, id: name.unwrap_or_else(new_id), guard: None },
        };
        Ok(intent.under(Some(guard)))
    }

    async fn delete(
        &self,
        access: &Access,
        kind: &'static str,
        id: String,
        if_match: Option<Match>,
    ) -> Result<Intent, Error> {
        let expect = match if_match {
            Some(Match::Version(version)) => Some(version),
            Some(any) => Some(self.standing(access, kind, &id, &any).await?),
            None => None,
        };
        Ok(Intent::Delete { kind, id, expect })
    }

    /// The patched version is judged like any resource that is sent in.
    async fn patch(
        &self,
        access: &Access,
        kind: &'static str,
        id: String,
        patch: &Patch,
        if_match: Option<Match>,
    ) -> Result<Intent, Error> {
        let stored = self.store.find(access, kind, &id).await?;
        if if_match.is_some_and(|asked| !asked.fits(stored.version)) {
            return Err(Error::version_conflict(kind, id));
        }
        let patched = patch.apply(stored.value()?)?;
        let resource = self.profiles.check(patched).await.map_err(Error::Unprocessable)?;
        Ok(Intent::Revise { resource, id, read: stored.version })
    }

    /// The version that stands, where it is one that is asked for.
    async fn standing(&self, access: &Access, kind: &'static str, id: &str, asked: &Match) -> Result<i32, Error> {
        match self.store.find(access, kind, id).await {
            Ok(stored) if asked.fits(stored.version) => Ok(stored.version),
            Ok(_) | Err(Error::NotFound { .. } | Error::Gone { .. }) => Err(Error::version_conflict(kind, id)),
            Err(error) => Err(error),
        }
    }

    async fn stands(&self, access: &Access, kind: &'static str, id: &str) -> Result<bool, Error> {
        match self.store.find(access, kind, id).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. } | Error::Gone { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A new resource, or the one that its condition finds.
fn create(resource: Checked, id: Option<String>, guard: Option<Guard>) -> Intent {
    let found = guard.as_ref().and_then(|guard| guard.expects.clone());
    match (guard, found) {
        (Some(guard), Some(id)) => Intent::Keep { kind: resource.resource_type(), id, guard },
        (guard, _) => Intent::Create { resource, id: id.unwrap_or_else(new_id), guard },
    }
}
