//! Rules on trial: `PlanDefinition/[id]/$dry-run` over a Bundle of readings, `$back-test` over what is stored. Which
//! rules are meant is read here; what they conclude is `alert::backtest`'s, how it is told `answer`'s. Nothing is stored
//! and nobody is told.

mod answer;
mod back_test;
mod dry_run;

pub(super) use back_test::back_test;
pub(super) use dry_run::dry_run;

use serde_json::Value;

use super::Call;
use super::input::Input;
use crate::alert::engine::load_rules;
use crate::alert::rule::{Rule, RuleSet, compile};
use crate::error::Error;
use crate::fhir::query::{MAX_COUNT, Query};
use crate::fhir::reading::str_of;

const PLAN: &str = "PlanDefinition";
/// Rules that one trial may be about.
const RULES: usize = 200;

/// The rules of a trial: the one of the address, those of a parameter (a PlanDefinition, an id, a canonical), else all
/// that are active.
async fn rules(call: &Call<'_>, input: &Input, name: &str) -> Result<Vec<Rule>, Error> {
    let mut all = Vec::new();
    if let Some(id) = call.id.as_deref().filter(|_| name == "rule") {
        all.push(stored(call, id).await?);
    }
    if input.is_object(name) {
        for plan in input.objects(name)? {
            if str_of(plan, "resourceType") != Some(PLAN) {
                return Err(Error::invalid("value", format!("http.{name}"), "a rule is a PlanDefinition"));
            }
            all.push(compiled(&fhir_r4::check(plan.clone())?.into_value())?);
        }
    } else {
        for text in input.texts(name)? {
            all.extend(named(call, name, text).await?);
        }
    }
    if all.is_empty() && name == "rule" {
        all = active(call).await?;
    }
    if all.len() > RULES {
        return Err(Error::unprocessable(
            "too-costly",
            format!("http.{name}"),
            "these are too many rules for one trial",
        ));
    }
    Ok(all)
}

async fn active(call: &Call<'_>) -> Result<Vec<Rule>, Error> {
    let set = load_rules(&call.state.store, call.access, &RuleSet::default()).await?;
    Ok(set.rules().iter().map(|rule| rule.as_ref().clone()).collect())
}

async fn stored(call: &Call<'_>, id: &str) -> Result<Rule, Error> {
    compiled(&call.state.store.find(call.access, PLAN, id).await?.value()?)
}

/// By id, by canonical with or without its version, or `active`: all that are in force.
async fn named(call: &Call<'_>, name: &str, text: &str) -> Result<Vec<Rule>, Error> {
    if text == "active" {
        return active(call).await;
    }
    if !text.contains(':') {
        return Ok(vec![stored(call, text.trim_start_matches("PlanDefinition/")).await?]);
    }
    let (url, version) = text.split_once('|').map_or((text, None), |(url, version)| (url, Some(version)));
    let mut conditions = vec![("url", url)];
    conditions.extend(version.map(|version| ("version", version)));
    let found = call.state.store.search_all(call.access, Query::new(PLAN, &conditions, MAX_COUNT)?).await?;
    if found.is_empty() {
        return Err(Error::invalid("not-found", format!("http.{name}"), "there is no rule of this canonical"));
    }
    found.iter().map(|plan| compiled(&plan.value()?)).collect()
}

fn compiled(plan: &Value) -> Result<Rule, Error> {
    compile(plan).map_err(Error::Unprocessable)
}
