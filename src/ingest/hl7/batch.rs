//! Batches: many messages in one frame, between FHS, BHS and BTS, FTS. Taken apart here and nowhere else; each message
//! is then one like any other, and a batch is answered by a batch. One whose trailers count other numbers than there
//! are has lost something on its way: nothing of it is taken.

use std::ops::Range;

use fhir_r4::Issue;

use super::charset::Charset;
use super::header::Header;
use super::message::{Refusal, Separators};
use super::{Channel, ack};
use crate::fhir::time;

/// What stands around messages: an FHS or a BHS.
#[derive(Clone, Debug)]
struct Envelope {
    /// `FHS` or `BHS`; its fields, as far as an answer needs them, are those of an MSH.
    name: &'static str,
    header: Header,
}

/// The messages of a frame, in groups as they were sent.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    file: Option<Envelope>,
    groups: Vec<Group>,
}

#[derive(Clone, Debug, Default)]
struct Group {
    head: Option<Envelope>,
    messages: Vec<Range<usize>>,
    closed: bool,
}

/// None: this is no batch.
pub fn split(bytes: &[u8]) -> Option<Result<Batch, Refusal>> {
    let start = bytes.iter().position(|b| !b.is_ascii_whitespace() && !matches!(*b, 0xef | 0xbb | 0xbf))?;
    let first = bytes.get(start..start + 3)?;
    matches!(first, b"FHS" | b"BHS").then(|| read(bytes, start))
}

fn read(bytes: &[u8], start: usize) -> Result<Batch, Refusal> {
    let (mut batch, mut over) = (Batch::default(), false);
    let mut at = start;
    for (number, line) in bytes.get(start..).unwrap_or_default().split(|b| matches!(*b, b'\r' | b'\n')).enumerate() {
        let begins = at;
        at += line.len() + 1;
        if line.iter().all(|b| b.is_ascii_whitespace() || matches!(*b, 0 | 0x1a)) {
            continue;
        }
        let wrong = |why| Issue::error("structure", format!("line {}", number + 1), why);
        let done = match line.get(..3) {
            _ if over => Err(wrong("something stands behind the end of the file (FTS)")),
            Some(b"FHS") => envelope("FHS", line).and_then(|envelope| batch.begin_file(envelope)),
            Some(b"BHS") => envelope("BHS", line).map(|envelope| batch.begin(envelope)),
            Some(b"BTS") => batch.end(count(line)),
            Some(b"FTS") => {
                over = true;
                batch.end_file(count(line))
            }
            Some(b"MSH") => {
                batch.message(begins);
                Ok(())
            }
            _ if batch.goes_on(begins) => Ok(()),
            _ => Err(wrong("a segment belongs to no message")),
        };
        done.map_err(|issue| batch.refuse(issue))?;
        if !matches!(line.get(..3), Some(b"FHS" | b"BHS" | b"BTS" | b"FTS")) {
            batch.reaches(begins + line.len());
        }
    }
    Ok(batch)
}

/// An FHS or BHS as a header: the fields that answers need stand where MSH has them, but for the control id.
fn envelope(name: &'static str, line: &[u8]) -> Result<Envelope, Issue> {
    let text: String = line.iter().map(|b| if b.is_ascii() { char::from(*b) } else { '?' }).collect();
    let rest = text.get(3..).unwrap_or_default();
    let at = |issue: Issue| Issue { expression: issue.expression.replace("MSH", name), ..issue };
    let separator = rest.chars().next().unwrap_or_default();
    let fields: Vec<&str> = rest.split(separator).collect();
    let field = |number: usize| fields.get(number - 1).copied().unwrap_or_default();
    let mut own: Vec<&str> = (1..=7).map(field).collect();
    own.extend(["", "", field(11)]);
    let header = Header::parse(&format!("MSH{}", own.join(&separator.to_string())), Charset::UTF_8).map_err(at)?;
    Ok(Envelope { name, header })
}

/// BTS-1 or FTS-1, when it is a number.
fn count(line: &[u8]) -> Option<usize> {
    let separator = line.get(3)?;
    let first = line.split(|b| b == separator).nth(1)?;
    std::str::from_utf8(first).ok()?.trim().parse().ok()
}

impl Batch {
    fn begin_file(&mut self, envelope: Envelope) -> Result<(), Issue> {
        if self.file.is_some() || !self.groups.is_empty() {
            return Err(Issue::error("structure", "FHS[2]", "a second file begins inside this one"));
        }
        self.file = Some(envelope);
        Ok(())
    }

    fn begin(&mut self, envelope: Envelope) {
        self.groups.push(Group { head: Some(envelope), ..Group::default() });
    }

    fn message(&mut self, at: usize) {
        if self.groups.last().is_none_or(|group| group.closed) {
            self.groups.push(Group::default());
        }
        if let Some(group) = self.groups.last_mut() {
            group.messages.push(at..at);
        }
    }

    /// May the last message have one more segment here?
    fn goes_on(&self, at: usize) -> bool {
        self.groups.last().is_some_and(|group| !group.closed && group.messages.last().is_some_and(|m| m.start < at))
    }

    /// The last message goes as far as this.
    fn reaches(&mut self, at: usize) {
        if let Some(last) = self.groups.last_mut().and_then(|group| group.messages.last_mut()) {
            last.end = at;
        }
    }

    fn end(&mut self, count: Option<usize>) -> Result<(), Issue> {
        let number = self.groups.len();
        let Some(group) = self.groups.last_mut().filter(|group| !group.closed) else {
            return Err(Issue::error("structure", "BTS[1]", "a batch ends that has not begun"));
        };
        group.closed = true;
        if count.is_some_and(|count| count != group.messages.len()) {
            let why = "the batch does not hold as many messages as this says";
            return Err(Issue::error("value", format!("BTS[{number}].1"), why));
        }
        Ok(())
    }

    fn end_file(&self, count: Option<usize>) -> Result<(), Issue> {
        if count.is_some_and(|count| count != self.groups.len()) {
            let why = "the file does not hold as many batches as this says";
            return Err(Issue::error("value", "FTS[1].1", why));
        }
        Ok(())
    }

    fn refuse(&self, issue: Issue) -> Refusal {
        let first = self.groups.first().and_then(|group| group.head.as_ref());
        let header = self.file.as_ref().or(first).map(|envelope| Box::new(envelope.header.clone()));
        Refusal { header, rejected: false, issue }
    }

    /// Where the messages stand.
    pub fn messages(&self) -> impl Iterator<Item = Range<usize>> {
        self.groups.iter().flat_map(|group| group.messages.iter().cloned())
    }

    /// The answers to its messages, in their order, as one batch in the sender's own form; none where none are wanted.
    pub fn answer(&self, answers: Vec<Vec<Vec<u8>>>, channel: &Channel, now_us: i64) -> Option<Vec<u8>> {
        if answers.iter().all(Vec::is_empty) {
            return None;
        }
        let mut answers = answers.into_iter();
        let mut text = Vec::new();
        if let Some(file) = &self.file {
            text.extend(file.begin(channel, now_us, 0));
        }
        for (number, group) in (1..).zip(&self.groups) {
            let own: Vec<Vec<u8>> = answers.by_ref().take(group.messages.len()).flatten().collect();
            let count = own.len();
            if let Some(head) = &group.head {
                text.extend(head.begin(channel, now_us, number));
            }
            text.extend(own.concat());
            if let Some(head) = &group.head {
                text.extend(head.end("BTS", count));
            }
        }
        if let Some(file) = &self.file {
            text.extend(file.end("FTS", self.groups.len()));
        }
        Some(text)
    }
}

impl Envelope {
    fn begin(&self, channel: &Channel, now_us: i64, number: usize) -> Vec<u8> {
        let Header { separators, encoding_characters, sending_application, sending_facility, control_id, .. } =
            &self.header;
        let stamp: String = time::instant(now_us).chars().filter(char::is_ascii_digit).take(14).collect();
        let clean = |text: &str| ack::plain(text, separators);
        let fields = [
            self.name,
            encoding_characters,
            &clean(&channel.application),
            &clean(&channel.facility),
            sending_application,
            sending_facility,
            &format!("{stamp}+0000"),
            "",
            "",
            "",
            &format!("{now_us}-{number}"),
            control_id,
        ];
        line(&fields, separators)
    }

    fn end(&self, name: &str, count: usize) -> Vec<u8> {
        line(&[name, &count.to_string()], &self.header.separators)
    }
}

fn line(fields: &[&str], separators: &Separators) -> Vec<u8> {
    let mut text = fields.join(&separators.field.to_string());
    text.push('\r');
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn messages(text: &str) -> Result<Vec<&str>, (String, Option<String>)> {
        match split(text.as_bytes()).expect("a batch") {
            Ok(batch) => Ok(batch.messages().map(|range| text.get(range).unwrap()).collect()),
            Err(refusal) => Err((refusal.issue.expression, refusal.header.map(|header| header.control_id))),
        }
    }

    #[test]
    fn batches_as_they_come() {
        let b = "BHS|^~\\&|A|B|||2026||||b1";
        let table = [
            (format!("{b}\rMSH|1\rPID|1\rMSH|2\rBTS|2\r"), vec!["MSH|1\rPID|1", "MSH|2"]),
            (
                format!("\u{feff}FHS|^~\\&|A\r\n{b}\r\nMSH|1\r\nBTS|1\r\nBHS|^~\\&\r\nMSH|2\r\nBTS\r\nFTS|2"),
                vec!["MSH|1", "MSH|2"],
            ),
            (format!("{b}\rMSH|1\r\rPID\r"), vec!["MSH|1\r\rPID"]),
            ("FHS|^~\\&\rMSH|1\rMSH|2\rFTS|1".to_owned(), vec!["MSH|1", "MSH|2"]),
            (format!("{b}\rBTS|0"), vec![]),
        ];
        for (text, want) in table {
            let found = messages(&text).map(|all| all.iter().map(|m| m.trim_end()).collect::<Vec<_>>());
            assert_eq!(found, Ok(want), "{text}");
        }
        assert!(split(b"MSH|^~\\&|").is_none() && split(b"").is_none());
    }

    #[test]
    fn a_batch_of_the_wild() {
        let text = include_bytes!("../../../tests/data/hl7/pyhl7_sample_batch1.hl7");
        let batch = split(text).unwrap().unwrap();
        assert!(batch.messages().count() > 0);
        for range in batch.messages() {
            super::super::message::parse(&text[range]).unwrap();
        }
    }

    #[test]
    fn what_has_lost_something_is_not_taken() {
        let (b, id) = ("BHS|^~\\&|A|B|||2026||||b1", Some("b1".to_owned()));
        let table = [
            (format!("{b}\rMSH|1\rBTS|2"), "BTS[1].1", id.clone()),
            (format!("{b}\rMSH|1\rBTS|1\rFTS|2"), "FTS[1].1", id.clone()),
            (format!("{b}\rPID|1"), "line 2", id.clone()),
            (format!("{b}\rMSH|1\rBTS|1\rPID|1"), "line 4", id.clone()),
            (format!("{b}\rMSH|1\rBTS|1\rBTS|1"), "BTS[1]", id.clone()),
            (format!("{b}\rMSH|1\rBTS|1\rFTS|1\rMSH|2"), "line 5", id.clone()),
            (format!("{b}\rFHS|^~\\&"), "FHS[2]", id),
            ("BHS|^^".to_owned(), "BHS[1].2", None),
        ];
        for (text, place, id) in table {
            assert_eq!(messages(&text), Err((place.to_owned(), id)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_split_or_refused(lines in prop::collection::vec("(FHS|BHS|BTS|FTS|MSH|PID)?[|^~\\\\&]{0,5}\\PC{0,3}", 0..8)) {
            let text = format!("BHS|^~\\&\r{}", lines.join("\r"));
            if let Some(Ok(batch)) = split(text.as_bytes()) {
                for range in batch.messages() {
                    prop_assert!(text.as_bytes()[range].starts_with(b"MSH"));
                }
                let _ = batch.answer(batch.messages().map(|_| vec![]).collect(), &Channel::default(), 0);
            }
        }
    }
}
