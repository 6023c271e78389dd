//! What the type of a Bundle asks of its entries.

use std::collections::HashSet;

use serde_json::Value;

use crate::check::{
    value::{Object, has, list, object, text},
    walk::Walk,
};

pub(super) fn check<'v>(walk: &mut Walk<'v>, bundle: &'v Object) {
    let kind = text(bundle, "type").unwrap_or_default();
    if has(bundle, "total") && !matches!(kind, "searchset" | "history") {
        walk.report_at("total", "invariant", "bdl-1: only a searchset or a history has a total");
    }
    if kind == "document" {
        let identifier = object(bundle, "identifier");
        if !identifier.is_some_and(|i| has(i, "system") && has(i, "value")) {
            walk.report_at("identifier", "invariant", "bdl-9: a document has an identifier with system and value");
        }
        if !has(bundle, "timestamp") {
            walk.report_at("timestamp", "invariant", "bdl-10: a document has a timestamp");
        }
    }
    let mut urls = HashSet::new();
    for (i, entry) in list(bundle, "entry").iter().enumerate() {
        let Some(entry) = entry.as_object() else { continue };
        walk.path.push("entry");
        walk.path.push_index(i);
        let resource = object(entry, "resource");
        members(walk, kind, entry);
        if i == 0 {
            let first = resource.and_then(|r| text(r, "resourceType"));
            if kind == "document" && first != Some("Composition") {
                walk.report("invariant", "bdl-11: a document begins with a Composition");
            }
            if kind == "message" && first != Some("MessageHeader") {
                walk.report("invariant", "bdl-12: a message begins with a MessageHeader");
            }
        }
        if let Some(url) = text(entry, "fullUrl") {
            let version = resource.and_then(|r| object(r, "meta")).and_then(|m| text(m, "versionId"));
            if url.contains("/_history/") {
                walk.report_at("fullUrl", "invariant", "bdl-8: a fullUrl names no version");
            }
            if !urls.insert((url, version)) && kind != "history" {
                walk.report_at("fullUrl", "invariant", "bdl-7: the fullUrl is there more than once");
            }
        }
        walk.path.pop();
        walk.path.pop();
    }
}

fn members<'v>(walk: &mut Walk<'v>, kind: &str, entry: &'v Object) {
    let asks = matches!(kind, "batch" | "transaction" | "history");
    let answers = matches!(kind, "batch-response" | "transaction-response" | "history");
    let there = |name: &str| entry.get(name).is_some_and(Value::is_object);
    if there("search") && kind != "searchset" {
        walk.report_at("search", "invariant", "bdl-2: only a searchset has search in its entries");
    }
    match (there("request"), asks) {
        (false, true) => walk.report_at("request", "invariant", "bdl-3: each entry of this Bundle needs a request"),
        (true, false) => walk.report_at("request", "invariant", "bdl-3: an entry of this Bundle has no request"),
        _ => {}
    }
    match (there("response"), answers) {
        (false, true) => walk.report_at("response", "invariant", "bdl-4: each entry of this Bundle needs a response"),
        (true, false) => walk.report_at("response", "invariant", "bdl-4: an entry of this Bundle has no response"),
        _ => {}
    }
}
