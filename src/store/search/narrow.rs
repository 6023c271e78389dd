//! What a caller may see, put into the query: a caller bound to one patient asks for that patient only, whatever
//! else is asked, and on every level of a chain.

use crate::auth::access::{Access, Action, Reach};
use crate::error::Error;
use crate::fhir::params;
use crate::fhir::query::{Filter, Operand, Query};
use crate::store::{Stored, within};

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

/// The conditions that keep a type to what the caller may see of it.
fn own(kind: &str, reach: &Reach) -> Result<Vec<Filter>, Error> {
    match reach {
        Reach::All => Ok(Vec::new()),
        Reach::Patient(own) => Ok(vec![of_patient(kind, own)?]),
        Reach::Fitting { patient, conditions } => {
            let mut filters = Vec::new();
            for condition in conditions {
                filters.extend(Query::new(kind, &[(&condition.param, &condition.values)], 1)?.filters);
            }
            filters.extend(patient.as_ref().map(|own| of_patient(kind, own)).transpose()?);
            Ok(filters)
        }
        Reach::Only(_) => Err(Error::Forbidden("This type may be read by its one id, not searched.".to_owned())),
    }
}

fn of_patient(kind: &str, own: &str) -> Result<Filter, Error> {
    let (name, operand) = if kind == "Patient" {
        ("_id", Operand::Id(own.trim_start_matches("Patient/").to_owned()))
    } else {
        ("patient", Operand::References(vec![own.to_owned()]))
    };
    let param = params::find(kind, name)
        .ok_or_else(|| Error::Forbidden("This type cannot be narrowed to one patient.".to_owned()))?;
    Ok(Filter::new(param, vec![operand]))
}

/// What was found and may be seen. The query asks for nothing else, but it asks an index: what is shown to a caller
/// bound to one patient is looked at itself, as a read of it would. `reach`: how far the caller may see a type.
pub(super) fn kept<'a>(mut hits: Vec<Stored>, reach: impl Fn(&str) -> Option<&'a Reach>) -> Vec<Stored> {
    let found = hits.len();
    hits.retain(|hit| reach(hit.resource_type).is_some_and(|reach| within(reach, hit).is_ok()));
    if hits.len() < found {
        tracing::warn!(dropped = found - hits.len(), "a search found what its caller may not see");
    }
    hits
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::body;

    fn hit(resource_type: &'static str, id: &str, of: &str) -> Stored {
        let content = json!({"resourceType": resource_type, "subject": {"reference": of}});
        let body = body::encode(&content).unwrap();
        Stored { resource_type, id: id.to_owned(), version: 1, updated: 0, deleted: false, body }
    }

    #[test]
    fn what_an_index_gives_wrongly_is_not_shown() {
        let found = || {
            vec![
                hit("Observation", "o1", "Patient/p1"),
                hit("Observation", "o2", "Patient/p2"),
                hit("Observation", "o3", "Patient/p1/_history/2"),
                hit("Patient", "p2", ""),
                hit("Patient", "p1", ""),
                hit("Encounter", "e1", "Patient/p1"),
            ]
        };
        let ids = |hits: Vec<Stored>| hits.iter().map(|hit| hit.id.as_str()).collect::<Vec<_>>().join(" ");
        let own = Reach::Patient("Patient/p1".to_owned());
        assert_eq!(ids(kept(found(), |_| Some(&own))), "o1 o3 p1 e1");
        assert_eq!(ids(kept(found(), |_| Some(&Reach::All))), "o1 o2 o3 p2 p1 e1");
        assert_eq!(ids(kept(found(), |kind| (kind == "Encounter").then_some(&own))), "e1");
    }
}
