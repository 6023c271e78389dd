//! An HL7 v2 message taken apart: bytes to text by its character set, text to segments by our own splitter,
//! and only then each single segment by `hl7_parser`, which would drop everything behind an odd line and
//! whose escape decoder can panic. What a segment means has no place here.
//!
//! Every line of a message is a segment of it, or the message is refused with the place: nothing disappears.

use std::ops::Range;

use fhir_r4::Issue;
use hl7_parser::message as hl7;

use super::charset::{Charset, NoText};
use super::header::Header;
pub use crate::hl7::Separators;
use crate::hl7::escape;
use crate::store::Verdict;

/// More parts in one segment than any device sends; the parser's tree would eat the memory.
const MAX_PARTS: usize = 50_000;

/// Why a message is not taken at all. The header is there as far as one could be read, for the answer.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub header: Option<Box<Header>>,
    /// Nothing wrong with the sender's data, but not for this server (AR), or broken (AE)?
    pub rejected: bool,
    pub issue: Issue,
}

impl Refusal {
    pub fn verdict(&self) -> Verdict {
        if self.rejected { Verdict::Rejected } else { Verdict::Error }
    }
}

/// A message whose every line is a segment.
#[derive(Clone, Debug)]
pub struct Message {
    header: Header,
    text: String,
    lines: Vec<Range<usize>>,
}

/// Takes a message apart.
pub fn parse(bytes: &[u8]) -> Result<Message, Refusal> {
    parse_as(bytes, Charset::UTF_8)
}

/// The same, of a sender whose messages are in this set unless they say otherwise.
pub fn parse_as(bytes: &[u8], unless_named: Charset) -> Result<Message, Refusal> {
    let (text, charset) = read(bytes, unless_named)?;
    let text = text.trim_start_matches(['\u{feff}', '\r', '\n', ' ', '\0']).to_owned();
    let header = Header::parse(&text, charset).map_err(|issue| Refusal { header: None, rejected: true, issue })?;
    let refuse = |issue| Refusal { header: Some(Box::new(header.clone())), rejected: false, issue };
    let mut lines = Vec::new();
    let mut at = 0;
    for line in text.split(['\r', '\n']) {
        let range = at..at + line.len();
        at = range.end + 1;
        if line.chars().all(|c| c.is_whitespace() || c == '\0' || c == '\u{1a}') {
            continue;
        }
        well_formed(line, lines.len(), &header.separators).map_err(refuse)?;
        lines.push(range);
    }
    Ok(Message { header, text, lines })
}

fn well_formed(line: &str, before: usize, separators: &Separators) -> Result<(), Issue> {
    let place = || format!("line {}", before + 1);
    let name = line.get(..3).filter(|name| is_name(name));
    let rest = line.get(3..).unwrap_or_default();
    if name.is_none() || !(rest.is_empty() || rest.starts_with(separators.field)) {
        return Err(Issue::error(
            "structure",
            place(),
            "a line is no segment; a line break inside a value is written as \\.br\\",
        ));
    }
    if name == Some("MSH") && before > 0 {
        return Err(Issue::error("structure", place(), "a second message begins inside this one"));
    }
    let parts = [separators.field, separators.component, separators.repetition, separators.subcomponent];
    if line.chars().filter(|c| parts.contains(c)).count() > MAX_PARTS {
        return Err(Issue::error("too-long", place(), "a segment has too many parts"));
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// The text of a message, and the character set that its answer is written in.
fn read(bytes: &[u8], unless_named: Charset) -> Result<(String, Charset), Refusal> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let bytes = bytes.trim_ascii_start();
    let charset = Charset::wide(bytes).map(Ok).or_else(|| Header::charset(bytes)).unwrap_or(Ok(unless_named));
    charset.and_then(|charset| charset.decode(bytes)).map_err(|why| {
        let issue = match why {
            NoText::Unknown => Issue::error("code-invalid", "MSH[1].18", "this character set is not known here"),
            NoText::Invalid => Issue::error("value", "MSH[1].18", "the message is not written in its character set"),
        };
        // The header alone may well be readable: it is needed for the answer.
        let first: Vec<u8> = bytes
            .iter()
            .copied()
            .take_while(|b| !matches!(b, b'\r' | b'\n'))
            .map(|b| if b.is_ascii() { b } else { b'?' })
            .collect();
        let header = String::from_utf8(first).ok().and_then(|line| Header::parse(&line, Charset::UTF_8).ok());
        Refusal { header: header.map(Box::new), rejected: false, issue }
    })
}

impl Message {
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many segments there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The segments of these names that can be read, in their order.
    pub fn named<'m>(&'m self, names: &'m [&str]) -> impl Iterator<Item = Segment<'m>> {
        let lines = self.lines.iter().filter_map(|range| self.text.get(range.clone()));
        let named = lines.filter(|line| names.iter().any(|name| line.starts_with(name)));
        named.filter_map(|line| Segment::parse(line, &self.header.separators))
    }

    /// A refusal of this message.
    pub fn refuse(&self, rejected: bool, issue: Issue) -> Refusal {
        Refusal { header: Some(Box::new(self.header.clone())), rejected, issue }
    }

    /// The segments in their order, each taken apart when its turn comes. One that the parser does not take
    /// whole refuses the message.
    pub fn segments(&self) -> impl Iterator<Item = Result<Segment<'_>, Refusal>> {
        self.lines.iter().enumerate().map(|(at, range)| {
            let line = self.text.get(range.clone()).unwrap_or_default();
            Segment::parse(line, &self.header.separators).ok_or_else(|| {
                self.refuse(false, Issue::error("structure", format!("line {}", at + 1), "a segment cannot be read"))
            })
        })
    }
}

/// One segment. Fields, components and subcomponents count from one; what is not there is empty.
#[derive(Clone, Debug)]
pub struct Segment<'m> {
    pub name: &'m str,
    /// The whole line.
    pub line: &'m str,
    fields: Vec<hl7::Field<'m>>,
    separators: &'m Separators,
}

impl<'m> Segment<'m> {
    fn parse(line: &'m str, separators: &'m Separators) -> Option<Self> {
        let name = line.get(..3)?;
        if name.len() == line.len() {
            return Some(Self { name, line, fields: Vec::new(), separators });
        }
        let theirs = hl7::Separators {
            field: separators.field,
            component: separators.component,
            subcomponent: separators.subcomponent,
            repetition: separators.repetition,
            escape: separators.escape,
            lenient_newlines: false,
        };
        let parsed = hl7_parser::parser::parse_segment_with_separators(line, theirs).ok()?;
        (parsed.raw_value().len() == line.len()).then_some(Self { name, line, fields: parsed.fields, separators })
    }

    fn field(&self, number: usize) -> Option<&hl7::Field<'m>> {
        // MSH-1 is the separator itself and no field to the parser.
        let shift = if self.name == "MSH" { 2 } else { 1 };
        self.fields.get(number.checked_sub(shift)?)
    }

    /// The field as it was sent, with its separators and escapes.
    pub fn raw(&self, field: usize) -> &'m str {
        self.field(field).map_or("", hl7::Field::raw_value)
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len() + usize::from(self.name == "MSH")
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Does the field hold anything? HL7's `""` (there is none) counts as nothing.
    pub fn has(&self, field: usize) -> bool {
        !matches!(self.raw(field).trim(), "" | "\"\"")
    }

    /// Is the field HL7's `""`: what is known shall be taken away? A field that is not there says nothing.
    pub fn clears(&self, field: usize) -> bool {
        self.raw(field).trim() == "\"\""
    }

    /// The repetitions of a field that hold anything.
    pub fn repetitions(&self, field: usize) -> impl Iterator<Item = Repetition<'_, 'm>> {
        let all = self.field(field).map_or(&[][..], |field| field.repeats.as_slice());
        all.iter()
            .map(|repeat| Repetition { repeat, separators: self.separators })
            .filter(|r| !r.repeat.raw_value().trim().is_empty())
    }

    /// A component of the first repetition, decoded.
    pub fn text(&self, field: usize, component: usize) -> String {
        self.repetitions(field).next().map(|r| r.text(component)).unwrap_or_default()
    }
}

/// One repetition of a field.
#[derive(Clone, Copy, Debug)]
pub struct Repetition<'s, 'm> {
    repeat: &'s hl7::Repeat<'m>,
    separators: &'m Separators,
}

impl Repetition<'_, '_> {
    /// The first subcomponent of a component, decoded.
    pub fn text(&self, component: usize) -> String {
        self.part(component, 1)
    }

    /// A subcomponent of a component, decoded and without the spaces around it.
    pub fn part(&self, component: usize, subcomponent: usize) -> String {
        let component = component.checked_sub(1).and_then(|at| self.repeat.components.get(at));
        let part = component.and_then(|c| subcomponent.checked_sub(1).and_then(|at| c.subcomponents.get(at)));
        let text = part.map_or("", |part| part.value);
        if text == "\"\"" { String::new() } else { escape::decode(text, self.separators).trim().to_owned() }
    }

    /// The repetition as one text: of a value that is nothing but text, separators are text too.
    pub fn whole(&self) -> String {
        escape::decode(self.repeat.raw_value(), self.separators).into_owned()
    }

    pub fn components(&self) -> usize {
        self.repeat.components.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = r"MSH|^~\&|APP|FAC|||20260102030405||ORU^R01^ORU_R01|42|P|2.6";

    fn names(body: &str) -> Vec<String> {
        let message = parse(body.as_bytes()).unwrap();
        message.segments().map(|s| s.unwrap().name.to_owned()).collect()
    }

    fn refused(body: &[u8]) -> (&'static str, String) {
        let refusal = parse(body).unwrap_err();
        (refusal.issue.code, refusal.issue.expression)
    }

    #[test]
    fn every_line_is_a_segment() {
        for end in ["\r", "\n", "\r\n", "\r\r\n"] {
            let body = [HEAD, "PID|1||7^^^A", "PD1", "ZZ9|x", "OBX|1|NM"].join(end);
            assert_eq!(names(&format!("\r\n{body}{end} {end}")), ["MSH", "PID", "PD1", "ZZ9", "OBX"]);
        }
        for bad in ["PI|1", " PID|1", "continued text", "pid|1", "PIDX|1", "É|x", HEAD] {
            assert_eq!(
                refused(format!("{HEAD}\r{bad}\rOBX|1").as_bytes()),
                ("structure", "line 2".to_owned()),
                "{bad}"
            );
        }
        assert_eq!(refused(format!("{HEAD}\rOBX|{}", "^".repeat(60_000)).as_bytes()).0, "too-long");
    }

    #[test]
    fn parts_of_a_segment() {
        let body = format!("{HEAD}\rPID|1|\"\"|^^^X~7\\T\\8^^^&1.2.3&ISO|a\\.br\\b| z ");
        let message = parse(body.as_bytes()).unwrap();
        let segments: Vec<Segment> = message.segments().map(Result::unwrap).collect();
        let (msh, pid) = (&segments[0], &segments[1]);
        assert_eq!(
            (msh.text(10, 1).as_str(), msh.raw(9), msh.raw(2), msh.text(9, 3).as_str()),
            ("42", "ORU^R01^ORU_R01", r"^~\&", "ORU_R01")
        );
        assert_eq!(pid.repetitions(3).map(|r| r.text(1)).collect::<Vec<_>>(), ["", "7&8"]);
        assert_eq!(pid.repetitions(3).nth(1).unwrap().part(4, 2), "1.2.3");
        assert_eq!(
            (pid.text(4, 1).as_str(), pid.text(5, 1).as_str(), pid.text(99, 1).as_str(), pid.text(0, 0).as_str()),
            ("a\nb", "z", "", "")
        );
        assert!(!pid.has(2) && pid.has(1) && pid.clears(2) && !pid.clears(1) && !pid.clears(9));
    }

    #[test]
    fn other_separators_and_sets() {
        let odd = "MSH$%~*&#$APP$FAC$$$$$ORU%R01$42\rPID$$$7%%%A*S*B";
        let message = parse(odd.as_bytes()).unwrap();
        assert_eq!((message.header().control_id.as_str(), message.header().separators.truncation), ("42", Some('#')));
        assert_eq!(message.segments().nth(1).unwrap().unwrap().text(3, 4), "A%B");
        let utf16: Vec<u8> = HEAD.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(parse(&utf16).unwrap().header().control_id, "42");
        let latin = [HEAD.as_bytes(), b"||||||8859/1\rPID|||7||L\xf3f"].concat();
        assert_eq!(parse(&latin).unwrap().segments().nth(1).unwrap().unwrap().text(5, 1), "Lóf");
        let broken = [HEAD.as_bytes(), b"||||||UNICODE UTF-8\rPID|||7||L\xf3f"].concat();
        assert_eq!(parse(&broken).unwrap_err().header.unwrap().control_id, "42");
        assert_eq!(
            refused(&[HEAD.as_bytes(), b"||||||CNS 11643-1992\r"].concat()),
            ("code-invalid", "MSH[1].18".to_owned())
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60), tail in "([A-Z]{2,3}|[|^~\\\\&\r\n]|\\PC){0,40}") {
            let _ = parse(&bytes);
            if let Ok(message) = parse(format!("{HEAD}\r{tail}").as_bytes()) {
                prop_assert_eq!(message.segments().flatten().count(), message.len());
            }
        }
    }
}
