//! Answers: which of AA/AE/AR and CA/CE/CR a sender wants, and how they are written, in its own separators and
//! character set. Texts name places and reasons, never values. Whoever calls this has committed before.

use fhir_r4::{Issue, Severity};

use super::Channel;
use super::charset::Charset;
use super::header::Header;
use super::message::Separators;
use super::query::Answer;
use crate::config::hl7::Acks;
use crate::fhir::time;
use crate::store::Verdict;

/// The answers to a message: one in original mode; in enhanced mode (MSH-15, MSH-16) those that the sender asked for,
/// perhaps none; one rejection where no header could be read. A
/// channel may know better than its senders which ones they take.
pub fn answer(
    header: Option<&Header>,
    verdict: Verdict,
    issues: &[Issue],
    channel: &Channel,
    now_us: i64,
) -> Vec<Vec<u8>> {
    match header {
        Some(header) => codes(header, verdict, channel.acks)
            .into_iter()
            .map(|code| write(header, &code, issues, channel, now_us))
            .collect(),
        None => vec![write(&unknown(), verdict.code(), issues, channel, now_us)],
    }
}

/// The answer to a question, after the accept acknowledgement where one is wanted.
pub fn respond(header: &Header, asked: &Answer, channel: &Channel, now_us: i64) -> Vec<Vec<u8>> {
    let codes = codes(header, Verdict::Accepted, channel.acks);
    let mut all: Vec<Vec<u8>> = Vec::new();
    if codes.iter().any(|code| code == "CA") {
        all.push(write(header, "CA", &[], channel, now_us));
    }
    if codes.iter().any(|code| code == "AA") {
        all.push(written(header, "AA", &[], channel, now_us, Some(asked)));
    }
    all
}

fn codes(header: &Header, verdict: Verdict, acks: Acks) -> Vec<String> {
    let letter = verdict.letter();
    let silent = header.accept_ack.is_empty() && header.application_ack.is_empty();
    if acks == Acks::Original || (acks == Acks::Auto && silent) {
        return vec![format!("A{letter}")];
    }
    let wanted = |condition: &str| match condition {
        "" | "NE" => false,
        "ER" => verdict != Verdict::Accepted,
        "SU" => verdict == Verdict::Accepted,
        // AL, and what nobody has defined: better an answer too many than silence.
        _ => true,
    };
    let mut codes = Vec::new();
    if acks == Acks::Enhanced || wanted(&header.accept_ack) {
        codes.push(format!("C{letter}"));
    }
    if wanted(&header.application_ack) {
        codes.push(format!("A{letter}"));
    }
    codes
}

/// The header to answer to when none could be read.
fn unknown() -> Header {
    let none = String::new;
    Header {
        separators: Separators::default(),
        encoding_characters: "^~\\&".to_owned(),
        sending_application: none(),
        sending_facility: none(),
        receiving_application: none(),
        receiving_facility: none(),
        time: none(),
        kind: (none(), none()),
        control_id: none(),
        processing: "P".to_owned(),
        version: "2.6".to_owned(),
        accept_ack: none(),
        application_ack: none(),
        charset_name: none(),
        charset: Charset::UTF_8,
    }
}

fn write(header: &Header, code: &str, issues: &[Issue], channel: &Channel, now_us: i64) -> Vec<u8> {
    written(header, code, issues, channel, now_us, None)
}

fn written(
    header: &Header,
    code: &str,
    issues: &[Issue],
    channel: &Channel,
    now_us: i64,
    reply: Option<&Answer>,
) -> Vec<u8> {
    let Separators { field, component, .. } = header.separators;
    let clean = |text: &str| plain(text, &header.separators);
    let stamp: String = time::instant(now_us).chars().filter(char::is_ascii_digit).take(14).collect();
    let kind = match clean(&header.kind.1) {
        _ if reply.is_some() => reply.map(|reply| reply.kind.join(&component.to_string())).unwrap_or_default(),
        event if event.is_empty() => "ACK".to_owned(),
        event => format!("ACK{component}{event}{component}ACK"),
    };
    let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { clean(text) };
    let mut msh = vec![
        format!("MSH{field}{}", header.encoding_characters),
        clean(&channel.application),
        clean(&channel.facility),
        header.sending_application.clone(),
        header.sending_facility.clone(),
        format!("{stamp}+0000"),
        String::new(),
        kind,
        format!("{code}{now_us}"),
        or(&header.processing, "P"),
        or(&header.version, "2.6"),
    ];
    if !header.charset_name.is_empty() {
        msh.extend(["", "", "", "", ""].map(str::to_owned));
        msh.push(header.charset_name.clone());
    }
    let mut lines = vec![msh.join(&field.to_string()), ["MSA", code, &header.control_id].join(&field.to_string())];
    // What is only to be known stays with the message that is kept.
    let told = issues.iter().filter(|issue| issue.severity != Severity::Information);
    lines.extend(told.map(|issue| error(issue, header)));
    lines.extend(reply.iter().flat_map(|reply| reply.lines.iter().cloned()));
    let mut text = lines.join("\r");
    text.push('\r');
    header.charset.encode(&text)
}

/// The ERR segment of a problem; before version 2.5 its one field holds place and code together.
fn error(issue: &Issue, header: &Header) -> String {
    let Separators { field, component, subcomponent, .. } = header.separators;
    let place = location(&issue.expression).map(|part| plain(&part, &header.separators));
    let (code, text) = condition(issue.code);
    if !header.since_2_5() {
        let coded = [code, text, "HL70357"].join(&subcomponent.to_string());
        let [segment, sequence, position] = place;
        return format!("ERR{field}{}", [segment, sequence, position, coded].join(&component.to_string()));
    }
    let place = place.join(&component.to_string());
    let coded = [code, text, "HL70357"].join(&component.to_string());
    let severity = match issue.severity {
        Severity::Error => "E",
        Severity::Warning => "W",
        Severity::Information => "I",
    };
    let why = plain(&issue.diagnostics, &header.separators);
    ["ERR", "", place.trim_end_matches(component), &coded, severity, "", "", "", &why].join(&field.to_string())
}

/// `OBX[2].5` as segment, sequence and field. Other places (`line 7`) have no such form and leave it empty.
fn location(place: &str) -> [String; 3] {
    let parts = place.split_once('[').and_then(|(segment, rest)| {
        let (sequence, rest) = rest.split_once(']')?;
        let position = rest.strip_prefix('.').unwrap_or_default();
        let position = if position.bytes().all(|b| b.is_ascii_digit()) { position } else { "" };
        (segment.len() == 3).then(|| [segment, sequence, position].map(str::to_owned))
    });
    parts.unwrap_or_default()
}

/// The code of HL7 table 0357 for a kind of problem.
fn condition(code: &str) -> (&'static str, &'static str) {
    match code {
        "structure" => ("100", "Segment sequence error"),
        "required" => ("101", "Required field missing"),
        "value" | "invalid" => ("102", "Data type error"),
        "code-invalid" => ("103", "Table value not found"),
        "too-long" | "too-costly" => ("104", "Value too long"),
        "not-supported" => ("200", "Unsupported message type"),
        "not-found" => ("204", "Unknown key identifier"),
        "duplicate" => ("205", "Duplicate key identifier"),
        "conflict" | "lock-error" => ("206", "Application record locked"),
        _ => ("207", "Application internal error"),
    }
}

/// Text that breaks no structure: separators and controls become spaces.
pub(super) fn plain(text: &str, separators: &Separators) -> String {
    let Separators { field, component, repetition, escape, subcomponent, .. } = *separators;
    let breaks = |c: char| c.is_control() || [field, component, repetition, escape, subcomponent].contains(&c);
    text.chars().map(|c| if breaks(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Header {
        Header::parse(text, Charset::UTF_8).unwrap()
    }

    fn written(header: &Header, verdict: Verdict, issues: &[Issue]) -> Vec<String> {
        let answers = answer(Some(header), verdict, issues, &Channel::default(), 1_767_323_045_000_000);
        answers.into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
    }

    #[test]
    fn an_answer_in_the_senders_own_way() {
        let sender = header("MSH|^~\\&#|A^1^ISO|F|||2026||ORU^R01^ORU_R01|4\\T\\2|P|2.6||||||8859/1");
        assert_eq!(
            written(&sender, Verdict::Accepted, &[]),
            [
                "MSH|^~\\&#|VIGIA||A^1^ISO|F|20260102030405+0000||ACK^R01^ACK|AA1767323045000000|P|2.6||||||8859/1\rMSA|AA|4\\T\\2\r"
            ]
        );
        let odd = header("MSH$%~*&$A$F$$$$$ORU%R01$42$$2.5");
        let issue = Issue::error("value", "OBX[2].5", "no number $ %");
        let answer = written(&odd, Verdict::Error, &[issue]).remove(0);
        assert!(
            answer.ends_with("MSA$AE$42\rERR$$OBX%2%5$102%Data type error%HL70357$E$$$$no number    \r"),
            "{answer}"
        );
    }

    #[test]
    fn old_versions_have_the_old_error_segment() {
        let old = header("MSH|^~\\&|A|F|||||ORU^R01|42|P|2.3.1");
        let issues = [Issue::error("required", "PID[1].3", "x"), Issue::error("exception", "line 7", "x")];
        let answer = written(&old, Verdict::Error, &issues).remove(0);
        assert!(
            answer.ends_with(
                "ERR|PID^1^3^101&Required field missing&HL70357\rERR|^^^207&Application internal error&HL70357\r"
            ),
            "{answer}"
        );
    }

    #[test]
    fn the_sender_says_which_answers_it_wants_unless_the_channel_does() {
        let (accepted, error, rejected) = (Verdict::Accepted, Verdict::Error, Verdict::Rejected);
        let table = [
            (Acks::Auto, "", "", accepted, "AA"),
            (Acks::Auto, "", "", rejected, "AR"),
            (Acks::Auto, "AL", "NE", accepted, "CA"),
            (Acks::Auto, "NE", "AL", error, "AE"),
            (Acks::Auto, "AL", "AL", accepted, "CA AA"),
            (Acks::Auto, "AL", "ER", accepted, "CA"),
            (Acks::Auto, "AL", "ER", error, "CE AE"),
            (Acks::Auto, "SU", "NE", error, ""),
            (Acks::Auto, "NE", "NE", accepted, ""),
            (Acks::Original, "AL", "NE", accepted, "AA"),
            (Acks::Original, "NE", "NE", error, "AE"),
            (Acks::Enhanced, "", "", accepted, "CA"),
            (Acks::Enhanced, "NE", "NE", rejected, "CR"),
            (Acks::Enhanced, "", "AL", error, "CE AE"),
        ];
        for (acks, accept, application, verdict, want) in table {
            let sender = header(&format!("MSH|^~\\&|A|F|||||ORU^R01|42|P|2.6|||{accept}|{application}"));
            assert_eq!(codes(&sender, verdict, acks).join(" "), want, "{acks:?} {accept} {application}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_answered_all_the_same() {
        let refusal = super::super::message::parse(b"hello").unwrap_err();
        let issues = [refusal.issue.clone()];
        let answers = answer(refusal.header.as_deref(), refusal.verdict(), &issues, &Channel::default(), 0);
        let answer = String::from_utf8(answers[0].clone()).unwrap();
        assert!(answer.contains("\rMSA|AR|\rERR||MSH^1|100^"), "{answer}");
    }

    #[test]
    fn warnings_alone_are_no_error() {
        assert_eq!(Verdict::of(&[]), Verdict::Accepted);
        assert_eq!(Verdict::of(&[Issue::warning("value", "", "")]), Verdict::Accepted);
        assert_eq!(Verdict::of(&[Issue::warning("value", "", ""), Issue::error("value", "", "")]), Verdict::Error);
    }
}
