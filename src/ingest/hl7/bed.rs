//! Who lay in a bed that a message names.

use crate::auth::access::Access;
use crate::binding::stay;
use crate::error::Error;
use crate::fhir::query::{Filter, Operand, Query};
use crate::fhir::{params, time};
use crate::hl7::write::place_system;
use crate::store::Store;

/// The patient (`Patient/…`) who lay in the bed (`ward^room^bed`) at all of these times.
pub(super) async fn occupant(
    store: &Store,
    access: &Access,
    bed: &str,
    times: &[time::Range],
) -> Result<Option<String>, Error> {
    match location(store, access, bed).await? {
        Some(location) => stay::occupant(store, access, &location, times).await,
        None => Ok(None),
    }
}

async fn location(store: &Store, access: &Access, bed: &str) -> Result<Option<String>, Error> {
    let Some(param) = params::find("Location", "identifier") else { return Ok(None) };
    let operand = Operand::Token { system: Some(place_system()), code: Some(bed.to_owned()) };
    let query = Query::of("Location", vec![Filter::new(param, vec![operand])], 2);
    let mut hits = store.search(access, query).await?.hits;
    let one = hits.pop().filter(|_| hits.is_empty());
    Ok(one.map(|one| format!("Location/{}", one.id)))
}
