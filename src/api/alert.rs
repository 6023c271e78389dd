//! What the alarms of a hospital come to: the report of a period, for those who look after the rules. What is counted
//! comes from `gather`, what it comes to from the rules' own room, how it is told from `answer`.

mod answer;
mod gather;

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Shared;
use super::caller::Caller;
use super::reply::{Answer, NO_STORE, at};
use crate::alert::report::Report;
use crate::auth::access::{Access, Action, Reach};
use crate::error::Error;
use crate::fhir::{reference, time};

/// Longer periods are asked for in parts.
const LONGEST: i64 = 366 * 24 * 3600 * time::SECOND;
const DEFAULT_NUISANCE_S: u32 = 60;
const LONGEST_NUISANCE_S: u32 = 86_400;
/// All of it together.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(at("/report", "GET").route(web::get().to(report)));
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportQuery {
    /// From this date or time on (alarms that were raised then or later).
    start: String,
    /// Up to and without the end of this date or time; at most 366 days after the start.
    end: String,
    /// One ward alone: Location/id.
    ward: Option<String>,
    /// json (default) or csv.
    format: Option<String>,
    /// true: the ids of patients stand in the answer.
    #[serde(default)]
    patients: bool,
    /// What is over by itself in so many seconds is a nuisance: 60 if nothing is said. Give the sampling interval of
    /// wards that chart by the hour.
    nuisance: Option<u32>,
}

/// What is asked for, checked.
struct Asked {
    /// [start, end), µs UTC
    period: (i64, i64),
    ward: Option<String>,
    csv: bool,
    patients: bool,
    /// µs
    nuisance: i64,
}

/// Alarms per patient-day, nuisance, time to the first answer, who has the most alarms, and who changed which limit.
/// Only for who may see the alerts of all patients; no names of patients, and their ids only with patients=true.
#[utoipa::path(get, path = "/alert/v1/report", tag = "alert", params(ReportQuery),
    responses((status = 200, content_type = "application/json", body = Object,
                  description = "The figures with their definitions; as text/csv with format=csv"),
              (status = 400, description = "A parameter is wrong"),
              (status = 403, description = "The caller may not see the alerts of all patients"),
              (status = 422, description = "More alarms or readings than one report may cost")))]
pub(crate) async fn report(state: Shared, caller: Caller, asked: web::Query<ReportQuery>) -> Answer {
    whole_house(&caller)?;
    let asked = Asked::of(asked.into_inner())?;
    let gathering = gather::gather(&state.store, &caller, &asked);
    let gathered = tokio::time::timeout(PATIENCE, gathering).await.map_err(|_| Error::Timeout)??;
    let report = Report::of(&gathered.counted);
    let mut response = HttpResponse::Ok();
    response.insert_header(NO_STORE);
    if asked.csv {
        return Ok(response.content_type("text/csv; charset=utf-8").body(answer::csv(&report)?));
    }
    Ok(response.json(answer::json(&asked, &report, gathered.changes.as_deref())))
}

fn whole_house(access: &Access) -> Result<(), Error> {
    for kind in ["DetectedIssue", "Observation", "Encounter"] {
        if *access.check(Action::Search, kind)?.reach() != Reach::All {
            return Err(Error::Forbidden("The report counts the alarms of all patients.".to_owned()));
        }
    }
    Ok(())
}

impl Asked {
    fn of(query: ReportQuery) -> Result<Self, Error> {
        let wrong = |name: &str, why: &str| Error::invalid("value", format!("http.{name}"), why);
        let range = |name: &str, text: &str| time::range(text).ok_or_else(|| wrong(name, "this is no date or time"));
        let period = (range("start", &query.start)?.start, range("end", &query.end)?.end);
        if period.1 <= period.0 || period.1 - period.0 > LONGEST {
            return Err(wrong("end", "the end lies after the start, at most 366 days"));
        }
        let csv = match query.format.as_deref() {
            None | Some("json") => false,
            Some("csv") => true,
            Some(_) => return Err(wrong("format", "must be json or csv")),
        };
        let ward = query.ward.map(|ward| match reference::local(&ward) {
            Some(local) if local.resource_type == "Location" && local.version.is_none() => Ok(ward),
            _ => Err(wrong("ward", "a ward is named as Location/id")),
        });
        let nuisance = query.nuisance.unwrap_or(DEFAULT_NUISANCE_S);
        if nuisance > LONGEST_NUISANCE_S {
            return Err(wrong("nuisance", "at most 86400 seconds"));
        }
        let nuisance = i64::from(nuisance) * time::SECOND;
        Ok(Self { period, ward: ward.transpose()?, csv, patients: query.patients, nuisance })
    }
}
