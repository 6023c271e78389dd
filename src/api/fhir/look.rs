//! What a GET of an address would answer, for the entries of Bundles: the same handlers' work without HTTP.

use super::kind;
use super::search::{Place, could, run};
use crate::api::State;
use crate::auth::access::Access;
use crate::error::Error;

/// The JSON of a read, of one version, or of a search of any kind. `url` is below the FHIR base: path and query.
pub(super) async fn look(state: &State, access: &Access, url: &str) -> Result<Vec<u8>, Error> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        [""] => run(state, access, Place::System, query).await,
        [kind_name] => run(state, access, Place::Type(kind(kind_name)?), query).await,
        [kind_name, id] => {
            let kind = kind(kind_name)?;
            let view = super::read::view(query, kind)?;
            let json = state.store.find(access, kind, id).await?.json()?;
            view.of_bytes(json).map_err(Error::internal)
        }
        [kind_name, id, "_history", version] => {
            let kind = kind(kind_name)?;
            let version = version.parse().map_err(|_| Error::not_found(kind, *id))?;
            state.store.find_version(access, kind, id, version).await?.json()
        }
        [kind_name, id, member] => run(state, access, Place::compartment(kind(kind_name)?, id, member)?, query).await,
        _ => Err(Error::UnknownEndpoint),
    }
}

/// Whether it could be answered: the address can be read, the caller may ask, and what is named by its id is there.
/// Nothing is searched.
pub(super) async fn try_out(state: &State, access: &Access, url: &str) -> Result<(), Error> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        [""] => could(state, access, Place::System, query),
        [kind_name] => could(state, access, Place::Type(kind(kind_name)?), query),
        [kind_name, id] => {
            let kind = kind(kind_name)?;
            super::read::view(query, kind)?;
            state.store.find(access, kind, id).await.map(|_| ())
        }
        [kind_name, id, member] => could(state, access, Place::compartment(kind(kind_name)?, id, member)?, query),
        _ => Err(Error::UnknownEndpoint),
    }
}
