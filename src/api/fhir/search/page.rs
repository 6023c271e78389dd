//! One page of a search as a searchset: its matches, what belongs to them, what was passed over, and the links
//! that lead on. Every link is good for a GET, also when the search came as a form.

use fhir_r4::Issue;
use serde_json::json;

use super::asked::{Asked, Search};
use crate::api::State;
use crate::auth::access::Access;
use crate::error::{Error, outcome_of};
use crate::fhir::bundle::Writer;
use crate::fhir::shape::View;
use crate::store::{Page, Stored};

/// The searchset as JSON.
pub(super) async fn bundle(state: &State, access: &Access, asked: Asked) -> Result<Vec<u8>, Error> {
    let page = find(state, access, &asked.search).await?;
    let included = state.store.included(access, &page.hits, &asked.includes).await?;
    let base = state.fhir_base();
    let mut writer = Writer::new("searchset", page.total, &links(&base, &asked, page.next.as_deref()));
    entries(&mut writer, &base, &asked.view, &page.hits, "match")?;
    entries(&mut writer, &base, &asked.view, &included.resources, "include")?;
    let issues = remarks(&asked.dropped, included.cut);
    if !issues.is_empty() {
        let outcome = outcome_of(&issues).to_string();
        writer.entry(None, Some(outcome.as_bytes()), &[("search", json!({"mode": "outcome"}))]);
    }
    Ok(writer.finish())
}

pub(super) async fn find(state: &State, access: &Access, search: &Search) -> Result<Page, Error> {
    match search {
        Search::One(query) => state.store.search(access, (**query).clone()).await,
        Search::Several(several) => state.store.search_types(access, several.clone()).await,
    }
}

fn links(base: &str, asked: &Asked, next: Option<&str>) -> Vec<(&'static str, String)> {
    let address = |cursor: Option<&str>| {
        let mut link = form_urlencoded::Serializer::new(String::new());
        link.extend_pairs(asked.pairs.iter().filter(|(name, _)| name != "_cursor"));
        link.extend_pairs(cursor.map(|cursor| ("_cursor", cursor)));
        format!("{base}{}?{}", asked.place.path(), link.finish())
    };
    let mut links = vec![("self", address(asked.cursor())), ("first", address(None))];
    links.extend(next.map(|next| ("next", address(Some(next)))));
    links
}

pub(in crate::api::fhir) fn entries(
    writer: &mut Writer,
    base: &str,
    view: &View,
    all: &[Stored],
    mode: &str,
) -> Result<(), Error> {
    let mode = [("search", json!({"mode": mode}))];
    for stored in all {
        let full_url = format!("{base}/{}/{}", stored.resource_type, stored.id);
        let json = view.of_bytes(stored.json()?).map_err(Error::internal)?;
        writer.entry(Some(&full_url), Some(&json), &mode);
    }
    Ok(())
}

/// What the caller should know about the answer.
fn remarks(dropped: &[String], cut: bool) -> Vec<Issue> {
    let mut issues: Vec<Issue> = dropped
        .iter()
        .map(|name| Issue::warning("not-supported", format!("http.{name}"), "this parameter was passed over"))
        .collect();
    if cut {
        let text = "more belongs to this page than is included in it; ask for fewer matches a page, or search for it";
        issues.push(Issue::warning("too-costly", "", text));
    }
    issues
}
