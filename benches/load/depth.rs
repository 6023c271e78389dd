//! One long walk from page to page, as a client that copies everything makes it: what the first pages cost and what
//! the last ones do.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::client::Connection;
use crate::server::Server;

const PAGES: usize = 1000;
/// Pages that stand for the beginning and for the end.
const ENDS: usize = 100;

/// A line of the report: the median page at the beginning and at the end, and the slowest.
pub(crate) async fn walk(server: &Server) -> Result<String> {
    let mut connection = Connection::open(&server.http).await?;
    let mut address = "/fhir/Observation?code=http://loinc.org%7C8867-4&_count=100".to_owned();
    let mut times = Vec::with_capacity(PAGES);
    while times.len() < PAGES {
        let began = Instant::now();
        let answer = connection.call(&server.requests().get(&address)).await?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        ensure!(answer.status == 200, "a page is refused: {}", String::from_utf8_lossy(answer.body));
        match next(answer.body)? {
            Some(next) => address = next,
            None => break,
        }
    }
    let pages = times.len();
    let first = median(times.get(..ENDS.min(pages)).unwrap_or_default());
    let last = median(times.get(pages.saturating_sub(ENDS)..).unwrap_or_default());
    let slowest = times.iter().copied().fold(0.0, f64::max);
    Ok(format!(
        "deep-pages: {pages} pages of 100, median of the first {ENDS} {first:.2} ms, of the last {last:.2} ms, slowest {slowest:.2} ms"
    ))
}

/// Where the next page is, below the server's root.
fn next(body: &[u8]) -> Result<Option<String>> {
    let text = std::str::from_utf8(body)?;
    let Some((_, rest)) = text.split_once(r#""relation":"next","url":""#) else { return Ok(None) };
    let (url, _) = rest.split_once('"').context("a link without an end")?;
    let at = url.find("/fhir").context("a link to elsewhere")?;
    Ok(url.get(at..).map(str::to_owned))
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
