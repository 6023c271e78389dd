//! Readings as a table with a header, one a row. Comma, semicolon or tab, whichever the header has; with semicolons a
//! decimal may have a comma.
//!
//! | column | what |
//! |---|---|
//! | `time` | FHIR dateTime with zone; empty: the time of receipt |
//! | `patient` | as in the compact form; empty: whoever the device is at; `patient_mrn`: the value of an identifier alone |
//! | `device` | as in the compact form; `device_id`: the value of an identifier alone |
//! | `code` | as in the compact form, or the name of a metric (`heartRate`) |
//! | `value` | a number or a text; of `bp` systolic/diastolic: `120/80` or `120/80/93` |
//! | `unit` | UCUM, or what devices usually write for it; empty: that of the metric |
//! | `end`, `id`, `status`, `note`, `test`, `absent` | as in the compact form |
//!
//! `code` and `value` are needed, the others may be missing. A row that is wrong never harms its neighbours.

use fhir_r4::Issue;
use serde_json::{Map, Number, Value};

use super::{Item, MAX_ITEMS, Rejected, enough, metric, reading};
use crate::normalize::{codes, decimal};

const COLUMNS: [&str; 14] = [
    "time",
    "patient",
    "patient_mrn",
    "device",
    "device_id",
    "code",
    "value",
    "unit",
    "end",
    "id",
    "status",
    "note",
    "test",
    "absent",
];
const HEADER: &str = "line 1";

/// Reads a table. `common`: the patient and the device of rows that name none; `sender` as it is known from its
/// credentials.
pub fn parse(body: &[u8], common: &Map<String, Value>, sender: &str) -> Result<Vec<Item>, Issue> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let delimiter = delimiter(body);
    let mut rows = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(body);
    let header = rows.headers().map_err(|_| Issue::error("structure", HEADER, "the header is no text in UTF-8"))?;
    let columns = columns(header)?;
    let mut items: Vec<Item> = Vec::new();
    let mut lines = Lines { body, at: 0, line: 1 };
    for row in rows.into_records().take(MAX_ITEMS + 1) {
        let position = match &row {
            Ok(row) => row.position(),
            Err(error) => error.position(),
        };
        let place = format!("line {}", lines.of(position.map_or(0, csv::Position::byte)));
        items.push(item(row, place, &columns, common, sender, delimiter == b';'));
    }
    enough(items.len())?;
    Ok(items)
}

/// Counts lines as an editor does.
struct Lines<'b> {
    body: &'b [u8],
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of a row that begins at this byte, or after the ends of lines that stand there.
    fn of(&mut self, byte: u64) -> usize {
        let byte = usize::try_from(byte).unwrap_or(usize::MAX);
        while let Some(next) = self.body.get(self.at).filter(|next| self.at < byte || matches!(next, b'\r' | b'\n')) {
            self.line += usize::from(*next == b'\n');
            self.at += 1;
        }
        self.line
    }
}

/// What the header is cut by.
fn delimiter(body: &[u8]) -> u8 {
    let header = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |delimiter: u8| header.split(|byte| *byte == delimiter).count();
    [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

fn columns(header: &csv::StringRecord) -> Result<Vec<&'static str>, Issue> {
    let mut columns: Vec<&'static str> = Vec::new();
    for (at, name) in header.iter().enumerate() {
        let name = name.trim().to_ascii_lowercase();
        let Some(known) = COLUMNS.iter().find(|column| **column == name) else {
            let why = format!("column {} is none of {}", at + 1, COLUMNS.join(", "));
            return Err(Issue::error("structure", HEADER, why));
        };
        if columns.contains(known) {
            return Err(Issue::error("structure", HEADER, format!("the column {known} stands twice")));
        }
        columns.push(known);
    }
    for needed in ["code", "value"] {
        if !columns.contains(&needed) {
            return Err(Issue::error("required", HEADER, format!("the column {needed} is missing")));
        }
    }
    Ok(columns)
}

fn item(
    row: Result<csv::StringRecord, csv::Error>,
    place: String,
    columns: &[&'static str],
    common: &Map<String, Value>,
    sender: &str,
    comma: bool,
) -> Item {
    let Ok(row) = row else {
        let issues = vec![Issue::error("structure", place.clone(), "the line is no text in UTF-8")];
        return Err(Rejected { place, issues });
    };
    let object = match object(&row, columns, comma) {
        Ok(object) => object,
        Err((member, why)) => {
            let issue = Issue::error("value", format!("{place}.{member}"), why);
            return Err(Rejected { place, issues: vec![issue] });
        }
    };
    reading::draft(&object, common, &place, sender).map_err(|issues| Rejected { place, issues })
}

type Wrong = (&'static str, &'static str);

/// A row as a reading of the compact form.
fn object(row: &csv::StringRecord, columns: &[&'static str], comma: bool) -> Result<Map<String, Value>, Wrong> {
    if row.len() > columns.len() {
        return Err(("value", "the line has more fields than the header"));
    }
    let field = |name: &str| {
        let at = columns.iter().position(|column| *column == name)?;
        row.get(at).map(str::trim).filter(|text| !text.is_empty())
    };
    let mut object = Map::new();
    for name in ["time", "patient", "device", "end", "id", "status", "note", "absent"] {
        object.extend(field(name).map(|text| (name.to_owned(), text.into())));
    }
    for (name, member) in [("patient_mrn", "patient"), ("device_id", "device")] {
        let Some(text) = field(name) else { continue };
        if object.insert(member.to_owned(), format!("|{text}").into()).is_some() {
            return Err((name, "this is said twice"));
        }
    }
    match field("test") {
        None | Some("false") => {}
        Some("true") => _ = object.insert("test".to_owned(), true.into()),
        Some(_) => return Err(("test", "true or false is needed")),
    }
    let code = field("code").ok_or(("code", "the code is missing"))?;
    let mut unit = field("unit");
    let spelled = code.contains(['|', ':']) || codes::is_loinc(code) || code == "bp";
    match metric::named(code).filter(|_| !spelled) {
        Some(metric) => {
            unit = unit.or(Some(&metric.unit));
            let codings = metric.code().into_iter().map(|c| Value::from(format!("{}|{}", c.system, c.code)));
            object.insert("code".to_owned(), codings.collect());
        }
        None => _ = object.insert("code".to_owned(), code.into()),
    }
    match field("value") {
        None => unit = unit.filter(|_| !object.contains_key("absent")),
        Some(value) if code == "bp" => pressure(&mut object, value, comma)?,
        Some(value) => _ = object.insert("value".to_owned(), number(value, comma).unwrap_or_else(|| value.into())),
    }
    object.extend(unit.map(|unit| ("unit".to_owned(), unit.into())));
    Ok(object)
}

fn number(text: &str, comma: bool) -> Option<Value> {
    let text = if comma { text.replacen(',', ".", 1) } else { text.to_owned() };
    decimal(&text)?.parse::<Number>().ok().map(Value::Number)
}

fn pressure(object: &mut Map<String, Value>, value: &str, comma: bool) -> Result<(), Wrong> {
    let parts: Option<Vec<Value>> = value.split('/').map(|part| number(part.trim(), comma)).collect();
    let parts = parts.filter(|parts| (2..=3).contains(&parts.len()));
    let parts = parts.ok_or(("value", "systolic/diastolic or systolic/diastolic/mean is needed"))?;
    let names = ["systolic", "diastolic", "mean"];
    object.extend(names.iter().map(|name| (*name).to_owned()).zip(parts));
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::normalize::draft::{Measured, Subject};

    fn rows(body: &str) -> Vec<Item> {
        parse(body.as_bytes(), &Map::new(), "s").unwrap()
    }

    /// Places of good rows with code and value, of others what is wrong.
    fn told(body: &str) -> Vec<String> {
        let row = |item: &Item| match item {
            Ok(draft) => match &draft.value {
                Measured::Quantity { value, unit, .. } => {
                    format!("{} {} {value} {}", draft.place, draft.code[0].code, unit.as_ref().map_or("", |u| &u.code))
                }
                other => format!("{} {} {other:?} {}", draft.place, draft.code[0].code, draft.components.len()),
            },
            Err(rejected) => format!("{} {}", rejected.issues[0].code, rejected.issues[0].expression),
        };
        rows(body).iter().map(row).collect()
    }

    #[test]
    fn rows_become_readings() {
        let body = "device_id,patient_mrn,time,code,value,unit\n\
            DEV-1,MRN-100,2025-12-02T08:00:00+01:00,8867-4,84,/min\n\
            DEV-1,MRN-100,2025-12-02T08:00:00+01:00,8310-5,37.60,Cel\n\
            \n\
            DEV-1,MRN-100,2025-12-02T08:05:00+01:00,9279-1,,/min\n\
            DEV-1,MRN-100,2025-12-02T08:00:00+01:00,bp,120/80/93,mmHg\n\
            DEV-1,MRN-100,,heartRate,71,\n\
            DEV-1,MRN-100,,humidity,71,%\n\
            DEV-1,MRN-100,,8867-4,84,/min,7\n\
            DEV-1,,,8867-4,84,/min\n\
            DEV-1,,,,84,/min\n";
        let want = [
            "line 2 8867-4 84 /min",
            "line 3 8310-5 37.60 Cel",
            "required line 5.value",
            "line 6 85354-9 Panel 3",
            "line 7 8867-4 71 /min",
            "value line 8.code",
            "value line 9.value",
            "line 10 8867-4 84 /min",
            "value line 11.code",
        ];
        assert_eq!(told(body), want);
        let draft = rows(body).remove(0).unwrap();
        assert_eq!(draft.subject, Some(Subject::Identifier { system: None, value: "MRN-100".to_owned() }));
        assert_eq!(draft.device, Some(Subject::Identifier { system: None, value: "DEV-1".to_owned() }));
    }

    #[test]
    fn semicolons_come_with_decimal_commas() {
        let body = "\u{feff}Patient;Code;Value;Unit;Note;Test\r\nPatient/p;8310-5;36,60;Cel;\"a; b\";true\r\n";
        assert_eq!(told(body), ["line 2 8310-5 36.60 Cel"]);
        let draft = rows(body).remove(0).unwrap();
        assert_eq!((draft.note.as_deref(), draft.test), (Some("a; b"), true));
        assert_eq!(told("patient\tcode\tvalue\tunit\nPatient/p\t8867-4\t36,60\t/min\n"), ["value line 2.value"]);
        assert_eq!(told("patient,code,absent,value\nPatient/p,8867-4,error,\n"), ["line 2 8867-4 Absent(\"error\") 0"]);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for (body, code) in [
            ("", "required"),
            ("code,value", "required"),
            ("code,value\n", "required"),
            ("code,value,code\nx", "structure"),
            ("code,mood\nx", "structure"),
            ("patient,value\nx", "required"),
        ] {
            assert_eq!(parse(body.as_bytes(), &Map::new(), "s").unwrap_err().code, code, "{body}");
        }
        let many = format!("code,value\n{}", "8867-4,1\n".repeat(MAX_ITEMS + 1));
        assert_eq!(parse(many.as_bytes(), &Map::new(), "s").unwrap_err().code, "too-long");
        let mixed =
            parse(b"patient,code,value\nPatient/p,8867-4,1\n\xff,8867-4,1\nPatient/p,8867-4,2", &Map::new(), "s");
        assert_eq!(mixed.unwrap().iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    }

    proptest! {
        #[test]
        fn any_table_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..60), text in "[a-z0-9,;\\t\\n\"/.:|-]{0,60}") {
            let headed = format!("patient,code,value,unit,time\n{text}");
            for body in [body.as_slice(), text.as_bytes(), headed.as_bytes()] {
                let _ = parse(body, &Map::new(), "s");
            }
        }
    }
}
