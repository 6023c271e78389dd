//! A Bundle in JSON, entry by entry as the file streams: only brackets and strings are looked at until an entry is whole.

use std::io::BufRead;

use anyhow::{Result, bail};
use serde_json::Value;

use super::entry::told;
use super::input::Source;
use super::resources::{Found, Resources};

pub(super) fn read(source: &mut Source<'_>, resources: &mut Resources<'_, '_>) -> Result<()> {
    entries(source, |line, raw| resources.take(found(line, raw)))?;
    resources.end()
}

/// The raw text of each entry, with the line at which it begins.
fn entries(source: &mut Source<'_>, mut each: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
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
                each(line, &raw)?;
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
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};

    use proptest::prelude::*;

    use super::*;
    use crate::cli::import::input::Counted;

    fn cut(text: &str, buffer: usize) -> Result<Vec<(u64, String)>> {
        let inner: Box<dyn Read + '_> = Box::new(text.as_bytes());
        let (mut source, mut found) = (Counted::new(BufReader::with_capacity(buffer, inner)), Vec::new());
        entries(&mut source, |line, raw| {
            found.push((line, String::from_utf8_lossy(raw).into_owned()));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn entries_are_cut_out_wherever_a_buffer_ends() {
        let text = "{\n\"entry\" : [ {\"a\": \"]}\\\"\"},\n\n{\"b\":[1,2]} , 7],\n\"resourceType\":\"Bundle\"}\n";
        for buffer in 1..40 {
            let want = [(2, "{\"a\": \"]}\\\"\"}"), (4, "{\"b\":[1,2]}"), (4, "7")];
            assert_eq!(cut(text, buffer).unwrap(), want.map(|(line, text)| (line, text.to_owned())), "{buffer}");
        }
    }

    #[test]
    fn what_is_cut_short_or_no_bundle_names_its_place() {
        for (text, words) in [
            ("", "line 1, byte 1: the file ends here"),
            ("[]", "line 1, byte 1: a Bundle is expected"),
            ("{\"resourceType\":\n\"Patient\"}", "line 2, byte 10: this is no Bundle"),
            ("{\"entry\":[{\"a\":1}", "line 1, byte 18: the file ends here"),
            ("{\"entry\":[{\"a\":1},]}", "nothing follows the comma"),
            ("{\"entry\":[{\"a\":\"x", "the file ends here"),
            ("{\"entry\":}", "a value is expected"),
            ("{\"entry\" []}", "a colon is expected"),
            ("{\"entry\":[]} x", "more after the Bundle"),
        ] {
            let error = cut(text, 8).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_serde_writes_is_cut_as_it_was(texts in prop::collection::vec("\\PC{0,10}|[\\[\\]{},\":\\\\]{0,8}", 0..6), buffer in 1..30_usize) {
            let bundle = serde_json::json!({"resourceType": "Bundle", "entry": texts}).to_string();
            let back: Vec<String> = cut(&bundle, buffer).unwrap().iter().map(|(_, raw)| serde_json::from_str(raw).unwrap()).collect();
            prop_assert_eq!(back, texts);
        }

        #[test]
        fn any_text_is_cut_or_refused(text in "[\\[\\]{},\":\\\\ a1\n]{0,40}") {
            let _ = cut(&text, 7);
            let _ = cut(&format!("{{\"entry\":[{text}"), 7);
        }
    }
}
