//! The tags, security labels and profiles in use, as far as the search index knows them.

use diesel::prelude::*;

use super::conn::Conn;
use super::dict::{Dict, Kind, Source};
use super::prepare::type_number;
use super::schema::{ix_term, term};
use super::{Store, database};
use crate::auth::access::{Access, Action, Reach};
use crate::error::Error;
use crate::fhir::reading::Code;

/// Labels of one sort that are told.
const MOST: usize = 1000;

#[derive(Clone, Debug, Default)]
pub struct Labels {
    pub profile: Vec<String>,
    pub security: Vec<Code>,
    pub tag: Vec<Code>,
}

impl Store {
    /// The labels that a type, or all types, carry. They tell of everybody's resources.
    pub async fn labels(&self, access: &Access, kind: Option<&'static str>) -> Result<Labels, Error> {
        if *access.check(Action::Search, kind.unwrap_or("*"))?.reach() != Reach::All {
            return Err(Error::Forbidden("The labels in use are not about one patient.".to_owned()));
        }
        self.read(move |conn, dict| {
            let kinds = kind.map_or_else(|| fhir_r4::resource_types().to_vec(), |kind| vec![kind]);
            Ok(Labels {
                profile: in_use(conn, dict, &kinds, "_profile")?.into_iter().map(|(_, url)| url).collect(),
                security: in_use(conn, dict, &kinds, "_security")?,
                tag: in_use(conn, dict, &kinds, "_tag")?,
            })
        })
        .await
    }
}

/// System (or nothing) and text of every term that a parameter has, one step of the index for each.
fn in_use(conn: &mut Conn, dict: &Dict, kinds: &[&str], name: &str) -> Result<Vec<Code>, Error> {
    let mut found: Vec<i64> = Vec::new();
    for kind in kinds {
        let scope = type_number(kind)?.into();
        let Some(param) = dict.terms(Source::Table(conn)).get(Kind::Param, scope, name)? else { continue };
        let mut after = i64::MIN;
        while found.len() < MOST {
            let next: Option<i64> = ix_term::table
                .filter(ix_term::param.eq(param).and(ix_term::term.gt(after)))
                .order(ix_term::term)
                .select(ix_term::term)
                .first(conn)
                .optional()
                .map_err(database)?;
            let Some(next) = next else { break };
            found.push(next);
            after = next;
        }
    }
    found.sort_unstable();
    found.dedup();
    let rows: Vec<(i64, String)> =
        term::table.filter(term::id.eq_any(&found)).select((term::scope, term::text)).load(conn).map_err(database)?;
    let scopes: Vec<i64> = rows.iter().map(|row| row.0).collect();
    let systems: Vec<(i64, String)> =
        term::table.filter(term::id.eq_any(scopes)).select((term::id, term::text)).load(conn).map_err(database)?;
    let system = |scope: i64| systems.iter().find(|(id, _)| *id == scope).map(|(_, text)| text.clone());
    let mut labels: Vec<Code> =
        rows.into_iter().map(|(scope, text)| (system(scope).unwrap_or_default(), text)).collect();
    labels.sort();
    Ok(labels)
}
