//! XML as a stream of events: a Bundle's entries one by one, and what events and their errors are to all who read XML
//! here. No document type is followed and no entity but those of XML itself is known.

use std::io::Write;

use anyhow::{Result, anyhow, bail};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, Writer};

use super::entry::told;
use super::input::Source;
use super::resources::{Found, Request, Resources};

const FHIR: &str = "http://hl7.org/fhir";
/// Nothing that is read here is as deep.
const DEEPEST: usize = 200;

/// Events with how deep they stand.
pub(super) struct Events<'s, 'r> {
    reader: Reader<&'s mut Source<'r>>,
    buffer: Vec<u8>,
    depth: usize,
}

pub(super) struct Step<'e> {
    /// The line at which it begins.
    pub(super) line: u64,
    /// How many elements are around it.
    pub(super) depth: usize,
    pub(super) event: Event<'e>,
}

impl<'s, 'r> Events<'s, 'r> {
    pub(super) fn new(source: &'s mut Source<'r>) -> Self {
        Self { reader: Reader::from_reader(source), buffer: Vec::new(), depth: 0 }
    }

    /// The next event; none at the end of the document.
    pub(super) fn next(&mut self) -> Result<Option<Step<'_>>> {
        self.buffer.clear();
        let line = self.reader.get_ref().line();
        let event = match self.reader.read_event_into(&mut self.buffer) {
            Ok(event) => event,
            Err(error) => {
                let place = self.reader.get_ref().place();
                return Err(anyhow!("{place}: {error}"));
            }
        };
        let depth = match &event {
            Event::Start(_) => {
                self.depth += 1;
                self.depth - 1
            }
            Event::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                self.depth
            }
            _ => self.depth,
        };
        match &event {
            Event::Eof if depth > 0 => bail!("line {line}: the file ends here, cut short"),
            Event::Eof => return Ok(None),
            Event::Start(_) if depth > DEEPEST => bail!("line {line}: elements are nested too deeply"),
            Event::Decl(declared) => match declared.encoding() {
                Some(Ok(name)) if !matches!(name.to_ascii_lowercase().as_str(), "utf-8" | "utf8" | "us-ascii") => {
                    bail!("line {line}: the file is in {name}; it must be in UTF-8")
                }
                _ => {}
            },
            _ => {}
        }
        Ok(Some(Step { line, depth, event }))
    }

    /// Something new begins here.
    pub(super) fn fresh(&mut self) {
        self.reader.get_mut().fresh();
    }
}

/// An attribute with its character references resolved.
pub(super) fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    let wrong = || format!("the attribute {name} cannot be read");
    match element.try_get_attribute(name) {
        Ok(Some(found)) => {
            Ok(Some(found.normalized_value(quick_xml::XmlVersion::Implicit1_0).map_err(|_| wrong())?.into_owned()))
        }
        Ok(None) => Ok(None),
        Err(_) => Err(wrong()),
    }
}

/// An event as it was written.
pub(super) fn copy(into: &mut Vec<u8>, event: Event<'_>) -> Result<()> {
    Ok(Writer::new(into.by_ref()).write_event(event)?)
}

/// The entry that is being read.
#[derive(Default)]
struct Open {
    line: u64,
    full_url: Option<String>,
    method: Option<String>,
    if_none_exist: Option<String>,
    resource: Vec<u8>,
}

pub(super) fn bundle(source: &mut Source<'_>, resources: &mut Resources<'_, '_>) -> Result<()> {
    let mut events = Events::new(source);
    let (mut open, mut path) = (Open::default(), Vec::new());
    while let Some(Step { line, depth, event }) = events.next()? {
        if let Event::Start(start) | Event::Empty(start) = &event {
            path.truncate(depth);
            path.push(start.local_name().into_inner().to_owned());
        }
        let place: Vec<&str> = path.iter().map(String::as_str).collect();
        match (place.as_slice(), &event) {
            ([root], Event::Start(_) | Event::Empty(_)) if *root != "Bundle" => bail!("line {line}: this is no Bundle"),
            (["Bundle", "entry"], Event::Start(_)) => open = Open { line, ..Open::default() },
            (["Bundle", "entry", ..], Event::End(_)) if depth == 1 => {
                resources.take(found(std::mem::take(&mut open)))?;
                events.fresh();
            }
            (["Bundle", "entry", "resource", ..], _) => open.resource(depth, event)?,
            (["Bundle", "entry", rest @ ..], Event::Start(start) | Event::Empty(start)) => open.member(rest, start),
            _ => {}
        }
    }
    resources.end()
}

impl Open {
    fn member(&mut self, path: &[&str], start: &BytesStart<'_>) {
        let value = || attribute(start, "value").ok().flatten();
        match path {
            ["fullUrl"] => self.full_url = value(),
            ["request", "method"] => self.method = value(),
            ["request", "ifNoneExist"] => self.if_none_exist = value(),
            _ => {}
        }
    }

    /// Everything inside `resource`, which stands at depth 2, as a document of its own.
    fn resource(&mut self, depth: usize, event: Event<'_>) -> Result<()> {
        let rooted = |start: BytesStart<'_>| {
            let mut own = start.into_owned();
            if attribute(&own, "xmlns").ok().flatten().is_none() {
                own.push_attribute(("xmlns", FHIR));
            }
            own
        };
        match event {
            _ if depth < 3 => Ok(()),
            Event::Start(start) if depth == 3 => copy(&mut self.resource, Event::Start(rooted(start))),
            Event::Empty(start) if depth == 3 => copy(&mut self.resource, Event::Empty(rooted(start))),
            other => copy(&mut self.resource, other),
        }
    }
}

fn found(open: Open) -> Found {
    let Open { line, full_url, method, if_none_exist, resource } = open;
    let value = match resource.as_slice() {
        [] => Ok(serde_json::Value::Null),
        raw => fhir_r4::parse(raw, fhir_r4::Format::Xml).map_err(|issues| told(&issues)),
    };
    // What is told of it is told in JSON, as files of lines have it.
    let original = value.as_ref().map_or(resource, |value| value.to_string().into_bytes());
    Found { line, original, full_url, request: method.map(|method| Request { method, if_none_exist }), value }
}
