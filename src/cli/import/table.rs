//! Tables: row by row, each as it will go to the door for tables. What a row means is for the server; here it is only cut
//! out, and given an id when it has neither an id nor a time, so that it is not taken twice.

use std::io::BufRead;

use anyhow::{Result, bail, ensure};
use csv::ByteRecord;

use super::entry::{Door, Entry, What};
use super::input::Source;
use super::lines::id_of;
use super::sink::Sink;

/// Columns that the file of rejected rows has beside its own.
const OURS: [&str; 2] = ["line", "reason"];

/// How a table is cut, and what its columns are called.
#[derive(Debug)]
pub(super) struct Header {
    delimiter: u8,
    names: Vec<String>,
    /// As it stood in the file, without the columns that are ours.
    pub(super) own: Vec<u8>,
}

impl Header {
    /// Reads the first row of a text.
    pub(super) fn of(text: &[u8]) -> Result<Self> {
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let count = |delimiter: u8| first.split(|byte| *byte == delimiter).count();
        let delimiter = [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',');
        let Some(record) = cut(first, delimiter) else { bail!("line 1: there is no header") };
        let mut names = Vec::new();
        for field in &record {
            let name = std::str::from_utf8(field);
            ensure!(name.is_ok(), "line 1: the header is no text in UTF-8");
            names.push(name.unwrap_or_default().trim().to_ascii_lowercase());
        }
        let mut header = Self { delimiter, names, own: Vec::new() };
        header.own = header.write(&record, None)?;
        Ok(header)
    }

    fn at(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|own| own == name)
    }

    /// The header as it is sent: there is always a column for ids.
    fn sent(&self) -> Result<Vec<u8>> {
        let names: ByteRecord = self.names.iter().map(String::as_bytes).collect::<Vec<_>>().into();
        self.write(&names, Some(b"id"))
    }

    /// A row without the columns that are ours. `id`: for the column of ids, where the row has none.
    fn write(&self, record: &ByteRecord, id: Option<&[u8]>) -> Result<Vec<u8>> {
        let mut row = ByteRecord::new();
        for (at, field) in record.iter().enumerate() {
            let name = self.names.get(at).map_or("", String::as_str);
            match id {
                _ if OURS.contains(&name) => {}
                Some(id) if name == "id" && field.trim_ascii().is_empty() => row.push_field(id),
                _ => row.push_field(field),
            }
        }
        if let Some(id) = id.filter(|_| self.at("id").is_none()) {
            // A row may be shorter than the header.
            let theirs = self.names.iter().filter(|name| !OURS.contains(&name.as_str())).count();
            (row.len()..theirs).for_each(|_| row.push_field(b""));
            row.push_field(id);
        }
        let mut writer = csv::WriterBuilder::new().delimiter(self.delimiter).flexible(true).from_writer(Vec::new());
        writer.write_byte_record(&row)?;
        Ok(writer.into_inner()?)
    }

    /// A rejected row with why, as a row of the same table.
    pub(super) fn rejected(&self, original: &[u8], line: u64, reason: &str) -> Result<Vec<u8>> {
        let mut writer = csv::WriterBuilder::new().delimiter(self.delimiter).flexible(true).from_writer(Vec::new());
        let mut row = ByteRecord::new();
        for (at, field) in cut(original, self.delimiter).unwrap_or_default().iter().enumerate() {
            if !self.names.get(at).is_some_and(|name| OURS.contains(&name.as_str())) {
                row.push_field(field);
            }
        }
        let theirs = self.names.iter().filter(|name| !OURS.contains(&name.as_str())).count();
        (row.len()..theirs).for_each(|_| row.push_field(b""));
        let line = if line == 0 { "line".to_owned() } else { line.to_string() };
        row.push_field(line.as_bytes());
        row.push_field(reason.as_bytes());
        writer.write_byte_record(&row)?;
        Ok(writer.into_inner()?)
    }
}

pub(super) fn read(source: &mut Source<'_>, patient: Option<&str>, sink: &mut Sink<'_>) -> Result<()> {
    let mut row = Vec::new();
    source.next_line(&mut row)?;
    let header = Header::of(&row)?;
    let door = Door::Csv(header.sent()?);
    loop {
        let line = source.line();
        if !next_row(source, &mut row, header.delimiter)? {
            return sink.flush();
        }
        if row.trim_ascii().is_empty() {
            continue;
        }
        let record = cut(&row, header.delimiter);
        let field = |name: &str| record.as_ref()?.get(header.at(name)?).map(<[u8]>::trim_ascii);
        let empty = |name: &str| field(name).is_none_or(<[u8]>::is_empty);
        let id = if empty("time") && empty("id") { id_of(line, &row, patient) } else { String::new() };
        let what = match &record {
            None => What::Wrong("the quotes of this row do not match".to_owned()),
            Some(record) if record.len() > header.names.len() => {
                What::Wrong("the row has more fields than the header".to_owned())
            }
            Some(record) => What::Row(header.write(record, Some(id.as_bytes()))?),
        };
        let kind = String::from_utf8_lossy(field("code").unwrap_or_default()).into_owned();
        let original = row.trim_ascii_end().to_vec();
        sink.put(&door, Entry { line, kind, original, what })?;
    }
}

/// The next row with its end: the next line, and those after it while a quote is open.
fn next_row(source: &mut Source<'_>, row: &mut Vec<u8>, delimiter: u8) -> Result<bool> {
    if !source.next_line(row)? {
        return Ok(false);
    }
    let (mut quotes, mut line) = (Quotes::new(delimiter), Vec::new());
    quotes.read(row);
    while quotes.open {
        line.clear();
        // What belongs to one row counts together.
        if source.read_until(b'\n', &mut line)? == 0 {
            bail!("{}: the file ends within quotes", source.place());
        }
        quotes.read(&line);
        row.extend_from_slice(&line);
    }
    Ok(true)
}

/// Whether a quoted field goes on after what was read.
struct Quotes {
    delimiter: u8,
    open: bool,
    /// A field begins.
    begins: bool,
    before: u8,
}

impl Quotes {
    fn new(delimiter: u8) -> Self {
        Self { delimiter, open: false, begins: true, before: 0 }
    }

    fn read(&mut self, part: &[u8]) {
        for byte in part.iter().copied() {
            match byte {
                b'"' if self.open => self.open = false,
                // At the beginning of a field, or the second of two.
                b'"' if self.begins || self.before == b'"' => self.open = true,
                _ => {}
            }
            self.begins = !self.open && byte == self.delimiter;
            self.before = byte;
        }
    }
}

/// The fields of one row; none when they are those of several.
fn cut(row: &[u8], delimiter: u8) -> Option<ByteRecord> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(row);
    let mut records = reader.byte_records();
    let record = records.next()?.ok()?;
    records.next().is_none().then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_end_where_no_quote_is_open() {
        for (row, open) in [
            ("a,b\n", false),
            ("a,\"b\n", true),
            ("a,\"b\n\"\n", false),
            ("a,\"b\"\"\n", true),
            ("a,5\" pipe\n", false),
            ("\"\",\"\"\"\"\n", false),
        ] {
            let mut quotes = Quotes::new(b',');
            quotes.read(row.as_bytes());
            assert_eq!(quotes.open, open, "{row}");
        }
    }

    #[test]
    fn rows_are_sent_with_a_column_for_ids() {
        let header = Header::of(b"Code;Value;line;Reason\r\n").unwrap();
        let row = |text: &str, id: &[u8]| header.write(&cut(text.as_bytes(), b';').unwrap(), Some(id)).unwrap();
        assert_eq!(header.sent().unwrap(), b"code;value;id\n");
        assert_eq!(header.own, b"Code;Value\n");
        assert_eq!(row("8310-5;36,6;7;\"why; so\"", b""), b"8310-5;36,6;\n");
        assert_eq!(row("8310-5", b"x"), b"8310-5;;x\n");
        let told = header.rejected(b"8310-5;36,6", 9, "a; b").unwrap();
        assert_eq!(String::from_utf8(told).unwrap(), "8310-5;36,6;9;\"a; b\"\n");
        let own = Header::of(b"id,code,value\n").unwrap();
        let row = |text: &str| own.write(&cut(text.as_bytes(), b',').unwrap(), Some(b"x")).unwrap();
        assert_eq!((row("7,a,1"), row(" ,a,1")), (b"7,a,1\n".to_vec(), b"x,a,1\n".to_vec()));
    }
}
