//! `$convert`: a resource in, the same resource out in the other format. Nothing is stored.

use super::Call;
use super::input::required;
use crate::error::Error;

pub(super) fn run(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    let body = call.body.as_ref().ok_or_else(|| required("resource"))?;
    // A Parameters without a parameter of that name is itself what is to be converted.
    let wrapped = call.parameters("resource").chain(call.parameters("input")).find_map(|one| one.get("resource"));
    // What is wrong as FHIR cannot be written in the other format.
    let checked = fhir_r4::check(wrapped.unwrap_or(body).clone())?;
    serde_json::to_vec(&checked.into_value()).map_err(Error::internal)
}
