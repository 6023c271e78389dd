//! A batch on its way through its door, and what became of each of its entries. Everything is sent in a way that can be
//! repeated: readings are known by what they say, resources are created only where none stands.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use form_urlencoded::Serializer;
use serde_json::{Map, Value, json};

use super::entry::{Batch, Door, Entry, Named, Outcome, Verdict, What};
use super::names::Answer;
use super::server::{Reply, Server, reason};

const FHIR: &str = "application/fhir+json";

/// What became of a batch, entry by entry.
pub(super) async fn batch(server: &Server, batch: &Batch, key: &str, patient: Option<&str>) -> Result<Vec<Verdict>> {
    let mut verdicts: Vec<Option<Verdict>> = batch.entries.iter().map(Entry::settled).collect();
    let waiting: Vec<&Entry> =
        batch.entries.iter().zip(&verdicts).filter(|(_, verdict)| verdict.is_none()).map(|(entry, _)| entry).collect();
    let mut answers = if waiting.is_empty() {
        Vec::new()
    } else {
        match &batch.door {
            Door::Csv(header) => table(server, header, &waiting, key, patient).await?,
            Door::Compact => {
                readings(server, &[], &waiting, "/device/v1/observations", "application/x-ndjson", key).await?
            }
            Door::Fhir | Door::Ask => resources(server, &waiting).await?,
        }
    }
    .into_iter();
    for verdict in verdicts.iter_mut().filter(|verdict| verdict.is_none()) {
        *verdict = answers.next();
    }
    verdicts.into_iter().collect::<Option<_>>().context("the server answers for less than was sent")
}

async fn table(
    server: &Server,
    header: &[u8],
    entries: &[&Entry],
    key: &str,
    patient: Option<&str>,
) -> Result<Vec<Verdict>> {
    let mut path = "/device/v1/csv".to_owned();
    if let Some(patient) = patient {
        path.push('?');
        path.push_str(&Serializer::new(String::new()).append_pair("patient", patient).finish());
    }
    readings(server, header, entries, &path, "text/csv", key).await
}

async fn readings(
    server: &Server,
    header: &[u8],
    entries: &[&Entry],
    path: &str,
    media: &str,
    key: &str,
) -> Result<Vec<Verdict>> {
    let body = |entries: &[&Entry]| {
        let rows = entries.iter().filter_map(|entry| match &entry.what {
            What::Row(row) => Some(row.as_slice()),
            _ => None,
        });
        Bytes::from(std::iter::once(header).chain(rows).collect::<Vec<_>>().concat())
    };
    let reply = server.post(path, media, body(entries), Some(key)).await?;
    if reply.status.as_u16() != 413 {
        return receipts(&reply, entries.len());
    }
    // Too much for the server at once: one by one.
    let mut verdicts = Vec::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        let reply = server.post(path, media, body(&[entry]), Some(&format!("{key}-{at}"))).await?;
        if reply.status.as_u16() == 413 {
            verdicts.push(Verdict::rejected(reply.reason()));
        } else {
            verdicts.extend(receipts(&reply, 1)?);
        }
    }
    Ok(verdicts)
}

fn receipts(reply: &Reply, count: usize) -> Result<Vec<Verdict>> {
    let Some(items) = reply.body.get("items").and_then(Value::as_array) else {
        bail!("the server refuses this: {} {}", reply.status.as_u16(), reply.reason());
    };
    ensure!(items.len() == count, "the server answers for {} of {count} readings", items.len());
    items.iter().map(receipt).collect()
}

fn receipt(item: &Value) -> Result<Verdict> {
    let outcome = match item.get("outcome").and_then(Value::as_str) {
        Some("created") => Outcome::Created,
        Some("duplicate") => Outcome::Duplicate,
        Some("quarantined") => Outcome::Held,
        Some("rejected") => Outcome::Rejected,
        _ => bail!("the server gives a receipt that cannot be read"),
    };
    let reason = item.get("reason").and_then(reason).unwrap_or_default();
    Ok(Verdict { outcome, reason })
}

/// Resources, each created only where none stands. What stands there already is looked at: it must be the same.
async fn resources(server: &Server, entries: &[&Entry]) -> Result<Vec<Verdict>> {
    let named: Vec<&Named> = entries.iter().filter_map(|entry| named(entry)).collect();
    let puts = named.iter().map(
        |named| json!({"resource": named.value, "request": {"method": "PUT", "url": named.name, "ifNoneMatch": "*"}}),
    );
    let Some(answers) = bundle(server, puts.collect()).await? else {
        return one_by_one(server, &named).await;
    };
    let mut verdicts = Vec::with_capacity(named.len());
    for answer in &answers {
        verdicts.push(written(answer)?);
    }
    let standing: Vec<(usize, &Named)> = verdicts
        .iter()
        .zip(&named)
        .enumerate()
        .filter(|(_, (v, _))| v.is_none())
        .map(|(at, (_, n))| (at, *n))
        .collect();
    let mut seen = compared(server, &standing).await?.into_iter();
    verdicts.into_iter().map(|verdict| verdict.or_else(|| seen.next()).context("an entry without an answer")).collect()
}

/// A Bundle that is too large for the server.
async fn one_by_one(server: &Server, all: &[&Named]) -> Result<Vec<Verdict>> {
    let mut verdicts = Vec::with_capacity(all.len());
    for named in all {
        let put = json!({"resource": named.value, "request": {"method": "PUT", "url": named.name, "ifNoneMatch": "*"}});
        verdicts.push(match bundle(server, vec![put]).await? {
            None => Verdict::rejected("it is larger than the server takes"),
            Some(answers) => match answers.first().map(written).transpose()?.flatten() {
                Some(verdict) => verdict,
                None => compared(server, &[(0, *named)]).await?.pop().context("an entry without an answer")?,
            },
        });
    }
    Ok(verdicts)
}

fn named(entry: &Entry) -> Option<&Named> {
    match &entry.what {
        What::Resource(named) => Some(named),
        _ => None,
    }
}

/// What became of a resource; none when something stands under its name.
fn written(answer: &Value) -> Result<Option<Verdict>> {
    let reason = || answer.get("outcome").and_then(reason).unwrap_or_else(|| "the server refuses it".to_owned());
    match status(answer) {
        201 => Ok(Some(Verdict::of(Outcome::Created))),
        200 => Ok(Some(Verdict::of(Outcome::Duplicate))),
        412 => Ok(None),
        status @ 400..500 if status != 429 => Ok(Some(Verdict::rejected(reason()))),
        status => bail!("the server cannot take this: {status} {}", reason()),
    }
}

/// Whether what was created under these names is what is to be created.
async fn compared(server: &Server, standing: &[(usize, &Named)]) -> Result<Vec<Verdict>> {
    if standing.is_empty() {
        return Ok(Vec::new());
    }
    let looks = standing
        .iter()
        .map(|(_, named)| json!({"request": {"method": "GET", "url": format!("{}/_history/1", named.name)}}));
    let answers = bundle(server, looks.collect()).await?.context("the server refuses to show what stands")?;
    let verdict = |(answer, (_, named)): (&Value, &(usize, &Named))| match status(answer) {
        200 if answer.get("stands").is_some_and(|stands| same(stands, &named.value)) => Verdict::of(Outcome::Duplicate),
        200 => Verdict::rejected(format!("another {} stands on the server", named.name)),
        _ => Verdict::rejected(format!("{} stands on the server, and cannot be compared", named.name)),
    };
    Ok(answers.iter().zip(standing).map(verdict).collect())
}

/// The same, but for what the server itself says of a version.
fn same(one: &Value, other: &Value) -> bool {
    let plain = |value: &Value| {
        let mut members: Map<String, Value> = value.as_object().cloned().unwrap_or_default();
        members.remove("meta");
        members
    };
    plain(one) == plain(other)
}

/// Asks who is known by these conditions.
pub(super) async fn ask(server: &Server, batch: &Batch) -> Result<Vec<(String, Answer)>> {
    let conditions: Vec<&str> = batch.entries.iter().filter_map(|entry| named(entry)?.condition.as_deref()).collect();
    let looks = conditions.iter().map(|condition| {
        let (kind, query) = condition.split_once('?').unwrap_or((condition, ""));
        let mut url = Serializer::new(format!("{kind}?"));
        url.extend_pairs(form_urlencoded::parse(query.as_bytes()));
        json!({"request": {"method": "GET", "url": url.append_pair("_count", "2").append_pair("_elements", "id").finish()}})
    });
    let answers = bundle(server, looks.collect()).await?.context("the server refuses to be asked")?;
    answers.iter().zip(conditions).map(|(answer, condition)| Ok((condition.to_owned(), found(answer)?))).collect()
}

fn found(answer: &Value) -> Result<Answer> {
    if status(answer) != 200 {
        let why = answer.get("outcome").and_then(reason).unwrap_or_default();
        bail!("the server does not say whom it knows: {} {why}", status(answer));
    }
    let hits = answer.pointer("/stands/entry").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let names: Vec<String> = hits
        .iter()
        .filter_map(|hit| {
            let text = |at: &str| hit.pointer(at).and_then(Value::as_str);
            Some(format!("{}/{}", text("/resource/resourceType")?, text("/resource/id")?))
        })
        .collect();
    Ok(match names.as_slice() {
        [] => Answer::Nobody,
        [one] => Answer::One(one.clone()),
        _ => Answer::Several,
    })
}

fn status(answer: &Value) -> u16 {
    let text = answer.get("status").and_then(Value::as_str).unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// What the entries of a batch are answered with, what is shown as `stands`; none when it is too large.
async fn bundle(server: &Server, entries: Vec<Value>) -> Result<Option<Vec<Value>>> {
    let count = entries.len();
    let body = json!({"resourceType": "Bundle", "type": "batch", "entry": entries}).to_string();
    let mut reply = server.post("/fhir", FHIR, body.into(), None).await?;
    if reply.status.as_u16() == 413 {
        return Ok(None);
    }
    if !reply.status.is_success() {
        bail!("the server refuses this: {} {}", reply.status.as_u16(), reply.reason());
    }
    let Some(Value::Array(entries)) = reply.body.get_mut("entry").map(Value::take) else {
        bail!("the server gives an answer that cannot be read");
    };
    ensure!(entries.len() == count, "the server answers for {} of {count} entries", entries.len());
    let answer = |mut entry: Value| {
        let mut answer = entry.get_mut("response").map(Value::take).unwrap_or_default();
        let stands = entry.get_mut("resource").map(Value::take);
        if let (Some(members), Some(stands)) = (answer.as_object_mut(), stands) {
            members.insert("stands".to_owned(), stands);
        }
        answer
    };
    Ok(Some(entries.into_iter().map(answer).collect()))
}
