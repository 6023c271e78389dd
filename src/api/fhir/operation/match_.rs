//! `Patient/$match`: who the person may be. Candidates are found by what identifies people, and judged one by one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Call;
use super::input::{Input, required};
use crate::auth::access::{Action, Reach};
use crate::error::Error;
use crate::fhir::bundle::Writer;
use crate::fhir::person_match::{Grade, Judgement, judge};
use crate::fhir::query::Query;
use crate::fhir::reading::{list, str_of};
use crate::store::Stored;

const GRADE: &str = "http://hl7.org/fhir/StructureDefinition/match-grade";
/// Candidates that one search may bring.
const CANDIDATES: usize = 200;
/// Values of one kind that are searched for.
const VALUES: usize = 10;
const DEFAULT_COUNT: usize = 20;
const MOST: usize = 100;

pub(super) async fn run(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    // Who may see one patient would learn here who else is known.
    if *call.access.check(Action::Search, "Patient")?.reach() != Reach::All {
        return Err(Error::Forbidden("Matching looks at all Patients.".to_owned()));
    }
    let input = Input::of(call, Some("resource"))?;
    input.only(&["resource", "onlyCertainMatches", "count"])?;
    let asked = input.object("resource")?.ok_or_else(|| required("resource"))?;
    if str_of(asked, "resourceType") != Some("Patient") {
        return Err(Error::invalid("value", "http.resource", "a Patient is matched"));
    }
    let asked = fhir_r4::check(asked.clone())?.into_value();
    let only_certain = input.flag("onlyCertainMatches")?.unwrap_or(false);
    let count = input.number("count", 1)?.unwrap_or(DEFAULT_COUNT).min(MOST);
    let mut matches = Vec::new();
    for (_, candidate) in candidates(call, &asked).await? {
        if let Some(judgement) = judge(&asked, &candidate.value()?) {
            matches.push((judgement, candidate));
        }
    }
    matches.sort_by(|(a, one), (b, other)| b.score.cmp(&a.score).then_with(|| one.id.cmp(&other.id)));
    if only_certain {
        matches.retain(|(judgement, _)| judgement.grade == Grade::Certain);
    }
    let ambiguous = only_certain && matches.len() > 1;
    if ambiguous {
        matches.clear();
    }
    matches.truncate(count);
    answer(call, &matches, ambiguous)
}

async fn candidates(call: &Call<'_>, asked: &Value) -> Result<BTreeMap<String, Stored>, Error> {
    let mut found = BTreeMap::new();
    for conditions in searches(asked) {
        let conditions: Vec<(&str, &str)> = conditions.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let query = Query::new("Patient", &conditions, CANDIDATES)?;
        for hit in call.state.store.search(call.access, query).await?.hits {
            found.insert(hit.id.clone(), hit);
        }
    }
    Ok(found)
}

/// Each of them brings candidates: an identifier; names; a day of birth; a telecom.
fn searches(asked: &Value) -> Vec<Vec<(&'static str, String)>> {
    let mut searches = Vec::new();
    for identifier in list(asked.get("identifier")).take(VALUES) {
        let Some(value) = str_of(identifier, "value") else { continue };
        let token = str_of(identifier, "system")
            .map_or_else(|| escaped(value), |system| format!("{}|{}", escaped(system), escaped(value)));
        searches.push(vec![("identifier", token)]);
    }
    let birth = str_of(asked, "birthDate").map(|date| ("birthdate", date.to_owned()));
    for name in list(asked.get("name")).take(VALUES) {
        let family = str_of(name, "family").map(|text| ("family", escaped(text.trim())));
        let given = list(name.get("given")).find_map(Value::as_str).map(|text| ("given", escaped(text.trim())));
        let Some(family) = family.filter(|(_, text)| !text.is_empty()) else { continue };
        searches.extend(birth.clone().map(|birth| vec![family.clone(), birth]));
        searches.push(std::iter::once(family).chain(given.filter(|(_, text)| !text.is_empty())).collect());
    }
    searches.extend(birth.map(|birth| vec![birth]));
    for telecom in list(asked.get("telecom")).take(VALUES) {
        searches.extend(str_of(telecom, "value").map(|value| vec![("telecom", escaped(value))]));
    }
    searches
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace(',', "\\,").replace('|', "\\|").replace('$', "\\$")
}

fn answer(call: &Call<'_>, matches: &[(Judgement, Stored)], ambiguous: bool) -> Result<Vec<u8>, Error> {
    let base = call.state.fhir_base();
    let total = i64::try_from(matches.len()).map_err(Error::internal)?;
    let mut writer = Writer::new("searchset", Some(total), &[]);
    for (Judgement { grade, score }, patient) in matches {
        let score: Value =
            serde_json::from_str(&format!("{}.{:03}", score / 1000, score % 1000)).map_err(Error::internal)?;
        let search = json!({"extension": [{"url": GRADE, "valueCode": grade.code()}], "mode": "match", "score": score});
        writer.entry(Some(&format!("{base}/Patient/{}", patient.id)), Some(&patient.json()?), &[("search", search)]);
    }
    if ambiguous {
        let why = "Several patients match with certainty; none is answered because onlyCertainMatches is set.";
        let outcome = json!({"resourceType": "OperationOutcome", "issue": [
            {"severity": "information", "code": "multiple-matches", "diagnostics": why}]});
        writer.entry(None, Some(outcome.to_string().as_bytes()), &[("search", json!({"mode": "outcome"}))]);
    }
    Ok(writer.finish())
}
