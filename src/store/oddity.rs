//! What was odd about a version that was taken nevertheless: a row beside the version, written in its transaction
//! and found by its `seq`. Most versions have none and cost nothing.

use diesel::prelude::*;
use fhir_r4::{Issue, Severity};
use serde::{Deserialize, Serialize};

use super::conn::Conn;
use super::prepare::{OBSERVATION, type_number};
use super::schema::{observation, oddity, resource};
use super::{database, id};
use crate::error::Error;

#[derive(Insertable, Clone, Debug)]
#[diesel(table_name = oddity)]
pub(super) struct OddityRow {
    pub seq: i64,
    pub issues: String,
}

/// An issue as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    severity: String,
    code: String,
    expression: String,
    diagnostics: String,
}

pub(super) fn encode(warnings: &[Issue]) -> Option<String> {
    let kept = |issue: &Issue| Kept {
        severity: issue.severity.code().to_owned(),
        code: issue.code.to_owned(),
        expression: issue.expression.clone(),
        diagnostics: issue.diagnostics.clone(),
    };
    let all: Vec<Kept> = warnings.iter().map(kept).collect();
    if all.is_empty() { None } else { serde_json::to_string(&all).ok() }
}

pub(super) fn decode(text: &str) -> Result<Vec<Issue>, Error> {
    let all: Vec<Kept> = serde_json::from_str(text).map_err(Error::internal)?;
    let issue = |kept: Kept| Issue {
        severity: severity(&kept.severity),
        code: code(&kept.code),
        expression: kept.expression,
        diagnostics: kept.diagnostics,
    };
    Ok(all.into_iter().map(issue).collect())
}

fn severity(code: &str) -> Severity {
    let known = [Severity::Error, Severity::Information].into_iter().find(|known| known.code() == code);
    known.unwrap_or(Severity::Warning)
}

/// The codes that an issue of ours may have.
fn code(text: &str) -> &'static str {
    const CODES: [&str; 15] = [
        "structure",
        "required",
        "value",
        "invariant",
        "code-invalid",
        "not-found",
        "not-supported",
        "too-long",
        "informational",
        "business-rule",
        "duplicate",
        "conflict",
        "forbidden",
        "transient",
        "exception",
    ];
    CODES.into_iter().find(|known| *known == text).unwrap_or("processing")
}

/// Of this version, if it stands still.
pub(super) fn of_current(conn: &mut Conn, kind: &str, id: &str, version: i32) -> Result<Vec<Issue>, Error> {
    let (rtype, key) = (type_number(kind)?, id::encode(id));
    let found: Option<String> = if kind == OBSERVATION {
        observation::table
            .inner_join(oddity::table.on(oddity::seq.eq(observation::seq)))
            .filter(observation::id.eq(key).and(observation::version.eq(version)))
            .select(oddity::issues)
            .first(conn)
            .optional()
    } else {
        resource::table
            .inner_join(oddity::table.on(oddity::seq.eq(resource::seq)))
            .filter(resource::rtype.eq(rtype).and(resource::id.eq(key)).and(resource::version.eq(version)))
            .select(oddity::issues)
            .first(conn)
            .optional()
    }
    .map_err(database)?;
    found.map_or(Ok(vec![]), |text| decode(&text))
}
