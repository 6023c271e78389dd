//! The authorization server of SMART App Launch 2.2: apps ask here for leave, users give it here, and what was given is
//! looked up here with every request. Sign-in pages and HTTP are not here; what a grant lets see is `auth::access`'s.

pub mod client;
pub mod consent;
pub mod grant;
pub mod introspect;
pub mod keys;
pub mod launch;
pub mod proof;
pub mod refusal;
pub mod registration;
pub mod remote;
pub mod request;
mod standing;
mod ticket;
pub mod token;

use std::sync::Arc;

use anyhow::Result;

use self::client::Clients;
use self::keys::IdKeys;
use self::remote::KeySets;
use self::standing::Standings;
use super::token::Verifier;
use crate::config::Smart as Settings;
use crate::pipeline::Pipeline;
use crate::store::Store;

const SECOND: i64 = 1_000_000;

/// The authorization server.
#[derive(Clone)]
pub struct Smart {
    pub clients: Clients,
    pub keys: IdKeys,
    store: Store,
    pipeline: Pipeline,
    verifier: Arc<Verifier>,
    key_sets: KeySets,
    standings: Standings,
}

impl Smart {
    /// `seal_key`: what the keys of id tokens are sealed under.
    pub fn new(pipeline: &Pipeline, verifier: Arc<Verifier>, settings: &Settings, seal_key: &[u8; 32]) -> Result<Self> {
        let store = pipeline.store().clone();
        Ok(Self {
            clients: Clients::new(store.clone()),
            keys: IdKeys::new(store.clone(), seal_key)?,
            key_sets: KeySets::new(settings.inside_hosts.clone(), store.clock().clone())?,
            standings: Standings::new(store.clone()),
            pipeline: pipeline.clone(),
            store,
            verifier,
        })
    }

    /// This server's public address.
    pub fn issuer(&self) -> &str {
        self.verifier.keys().issuer()
    }

    /// The address of the FHIR endpoint.
    pub fn fhir_base(&self) -> &str {
        self.verifier.keys().audience()
    }

    /// The address of the token endpoint, which assertions are for.
    pub fn token_url(&self) -> String {
        format!("{}/auth/token", self.issuer())
    }
}
