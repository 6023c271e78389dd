//! What the report counts, looked up with the caller's own rights and within bounds: alarms, days with a reading,
//! where each patient was, and which limits were changed.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::Asked;
use crate::alert::report::{Alarm, Counted, NOWHERE};
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::reading::{codings, list, period, str_of};
use crate::fhir::{OURS, reference, time};
use crate::store::{HistoryQuery, Store, Stored};

const ALARMS: usize = 100_000;
const STAYS: usize = 50_000;
/// Steps of an index to the days of patients.
const DAYS: usize = 1_000_000;
/// Changes of limits that are told; what is more is left out.
const CHANGES: usize = 1000;
const PAGE: usize = 200;
/// Versions of Flags, and of rules, that are looked through: those newer than the period are on the way to it.
const PAGES: usize = 100;
/// Bed, room, ward: more lie in one another nowhere.
const DEPTH: usize = 6;
const DAY: i64 = 86_400_000_000;

pub(super) struct Gathered {
    pub counted: Counted,
    /// None: the caller may not see them.
    pub changes: Option<Vec<Value>>,
}

pub(super) async fn gather(store: &Store, access: &Access, asked: &Asked) -> Result<Gathered, Error> {
    let stays = Stays::of(store, access, asked.period).await?;
    let here = |ward: &String| asked.ward.as_ref().is_none_or(|asked| asked == ward);
    let mut alarms = Vec::new();
    let (start, end) = (time::instant(asked.period.0), time::instant(asked.period.1));
    // What is over before the period began was raised before it.
    let conditions = [("identified", format!("ge{start}")), ("identified", format!("lt{end}"))];
    let conditions = conditions.each_ref().map(|(name, value)| (*name, value.as_str()));
    each(store, access, Query::new("DetectedIssue", &conditions, MAX_COUNT)?, ALARMS, |resource| {
        let raised = |alarm: &Alarm| (asked.period.0..asked.period.1).contains(&alarm.raised);
        if let Some(alarm) = Alarm::of(resource).filter(raised) {
            let ward = stays.ward(&alarm.patient, (alarm.raised, alarm.raised + 1));
            alarms.extend(Some((alarm, ward)).filter(|(_, ward)| here(ward)));
        }
    })
    .await?;
    let attended = store.attended(access, asked.period, DAYS).await?.ok_or_else(|| costly("days of patients"))?;
    let mut days = Vec::new();
    for (patient, of_patient) in attended {
        for day in of_patient {
            let ward = stays.ward(&patient, (day, day + DAY));
            days.extend(Some((patient.clone(), ward)).filter(|(_, ward)| here(ward)));
        }
    }
    let changes = changes(store, access, asked).await?;
    Ok(Gathered { counted: Counted { alarms, days, nuisance: asked.nuisance }, changes })
}

fn costly(what: &str) -> Error {
    Error::unprocessable("too-costly", "http.end", format!("this is about more {what} than one report may cost"))
}

/// Page by page, so that no more than one page of them is held.
async fn each(
    store: &Store,
    access: &Access,
    mut query: Query,
    most: usize,
    mut take: impl FnMut(&Value),
) -> Result<(), Error> {
    let mut seen = 0;
    loop {
        let page = store.search(access, query.clone()).await?;
        seen += page.hits.len();
        if seen > most {
            return Err(costly(query.resource_type));
        }
        for hit in &page.hits {
            take(&hit.value()?);
        }
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return Ok(()),
        }
    }
}

/// Where patients were: by Encounter.
struct Stays(HashMap<String, Vec<Stay>>);

struct Stay {
    period: (i64, i64),
    ward: String,
}

impl Stays {
    async fn of(store: &Store, access: &Access, (start, end): (i64, i64)) -> Result<Self, Error> {
        let mut places = Vec::new();
        let (from, to) = (format!("ge{}", time::instant(start)), format!("lt{}", time::instant(end)));
        let asked = [[("date", from.as_str()), ("date", &to)].to_vec(), vec![("date:missing", "true")]];
        for conditions in asked {
            let query = Query::new("Encounter", &conditions, MAX_COUNT)?;
            each(store, access, query, STAYS, |encounter| places.extend(Placed::all(encounter))).await?;
        }
        let (mut all, mut wards): (HashMap<String, Vec<Stay>>, HashMap<String, String>) = Default::default();
        for placed in places {
            let ward = match wards.get(&placed.location) {
                Some(ward) => ward.clone(),
                None => ward_of(store, access, &placed.location).await?,
            };
            wards.insert(placed.location, ward.clone());
            all.entry(placed.patient).or_default().push(Stay { period: placed.period, ward });
        }
        Ok(Self(all))
    }

    /// Where the patient was last in this stretch of time.
    fn ward(&self, patient: &str, (from, to): (i64, i64)) -> String {
        let own = self.0.get(patient).into_iter().flatten();
        let then = own.filter(|stay| stay.period.0 < to && stay.period.1 >= from);
        then.max_by_key(|stay| stay.period.0).map_or(NOWHERE, |stay| stay.ward.as_str()).to_owned()
    }
}

struct Placed {
    patient: String,
    location: String,
    period: (i64, i64),
}

impl Placed {
    fn all(encounter: &Value) -> Vec<Self> {
        let Some(patient) = encounter.pointer("/subject/reference").and_then(Value::as_str) else { return vec![] };
        let whole = encounter.get("period").and_then(period).unwrap_or((time::BEFORE_ALL, time::AFTER_ALL));
        let place = |place: &Value| {
            let location = place.pointer("/location/reference")?.as_str()?.to_owned();
            let period = place.get("period").and_then(period).unwrap_or(whole);
            Some(Self { patient: patient.to_owned(), location, period })
        };
        list(encounter.get("location")).filter_map(place).collect()
    }
}

/// The ward that a bed or a room is part of; the place itself where nothing above it says that it is a ward.
async fn ward_of(store: &Store, access: &Access, location: &str) -> Result<String, Error> {
    let mut at = location.to_owned();
    for _ in 0..DEPTH {
        let Some(local) = reference::local(&at).filter(|local| local.resource_type == "Location") else { break };
        let place = match store.find(access, "Location", local.id).await {
            Ok(stored) => stored.value()?,
            Err(Error::NotFound { .. } | Error::Gone { .. } | Error::Forbidden(_)) => break,
            Err(error) => return Err(error),
        };
        if codings(place.get("physicalType")).iter().any(|(_, code)| code == "wa") {
            return Ok(at);
        }
        match place.pointer("/partOf/reference").and_then(Value::as_str) {
            Some(above) => above.clone_into(&mut at),
            None => break,
        }
    }
    Ok(location.to_owned())
}

/// Versions of rules, and of Flags that speak to rules, in the period; the newest first.
async fn changes(store: &Store, access: &Access, asked: &Asked) -> Result<Option<Vec<Value>>, Error> {
    let mut all = Vec::new();
    for kind in ["Flag", "PlanDefinition"] {
        let mut query = HistoryQuery { since: Some(asked.period.0), at: None, count: PAGE, cursor: None };
        for left in (0..PAGES).rev() {
            let page = match store.history(access, Some(kind), None, query.clone()).await {
                Ok(page) => page,
                Err(Error::Forbidden(_)) => return Ok(None),
                Err(error) => return Err(error),
            };
            let Some(page) = page else { break };
            for version in page.versions.iter().filter(|version| version.updated < asked.period.1) {
                all.extend(change(version, asked.patients)?.map(|change| (version.updated, change)));
            }
            match page.next {
                Some(_) if left == 0 => return Err(costly("changes of limits")),
                Some(next) if all.len() < CHANGES => query.cursor = Some(next),
                _ => break,
            }
        }
    }
    all.sort_by_key(|(updated, _)| std::cmp::Reverse(*updated));
    all.truncate(CHANGES);
    Ok(Some(all.into_iter().map(|(_, change)| change).collect()))
}

/// None for what speaks to no rule. What was deleted no longer says what it was.
fn change(version: &Stored, patients: bool) -> Result<Option<Value>, Error> {
    let mut told = Map::new();
    told.insert("at".to_owned(), time::instant(version.updated).into());
    told.insert("what".to_owned(), version.resource_type.into());
    let of_rules = version.resource_type == "PlanDefinition";
    // The id of a Flag may be made of that of its patient.
    if of_rules || patients {
        told.insert("id".to_owned(), version.id.clone().into());
    }
    told.insert("version".to_owned(), version.version.into());
    if version.deleted {
        told.insert("status".to_owned(), "deleted".into());
        return Ok(Some(Value::Object(told)));
    }
    let resource = version.value()?;
    let said = if of_rules { Some(of_rule(&resource)) } else { of_flag(&resource, patients) };
    Ok(said.map(|said| {
        told.insert("status".to_owned(), resource.get("status").cloned().unwrap_or_default());
        told.extend(said);
        Value::Object(told)
    }))
}

type Members = Vec<(String, Value)>;

fn of_rule(plan: &Value) -> Members {
    let author = plan.pointer("/author/0/name").or_else(|| plan.get("publisher"));
    [("rule", plan.get("url")), ("ruleVersion", plan.get("version")), ("author", author)]
        .map(|(name, value)| (name.to_owned(), value.cloned().unwrap_or_default()))
        .to_vec()
}

fn of_flag(flag: &Value, patients: bool) -> Option<Members> {
    let system = format!("{OURS}/CodeSystem/alert-flag");
    let codings = codings(flag.get("code"));
    let (_, code) = codings.iter().find(|(own, _)| *own == system)?;
    let url = format!("{OURS}/StructureDefinition/alert-rule");
    let rule = list(flag.get("extension")).find(|extension| str_of(extension, "url") == Some(&url));
    let rule = rule.and_then(|rule| rule.get("valueCanonical").or_else(|| rule.get("valueUri")));
    let subject = flag.pointer("/subject/reference").and_then(Value::as_str).unwrap_or_default();
    let shown = if subject.starts_with("Patient/") && !patients { "Patient" } else { subject };
    let member = |pointer: &str| flag.pointer(pointer).cloned().unwrap_or_default();
    Some(vec![
        ("flag".to_owned(), json!(code)),
        ("rule".to_owned(), rule.cloned().unwrap_or_default()),
        ("subject".to_owned(), json!(shown)),
        ("author".to_owned(), member("/author/reference")),
        ("until".to_owned(), member("/period/end")),
    ])
}
