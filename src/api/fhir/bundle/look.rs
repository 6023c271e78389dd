//! The entries that look: reads, versions, searches, histories, and operations, with the conditions of a read.

use serde_json::{Value, json};

use super::answer::{failed, status};
use super::limits;
use crate::api::State;
use crate::api::fhir::{history, kind, look, operation};
use crate::api::reply::etag;
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::bundle::Writer;
use crate::fhir::{capability, time};
use crate::store::Stored;

/// How an entry looks.
#[derive(Clone, Debug)]
pub(super) enum Asks {
    Get,
    /// As GET, without the answer's resource.
    Head,
    /// An operation, with what it is given.
    Post(Option<Box<Value>>),
}

#[derive(Clone, Debug)]
pub(super) struct Look {
    pub url: String,
    pub asks: Asks,
    pub if_none_match: Option<String>,
    pub if_modified_since: Option<String>,
}

enum Found {
    Version(Box<Stored>),
    Json(Vec<u8>),
}

impl Look {
    /// Type and id, when it is the version that stands which is to be read.
    pub(super) fn reads(&self) -> Option<(&str, &str)> {
        let (kind, id) = self.url.split_once('?').map_or(self.url.as_str(), |(path, _)| path).split_once('/')?;
        (!id.contains('/') && !id.starts_with('_')).then_some((kind, id))
    }

    /// Whether it can be done at all: asked before a transaction is carried out, and nothing is searched for it.
    pub(super) async fn try_out(&self, state: &State, access: &Access) -> Result<(), Error> {
        let (path, query) = self.parts();
        if let Some(target) = self.operation(&path) {
            let why = "An operation that writes cannot be one with the other entries of a transaction.";
            return if target?.changes() { Err(Error::NotSupported(why.to_owned())) } else { Ok(()) };
        }
        match path.as_slice() {
            ["metadata"] => Ok(()),
            ["_history"] => history::try_out(access, None, None, query),
            [name, "_history"] => history::try_out(access, Some(kind(name)?), None, query),
            [name, id, "_history"] => history::try_out(access, Some(kind(name)?), Some(id), query),
            [_, _, "_history", _] => self.find(state, access).await.map(|_| ()),
            _ => look::try_out(state, access, &self.url).await,
        }
    }

    /// The operation that it calls, if it calls one.
    fn operation(&self, path: &[&str]) -> Option<Result<operation::Target, Error>> {
        operation::at(path, matches!(self.asks, Asks::Post(_)))
    }

    /// The parts of the path, and the query.
    fn parts(&self) -> (Vec<&str>, &str) {
        let (path, query) = self.url.split_once('?').unwrap_or((&self.url, ""));
        (path.trim_matches('/').split('/').collect(), query)
    }

    pub(super) async fn answer(&self, state: &State, access: &Access, writer: &mut Writer) {
        match self.answered(state, access, writer.length()).await {
            Ok((code, mut response, resource)) => {
                if let Some(members) = response.as_object_mut() {
                    members.insert("status".into(), status(code).into());
                }
                writer.entry(None, resource.filter(|_| self.has_body()).as_deref(), &[("response", response)]);
            }
            Err(error) => failed(writer, &error),
        }
    }

    fn has_body(&self) -> bool {
        !matches!(self.asks, Asks::Head)
    }

    /// Status, response and resource. `length`: so much is in the answer already.
    async fn answered(
        &self,
        state: &State,
        access: &Access,
        length: usize,
    ) -> Result<(u16, Value, Option<Vec<u8>>), Error> {
        if !limits::has_room(length, 0) {
            return Err(limits::full());
        }
        let answered = match self.find(state, access).await? {
            Found::Json(json) => (200, json!({}), Some(json)),
            Found::Version(stored) => self.version(&stored)?,
        };
        let more = answered.2.as_ref().filter(|_| self.has_body()).map_or(0, Vec::len);
        if limits::has_room(length, more) { Ok(answered) } else { Err(limits::full()) }
    }

    fn version(&self, stored: &Stored) -> Result<(u16, Value, Option<Vec<u8>>), Error> {
        let response =
            json!({"etag": format!("W/\"{}\"", stored.version), "lastModified": time::instant(stored.updated)});
        if self.is_held(stored)? { Ok((304, response, None)) } else { Ok((200, response, Some(stored.json()?))) }
    }

    /// Whether the caller has this version already.
    fn is_held(&self, stored: &Stored) -> Result<bool, Error> {
        if let Some(held) = &self.if_none_match {
            return Ok(held.split(',').any(|tag| etag(tag).is_ok_and(|version| version == stored.version)));
        }
        let Some(since) = &self.if_modified_since else { return Ok(false) };
        let since = time::range(since)
            .ok_or_else(|| Error::invalid("value", "request.ifModifiedSince", "this is no instant"))?;
        Ok(stored.updated < since.end)
    }

    async fn find(&self, state: &State, access: &Access) -> Result<Found, Error> {
        let (parts, query) = self.parts();
        if let Some(target) = self.operation(&parts) {
            let body = if let Asks::Post(body) = &self.asks { body.as_deref().cloned() } else { None };
            return Box::pin(target?.run(state, access, query, body)).await.map(Found::Json);
        }
        let version = |stored| Ok(Found::Version(Box::new(stored)));
        match parts.as_slice() {
            ["metadata"] => Ok(Found::Json(capability::statement(
                &state.store.params(),
                &state.fhir_base(),
                &state.settings.started,
            ))),
            ["_history"] => history::run(state, access, None, None, query).await.map(Found::Json),
            [name, "_history"] => history::run(state, access, Some(kind(name)?), None, query).await.map(Found::Json),
            [name, id] if query.is_empty() => version(state.store.find(access, kind(name)?, id).await?),
            [name, id, "_history"] => {
                history::run(state, access, Some(kind(name)?), Some(id), query).await.map(Found::Json)
            }
            [name, id, "_history", number] => {
                let kind = kind(name)?;
                let number = number.parse().map_err(|_| Error::not_found(kind, *id))?;
                version(state.store.find_version(access, kind, id, number).await?)
            }
            _ => look::look(state, access, &self.url).await.map(Found::Json),
        }
    }
}
