//! Resources as files have them, made into what is sent: named, their references rewritten, those that an import does not
//! take told apart. Each file is read three times: to learn the names, for those that others refer to, for all others.

use anyhow::Result;
use serde_json::Value;

use super::entry::{Door, Entry, Named, What};
use super::names::{self, Names};
use super::sink::Sink;
use crate::fhir::bundle::links;
use crate::fhir::reference;

/// What a file is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Names,
    Registry,
    Rest,
    /// A dry run, or a file without resources.
    All,
}

/// What an entry of a Bundle asks for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) if_none_exist: Option<String>,
}

/// A resource as it stood in a file, or why it cannot be read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) line: u64,
    pub(super) original: Vec<u8>,
    pub(super) full_url: Option<String>,
    pub(super) request: Option<Request>,
    pub(super) value: Result<Value, String>,
}

pub(super) struct Resources<'n, 's> {
    pub(super) pass: Pass,
    pub(super) names: &'n mut Names,
    /// Whom Observations are about that name nobody: `Patient/p1`
    pub(super) patient: Option<&'n str>,
    pub(super) sink: Sink<'s>,
}

impl Resources<'_, '_> {
    pub(super) fn end(&mut self) -> Result<()> {
        self.sink.flush()
    }

    pub(super) fn take(&mut self, mut found: Found) -> Result<()> {
        let value = std::mem::replace(&mut found.value, Ok(Value::Null));
        let value = match value {
            Err(why) => return self.wrong(found, String::new(), why),
            Ok(value) => value,
        };
        let kind = value.get("resourceType").and_then(Value::as_str).unwrap_or_default().to_owned();
        if value.is_null() || kind == "OperationOutcome" {
            return self.told(found, kind, What::LeftOut);
        }
        let Some(name) = names::name(&value, found.full_url.as_deref()) else {
            return self.wrong(found, kind, "resourceType: no resource type of FHIR R4".to_owned());
        };
        let creates = found.request.as_ref().is_none_or(|request| matches!(request.method.as_str(), "POST" | "PUT"));
        if !creates {
            return self.wrong(
                found,
                kind,
                "an import only creates, and this entry asks for something else".to_owned(),
            );
        }
        if self.pass == Pass::Names {
            return self.learn(&found, &kind, &name, &value);
        }
        let turn = match self.pass {
            Pass::Registry => names::is_registry(&kind),
            Pass::Rest => !names::is_registry(&kind),
            Pass::Names | Pass::All => true,
        };
        if !turn {
            return Ok(());
        }
        let what = self.ready(&found, name, value);
        self.put(found, kind, &Door::Fhir, what)
    }

    /// Takes notice of what a resource is called and of whom the server may know.
    fn learn(&mut self, found: &Found, kind: &str, name: &str, value: &Value) -> Result<()> {
        self.names.entry(found.full_url.as_deref(), name);
        let given = found.request.as_ref().and_then(|request| request.if_none_exist.as_deref());
        let own = given.map(|given| readable(kind, given)).or_else(|| names::condition(value));
        let mut wanted: Vec<(String, Option<&str>)> =
            own.into_iter().map(|condition| (condition, Some(name))).collect();
        wanted.extend(links::conditional(value).into_iter().map(|condition| (condition, None)));
        for (condition, name) in wanted {
            if self.names.ask(&condition, name) {
                let asked = Named { name: String::new(), condition: Some(condition), value: Value::Null };
                let (line, kind, what) = (found.line, kind.to_owned(), What::Resource(Box::new(asked)));
                self.sink.put(&Door::Ask, Entry { line, kind, original: Vec::new(), what })?;
            }
        }
        Ok(())
    }

    fn ready(&mut self, found: &Found, name: String, mut value: Value) -> What {
        if self.names.is_refused(&name) {
            return What::Wrong("several on the server have its identifier".to_owned());
        }
        if self.names.is_known(&name) || (self.pass == Pass::Registry && !self.names.first(&name, &value)) {
            return What::Known;
        }
        let full_url = found.full_url.as_deref();
        if let Some(base) = full_url.and_then(base) {
            reference::make_local(&mut value, base);
        }
        self.names.rewrite(&mut value, full_url);
        if let Some(members) = value.as_object_mut() {
            let id = name.split_once('/').map_or("", |(_, id)| id);
            members.insert("id".to_owned(), id.into());
            let about_nobody = name.starts_with("Observation/") && !members.contains_key("subject");
            if let Some(patient) = self.patient.filter(|_| about_nobody) {
                members.insert("subject".to_owned(), serde_json::json!({"reference": patient}));
            }
        }
        if let Some(other) = self.names.refused_in(&value) {
            return What::Wrong(format!("it refers to {other}, which was not taken"));
        }
        if self.pass != Pass::All
            && let Some(unknown) = links::conditional(&value).first()
        {
            return What::Wrong(format!("a reference finds nothing, or several: {unknown}"));
        }
        What::Resource(Box::new(Named { name, condition: None, value }))
    }

    fn wrong(&mut self, found: Found, kind: String, why: String) -> Result<()> {
        self.told(found, kind, What::Wrong(why))
    }

    /// What is not sent is told once, however often the file is read.
    fn told(&mut self, found: Found, kind: String, what: What) -> Result<()> {
        match self.pass {
            Pass::Names | Pass::Registry => Ok(()),
            Pass::Rest | Pass::All => self.put(found, kind, &Door::Fhir, what),
        }
    }

    fn put(&mut self, found: Found, kind: String, door: &Door, what: What) -> Result<()> {
        self.sink.put(door, Entry { line: found.line, kind, original: found.original, what })
    }
}

/// A condition of an entry as a reference would have it: `Patient?identifier=system|value`.
fn readable(kind: &str, condition: &str) -> String {
    let query = condition.split_once('?').map_or(condition, |(_, query)| query);
    let plain = |text: &str| text.replace('%', "%25").replace('&', "%26").replace('+', "%2B");
    let pairs =
        form_urlencoded::parse(query.as_bytes()).map(|(name, value)| format!("{}={}", plain(&name), plain(&value)));
    format!("{kind}?{}", pairs.collect::<Vec<_>>().join("&"))
}

/// `http://a/fhir` of `http://a/fhir/Patient/1`.
fn base(full_url: &str) -> Option<&str> {
    let (rest, _id) = full_url.rsplit_once('/')?;
    let (base, kind) = rest.rsplit_once('/')?;
    fhir_r4::resource_type_index(kind).map(|_| base)
}
