//! Bundles: those that are answered, assembled from stored bytes without parsing them, and those that are
//! received, taken apart into what each entry asks for.

pub mod links;
mod request;

use serde_json::{Value, json};

pub use self::request::{Method, Request, requests};

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

    /// So many bytes are written already.
    pub fn length(&self) -> usize {
        self.text.len()
    }

    pub fn finish(mut self) -> Vec<u8> {
        if self.entries > 0 {
            self.text.push(b']');
        }
        self.text.push(b'}');
        self.text
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
}
