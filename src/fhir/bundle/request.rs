//! A received Bundle taken apart into what each entry asks for.

use serde_json::Value;

/// What one entry of a batch or transaction asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub method: Method,
    /// `Patient`, `Patient/1`, `Observation?code=x`
    pub url: String,
    pub if_match: Option<String>,
    pub if_none_match: Option<String>,
    pub if_modified_since: Option<String>,
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
    let own = |name: &str| entry.get("request")?.get(name)?.as_str().map(str::to_owned);
    let (method, url) = (Method::parse(&own("method")?)?, own("url")?);
    let (if_match, if_none_match) = (own("ifMatch"), own("ifNoneMatch"));
    let (if_modified_since, if_none_exist) = (own("ifModifiedSince"), own("ifNoneExist"));
    let full_url = entry.get("fullUrl").and_then(Value::as_str).map(str::to_owned);
    let resource = entry.get_mut("resource").map(Value::take);
    Some(Request { method, url, if_match, if_none_match, if_modified_since, if_none_exist, full_url, resource })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn takes_a_transaction_apart() {
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
            {"fullUrl": "urn:uuid:a", "resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient", "ifNoneExist": "a=b"}},
            {"request": {"method": "GET", "url": "Patient/1", "ifNoneMatch": "W/\"1\""}},
            {"resource": {}}]});
        let requests = requests(bundle);
        let first = requests[0].as_ref().unwrap();
        assert_eq!(
            (first.method, first.full_url.as_deref(), first.if_none_exist.as_deref()),
            (Method::Post, Some("urn:uuid:a"), Some("a=b"))
        );
        assert_eq!(requests[1].as_ref().unwrap().if_none_match.as_deref(), Some("W/\"1\""));
        assert!(requests[2].is_none() && requests.len() == 3);
        assert!(Method::Delete < Method::Post && Method::Post < Method::Put);
        assert!(Method::Put < Method::Patch && Method::Patch < Method::Get);
    }
}
