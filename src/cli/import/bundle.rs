//! A Bundle in JSON, entry by entry as the file streams: only brackets and strings are looked at until an entry is whole.

use std::io::BufRead;

use anyhow::{Result, bail};
use serde_json::Value;

use super::entry::told;
use super::input::Source;
use super::resources::{Found, Resources};

pub(super) fn read(source: &mut Source<'_>, resources: &mut Resources<'_, '_>) -> Result<()> {
    let (mut cutter, mut name, mut raw) = (Cutter { source }, Vec::new(), Vec::new());
    cutter.expect(b'{', "a Bundle")?;
    while cutter.more(b'}')? {
        cutter.value(&mut name)?;
        cutter.expect(b':', "a colon")?;
        if name == b"\"entry\"" && cutter.peek()? == Some(b'[') {
            cutter.source.consume(1);
            while cutter.more(b']')? {
                let line = cutter.source.line();
                cutter.source.fresh();
                cutter.value(&mut raw)?;
                resources.take(found(line, &raw))?;
            }
        } else {
            cutter.value(&mut raw)?;
            if name == b"\"resourceType\"" && raw != b"\"Bundle\"" {
                bail!("{}: this is no Bundle", cutter.source.place());
            }
        }
        cutter.source.fresh();
    }
    if cutter.peek()?.is_some() {
        bail!("{}: there is more after the Bundle", cutter.source.place());
    }
    resources.end()
}

fn found(line: u64, raw: &[u8]) -> Found {
    let mut found = Found { line, original: raw.to_vec(), full_url: None, request: None, value: Err(String::new()) };
    match fhir_r4::parse(raw, fhir_r4::Format::Json) {
        Err(issues) => found.value = Err(told(&issues)),
        Ok(mut entry) => {
            let text = |entry: &Value, at: &str| entry.pointer(at).and_then(Value::as_str).map(str::to_owned);
            found.full_url = text(&entry, "/fullUrl");
            found.request = text(&entry, "/request/method").map(|method| super::resources::Request {
                method,
                if_none_exist: text(&entry, "/request/ifNoneExist"),
            });
            let resource = entry.get_mut("resource").map(Value::take).unwrap_or_default();
            if !resource.is_null() {
                found.original = resource.to_string().into_bytes();
            }
            found.value = Ok(resource);
        }
    }
    found
}

struct Cutter<'s, 'r> {
    source: &'s mut Source<'r>,
}

impl Cutter<'_, '_> {
    /// The next byte that is no space.
    fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let ahead = self.source.fill_buf()?;
            let spaces = ahead.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let next = ahead.get(spaces).copied();
            let ended = ahead.is_empty();
            self.source.consume(spaces);
            if next.is_some() || ended {
                return Ok(next);
            }
        }
    }

    fn expect(&mut self, byte: u8, what: &str) -> Result<()> {
        match self.peek()? {
            Some(next) if next == byte => {
                self.source.consume(1);
                Ok(())
            }
            Some(_) => bail!("{}: {what} is expected here", self.source.place()),
            None => bail!("{}: the file ends here, cut short", self.source.place()),
        }
    }

    /// Whether another element stands before this end of a list; what separates them, or the end, is read.
    fn more(&mut self, end: u8) -> Result<bool> {
        match self.peek()? {
            Some(next) if next == end => {
                self.source.consume(1);
                Ok(false)
            }
            Some(b',') => {
                self.source.consume(1);
                match self.peek()? {
                    Some(next) if next == end => bail!("{}: nothing follows the comma", self.source.place()),
                    _ => Ok(true),
                }
            }
            Some(_) => Ok(true),
            None => bail!("{}: the file ends here, cut short", self.source.place()),
        }
    }

    /// The text of the next value, whatever it is.
    fn value(&mut self, into: &mut Vec<u8>) -> Result<()> {
        into.clear();
        self.peek()?;
        let mut scan = Scan::default();
        loop {
            let ahead = self.source.fill_buf()?;
            if ahead.is_empty() {
                bail!("{}: the file ends here, cut short", self.source.place());
            }
            let taken = ahead.iter().position(|byte| scan.ends_before(*byte)).unwrap_or(ahead.len());
            let ended = taken < ahead.len() || scan.ended;
            into.extend_from_slice(ahead.get(..taken).unwrap_or_default());
            self.source.consume(taken);
            if ended && into.is_empty() {
                bail!("{}: a value is expected here", self.source.place());
            }
            if ended {
                return Ok(());
            }
        }
    }
}

/// How far a value has been read.
#[derive(Default)]
struct Scan {
    depth: usize,
    string: bool,
    escaped: bool,
    ended: bool,
}

impl Scan {
    /// Whether the value is over before this byte.
    fn ends_before(&mut self, byte: u8) -> bool {
        if self.ended {
            return true;
        }
        if self.string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => {
                    self.string = false;
                    self.ended = self.depth == 0;
                }
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth == 0 => return true,
            b'}' | b']' => {
                self.depth -= 1;
                self.ended = self.depth == 0;
            }
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => return true,
            _ => {}
        }
        false
    }
}
