//! The MSH segment: who sends what to whom, how the message is separated and written, and which answers are
//! wanted. Read leniently and by itself, because even a message that is refused must be answered.

use fhir_r4::Issue;

use super::charset::{Charset, NoText};
use super::message::Separators;

/// What an answer needs of the message; texts are as they were sent, in the sender's separators.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    pub separators: Separators,
    /// MSH-2
    pub encoding_characters: String,
    pub sending_application: String,
    pub sending_facility: String,
    pub receiving_application: String,
    pub receiving_facility: String,
    /// MSH-7
    pub time: String,
    /// MSH-9, its first two components.
    pub kind: (String, String),
    /// MSH-10
    pub control_id: String,
    /// MSH-11: `P` production, `T` training, `D` debugging.
    pub processing: String,
    pub version: String,
    /// MSH-15 and MSH-16: which answers are wanted.
    pub accept_ack: String,
    pub application_ack: String,
    /// MSH-18
    pub charset_name: String,
    pub charset: Charset,
}

impl Header {
    /// Reads the first line of a message.
    pub(super) fn parse(text: &str, charset: Charset) -> Result<Self, Issue> {
        let line = text.split(['\r', '\n']).next().unwrap_or_default();
        let Some(rest) = line.strip_prefix("MSH") else {
            return Err(Issue::error("structure", "MSH[1]", "a message begins with MSH"));
        };
        let separator = rest.chars().next().filter(|c| may_separate(*c));
        let field = separator.ok_or_else(|| Issue::error("structure", "MSH[1].1", "this cannot separate fields"))?;
        let fields: Vec<&str> = rest.split(field).collect();
        let field_at = |number: usize| fields.get(number - 1).copied().unwrap_or_default();
        let separators = separators(field, field_at(2))?;
        let whole = |number: usize| field_at(number).to_owned();
        let part = |number: usize, part: usize| {
            field_at(number).split(separators.component).nth(part - 1).unwrap_or_default().trim().to_owned()
        };
        Ok(Self {
            separators,
            encoding_characters: whole(2),
            sending_application: whole(3),
            sending_facility: whole(4),
            receiving_application: whole(5),
            receiving_facility: whole(6),
            time: part(7, 1),
            kind: (part(9, 1), part(9, 2)),
            control_id: whole(10),
            processing: part(11, 1),
            version: part(12, 1),
            accept_ack: part(15, 1),
            application_ack: part(16, 1),
            charset_name: whole(18),
            charset,
        })
    }

    /// The character set that MSH-18 names, found in bytes that are not decoded yet: all sets that it can name write
    /// the header's separators as ASCII does. None: it names none.
    pub(super) fn charset(bytes: &[u8]) -> Option<Result<Charset, NoText>> {
        let line = bytes.split(|b| matches!(*b, b'\r' | b'\n')).next().unwrap_or_default();
        let (field, repetition) = (line.get(3)?, line.get(5)?);
        let named = line.split(|b| b == field).nth(17)?;
        let named: String = named.iter().copied().filter(u8::is_ascii).map(char::from).collect();
        (!matches!(named.trim(), "" | "\"\"")).then(|| Charset::listed(&named, char::from(*repetition)))
    }

    /// Is it marked as training or debugging? Then nothing of it may alert.
    pub fn is_test(&self) -> bool {
        matches!(self.processing.as_str(), "T" | "D")
    }

    /// Is the version at least 2.5, where ERR has its present form? Unknown versions count as new.
    pub fn since_2_5(&self) -> bool {
        let mut numbers = self.version.split('.').map(|n| n.parse::<u32>().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(major), Some(minor)) => (major, minor) >= (2, 5),
            _ => true,
        }
    }
}

fn separators(field: char, encoding: &str) -> Result<Separators, Issue> {
    // Senders that escape twice write the escape character twice: it is one all the same.
    let mut letters: Vec<char> = encoding.chars().collect();
    if letters.len() > 4 && letters.get(2) == letters.get(3) {
        letters.remove(3);
    }
    let (four, truncation) = match letters.as_slice() {
        [four @ .., truncation] if letters.len() == 5 => (four, Some(*truncation)),
        four => (four, None),
    };
    let [component, repetition, escape, subcomponent] = *four else {
        return Err(Issue::error("value", "MSH[1].2", "four or five separators are needed"));
    };
    let all: Vec<char> = [Some(field), truncation].into_iter().flatten().chain(four.iter().copied()).collect();
    let different =
        all.iter().enumerate().all(|(at, c)| may_separate(*c) && all.iter().skip(at + 1).all(|other| other != c));
    if !different {
        return Err(Issue::error(
            "value",
            "MSH[1].2",
            "the separators must be different and neither letters nor digits",
        ));
    }
    Ok(Separators { field, component, repetition, escape, subcomponent, truncation })
}

fn may_separate(c: char) -> bool {
    c.is_ascii_punctuation()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Header, &'static str> {
        Header::parse(text, Charset::UTF_8).map_err(|issue| issue.code)
    }

    #[test]
    fn headers_as_they_come() {
        let header =
            parse("MSH|^~\\&#|A^1^ISO|B|C|D|2026||ORU^R01^ORU_R01|42|T|2.3.1|||AL|NE||8859/1~X\rPID|||7").unwrap();
        assert_eq!((header.sending_application.as_str(), header.control_id.as_str()), ("A^1^ISO", "42"));
        assert_eq!(header.kind, ("ORU".to_owned(), "R01".to_owned()));
        assert_eq!((header.accept_ack.as_str(), header.application_ack.as_str()), ("AL", "NE"));
        assert!(header.is_test() && !header.since_2_5());
        let named = Header::charset(b"MSH|^~\\&||||||||||||||||8859/1~X|\rPID");
        assert_eq!(named, Some(Charset::named("8859/1")));
        assert_eq!((Header::charset(b"MSH"), Header::charset(b"MSH|^~\\&||||||||||||||||\"\"")), (None, None));
        assert!(parse("MSH|^~\\&").unwrap().since_2_5());
        assert_eq!(parse("MSH|^~\\\\&").unwrap().separators, Separators::default());
        assert!(parse("MSH|^~\\&|||||||||P|2.8.2").unwrap().since_2_5());
    }

    #[test]
    fn what_is_no_header() {
        for (text, code) in [
            ("", "structure"),
            ("PID|1", "structure"),
            ("MSH", "structure"),
            ("MSHA", "structure"),
            ("MSH|", "value"),
            ("MSH|^~\\|A", "value"),
            ("MSH|^^\\&|A", "value"),
            ("MSH|^~\\&#$|A", "value"),
            ("MSH|^~\\a|A", "value"),
            ("FHS|^~\\&|", "structure"),
            ("BHS|^~\\&|", "structure"),
        ] {
            assert_eq!(parse(text), Err(code), "{text}");
        }
    }
}
