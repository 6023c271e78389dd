//! Which resource is meant by what a message says: found by its identifiers, by what holds of the one that goes on, or by
//! an id made of what is said. What is said of it has no place here.

use std::collections::HashMap;

use fhir_r4::Issue;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Pipeline;
use super::said::{Identity, Said};
use crate::auth::access::Access;
use crate::binding;
use crate::clock::new_id;
use crate::error::Error;
use crate::fhir::params;
use crate::fhir::query::{Filter, Operand, Query};
use crate::fhir::reading;
use crate::store::{Guard, Stored};

/// Who a resource is.
pub(super) struct Who {
    pub(super) id: String,
    pub(super) standing: Option<Stored>,
    pub(super) guard: Option<Guard>,
    /// Identifiers that led to it by a record that was merged with it: they stay with that one.
    pub(super) left: Vec<Value>,
}

impl Pipeline {
    pub(super) async fn who(&self, said: &Said, names: &HashMap<String, String>) -> Result<Result<Who, Issue>, Error> {
        let access = Access::system("messages");
        let identity = &said.identity;
        let patient = identity.patient.as_ref().map(|name| names.get(name).cloned().unwrap_or_else(|| name.clone()));
        let several = || Issue::error("conflict", said.place.clone(), "more than one record fits what identifies it");
        let (mut guard, mut one): (_, Option<Who>) = (None, None);
        for (system, value) in identity.tokens.iter().filter(|(_, value)| !value.contains('\0')) {
            let Some(query) = by_token(said.kind, system.as_ref(), value, patient.as_deref())? else { continue };
            let seen = self.store.seen();
            let hits = self.store.search(&access, query.clone()).await?.hits;
            match self.chosen(&access, hits, identity.follow).await? {
                Ok(Some((standing, left))) => {
                    let id = standing.id.clone();
                    if one.as_ref().is_some_and(|one| one.id != id) {
                        return Ok(Err(several()));
                    }
                    let who = Who { id, standing: Some(standing), guard: None, left };
                    // Of a person all numbers must mean the same one.
                    if said.kind != "Patient" || !identity.follow {
                        return Ok(Ok(who));
                    }
                    one = one.or(Some(who));
                }
                Ok(None) => guard = guard.or(Some(Guard { query, expects: None, seen })),
                Err(()) => return Ok(Err(several())),
            }
        }
        if let Some(one) = one {
            return Ok(Ok(one));
        }
        if !identity.current.is_empty() {
            let named = |text: &String| names.get(text).cloned().unwrap_or_else(|| text.clone());
            let pairs: Vec<(&str, String)> =
                identity.current.iter().map(|(name, value)| (name.as_str(), named(value))).collect();
            let sorted = pairs.iter().any(|(name, _)| *name == "_sort");
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let query = Query::new(said.kind, &pairs, 2)?;
            let seen = self.store.seen();
            let hits = self.store.search(&access, query.clone()).await?.hits;
            if hits.len() > 1 && !sorted {
                return Ok(Err(several()));
            }
            match hits.into_iter().next() {
                Some(standing) => {
                    let (id, left) = (standing.id.clone(), vec![]);
                    return Ok(Ok(Who { id, standing: Some(standing), guard: None, left }));
                }
                None => guard = guard.or(Some(Guard { query, expects: None, seen })),
            }
        }
        let id = derived(said, names);
        let standing = match self.store.find(&access, said.kind, &id).await {
            Ok(standing) => Some(standing),
            Err(Error::NotFound { .. } | Error::Gone { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Ok(Who { id, standing, guard, left: vec![] }))
    }

    /// The one that is meant among those that bear an identifier, with the identifiers of those that were merged with it
    /// and led to it. The inner error: there are several.
    async fn chosen(
        &self,
        access: &Access,
        hits: Vec<Stored>,
        follow: bool,
    ) -> Result<Result<Option<(Stored, Vec<Value>)>, ()>, Error> {
        if !follow {
            // One that was merged is meant itself, before the one that has taken its identifier over.
            let several = hits.len() > 1;
            let mut left = Vec::new();
            for hit in hits {
                let gone = hit.value()?.get("active") == Some(&Value::Bool(false));
                if !several || gone {
                    left.push(hit);
                }
            }
            return Ok(match (left.pop(), left.pop()) {
                (one, None) if one.is_some() || !several => Ok(one.map(|one| (one, vec![]))),
                _ => Err(()),
            });
        }
        let (mut all, mut left): (Vec<Stored>, Vec<Value>) = (vec![], vec![]);
        for hit in hits {
            let met = hit.clone();
            let hit = binding::survivor(&self.store, access, hit).await?;
            if hit.id != met.id {
                left.extend(reading::list(met.value()?.get("identifier")).cloned());
            }
            if all.iter().all(|own| own.id != hit.id) {
                all.push(hit);
            }
        }
        Ok(match (all.pop(), all.pop()) {
            (one, None) => Ok(one.map(|one| (one, left))),
            _ => Err(()),
        })
    }
}

fn by_token(
    kind: &'static str,
    system: Option<&String>,
    value: &str,
    patient: Option<&str>,
) -> Result<Option<Query>, Error> {
    let Some(param) = params::find(kind, "identifier") else { return Ok(None) };
    let operand = Operand::Token { system: system.cloned(), code: Some(value.to_owned()) };
    let mut query = Query::of(kind, vec![Filter::new(param, vec![operand])], 3);
    if let Some(patient) = patient
        && params::find(kind, "patient").is_some()
    {
        query.filters.extend(Query::new(kind, &[("patient", patient)], 3)?.filters);
    }
    Ok(Some(query))
}

/// The id of what nobody bears an identifier of: the same whenever the same is said of the same patient.
fn derived(said: &Said, names: &HashMap<String, String>) -> String {
    let Identity { tokens, key, .. } = &said.identity;
    if tokens.is_empty() && key.is_empty() {
        return new_id();
    }
    let mut hash = Sha256::new();
    hash.update(said.kind);
    let first = tokens.first().map(|(system, value)| format!("{}|{value}", system.as_deref().unwrap_or_default()));
    let rest = if first.is_some() { said.identity.patient.iter().collect() } else { key.iter().collect::<Vec<_>>() };
    let rest = rest.into_iter().map(|part| names.get(part).unwrap_or(part).clone());
    for part in first.into_iter().chain(rest) {
        hash.update("\u{1f}");
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(digest) {
        *to = from;
    }
    Uuid::new_v8(bytes).to_string()
}
