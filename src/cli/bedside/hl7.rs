//! Readings of one patient as an ORU^R01 message, and what the answer to it says: texts only, no sockets. Codes
//! are MDC where the monitor's nomenclature has one, LOINC otherwise.

use super::reading::{Measure, Reading};
use super::ward::{AUTHORITY, Bed, DEVICE};
use crate::fhir::time;
use crate::normalize::codes::{DIASTOLIC, MEAN, SYSTOLIC, is_loinc};

/// LOINC, and what monitors call it.
const MDC: [(&str, &str); 8] = [
    ("8867-4", "147842^MDC_ECG_HEART_RATE^MDC"),
    ("8889-8", "149530^MDC_PULS_OXIM_PULS_RATE^MDC"),
    ("9279-1", "151562^MDC_RESP_RATE^MDC"),
    ("59408-5", "150456^MDC_PULS_OXIM_SAT_O2^MDC"),
    ("8310-5", "150364^MDC_TEMP_BODY^MDC"),
    (SYSTOLIC, "150021^MDC_PRESS_BLD_NONINV_SYS^MDC"),
    (DIASTOLIC, "150022^MDC_PRESS_BLD_NONINV_DIA^MDC"),
    (MEAN, "150023^MDC_PRESS_BLD_NONINV_MEAN^MDC"),
];

/// The message; `control_id` is told back by its answer.
pub(in crate::cli) fn message(bed: &Bed, readings: &[Reading], control_id: &str, now: i64) -> Vec<u8> {
    let person = &bed.person;
    let mut lines = vec![
        format!(
            "MSH|^~\\&|VIGIA_DEMO|WARD_A|VIGIA||{}||ORU^R01^ORU_R01|{control_id}|P|2.6||||||UNICODE UTF-8",
            stamp(now)
        ),
        format!(
            "PID|1||{}^^^{AUTHORITY}^MR||{}^{}",
            escape(&person.mrn),
            escape(&person.family),
            escape(&person.given)
        ),
        format!("OBR|1||{control_id}|182777000^monitoring of patient^SCT|||{}", stamp(now)),
    ];
    let device = format!("{}^^{DEVICE}^URN", escape(&person.serial()));
    let mut obx = |kind: &str, code: &str, value: &str, unit: &str, reading: &Reading| {
        let (number, status) = (lines.len() - 2, letter(reading.status));
        let (code, value) = (coded(code), escape(value));
        let unit = if unit.is_empty() { String::new() } else { format!("{}^^UCUM", escape(unit)) };
        lines.push(format!(
            "OBX|{number}|{kind}|{code}||{value}|{unit}|||||{status}|||{}||||{device}",
            stamp(reading.at)
        ));
    };
    for reading in readings {
        match &reading.what {
            Measure::Number { code, value, unit } => {
                obx("NM", code, value, unit.as_deref().unwrap_or_default(), reading);
            }
            Measure::Pressure { systolic, diastolic, mean } => {
                obx("NM", SYSTOLIC, systolic, "mm[Hg]", reading);
                obx("NM", DIASTOLIC, diastolic, "mm[Hg]", reading);
                if let Some(mean) = mean {
                    obx("NM", MEAN, mean, "mm[Hg]", reading);
                }
            }
            Measure::Text { code, value } => obx("ST", code, value, "", reading),
        }
    }
    let mut text = lines.join("\r");
    text.push('\r');
    text.into_bytes()
}

/// The answer's verdict (MSA-1) when it is about this message, and whether it blames the server alone, so that
/// sending again may help.
pub(in crate::cli) fn verdict(answer: &[u8], control_id: &str) -> Option<(String, bool)> {
    let text = String::from_utf8_lossy(answer);
    let mut fields = text.split('\r').find_map(|line| line.strip_prefix("MSA|"))?.split('|');
    let code = fields.next()?.to_owned();
    let busy = text.split('\r').filter_map(|line| line.strip_prefix("ERR|")).any(|err| err.contains("207^"));
    (fields.next() == Some(control_id)).then_some((code, busy))
}

fn coded(code: &str) -> String {
    match MDC.iter().find(|(loinc, _)| *loinc == code) {
        Some((_, mdc)) => (*mdc).to_owned(),
        None if is_loinc(code) => format!("{}^^LN", escape(code)),
        None => format!("{}^^VIGIA", escape(code)),
    }
}

/// OBX-11 of an `Observation.status`.
fn letter(status: &str) -> &'static str {
    match status {
        "final" => "F",
        "amended" => "A",
        "corrected" => "C",
        "cancelled" => "X",
        "entered-in-error" => "W",
        "registered" => "I",
        _ => "P",
    }
}

/// `20260102030405.000+0000`
fn stamp(us: i64) -> String {
    let digits: String = time::instant(us).chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    format!("{digits}+0000")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' => escaped.push_str("\\F\\"),
            '^' => escaped.push_str("\\S\\"),
            '&' => escaped.push_str("\\T\\"),
            '~' => escaped.push_str("\\R\\"),
            '\\' => escaped.push_str("\\E\\"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::ward::{MRN, Person};
    use super::*;
    use crate::ingest::hl7::{self, Channel};
    use crate::normalize::draft::{Draft, Measured, Subject};

    const AT: i64 = 1_767_323_045_250_000;

    fn drafts(person: Person, measures: Vec<Measure>) -> Vec<Draft> {
        let bed = Bed { person, patient: String::new(), encounter: String::new(), device: String::new() };
        let readings: Vec<Reading> =
            measures.into_iter().map(|what| Reading { at: AT, status: "final", what }).collect();
        let channel = Channel { assigning_authorities: vec![(AUTHORITY.into(), MRN.into())], ..Channel::default() };
        let read = hl7::read(&message(&bed, &readings, "c1", AT), &channel).unwrap();
        read.mapped.items.into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn the_listener_reads_what_a_monitor_writes() {
        let text = Measure::Text { code: "o2-device".into(), value: "a|b^c & d\\".into() };
        let pressure = Measure::Pressure { systolic: "120".into(), diastolic: "80".into(), mean: Some("93".into()) };
        let measures = vec![
            Measure::number("8867-4", "72".into(), "/min"),
            pressure,
            text,
            Measure::number("9269-2", "15".into(), "{score}"),
        ];
        let drafts = drafts(Person::recorded(0, "a^b"), measures);
        let whom = |system: &str, value: &str| Subject::Identifier { system: Some(system.into()), value: value.into() };
        assert!(
            drafts
                .iter()
                .all(|d| d.subject == Some(whom(MRN, "a^b")) && d.device == Some(whom(DEVICE, "monitor-R-01")))
        );
        assert!(
            drafts.iter().all(|d| d.effective.as_deref() == Some("2026-01-02T03:04:05.250Z") && d.status == "final")
        );
        assert_eq!(drafts[0].code[0].code, "147842");
        assert_eq!(drafts[1].components.len(), 3);
        assert_eq!(drafts[2].value, Measured::Text("a|b^c & d\\".into()));
        assert_eq!(drafts[2].code[0].system, super::super::reading::OWN_CODES);
        assert_eq!(drafts[3].code[0].system, crate::fhir::LOINC);
    }

    #[test]
    fn an_answer_is_about_its_own_message() {
        let ack = b"MSH|^~\\&|VIGIA\rMSA|AA|c1\r";
        assert_eq!(verdict(ack, "c1"), Some(("AA".into(), false)));
        assert_eq!(verdict(ack, "c2"), None);
        assert_eq!(verdict(b"MSA|AE|c1\rERR||OBX^1|207^x^y|E\r", "c1"), Some(("AE".into(), true)));
        assert_eq!(verdict(b"", "c1"), None);
    }
}
