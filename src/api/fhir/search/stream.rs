//! All matches of a search as lines of JSON, however many: read page by page while they are sent, so that memory
//! holds one page. A failure on the way breaks the connection; a client never takes a part for the whole.

use actix_web::HttpResponse;
use bytes::Bytes;
use futures_util::stream;

use super::asked::{Asked, Search};
use super::page::find;
use crate::api::State;
use crate::api::reply::{Answer, NDJSON};
use crate::auth::access::Access;
use crate::error::Error;
use crate::fhir::params::Column;
use crate::fhir::query::Query;
use crate::fhir::shape::View;
use crate::store::Page;

/// Matches that are read at once.
const PAGE: usize = 500;

/// The search and how far it has come.
struct Way {
    state: State,
    access: Access,
    asked: Asked,
    /// What was read and is sent next.
    page: Option<Page>,
    more: bool,
}

pub(super) async fn lines(state: &State, access: &Access, mut asked: Asked) -> Answer {
    if !asked.includes.is_empty() {
        let text = "lines are matches alone; what belongs to them is included in Bundles";
        return Err(Error::invalid("not-supported", "http._include", text));
    }
    in_pages(&mut asked)?;
    // The first page before the status: what is wrong with the search is told as ever.
    let page = find(state, access, &asked.search).await?;
    let way = Way { state: state.clone(), access: access.clone(), asked, page: Some(page), more: true };
    Ok(HttpResponse::Ok().content_type(NDJSON).streaming(stream::try_unfold(way, step)))
}

/// In an order in which what is changed while it is sent comes later, not never. What is about one patient comes by
/// when it was measured, which a correction does not change.
fn in_pages(asked: &mut Asked) -> Result<(), Error> {
    let free = asked.cursor().is_none() && !asked.pairs.iter().any(|(name, _)| name == "_sort");
    match &mut asked.search {
        Search::One(query) if query.count > 0 => {
            query.count = PAGE;
            let mut conditions = query.filters.iter().chain(&query.any);
            if free && !conditions.any(|condition| condition.param.column == Some(Column::Subject)) {
                query.sort = Query::new(query.resource_type, &[("_sort", "_lastUpdated")], PAGE)?.sort;
            }
        }
        Search::Several(several) if several.count > 0 => {
            several.count = PAGE;
            several.oldest_first |= free;
        }
        _ => return Err(Error::NotAcceptable),
    }
    Ok(())
}

async fn step(mut way: Way) -> Result<Option<(Bytes, Way)>, Error> {
    let page = match way.page.take() {
        Some(page) => page,
        None if !way.more => return Ok(None),
        None => find(&way.state, &way.access, &way.asked.search).await.inspect_err(broken)?,
    };
    let lines = text(&page, &way.asked.view)?;
    way.more = page.next.is_some();
    if let Some(next) = page.next {
        way.asked.go_on_from(next);
    }
    Ok(Some((lines, way)))
}

/// The status is sent already: this is told to the log, and to the client by a connection that breaks off.
fn broken(error: &Error) {
    tracing::error!(%error, "a search failed while its matches were sent");
}

fn text(page: &Page, view: &View) -> Result<Bytes, Error> {
    let mut text = Vec::new();
    for hit in &page.hits {
        text.extend(view.of_bytes(hit.json()?).map_err(Error::internal)?);
        text.push(b'\n');
    }
    Ok(text.into())
}
