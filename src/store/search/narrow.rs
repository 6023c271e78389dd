//! What a caller may see, put into the query: a caller bound to one patient asks for that patient only, whatever
//! else is asked, and on every level of a chain.

use crate::auth::access::{Access, Action, Reach};
use crate::error::Error;
use crate::fhir::params;
use crate::fhir::query::{Filter, Operand, Query};

/// The query as far as `reach` goes.
pub(super) fn to(query: &Query, reach: &Reach) -> Result<Query, Error> {
    let mut query = query.clone();
    query.filters.extend(own(query.resource_type, reach)?);
    Ok(query)
}

/// Asks leave for every type that a chain leads to, and narrows it as far as the leave goes: nothing can be
/// learnt through a chain that could not be searched.
pub(in crate::store) fn chains(access: &Access, query: &mut Query) -> Result<(), Error> {
    levels(access, &mut query.filters)
}

fn levels(access: &Access, filters: &mut [Filter]) -> Result<(), Error> {
    for operand in filters.iter_mut().flat_map(|filter| &mut filter.operands) {
        let (Operand::Chain { kind, filters } | Operand::Has { kind, filters, .. }) = operand else { continue };
        let permit = access.check(Action::Search, kind)?;
        levels(access, filters)?;
        filters.extend(own(kind, permit.reach())?);
    }
    Ok(())
}

/// The condition that keeps a type to the one patient.
fn own(kind: &str, reach: &Reach) -> Result<Option<Filter>, Error> {
    let Reach::Patient(own) = reach else { return Ok(None) };
    let (name, operand) = if kind == "Patient" {
        ("_id", Operand::Id(own.trim_start_matches("Patient/").to_owned()))
    } else {
        ("patient", Operand::References(vec![own.clone()]))
    };
    let param = params::find(kind, name)
        .ok_or_else(|| Error::Forbidden("This type cannot be narrowed to one patient.".to_owned()))?;
    Ok(Some(Filter::new(param, vec![operand])))
}
