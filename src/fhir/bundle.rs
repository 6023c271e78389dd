//! Bundles: those that are answered, assembled from stored bytes without parsing them, and those that are
//! received, taken apart into what each entry asks for.

use std::collections::HashMap;
use std::hash::BuildHasher;

use serde_json::{Value, json};

/// An answered Bundle while it is written. Entries are raw JSON and go out as they are.
pub struct Writer {
    text: Vec<u8>,
    entries: usize,
}

impl Writer {
    /// `links`: relation and url.
    pub fn new(kind: &str, total: Option<i64>, links: &[(&str, String)]) -> Self {
        let mut head = json!({"resourceType": "Bundle", "type": kind});
        if let Some(members) = head.as_object_mut() {
            if let Some(total) = total {
                members.insert("total".into(), total.into());
            }
            let links: Vec<Value> = links.iter().map(|(r, url)| json!({"relation": r, "url": url})).collect();
            if !links.is_empty() {
                members.insert("link".into(), links.into());
            }
        }
        let mut text = head.to_string().into_bytes();
        text.pop();
        Self { text, entries: 0 }
    }

    /// One entry: its address, its resource (raw JSON), and its other members.
    pub fn entry(&mut self, full_url: Option<&str>, resource: Option<&[u8]>, members: &[(&str, Value)]) {
        self.text.extend_from_slice(if self.entries == 0 { b",\"entry\":[{" } else { b",{" });
        self.entries += 1;
        let from = self.text.len();
        if let Some(url) = full_url {
            self.member(from, "fullUrl");
            self.json(&Value::from(url));
        }
        if let Some(resource) = resource {
            self.member(from, "resource");
            self.text.extend_from_slice(resource);
        }
        for (name, value) in members {
            self.member(from, name);
            self.json(value);
        }
        self.text.push(b'}');
    }

    /// The name of the next member of an object whose members begin at `from`.
    fn member(&mut self, from: usize, name: &str) {
        if self.text.len() > from {
            self.text.push(b',');
        }
        self.text.push(b'"');
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(b"\":");
    }

    fn json(&mut self, value: &Value) {
        // Writing to memory cannot fail, and a `Value` has only texts as keys.
        let _ = serde_json::to_writer(&mut self.text, value);
    }

    pub fn finish(mut self) -> Vec<u8> {
        if self.entries > 0 {
            self.text.push(b']');
        }
        self.text.push(b'}');
        self.text
    }
}

/// What one entry of a batch or transaction asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub method: Method,
    /// `Patient`, `Patient/1`, `Observation?code=x`
    pub url: String,
    pub if_match: Option<String>,
    pub if_none_exist: Option<String>,
    pub full_url: Option<String>,
    pub resource: Option<Value>,
}

/// In the order in which a transaction is carried out (R4 http, 3.1.0.11.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    Delete,
    Post,
    Put,
    Patch,
    Get,
    Head,
}

impl Method {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "DELETE" => Self::Delete,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            _ => return None,
        })
    }
}

/// The entries of a received Bundle; one without a request is none. The Bundle is taken apart, not copied.
pub fn requests(mut bundle: Value) -> Vec<Option<Request>> {
    let Some(Value::Array(entries)) = bundle.get_mut("entry").map(Value::take) else { return vec![] };
    entries.into_iter().map(request).collect()
}

fn request(mut entry: Value) -> Option<Request> {
    let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let (method, url) = (Method::parse(&text("/request/method")?)?, text("/request/url")?);
    let (if_match, if_none_exist) = (text("/request/ifMatch"), text("/request/ifNoneExist"));
    let full_url = text("/fullUrl");
    let resource = entry.get_mut("resource").map(Value::take);
    Some(Request { method, url, if_match, if_none_exist, full_url, resource })
}

/// Replaces every text that is one of the keys (`urn:uuid:…` of an entry) by its `Type/id`, wherever it stands.
pub fn rewrite<S: BuildHasher>(value: &mut Value, targets: &HashMap<String, String, S>) {
    match value {
        Value::String(text) => {
            if let Some(target) = targets.get(text.as_str()) {
                text.clone_from(target);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, targets)),
        Value::Object(members) => members.values_mut().for_each(|member| rewrite(member, targets)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_json_reads() {
        let mut writer = Writer::new("searchset", Some(1), &[("self", "http://a/b?c=\"d\"".into())]);
        writer.entry(
            Some("http://a/Patient/1"),
            Some(br#"{"resourceType":"Patient"}"#),
            &[("search", json!({"mode": "match"}))],
        );
        writer.entry(None, None, &[("response", json!({"status": "204"}))]);
        let bundle: Value = serde_json::from_slice(&writer.finish()).unwrap();
        assert_eq!(bundle["entry"][0]["resource"]["resourceType"], "Patient");
        assert_eq!((&bundle["total"], &bundle["entry"][1]["response"]["status"]), (&json!(1), &json!("204")));
        assert!(serde_json::from_slice::<Value>(&Writer::new("history", None, &[]).finish()).is_ok());
    }

    #[test]
    fn takes_a_transaction_apart_and_rewrites_its_references() {
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
            {"fullUrl": "urn:uuid:a", "resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}},
            {"resource": {"subject": {"reference": "urn:uuid:a"}}, "request": {"method": "POST", "url": "Observation"}},
            {"resource": {}}]});
        let mut requests = requests(bundle);
        assert_eq!(requests.len(), 3);
        assert!(requests[2].is_none());
        let mut resource = requests[1].take().unwrap().resource.unwrap();
        rewrite(&mut resource, &HashMap::from([("urn:uuid:a".to_owned(), "Patient/1".to_owned())]));
        assert_eq!(resource["subject"]["reference"], "Patient/1");
        assert!(Method::Delete < Method::Post && Method::Post < Method::Put && Method::Put < Method::Get);
    }
}
